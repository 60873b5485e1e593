"""Power cuts while recording: everything that was not flushed to the disk may be lost, or not."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import DimosRecordError, NotARecording, RecordingDamaged
from dimos_record.store.doctor import diagnose
from dimos_record.store.recovery import rescue
from dimos_record.store.segments import segments_of
from dimos_record.testing import free_lcm_url
from soaking import powerloss
from soaking.faults_rig import CLI, Command
from soaking.harness import Chapter, Fault, Figures, Outcome, PromiseBroken, Round, largest, total
from soaking.kill_recorder import most_waited_s
from soaking.powerloss import Cut, Disk, Event
from soaking.traffic import Topic, numbers, traffic

TOPICS = (
    Topic("fast", 500, 50),
    Topic("camera", 20, 60_000),
    Topic("odom", 50, 100),
    Topic("slow", 4, 20),
)
HEAVY = (*TOPICS[1:], Topic("large", 30, 400_000))
"""So much that the log is copied into the file again and again."""
LOST_S = 1.25
"""What was published this long before is there: a flush every second, and a batch."""
LOST_WITH_FULL_S = 0.25
"""The same with `--durability full`: a batch."""
UNREAD_S = 0.1
"""What is published this long before a recorder is asked to end has been received by then."""
CUTS = 24
"""In each recording."""


Topics = tuple[Topic, ...]


class Case(NamedTuple):
    """How is recorded."""

    options: tuple[str, ...]
    seconds: float
    appends: bool = False
    name: str = "walk.db"
    topics: Topics = TOPICS


CASES = (
    Case((), 6.5),
    Case(("--split", "1s"), 4.0, name="walks"),
    Case((), 2.5, appends=True),
    Case(("--ring", "1.5s"), 4.0, name="ring"),
    Case((), 0.7),
    Case((), 4.5, topics=HEAVY),
)


class Recorded(NamedTuple):
    """What was done to the disk for a recording, and what there was to be recorded."""

    case: Case
    events: list[Event]
    disk: Disk
    """As it was before."""
    sent_s: Mapping[str, Sequence[float]]
    """Per topic, when its messages were published."""
    since: Mapping[str, int]
    """Per topic, the first number that has to be there."""
    stopped_s: float
    """When the recorder was asked to end."""
    delay_s: float
    """By how much the machine was late: the longest flush, and how long a thread waited for a
    processor."""


class Left(NamedTuple):
    """What a cut left."""

    missing_s: float
    """How long before the cut the oldest message was published that is missing."""
    needs_recover: bool
    """Whether it cannot be read as it is."""


@cache
def _library() -> Path:
    return powerloss.build(Path(tempfile.mkdtemp(prefix="soak-power-")))


def power(round_: Round, options: Sequence[str] = (), lost_s: float = LOST_S) -> Outcome:
    """Record once, and look at what cuts at many moments leave of it."""
    case = CASES[round_.number % len(CASES)]
    recorded = _record(round_, case, options)
    moments = _moments(recorded.events, round_.dice)
    left: list[Left] = []
    for number, event in enumerate(recorded.events):
        while moments and moments[0] <= number:
            moments.pop(0)
            folder = round_.folder / "cut"
            folder.mkdir()
            cut = Cut(is_ordered=round_.dice.random() < 0.5)
            recorded.disk.after_cut(cut, round_.dice, folder)
            try:
                allowed_s = lost_s + recorded.delay_s + round_.patience_s
                left.append(_check(recorded, folder / case.name, event.time_s, allowed_s))
            except (PromiseBroken, DimosRecordError, sqlite3.Error) as error:
                raise PromiseBroken(
                    f"{case.name}, cut before call {number} ({event.kind} {event.path}), "
                    f"{event.time_s - recorded.events[0].time_s:.3f} s after the first, "
                    f"{'ordered' if cut.is_ordered else 'any order'}: "
                    f"{type(error).__name__}: {error}"
                ) from error
            shutil.rmtree(folder)
        recorded.disk.apply(event)
    return Outcome(
        {
            "cuts": len(left),
            "missing_ms": 1000 * max(one.missing_s for one in left),
            "needs_recover": sum(one.needs_recover for one in left),
        }
    )


def _record(round_: Round, case: Case, options: Sequence[str]) -> Recorded:
    work, log = round_.folder / "work", round_.folder / "calls"
    work.mkdir()
    url = free_lcm_url() + "&recv_buf_size=8000000"
    command = [*CLI, "record", str(work / case.name), "--bus", url, "--min-free", "0", "-q"]
    with traffic(url, case.topics) as published:
        if case.appends:
            with Command(command, round_.folder / "first") as recorder:
                recorder.wait_for("Recording to ")
                time.sleep(1.0)
                recorder.send(signal.SIGKILL)
                recorder.wait()
            command.append("--append")
        disk = Disk(work)
        env = powerloss.environment(_library(), work, log)
        with Command(
            [*command, *case.options, *options], round_.folder / "log", env=env
        ) as recorder:
            recorder.wait_for("Recording to ")
            since, waited_s = published.counts(), most_waited_s(recorder.pid)
            time.sleep(case.seconds)
            stopped_s, waited_s = time.monotonic(), most_waited_s(recorder.pid) - waited_s
            recorder.stop().expect(0)
    events = list(powerloss.read_log(log, work))
    if not any(event.kind == "E" for event in events):
        raise PromiseBroken("nothing was flushed to the disk, or its calls were not seen")
    delay_s = waited_s + _longest_flush_s(events)
    return Recorded(case, events, disk, published.sent_s, since, stopped_s, delay_s)


def _longest_flush_s(events: Sequence[Event]) -> float:
    begun = {event.at: event.time_s for event in events if event.kind == "B"}
    return max(event.time_s - begun[event.at] for event in events if event.kind == "E")


def _moments(events: Sequence[Event], dice: random.Random) -> list[int]:
    """Numbers of calls before which the power is cut: some by their time, some by their order."""
    first_s, last_s = events[0].time_s, events[-1].time_s
    moments = [dice.randrange(len(events)) for _ in range(CUTS // 2)]
    for _ in range(CUTS - len(moments)):
        at_s = dice.uniform(first_s, last_s)
        moments.append(next(i for i, event in enumerate(events) if event.time_s >= at_s))
    return sorted(moments)


def _check(recorded: Recorded, path: Path, cut_s: float, allowed_s: float) -> Left:
    """Look at what a cut left.

    Raises:
        PromiseBroken, DimosRecordError, sqlite3.Error
    """
    found, needs_recover = _found(path, recorded.case.topics)
    oldest_s, which = 0.0, ""
    for topic in recorded.case.topics:
        got, sent_s = set(found.get(topic.name, ())), recorded.sent_s[topic.name]
        since = recorded.since[topic.name]
        if recorded.case.name == "ring" and got:  # its beginning is deleted
            since = max(since, min(got))
        missing = (n for n in range(since, len(sent_s)) if n not in got)
        first = next(missing, None)
        if first is None or sent_s[first] > min(cut_s - oldest_s, recorded.stopped_s - UNREAD_S):
            continue
        oldest_s, which = cut_s - sent_s[first], f"/{topic.name} {first}"
    if oldest_s > allowed_s:
        last = {name: got[-1] for name, got in found.items() if got}
        raise PromiseBroken(
            f"{which}, published {oldest_s:.3f} s before, is missing; last: {last}; "
            f"it may be {allowed_s:.3f} s"
        )
    return Left(oldest_s, needs_recover)


def _found(path: Path, topics: Topics) -> tuple[dict[str, list[int]], bool]:
    """The numbers that are there, per topic; and whether `recover` had to find them.

    A file whose first page is torn, since it was being created, cannot be read; nor can the folder
    that it is the last segment of.
    """
    if not path.exists():
        return {}, False
    try:
        return _look_at(path, topics), False
    except (NotARecording, RecordingDamaged):
        try:
            saved = rescue(path).path
        except (NotARecording, RecordingDamaged):
            return {}, True
        return _look_at(saved, topics), True


def _look_at(path: Path, topics: Topics) -> dict[str, list[int]]:
    """Read, check and recover what a cut left; the numbers that it has, per topic."""
    found = numbers(path, topics)
    _check_order(found)
    damage = [one for one in diagnose(path).findings if one.severity == "damage"]
    if any(one.check != "log" for one in damage):  # what was written last to the log may be torn
        raise PromiseBroken(f"doctor finds damage: {damage}")
    copies = path.with_name("copies")
    for file in segments_of(path) if path.is_dir() else [path]:
        copies.mkdir()
        for part in file.parent.glob(f"{file.name}*"):
            shutil.copy(part, copies)
        with closing(sqlite3.connect(copies / file.name)) as db:
            (sound,) = db.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            raise PromiseBroken(f"{file.name}: integrity_check says {sound}")
        shutil.rmtree(copies)
    _check_recovered(path, topics, found, log_is_torn=bool(damage))
    return found


def _check_recovered(
    path: Path, topics: Topics, found: dict[str, list[int]], *, log_is_torn: bool
) -> None:
    """Make a sound file of it; from behind a torn page of the log, messages are saved, too."""
    recovered = rescue(path)
    saved = numbers(recovered.path, topics)
    _check_order(saved)
    fewer = [name for name, got in found.items() if not set(got) <= set(saved.get(name, ()))]
    if fewer or (saved != found and not log_is_torn):
        raise PromiseBroken(f"recover has not saved what can be read: {recovered}")
    if not recovered.finished or diagnose(recovered.path).damaged:
        raise PromiseBroken(f"what recover has written is not in order: {recovered}")


def _check_order(found: dict[str, list[int]]) -> None:
    for name, got in found.items():
        if any(b <= a for a, b in pairwise(got)):
            raise PromiseBroken(f"/{name}: messages are twice, or out of order")


def _summary(rounds: Sequence[Figures]) -> str:
    missing = sorted(figures["missing_ms"] for figures in rounds if "missing_ms" in figures)
    return (
        f"{total(rounds, 'cuts'):,.0f} cuts, missing at most {largest(rounds, 'missing_ms'):,.0f} "
        f"ms, in half of the recordings at most {missing[len(missing) // 2]:,.0f} ms; "
        f"{total(rounds, 'needs_recover'):.0f} while a file was being created"
        if missing
        else ""
    )


_SOUND = "the file is sound; no message is wrong, twice, or out of order."
_SEES = (
    "Nothing has to be done: `info` says that the session was killed, and the next `record "
    "--append` goes on. `doctor` may call the end of the log damaged; `recover` makes one file of "
    "all that is whole. What was just being created (of a folder, the last segment) is no "
    "recording yet."
)


def power_with_full(round_: Round) -> Outcome:
    """The same, recorded with `--durability full`."""
    return power(round_, ("--durability", "full"), LOST_WITH_FULL_S)


CHAPTER = Chapter(
    "power",
    "Power cuts",
    [
        Fault(
            name="power-normal",
            what="the power fails while a file, segments or a ring are recorded, while a killed "
            "recording is gone on with, while one begins or is finished",
            promise=f"All but about the last second is there (tested: {LOST_S:g} s, and by how "
            f"much the machine was late); {_SOUND}",
            sees=_SEES,
            run=power,
            rounds=60,
            summary=_summary,
            timeout_s=300,
        ),
        Fault(
            name="power-full",
            what="the same, recorded with `--durability full`",
            promise=f"All but about the last 0.2 s is there (tested: {LOST_WITH_FULL_S:g} s, and "
            f"by how much the machine was late); {_SOUND}",
            sees=_SEES,
            run=power_with_full,
            rounds=60,
            summary=_summary,
            timeout_s=300,
        ),
    ],
    "The calls of a real recorder that reach the disk are logged (`scripts/soaking/powerloss.c`), "
    "and the disk is rebuilt as a cut at random moments may leave it: everything flushed is there; "
    "of each page or sector written since, any version; of each file nothing, everything, the "
    "beginning, or a mixture. Half of the disks keep the order of names, as ext4 does; on the "
    "others a name is only sure once its folder was flushed, and what a file has grown by may hold "
    "garbage.",
)

"""`kill -9` of a recorder: while it starts, records, splits, and finishes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.store import open_recording
from dimos_record.store.doctor import diagnose
from dimos_record.store.recording_file import is_unborn
from dimos_record.store.segments import segments_of
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import CLI, Command
from soaking.harness import Fault, Figures, Outcome, PromiseBroken, Round, total
from soaking.traffic import (
    ROBOT,
    Traffic,
    check_no_holes,
    check_with_plain_sqlite,
    numbers,
    oldest_missing_s,
    traffic,
)

PROMISED_S = 0.2
"""What had been received this long before the kill is in the file."""
UNREAD_BYTES_PER_S = 5e6
"""At least so much is published: so long ago is what the recorder had not read in its sockets."""


class Stopped(NamedTuple):
    """A recorder at the moment of its end."""

    at_s: float
    """By the monotonic clock."""
    waited_s: float
    """For how long one of its threads was ready to run, and had no processor."""
    unread: int
    """Bytes in its sockets that it had not received yet."""


def stop_for_good(recorder: Command) -> Stopped:
    """Kill a process. It is stopped first, so that what the kernel knows of it can be read."""
    recorder.send(signal.SIGSTOP)
    at_s = time.monotonic()
    while _state(recorder.pid) not in "TtZX":
        time.sleep(0.0002)
    stopped = Stopped(at_s, most_waited_s(recorder.pid), _unread(recorder.pid))
    recorder.send(signal.SIGKILL)
    recorder.wait()
    return stopped


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def most_waited_s(pid: int) -> float:
    """The most that a thread of a process has waited for a processor in its life."""
    waited = [0]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError, IndexError):
            waited.append(int((task / "schedstat").read_text().split()[1]))
    return max(waited) / 1e9


def _unread(pid: int) -> int:
    """What waits in the UDP sockets of a process, in bytes of the kernel's memory."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    rows = [row.split() for row in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[9] in inodes)


def kill_recorder(round_: Round, situation: Situation | None = None) -> Outcome:
    """Kill one in one of several situations, and look at what it leaves."""
    situation = situation or SITUATIONS[round_.number % len(SITUATIONS)]
    path = round_.folder / "work" / "walk.db"
    path.parent.mkdir()
    url = free_lcm_url() + "&recv_buf_size=8000000"
    with traffic(url) as published:
        figures = situation(round_, path, url, published)
    _check_next_session(path)
    return Outcome({**figures, situation.__name__: 1})


def recording(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """Somewhere in the middle; now and then late enough that the spool was emptied before."""
    long = round_.number % 40 == 4
    return _kill(round_, path, url, published, within_s=(4.8, 7) if long else (0, 1.2))


def recording_for_longer(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """For so long that what a busy machine may be late by is a part of it."""
    return _kill(round_, path, url, published, within_s=(3, 3))


def appending(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """While it adds to a recording that was killed before."""
    _kill(round_, path, url, published, within_s=(0.2, 0.6))
    return _kill(round_, path, url, published, "--append", within_s=(0, 0.8))


def segments(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """With a new segment five times a second, or as a ring that deletes them."""
    ring = round_.dice.random() < 0.5
    options = ("--ring", "0.6s") if ring else ("--split", "0.2s")
    return _kill(round_, path, url, published, *options, within_s=(0.2, 1.6))


def starting(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """Before it has said that it records: there may be no file yet."""
    command = [*CLI, "record", str(path), "--bus", url, "--min-free", "0", "-q"]
    with Command(command, round_.folder / "log") as recorder:
        time.sleep(round_.dice.uniform(0.1, 0.6))
        recorder.send(signal.SIGKILL)
        recorder.wait()
    if _is_born(path):
        _check(round_, path)
    return {}


def finishing(round_: Round, path: Path, url: str, published: Traffic) -> Figures:
    """While it finishes the file: nothing that it had received is missing then, but a batch."""
    command = [*CLI, "record", str(path), "--bus", url, "--min-free", "0", "-q"]
    with Command(command, round_.folder / "log") as recorder:
        recorder.wait_for("Recording to ")
        since = published.counts()
        time.sleep(round_.dice.uniform(0.1, 0.6))
        asked_s = time.monotonic()
        recorder.send(signal.SIGTERM)
        time.sleep(round_.dice.uniform(0, 0.25))
        waited_s = most_waited_s(recorder.pid) if recorder.runs else 0.0
        recorder.send(signal.SIGKILL)
        recorder.wait()
    found = _check(round_, path)
    return _missing(round_, found, published, since, Stopped(asked_s, waited_s, 0))


Situation = Callable[[Round, Path, str, Traffic], Figures]
SITUATIONS: tuple[Situation, ...] = (
    recording,
    appending,
    recording,
    segments,
    recording,
    starting,
    finishing,
)


def _kill(
    round_: Round,
    path: Path,
    url: str,
    published: Traffic,
    *options: str,
    within_s: tuple[float, float],
) -> Figures:
    """Record, kill after a time, and check."""
    before = _ends(numbers(path)) if path.exists() else {}
    command = [*CLI, "record", str(path), "--bus", url, "--min-free", "0", "-q", *options]
    with Command(command, round_.folder / "log") as recorder:
        recorder.wait_for("Recording to ")
        since = published.counts()
        time.sleep(round_.dice.uniform(*within_s))
        stopped = stop_for_good(recorder)
    found = _check(round_, path, before)
    if "--ring" in options:  # its beginning is deleted
        since = {name: found[name][0] if found.get(name) else n for name, n in since.items()}
    return _missing(round_, found, published, since, stopped)


def _missing(
    round_: Round,
    found: dict[str, list[int]],
    published: Traffic,
    since: dict[str, int],
    stopped: Stopped,
) -> Figures:
    missing_s = oldest_missing_s(found, published.sent_s, since, stopped.at_s)
    late_s = stopped.waited_s + stopped.unread / UNREAD_BYTES_PER_S
    promised_s = PROMISED_S + late_s + round_.patience_s
    if missing_s > promised_s:
        raise PromiseBroken(
            f"a message published {missing_s:.3f} s before the kill is missing ({stopped}); "
            f"it may be {promised_s:.3f} s"
        )
    return {"missing_ms": 1000 * missing_s, "late_ms": 1000 * late_s}


def _ends(found: dict[str, list[int]]) -> dict[str, int]:
    return {name: len(got) for name, got in found.items()}


def _check(round_: Round, path: Path, before: dict[str, int] | None = None) -> dict[str, list[int]]:
    """Look at what a kill left.

    Args:
        before: how many messages sessions before have; they were looked at.

    Returns:
        The numbers of the last session, per topic.
    """
    found = numbers(path)
    fresh = {name: got[(before or {}).get(name, 0) :] for name, got in found.items()}
    check_no_holes(fresh)
    copies = round_.folder / "copies"
    for file in segments_of(path) if path.is_dir() else [path]:
        copies.mkdir()
        for part in file.parent.glob(f"{file.name}*"):
            shutil.copy(part, copies)
        if not path.is_dir():
            check_with_plain_sqlite(copies / file.name, sum(map(len, found.values())))
        shutil.rmtree(copies)
    diagnosis = diagnose(path)
    if diagnosis.damaged:
        raise PromiseBroken(f"doctor finds damage: {diagnosis.findings}")
    return fresh


def _is_born(path: Path) -> bool:
    """Whether there is a recording; a file that was only just being created is none."""
    return path.exists() and (path.is_dir() or not is_unborn(path))


def _check_next_session(path: Path) -> None:
    """The next recording goes on in what is there, and leaves one that is in order."""
    before = numbers(path) if _is_born(path) else {}
    with (
        open_bus("memory://next") as bus,
        RecordReplay(path, bus=bus) as rec,
        rec.recording(append=path.exists(), min_free_bytes=0),
    ):
        for topic in ROBOT:
            bus.publish(f"/{topic.name}", topic.message(10**9))
    found = numbers(path)
    expected = {topic.name: [*before.get(topic.name, []), 10**9] for topic in ROBOT}
    if found != expected:
        raise PromiseBroken(f"the next session has left {_ends(found)} of {_ends(expected)}")
    with open_recording(path) as reader:
        states = [session.state for session in reader.sessions()]
        if states[-1] != "finished" or not reader.self_contained:
            raise PromiseBroken(f"after the next session: {states}")
        for name in reader.streams:
            ids = [row.id for row in reader.rows(name)]
            if ids != list(range(ids[0], ids[0] + len(ids))):
                raise PromiseBroken(f"{name}: the messages are not numbered one after the other")
    if diagnose(path).damaged:
        raise PromiseBroken(f"doctor finds damage after the next session: {diagnose(path)}")


def _summary(rounds: Sequence[Figures]) -> str:
    tried = [figures for figures in rounds if "missing_ms" in figures]
    if not tried:
        return ""
    missing = sorted(figures["missing_ms"] for figures in tried)
    worst = max(tried, key=lambda figures: figures["missing_ms"])
    times = ", ".join(
        f"{total(rounds, situation.__name__):.0f} while {situation.__name__}"
        for situation in dict.fromkeys(SITUATIONS)
        if situation is not segments
    )
    return (
        f"missing at most {worst['missing_ms']:.0f} ms, when the machine was late by "
        f"{worst['late_ms']:.0f} ms; half of the times at most {missing[len(missing) // 2]:.0f} ms "
        f"({times}, {total(rounds, 'segments'):.0f} with segments)"
    )


KILL_RECORDER = Fault(
    name="kill-recorder",
    what="`kill -9` of a recorder: while it starts, records, appends, splits, deletes from its "
    "ring, finishes",
    promise=f"Everything received more than {1000 * PROMISED_S:.0f} ms before is there, once and "
    "in order; the file opens with any SQLite and is sound; the next session goes on in it.",
    sees="Nothing has to be done. `info` says that the session was killed; `recover`, or the "
    "next `record --append`, makes one file of it. Of a recorder that was just creating "
    "its file, that may be empty: `record --append` begins it anew.",
    run=kill_recorder,
    rounds=400,
    summary=_summary,
)

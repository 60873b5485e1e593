"""The robot with four cameras for a long time, and several times too much of it."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.messages import numbered
from benchmarks.processes import module_env

from dimos_record.errors import RecordingNotFound
from dimos_record.store import open_recording
from dimos_record.store.connection import has_log
from dimos_record.store.doctor import diagnose
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import segments_of
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import CLI, Command, Ended
from soaking.harness import Chapter, Fault, Figures, Outcome, PromiseBroken, Round, largest, total
from soaking.robot import STREAMS

RING = "4GB"
"""What of the recording is on the disk at a time; everything is looked through before it goes."""
LONGEST_PAUSE_S = 2.0
"""Between two commits."""
FLAT_S = 300.0
"""Shorter runs do not tell whether something grows."""
GROWTH = 1.25
"""How many times memory, and the time between commits, may be of the last third of the first."""
RECOVERED_S = 1.0
"""So long after an overload nothing is lost any more."""


class Phase(NamedTuple):
    """What the robot has published by the end of a phase."""

    at_ns: int
    """By the monotonic clock."""
    counts: dict[str, int]


class Watch:
    """Looks at a ring while it is recorded: at every message once, and at its recorder.

    Args:
        ring: its folder.
        recorder: its process.
    """

    def __init__(self, ring: Path, recorder: Command) -> None:
        self._ring, self._recorder = ring, recorder
        self._next = dict.fromkeys(STREAMS, 0)
        self._missing = dict.fromkeys(STREAMS, 0)
        self._looked: set[str] = set()
        self._log: tuple[str, int] = ("", 0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow_log, name="watch of commits")
        self.pauses: list[tuple[float, float]] = []
        """(when, how long) nothing was written to the log, at most, in each second: about the time
        from the end of one commit to the beginning of the next."""
        self.memory: list[tuple[float, int]] = []
        """(when, bytes)"""

    def look(self, seconds: float) -> None:
        """Look for some time."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and self._recorder.runs:
            self.memory.append((time.monotonic(), _memory(self._recorder.pid)))
            self.look_through(finished=True)
            time.sleep(1.0)

    def _follow_log(self) -> None:
        longest_s, second_s = 0.0, time.monotonic()
        while not self._ended.wait(0.01):
            longest_s = max(longest_s, self._pause_s())
            if time.monotonic() > second_s + 1:
                self.pauses.append((second_s, longest_s))
                longest_s, second_s = 0.0, time.monotonic()

    def _pause_s(self) -> float:
        """How long the log of the newest segment was not written to, if it was since asked last."""
        logs = sorted(self._ring.glob("*-wal"))
        try:
            now = logs[-1].name, logs[-1].stat().st_mtime_ns
        except (FileNotFoundError, IndexError):
            return 0.0
        before, self._log = self._log, now
        return (now[1] - before[1]) / 1e9 if now[0] == before[0] else 0.0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def look_through(self, *, finished: bool) -> None:
        """Look which numbers are missing in segments, and between them; none may be twice.

        Args:
            finished: only those that are.

        Raises:
            PromiseBroken
        """
        for path in segments_of(self._ring):
            if path.name not in self._looked:
                if finished and has_log(path):
                    return
                self._check(path)
                self._looked.add(path.name)

    def _check(self, path: Path) -> None:
        try:
            with RecordingReader.open(path, whole=False) as reader:
                for name in set(STREAMS) & reader.streams.keys():
                    for row in reader.rows(name):
                        number, _ = numbered(row.data)
                        if number < self._next[name]:
                            raise PromiseBroken(f"{path.name}: /{name} {number} is there twice")
                        self._missing[name] += number - self._next[name]
                        self._next[name] = number + 1
        except RecordingNotFound:
            raise PromiseBroken(f"{path.name} was deleted before it was looked through") from None

    def missing(self, published: Mapping[str, int]) -> dict[str, int]:
        """How many messages of each stream are not there, of so many that were published."""
        lost = {name: published[name] - self._next[name] + self._missing[name] for name in STREAMS}
        return {name: count for name, count in lost.items() if count}


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def _phases(robot: Ended) -> list[Phase]:
    robot.expect(0)
    return [Phase(**json.loads(line)) for line in robot.out.splitlines()]


def load(round_: Round) -> Outcome:
    """Record the robot into a ring and look at every message before it is deleted."""
    seconds = 60 * round_.minutes
    ring = round_.folder / "ring"
    with ExitStack() as stack:
        recorder, robot = _begin(stack, round_, ring, [(1.0, seconds)], "--ring", RING)
        with Watch(ring, recorder) as watch:
            while robot.runs:
                watch.look(1.0)
                if not recorder.runs:
                    raise PromiseBroken(f"the recorder has ended: {recorder.said}")
            (phase,) = _phases(robot.wait())
        watch.look(2.0)
        ended = recorder.stop()
        ended.expect(0)
    watch.look_through(finished=False)
    account, missing = json.loads(ended.out), watch.missing(phase.counts)
    known = {name: account[name] for name in ("dropped", "lost_before_reception")}
    if missing or any(known.values()):
        raise PromiseBroken(f"{missing} of {phase.counts} are missing; its account says {known}")
    diagnosis = diagnose(ring)
    if not diagnosis.healthy:
        raise PromiseBroken(f"doctor finds {diagnosis.findings}")
    return Outcome(
        {"messages": sum(phase.counts.values()), **_memory_figures(watch), **_commit_figures(watch)}
    )


def _begin(
    stack: ExitStack, round_: Round, path: Path, phases: list[tuple[float, float]], *options: str
) -> tuple[Command, Command]:
    """A recorder, and the robot that it records."""
    buffer_bytes = int(Path("/proc/sys/net/core/rmem_max").read_text())
    url = f"{free_lcm_url()}&recv_buf_size={buffer_bytes}"
    command = [*CLI, "record", str(path), "--bus", url, "--min-free", "0", "-q", "--json"]
    recorder = stack.enter_context(Command([*command, *options], round_.folder / "recorder"))
    recorder.wait_for("Recording to ")
    robot = [sys.executable, "-m", "soaking.robot", url, *(f"{f}:{s}" for f, s in phases)]
    publisher = Command(robot, round_.folder / "robot", env=module_env())
    return recorder, stack.enter_context(publisher)


def _thirds(samples: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The values of the first and of the last third of the time, without the first tenth."""
    first_s, last_s = samples[0][0], samples[-1][0]
    length_s = last_s - first_s
    early = [value for at_s, value in samples if 0.1 < (at_s - first_s) / (length_s or 1) <= 1 / 3]
    late = [value for at_s, value in samples if at_s >= last_s - length_s / 3]
    return early or late, late


def _memory_figures(watch: Watch) -> Figures:
    early, late = _thirds(watch.memory)
    long = watch.memory[-1][0] - watch.memory[0][0] >= FLAT_S
    if long and max(late) > GROWTH * max(early) + 20e6:
        raise PromiseBroken(f"memory grew from {max(early) / 1e6:.0f} to {max(late) / 1e6:.0f} MB")
    return {"memory_mb": max(late) / 1e6, "memory_before_mb": max(early) / 1e6}


def _commit_figures(watch: Watch) -> Figures:
    early, late = _thirds(watch.pauses)
    before_s, after_s = statistics.median(early), statistics.median(late)
    longest_s = max(value for _, value in watch.pauses)
    if after_s > GROWTH * before_s + 0.05 or longest_s > LONGEST_PAUSE_S:
        raise PromiseBroken(
            f"between commits were {before_s:.3f} s, in the end {after_s:.3f} s, at most "
            f"{longest_s:.3f} s"
        )
    return {
        "pause_ms": 1000 * after_s,
        "pause_before_ms": 1000 * before_s,
        "longest_pause_ms": 1000 * longest_s,
    }


def _load_summary(rounds: Sequence[Figures]) -> str:
    if not rounds:
        return ""
    (one,) = rounds
    return (
        f"all of {one['messages']:,.0f} messages are there; {one['memory_before_mb']:.0f} MB of "
        f"memory in the first third, {one['memory_mb']:.0f} MB in the last; between commits at "
        f"most {one['pause_before_ms']:.0f} ms in half of the seconds of the first third, "
        f"{one['pause_ms']:.0f} ms in the last, {one['longest_pause_ms']:.0f} ms ever"
    )


def overload(
    round_: Round, factor: float | None = None, seconds: float = 8.0, *, is_busy: bool = False
) -> Outcome:
    """Record the robot, then several times as much, then the robot again.

    Args:
        is_busy: judge only what does not depend on what else the machine does.
    """
    factor = factor or (2.0, 4.0)[round_.number % 2]
    path = round_.folder / "walk.db"
    with ExitStack() as stack:
        phases = [(1.0, seconds / 2), (factor, seconds), (1.0, RECOVERED_S), (1.0, seconds)]
        recorder, robot = _begin(stack, round_, path, phases)
        published = _phases(robot.wait(timeout_s=10 * seconds + 60))
        time.sleep(1.0)
        ended = recorder.stop(timeout_s=120)
        ended.expect(0)
    found = _numbers(path)
    account = json.loads(ended.out)
    dropped = _check_account(account, found, published[-1].counts)
    if not is_busy:
        _check_losses(account, published[-1].counts)
        _check_recovery(found, published)
    path.unlink()
    all_published = sum(published[-1].counts.values())
    return Outcome(
        {
            "published": all_published,
            "dropped": dropped,
            "before_reception": all_published - dropped - sum(map(len, found.values())),
            "known_per_sender": int(bool(account["senders"])),
        }
    )


def _numbers(path: Path) -> dict[str, list[int]]:
    with open_recording(path) as reader:
        return {
            name: [numbered(row.data)[0] for row in reader.rows(name)]
            for name in STREAMS
            if name in reader.streams
        }


def _check_account(
    account: Mapping[str, Any], found: Mapping[str, list[int]], published: Mapping[str, int]
) -> int:
    """Check that received is written and dropped, per stream.

    Returns:
        How many messages were dropped.
    """
    dropped = 0
    for topic in account["topics"]:
        name = topic["stream"]
        if topic["received"] != topic["written"] + topic["dropped"]:
            raise PromiseBroken(f"/{name}: received is not written and dropped: {topic}")
        if topic["written"] != len(found[name]) or len(set(found[name])) != len(found[name]):
            raise PromiseBroken(f"/{name}: {len(found[name])} in the file: {topic}")
        if topic["received"] > published[name]:
            raise PromiseBroken(f"/{name}: {published[name]} were published: {topic}")
        dropped += topic["dropped"]
    return dropped


def _check_losses(account: Mapping[str, Any], published: Mapping[str, int]) -> None:
    """Check that what did not come is known: exactly, where the sender's numbers are read."""
    missing = sum(published.values()) - sum(topic["received"] for topic in account["topics"])
    lost = account["messages_lost_before_reception"]
    if lost is not None and lost != missing:
        raise PromiseBroken(f"{missing} did not come, and {lost} are said to be lost of the sender")
    if missing and not lost and not account["lost_before_reception"]:
        raise PromiseBroken(f"{missing} did not come, and nothing is said of it")


def _check_recovery(found: Mapping[str, list[int]], phases: Sequence[Phase]) -> None:
    """Soon after the load has fallen, nothing is missing any more."""
    recovered, end = phases[2].counts, phases[3].counts
    for name, numbers in found.items():
        missing = set(range(recovered[name], end[name])) - set(numbers)
        if missing:
            raise PromiseBroken(
                f"/{name}: {len(missing)} are missing of what was published more than "
                f"{RECOVERED_S:g} s after the overload, at most the "
                f"{max(missing) - recovered[name]}th"
            )


def _overload_summary(rounds: Sequence[Figures]) -> str:
    published = total(rounds, "published")
    where = "per sender" if largest(rounds, "known_per_sender") else "in packets"
    return (
        f"of {published:,.0f} messages {total(rounds, 'dropped'):,.0f} were dropped and "
        f"{total(rounds, 'before_reception'):,.0f} lost before reception (counted {where}); the "
        f"account is exact"
    )


CHAPTER = Chapter(
    "load",
    "Load",
    [
        Fault(
            name="robot",
            what="a robot with four cameras: 750 messages and 68 MB a second",
            promise="No message is lost; memory and the time between commits stay as they are.",
            sees="nothing",
            run=load,
            minutes=30.0,
            summary=_load_summary,
            timeout_s=300,
        ),
        Fault(
            name="overload",
            what="the same robot, for 8 s two or four times as fast as that",
            promise="Per stream, what was received is what was written and what was dropped, "
            f"exactly; what was lost before is counted; {RECOVERED_S:g} s after the overload "
            "nothing is lost any more.",
            sees="A warning while it happens, the account at the end and in `info`; `--strict` "
            "makes it exit code 9.",
            run=overload,
            rounds=10,
            summary=_overload_summary,
            timeout_s=300,
        ),
    ],
    "`dimos-record record` in a process of its own, over LCM. It records the long run into a ring "
    f"of {RING}, of which each segment is looked through before it is deleted: the disk need not "
    "hold 123 GB.",
)

"""A ring that is recorded into for a long time, killed and stopped in between, and kept from.

Messages are numbered: a number that is missing in the ring, or in what is kept of it, is a message
lost.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.processes import module_env

from dimos_record.bus import open_bus
from dimos_record.store import open_recording
from dimos_record.store.connection import has_log
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import segments_of
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import CLI
from soaking.harness import Chapter, Fault, Figures, Outcome, Round, largest, total

PAYLOAD = 60_000
STATE = b"static transforms"
S = 1_000_000_000
_HEAD = struct.Struct(">Qq")
"""Number and time of publication (ns)."""


@dataclass
class Soak:
    """What is asked for, and what was found."""

    folder: Path
    ring_s: float = 60.0
    last_s: float = 30.0
    mb_per_s: float = 30.0
    slack_s: float = 2.0
    """What the ring may be longer by, since it is looked after once a second."""
    say: Callable[[str], None] = lambda text: None
    url: str = field(default_factory=free_lcm_url)
    faults: list[str] = field(default_factory=list)
    checked: set[str] = field(default_factory=set)
    """Segments that were looked through."""
    last_number: int | None = None
    messages: int = 0
    missing_at_restarts: list[int] = field(default_factory=list)
    keeps: list[dict[str, Any]] = field(default_factory=list)
    most_bytes: int = 0
    longest_s: float = 0.0
    accounts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ring(self) -> Path:
        """The folder of segments."""
        return self.folder / "ring"

    @property
    def segment_s(self) -> float:
        """How long a segment is."""
        return max(2.0, self.ring_s / 12)

    def fault(self, what: str) -> None:
        """Something that was promised is not so."""
        self.faults.append(what)
        self.say(what)


def publish(url: str, mb_per_s: float) -> None:
    """Publish numbered messages at a rate until killed."""
    interval_s = PAYLOAD / (mb_per_s * 1e6)
    filling = bytes(PAYLOAD - _HEAD.size)
    with open_bus(url) as bus:
        began_s, number = time.monotonic(), 0
        while True:
            if not number:  # once, and for ever
                bus.publish("/tf_static", STATE)
            bus.publish("/numbers", _HEAD.pack(number, time.time_ns()) + filling)
            number += 1
            time.sleep(max(0.0, began_s + number * interval_s - time.monotonic()))


@contextmanager
def publisher(soak: Soak) -> Iterator[None]:
    """The same in a process of its own."""
    code = f"from soaking.chapter_ring import publish; publish({soak.url!r}, {soak.mb_per_s})"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **module_env()})
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Recorder:
    """`dimos-record record ring --ring`, the same command each time."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        command = [*CLI, "record", str(soak.ring), "--ring", f"{soak.ring_s}s"]
        self.process = subprocess.Popen(
            [*command, "--bus", soak.url, "--json", "-q"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        while line and "Recording to" not in line:
            soak.say(line.rstrip())
            line = self.process.stderr.readline()

    def kill(self) -> None:
        """As a power cut of the process: SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> None:
        """End it as systemd does; its account must not have a loss."""
        self.process.send_signal(signal.SIGTERM)
        output, errors = self.process.communicate(timeout=120)
        account = json.loads(output)
        self._soak.accounts.append(account)
        lost = account["dropped"] + (account["lost_before_reception"] or 0)
        if lost or self.process.returncode:
            self._soak.fault(f"exit {self.process.returncode}, {lost} lost: {errors}")


def watch(soak: Soak, done: threading.Event) -> None:
    """Look at the size of the ring, and through every segment once, until it is done."""
    while not done.wait(0.5):
        look_at_size(soak)
        look_through(soak)


def look_at_size(soak: Soak) -> None:
    """Note how large and how long the ring is at most."""
    size = 0
    for path in list(soak.ring.iterdir()):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    soak.most_bytes = max(soak.most_bytes, size)


def look_through(soak: Soak, *, to_the_end: bool = False) -> None:
    """Check that no number is missing in segments that are finished, nor between them."""
    for path in segments_of(soak.ring):
        if path.name in soak.checked or (has_log(path) and not to_the_end):
            if path.name not in soak.checked:
                return
            continue
        with RecordingReader.open(path, whole=False) as reader:
            if "numbers" not in reader.streams or not reader.stats("numbers").count:
                return
            rows = reader.rows("numbers")
            numbers = [_HEAD.unpack_from(row.data)[0] for row in rows]
            ends = reader.ends("numbers")
        soak.checked.add(path.name)
        soak.messages += len(numbers)
        if numbers != list(range(numbers[0], numbers[-1] + 1)):
            gaps = [(a, b) for a, b in pairwise(numbers) if b != a + 1]
            _note_gaps(soak, path, gaps)
        if soak.last_number is not None and numbers[0] != soak.last_number + 1:
            _note_gaps(soak, path, [(soak.last_number, numbers[0])])
        soak.last_number = numbers[-1]
        if ends is not None:
            soak.longest_s = max(soak.longest_s, _window_s(soak))


def _note_gaps(soak: Soak, path: Path, gaps: list[tuple[int, int]]) -> None:
    """Numbers are missing where a recorder was killed or stopped, and nowhere else."""
    for a, b in gaps:
        with RecordingReader.open(path, whole=False) as reader:
            first = next(iter(reader.rows("numbers")))
        if _HEAD.unpack_from(first.data)[0] == b and len(soak.missing_at_restarts) < 2:
            soak.missing_at_restarts.append(b - a - 1)
        else:
            soak.fault(f"{path.name}: numbers {a + 1} to {b - 1} are missing")


def _window_s(soak: Soak) -> float:
    with open_recording(soak.ring) as reader:
        span = reader.span_ns()
    return 0.0 if span is None else (span[1] - span[0]) / S


def keep_and_check(soak: Soak) -> None:
    """Keep the last seconds, and compare them with the ring: every message, and none more."""
    out = soak.folder / f"kept-{len(soak.keeps)}.db"
    began_ns = time.time_ns()
    command = [*CLI, "keep", str(soak.ring), "--last", f"{soak.last_s}s", "--as", str(out), "-q"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    ended_ns = time.time_ns()
    with open_recording(out) as kept:
        ids = [(row.ts_ns, _HEAD.unpack_from(row.data)[0]) for row in kept.rows("numbers")]
        states = {row.data for row in kept.rows("tf_static")}
    first_ns, last_ns = ids[0][0], ids[-1][0]
    with open_recording(soak.ring) as ring:
        before = ring.last_at("numbers", first_ns - 1)
        after = next(iter(ring.rows("numbers", start_ns=last_ns + 1)), None)
        rows = ring.rows("numbers", start_ns=first_ns, end_ns=last_ns + 1)
        same = [(row.ts_ns, _HEAD.unpack_from(row.data)[0]) for row in rows] == ids
    out.unlink()
    # the moment: not before the call, nor after it, nor the next message; and its past begins
    # after the message before the first one
    earliest = max(last_ns, began_ns, (before.ts_ns if before else 0) + round(soak.last_s * S) + 1)
    latest = min(ended_ns, after.ts_ns - 1 if after else ended_ns)
    latest = min(latest, first_ns + round(soak.last_s * S))
    exact = same and earliest <= latest and states == {STATE}
    figures = {
        "messages": len(ids),
        "seconds": round((last_ns - first_ns) / S, 3),
        "took_s": round((ended_ns - began_ns) / S, 2),
        "exact": exact,
    }
    soak.keeps.append(figures)
    soak.say(f"kept {figures}")
    if not exact:
        soak.fault(f"what was kept is not exact: {figures}, {same}, {earliest - latest}, {states}")


def run(soak: Soak, seconds: float) -> None:
    """Record for so long: killed after a third, stopped after two, and started again each time."""
    done = threading.Event()
    recorder = Recorder(soak)
    with publisher(soak):
        watcher = threading.Thread(target=watch, args=(soak, done))
        watcher.start()
        try:
            for end in (recorder.kill, None, None):
                began_s = time.monotonic()
                while time.monotonic() < began_s + seconds / 3:
                    pause_s = min(soak.last_s * 1.5, seconds / 6)
                    time.sleep(max(0.0, min(pause_s, began_s + seconds / 3 - time.monotonic())))
                    keep_and_check(soak)
                soak.say(f"{time.monotonic() - began_s:.0f} s, {soak.most_bytes / 1e6:,.0f} MB")
                (end or recorder.stop)()
                if len(soak.accounts) < 2:
                    recorder = Recorder(soak)
        finally:
            recorder.process.kill()
            recorder.process.communicate()
            done.set()
            watcher.join()
    look_through(soak, to_the_end=True)
    check_bounds(soak)


def check_bounds(soak: Soak) -> None:
    """The ring is no longer than its bound and one segment, and no larger; logs come on top."""
    rate = soak.mb_per_s * 1e6
    away_s = sum(soak.missing_at_restarts) * PAYLOAD / rate  # which the ring does not count
    allowed_s = soak.ring_s + soak.segment_s + soak.slack_s
    if soak.longest_s > allowed_s + away_s:
        soak.fault(f"the ring was {soak.longest_s:.1f} s long, with {away_s:.1f} s without it")
    logs = 2 * soak.segment_s * rate  # of the segment that is written to, and of the one before
    allowed = (allowed_s * rate + logs) * 1.15 + 20e6
    if soak.most_bytes > allowed:
        soak.fault(f"the ring had {soak.most_bytes / 1e6:,.0f} MB of {allowed / 1e6:,.0f} MB")


def ring(
    round_: Round,
    ring_s: float = 60.0,
    last_s: float = 30.0,
    mb_per_s: float = 30.0,
    slack_s: float = 2.0,
) -> Outcome:
    """Record into a ring, kill and stop it, and look for every message.

    Args:
        round_: its minutes are how long, in all.
        ring_s: length of the ring.
        last_s: how much is kept, again and again.
        mb_per_s: what is published.
        slack_s: what the ring may be longer by, since it is looked after once a second.
    """
    soak = Soak(round_.folder, ring_s, last_s, mb_per_s, slack_s, say=round_.say)
    run(soak, 60 * round_.minutes)
    figures = {
        "messages": soak.messages,
        "segments": len(soak.checked),
        "most_mb": soak.most_bytes / 1e6,
        "longest_s": soak.longest_s,
        "keeps": len(soak.keeps),
        "away": sum(soak.missing_at_restarts),
    }
    return Outcome(figures, soak.faults)


def _summary(rounds: Sequence[Figures]) -> str:
    return (
        f"{total(rounds, 'messages'):,.0f} messages in {total(rounds, 'segments'):,.0f} segments "
        f"looked through, {total(rounds, 'away'):,.0f} missing while no recorder ran; the ring was "
        f"at most {largest(rounds, 'longest_s'):.1f} s long and had "
        f"{largest(rounds, 'most_mb'):,.0f} MB with its logs; {total(rounds, 'keeps'):.0f} times "
        "the past was kept, and compared"
    )


CHAPTER = Chapter(
    "ring",
    "A ring",
    [
        Fault(
            name="ring",
            what="a ring of 60 s at 30 MB/s, killed after a third and stopped after two, and "
            "started again by the same command",
            promise="No message is missing while a recorder ran; the ring is as long as was asked "
            "for, and at most a segment longer; what is kept of the past is exact.",
            sees="Nothing has to be done.",
            run=ring,
            minutes=10.0,
            summary=_summary,
            timeout_s=300,
        )
    ],
)

"""What the faults share: a recorder in a process of its own, a publisher that counts, a check."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.prctl import end_with_parent
from benchmarks.processes import Process

from dimos_record.bus import Bus, open_bus
from dimos_record.errors import BusError
from dimos_record.store import open_recording
from dimos_record.store.doctor import diagnose
from soaking.harness import PromiseBroken

ROOT = Path(__file__).resolve().parents[2]
CLI = (sys.executable, "-m", "dimos_record.cli.main")
PATIENCE_S = 60.0
COUNT, LARGE = "/count", "/large"


def demand(holds: bool, otherwise: str) -> None:
    """Raise `PromiseBroken` unless something holds."""
    if not holds:
        raise PromiseBroken(otherwise)


def until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition; it is broken if it does not come true."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        demand(time.monotonic() < end_s, f"after {timeout_s:g} s still not: {what}")
        time.sleep(0.01)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    said: str
    """What it said on stderr."""

    @property
    def errors(self) -> list[str]:
        """The sentences that it ended with."""
        return [line for line in self.said.splitlines() if line.startswith("error: ")]

    def expect(self, code: int, *words: str) -> None:
        """Check the exit code, and that one sentence with certain words came with it.

        Raises:
            PromiseBroken: it is not so, or a traceback was shown.
        """
        demand("Traceback" not in self.said, f"a traceback:\n{self.said}")
        demand(self.code == code, f"exit code {self.code} instead of {code}:\n{self.said}")
        wanted = 1 if code else 0
        demand(len(self.errors) == wanted, f"not {wanted} sentence:\n{self.said}")
        missing = [word for word in words if word not in self.said]
        demand(not missing, f"{missing} is not in:\n{self.said}")


def run(*arguments: str | Path, timeout_s: float = 120.0) -> Ended:
    """Run `dimos-record` to its end."""
    done = subprocess.run(
        [*CLI, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Command:
    """A command that runs beside the test; killed at the end of its ``with`` block.

    Args:
        command: the program and its arguments.
        log: where its stdout and stderr go; two files whose names begin so.
        env: what is added to the environment.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self._out, self._err = log.with_suffix(".out"), log.with_suffix(".err")
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                preexec_fn=end_with_parent,
            )
        self.pid = self._process.pid

    @property
    def said(self) -> str:
        """What it has said on stderr so far."""
        return self._err.read_text(errors="replace")

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def peak_bytes(self) -> int:
        """The most memory that it has had."""
        return Process(self.pid).peak_bytes()

    def wait_for(self, text: str) -> None:
        """Wait until it has said something on stderr."""
        until(lambda: text in self.said or not self.runs, f"{text!r} in {self.said!r}")
        demand(text in self.said, f"it ended without {text!r}:\n{self.said}")

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float = PATIENCE_S) -> Ended:
        """Wait until it ends."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        demand(not self.runs, f"it does not end within {timeout_s:g} s:\n{self.said}")
        return Ended(self._process.returncode, self._out.read_text(errors="replace"), self.said)

    def stop(self, number: int = signal.SIGINT, timeout_s: float = PATIENCE_S) -> Ended:
        """Ask it to end, and wait for it."""
        if self.runs:
            self.send(number)
        return self.wait(timeout_s)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.runs:
            self._process.kill()
        self._process.wait()


@contextmanager
def recorder(
    path: Path,
    url: str,
    *options: str,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
) -> Iterator[Command]:
    """`dimos-record record` of all topics, once its subscription stands."""
    command = [*wrapper, *CLI, "record", str(path), "--bus", url, "--min-free", "0", *options]
    with Command(command, log or path.parent / f"{path.name}.log", env=env) as running:
        running.wait_for("Recording to ")
        yield running


class Publisher:
    """Publishes numbered messages, small and large ones, for as long as its ``with`` block lasts.

    Args:
        bus: where to.
        rate_hz: how many small ones a second; of the large ones it is a tenth.
        large_bytes: size of the large ones; 0 is none.
    """

    def __init__(self, bus: Bus, rate_hz: float = 200.0, large_bytes: int = 100_000) -> None:
        self.sent = {COUNT: 0, LARGE: 0}
        self.unsent: list[int] = []
        """Numbers of the small messages that the bus refused."""
        self._bus, self._rate_hz, self._large_bytes = bus, rate_hz, large_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(1 / self._rate_hz):
            self._publish(COUNT, 100)
            if self._large_bytes and self.sent[COUNT] % 10 == 0:
                self._publish(LARGE, self._large_bytes)

    def _publish(self, topic: str, size: int) -> None:
        try:
            self._bus.publish(topic, (b"%010d" % self.sent[topic]).ljust(size, b"."))
        except BusError:
            self.unsent += [self.sent[topic]] if topic == COUNT else []
        self.sent[topic] += 1

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more small messages are sent."""
        wanted = self.sent[COUNT] + count
        until(lambda: self.sent[COUNT] >= wanted, "published")

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def publishing(url: str, rate_hz: float = 200.0, large_bytes: int = 100_000) -> Iterator[Publisher]:
    """A publisher on a bus of its own."""
    with open_bus(url) as bus, Publisher(bus, rate_hz, large_bytes) as publisher:
        yield publisher


def numbers(path: Path, topic: str = COUNT) -> list[int]:
    """The numbers of the messages that a recording holds of a topic, in order."""
    with open_recording(path) as reader:
        if topic.strip("/") not in reader.streams:
            return []
        return [int(bytes(row.data[:10])) for row in reader.rows(topic.strip("/"))]


def check_sound(path: Path) -> None:
    """Check a file with SQLite, and with what `doctor` looks at.

    Raises:
        PromiseBroken: a fault was found.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
    demand(found == "ok", f"integrity_check says {found}")
    diagnosis = diagnose(path)
    demand(diagnosis.healthy, f"doctor says {diagnosis.findings}")


def check_no_hole(path: Path, topic: str = COUNT) -> list[int]:
    """Check that the messages of a topic are there once, in order, and without a hole.

    Raises:
        PromiseBroken: they are not.
    """
    found = numbers(path, topic)
    demand(bool(found), f"nothing of {topic} is in {path.name}")
    first = found[0]
    demand(found == list(range(first, first + len(found))), f"{topic} has holes: {holes(found)}")
    return found


def holes(found: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of numbers that follow one another, and should not."""
    return [(a, b) for a, b in pairwise(found) if b != a + 1][:10]

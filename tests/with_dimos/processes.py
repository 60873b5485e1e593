"""Other programs, started for a test and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

DIMOS = str(Path(sys.executable).with_name("dimos"))


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it did not.
    """
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"still not so after {timeout_s} s")
        time.sleep(0.02)


class Program:
    """A running program whose output goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout_s: float = 60.0) -> None:
        """Wait until it has printed something.

        Raises:
            RuntimeError: it ended before.
            TimeoutError: it did not.
        """

        def printed() -> bool:
            if self.process.poll() is not None and text not in self.output:
                raise RuntimeError(f"it ended with {self.process.returncode}:\n{self.output}")
            return text in self.output

        try:
            wait_until(printed, timeout_s)
        except TimeoutError:
            raise TimeoutError(f"no {text!r} within {timeout_s} s in:\n{self.output}") from None

    def interrupt(self, timeout_s: float = 60.0) -> int:
        """End it as Ctrl-C does, and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)


@contextmanager
def running(command: list[str], env: Mapping[str, str], log: Path) -> Iterator[Program]:
    """A program for as long as the ``with`` block lasts; none of its processes outlives it."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Program(process, log)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

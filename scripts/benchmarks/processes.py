"""Programs that are measured: started, waited for, and always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.prctl import end_with_parent
from benchmarks.profiles import Sampler

SCRIPTS = Path(__file__).resolve().parent.parent
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_BLOCK_BYTES = 512  # of ru_oublock
_IDLE_S = 0.3
_IDLE_SHARE = 0.1


class BenchError(Exception):
    """A program did not do what was expected of it."""


class Usage(NamedTuple):
    """What a program has used, from when it was ready until it ended."""

    cpu_s: float
    written_bytes: int
    """What it made the kernel write to the disk; rewriting a page that waits is not counted."""
    peak_bytes: int
    """Its memory at the time that it was asked to end: the most it has had."""
    exit_code: int


class Process:
    """A process as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        """Processor time used since its start."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def session(self) -> int:
        """Which session it is of: that of a program and of what it has started."""
        return int((self._folder / "stat").read_text().rpartition(")")[2].split()[3])

    def peak_bytes(self) -> int:
        """Most memory that it has had; `ru_maxrss` would include that of its parent."""
        status = (self._folder / "status").read_text().splitlines()
        (line,) = [line for line in status if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def resident_bytes(self) -> int:
        """Memory that it has now."""
        pages = int((self._folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def written_bytes(self) -> int:
        """What it made the kernel write to the disk."""
        lines = (self._folder / "io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["write_bytes"])

    def open_files(self) -> list[str]:
        """The files that it has open, as absolute paths."""
        found = []
        for link in (self._folder / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(link))
        return found

    def wait_until_idle(self, timeout_s: float = 15.0) -> None:
        """Wait until it has worked off what it was sent."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            before = self.cpu_s()
            time.sleep(_IDLE_S)
            if self.cpu_s() - before < _IDLE_S * _IDLE_SHARE:
                return


class Program:
    """A running program whose output goes to a file. A context manager, after which it is gone."""

    sampler: Sampler | None = None
    """Who is told of every program that is started, if its time is to be looked into."""

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self.command = command
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self.process = Process(self._process.pid)
        if self.sampler is not None:
            self.sampler.attach(command, self._process.pid)
        self.ready_cpu_s = 0.0
        """Processor time that does not count."""
        self._peak_bytes = 0
        self._usage: Usage | None = None

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until it has printed something; what it used before that does not count."""
        self.wait_until(lambda: text in self.output, timeout_s, f"no {text!r}")
        self.count_from_now()

    def wait_for_port(self, port: int, timeout_s: float = 10.0) -> None:
        """Wait until a UDP port of this machine is bound; see `wait_for_output`."""
        self.wait_until(lambda: _is_bound(port), timeout_s, f"port {port} is not bound")
        time.sleep(0.2)
        self.count_from_now()

    def count_from_now(self) -> None:
        """What it used before now does not count."""
        self.ready_cpu_s = self.cpu_s()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        """Wait for something while it runs.

        Raises:
            BenchError: it ended, or that took too long.
        """
        end = time.monotonic() + timeout_s
        while not condition():
            if self._poll():
                raise BenchError(f"{self.command} ended:\n{self.output}")
            if time.monotonic() > end:
                raise BenchError(f"{complaint} from {self.command}:\n{self.output}")
            time.sleep(0.02)

    def cpu_s(self) -> float:
        """Processor time used since its start."""
        return self.process.cpu_s()

    def wait_until_idle(self) -> None:
        """Wait until it has worked off what it was sent."""
        self.process.wait_until_idle()

    def processes(self) -> list[Process]:
        """It and what it has started, as far as that is still running."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                if entry.name.isdecimal():
                    process = Process(int(entry.name))
                    found += [process] if process.session() == self.process.pid else []
        return found

    def suspend(self, duration_s: float) -> None:
        """Keep it from running for some time, as a machine that does something else would."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            time.sleep(duration_s)
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def wait(self, timeout_s: float) -> Usage:
        """Wait until it ends by itself.

        Raises:
            BenchError: it did not, and is killed, or it failed.
        """
        end = time.monotonic() + timeout_s
        while not self._poll():
            if time.monotonic() > end:
                self.kill()
                raise BenchError(f"{self.command} did not end within {timeout_s} s:\n{self.output}")
            time.sleep(0.005)
        assert self._usage is not None
        if self._usage.exit_code:
            raise BenchError(f"{self.command} failed:\n{self.output}")
        return self._usage

    def finish(self, number: int = signal.SIGINT, timeout_s: float = 60.0) -> Usage:
        """Ask it to end, and wait for it."""
        if not self._poll():
            self._peak_bytes = self.process.peak_bytes()
            os.kill(self._process.pid, number)
        return self.wait(timeout_s)

    def _poll(self) -> bool:
        if self._usage is None:
            pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._usage = Usage(
                    cpu_s=used.ru_utime + used.ru_stime - self.ready_cpu_s,
                    written_bytes=used.ru_oublock * _BLOCK_BYTES,
                    peak_bytes=self._peak_bytes,
                    exit_code=self._process.returncode,
                )
        return self._usage is not None

    def kill(self) -> None:
        """End it at once, with everything that it started."""
        if self._usage is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            while not self._poll():
                time.sleep(0.005)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()


def python_module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package with this Python."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def module_env() -> dict[str, str]:
    """What a program needs in its environment to import this package."""
    paths = [str(SCRIPTS), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _is_bound(port: int) -> bool:
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(int(row.split()[1].partition(":")[2], 16) == port for row in rows)

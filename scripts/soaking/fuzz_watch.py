"""One input after the other through a target: what breaks a promise is noted, made small and kept.

The number of inputs and the input that runs now are in a file that the parent process reads: after
a crash of the interpreter, or a hang in C, it is the only one who can.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import resource
import signal
import struct
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from soaking.fuzz_targets import Target
from soaking.fuzz_targets.checks import BrokenPromise

LONGEST_S = 5.0
"""What one input may take, of the processor."""
LONGEST_WAIT_S = 30.0
"""What it may take in all: the machine may be busy with other things."""
MOST_GROWTH_BYTES = 500_000_000
"""How much one input may add to the memory of the process."""
MOST_INPUT_BYTES = 1 << 18
_ADDRESS_SPACE_BYTES = 4 << 30
"""Beside what the process has at its start: an input that wants all memory gets a MemoryError."""
_HEAD = struct.Struct("<QI")
_SMALLER_FOR_S = 10.0


class TookTooLong(BaseException):
    """An input took longer than it may; not an Exception, so that nobody handles it."""


class Found(NamedTuple):
    """A broken promise."""

    kind: str
    """Where and how, to tell one from another."""
    text: str
    data: bytes


class Slate:
    """How many inputs ran, and the last one, shared with the parent process."""

    def __init__(self, path: Path) -> None:
        size = _HEAD.size + MOST_INPUT_BYTES
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)
        self.executions = 0

    def write(self, data: bytes) -> None:
        """The next input."""
        self.executions += 1
        self._memory[: _HEAD.size] = _HEAD.pack(self.executions, len(data))
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data

    def read(self) -> tuple[int, bytes]:
        """How many inputs there were, and the last."""
        executions, size = _HEAD.unpack(self._memory[: _HEAD.size])
        return executions, self._memory[_HEAD.size : _HEAD.size + size]


def limit_memory() -> None:
    """Let this process have only so much more address space; sanitizers want nearly all of it."""
    if "ASAN_OPTIONS" in os.environ:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _ADDRESS_SPACE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def try_input(target: Target, data: bytes) -> Found | None:
    """Run one input; what it broke, if it did. Call `limit_time` before."""
    in_threads: list[str] = []
    before, hook = _most_memory(), threading.excepthook
    threading.excepthook = lambda args: in_threads.append(
        _text_of(args.exc_type, args.exc_value, args.exc_traceback)
    )
    try:
        signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
        signal.setitimer(signal.ITIMER_REAL, LONGEST_WAIT_S)
        try:
            target.run(data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        grown = _most_memory() - before
        if grown > MOST_GROWTH_BYTES:
            raise BrokenPromise(f"it took {grown / 1e6:,.0f} MB of memory")
        if in_threads:
            raise BrokenPromise(f"a thread died: {in_threads[0]}")
    except (Exception, TookTooLong) as error:  # noqa: BLE001 - that is what is looked for
        return Found(_kind_of(error), _text_of(type(error), error, error.__traceback__), data)
    finally:
        threading.excepthook = hook
    return None


def made_smaller(target: Target, found: Found) -> Found:
    """The same broken promise with fewer bytes, as far as that is found quickly."""
    until_s, size = time.monotonic() + _SMALLER_FOR_S, max(1, len(found.data) // 2)
    while size:
        at = 0
        while at < len(found.data) and time.monotonic() < until_s:
            shorter = found.data[:at] + found.data[at + size :]
            again = try_input(target, shorter)
            if again is not None and again.kind == found.kind:
                found = again
            else:
                at += size
        size //= 2
    return found


def keep(found: Found, folder: Path) -> Path:
    """Write an input down as a case for the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(found.data).hexdigest()[:12]
    path.write_bytes(found.data)
    return path


def limit_time() -> None:
    """From now on an input that takes too long is interrupted, wherever it is in Python."""

    def interrupt(number: int, frame: object) -> None:
        raise TookTooLong(f"not done after {LONGEST_S:g} s")

    signal.signal(signal.SIGPROF, interrupt)
    signal.signal(signal.SIGALRM, interrupt)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _kind_of(error: BaseException) -> str:
    """The class of an error and the innermost place in the library where it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "/dimos_record/" in one.filename or "/cli/" in one.filename]
    if isinstance(error, BrokenPromise):
        ours = [one for one in frames if Path(one.filename).name != "checks.py"]
    last = (ours or frames)[-1]
    line = 0 if isinstance(error, TookTooLong) else last.lineno
    return f"{type(error).__name__} {Path(last.filename).name}:{last.name}:{line}"


def _text_of(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> str:
    lines = traceback.format_exception(kind, error, trace)
    return "".join(lines[:1] + lines[-8:])

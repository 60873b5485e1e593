"""What a test must not leave behind: threads and open files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 20.0


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Raise if a block leaves a thread running or a file open that was not there before.

    What was there may end meanwhile: tests before this one have left it to the garbage collector,
    or threads of a library are still at it. The new ones may take a moment to end as well.
    """
    before = _threads(), _files()
    yield
    end = time.monotonic() + PATIENCE_S
    while (left := (_threads() - before[0], _files() - before[1])) != (set(), set()):
        if time.monotonic() > end:
            raise AssertionError(f"still there after {PATIENCE_S} s: {left}")
        time.sleep(0.02)


def _threads() -> set[threading.Thread]:
    """Those that Python started; of others it does not know whether they have ended."""
    foreign = threading._DummyThread  # type: ignore[attr-defined]
    return {one for one in threading.enumerate() if not isinstance(one, foreign)}


def _files() -> set[str]:
    """The number of each open file, and what it is."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            pass  # that by which the folder was listed
    return found

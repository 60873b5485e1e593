"""Time for the publishing thread: clocks, and waiting that ends on the dot."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Protocol

_SPIN_NS = 40_000
"""The last part of a wait is spent spinning, since sleeping ends some 30 us late."""
_PR_SET_TIMERSLACK = 29
"""From <linux/prctl.h>."""
_NEAR_BYTES, _CACHE_LINE_BYTES = 1 << 20, 64


class Time(Protocol):
    """Where a player gets its time from, so that logic can be tested without waiting."""

    def monotonic_ns(self) -> int:
        """Time that only moves forward."""

    def wall_ns(self) -> int:
        """UNIX time."""

    def wait(self, condition: threading.Condition, timeout_ns: int | None) -> None:
        """Wait for a notification, that long at most; the lock is held."""

    def sleep_until(self, due_ns: int) -> None:
        """Return at a monotonic time, as exactly as possible."""


_LONGEST_WAIT_S = 3600.0
"""Python refuses waits of centuries, as between recordings of which one has a clock of 1970."""


class SystemTime:
    """The time of the operating system."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)

    def wait(self, condition: threading.Condition, timeout_ns: int | None) -> None:
        """Wait for a notification, that long at most; the lock is held."""
        # who waits looks again after every wait, so that a shorter one than asked for is harmless
        condition.wait(None if timeout_ns is None else min(timeout_ns / 1e9, _LONGEST_WAIT_S))

    def sleep_until(self, due_ns: int) -> None:
        """Sleep until shortly before a monotonic time, then spin."""
        left_ns = due_ns - time.monotonic_ns()
        if left_ns > _SPIN_NS:
            time.sleep((left_ns - _SPIN_NS) / 1e9)
        while time.monotonic_ns() < due_ns:
            pass


def bring_near(data: bytes) -> None:
    """Have the processor fetch the first megabyte of a payload, so that sending it is faster.

    What was read a second ago lies in the main memory; sending it from there takes a sixth longer
    than from the caches, in which about so much has room.
    """
    data[:_NEAR_BYTES:_CACHE_LINE_BYTES]


def ask_for_exact_wakeups() -> None:
    """Ask Linux to end this thread's sleeps on time, not up to 50 us late to save power.

    Source: prctl(2), PR_SET_TIMERSLACK. Does nothing where it is not available.
    """
    try:
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1))
    except (OSError, AttributeError):
        return

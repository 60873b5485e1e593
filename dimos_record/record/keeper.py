"""Housekeeping beside the writer: fsync, checkpoints, free disk, clock, losses. Once a second."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

from dimos_record.store.connection import connect_for_writing

CHECKPOINT_BYTES = 64_000_000
"""A log longer than this is copied into the file, off the writer's path."""
RESTART_BYTES = 256_000_000
"""A log longer than this is brought to its end by the writer, so that it starts over."""
CLOCK_JUMP_NS = 100_000_000
"""The wall clock has jumped when it moves this much against the monotonic clock in a second."""


class FileKeeper:
    """Keeps one recording file safe and its log short while somebody else writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = Path(f"{path}-wal")
        self._connection: sqlite3.Connection | None = None
        self._synced = (0, 0)

    def sync(self) -> None:
        """Flush the log to the disk, so that a power cut costs about a second."""
        try:
            with open(self._log, "rb") as log:
                state = os.fstat(log.fileno())
                if (state.st_size, state.st_mtime_ns) != self._synced:
                    os.fsync(log.fileno())
                    self._synced = (state.st_size, state.st_mtime_ns)
        except FileNotFoundError:
            pass

    def checkpoint(self) -> bool:
        """Copy a long log into the file.

        Returns:
            Whether the log is so long that the writer should bring the copying to its end.
        """
        if self.log_bytes() < CHECKPOINT_BYTES:
            return False
        if self._connection is None:
            self._connection = connect_for_writing(self.path)
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError:
            return False  # somebody else is at it
        return self.log_bytes() > RESTART_BYTES

    def log_bytes(self) -> int:
        """Length of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def room(self) -> int:
        """Bytes that can still be recorded: what is free, less what the log will need."""
        return shutil.disk_usage(self.path.parent).free - self.log_bytes()

    def close(self) -> None:
        """Release the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ClockWatch:
    """Compares the wall clock with the monotonic clock."""

    def __init__(self) -> None:
        self.offset_ns = wall_offset_ns()
        """Wall time minus monotonic time at the start: receive times are counted with it."""
        self.jumps = 0
        self._last = self.offset_ns

    def now_ns(self) -> int:
        """The receive time of now: wall time at the start plus monotonic time since."""
        return time.monotonic_ns() + self.offset_ns

    def sample(self) -> tuple[int, int, int]:
        """(receive time, wall time, how far the wall clock jumped since the last sample), in ns."""
        offset = wall_offset_ns()
        jump = offset - self._last
        self._last = offset
        if abs(jump) < CLOCK_JUMP_NS:
            jump = 0
        self.jumps += jump != 0
        now = time.monotonic_ns()
        return now + self.offset_ns, now + offset, jump


def wall_offset_ns() -> int:
    """Wall time minus monotonic time, from the tightest of three readings."""
    readings = []
    for _ in range(3):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]

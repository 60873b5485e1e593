"""What is looked after beside the writing: fsync, free disk, the clocks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dimos_record.errors import DiskFull, RecordingGone, StorageError
from dimos_record.store.recording_file import sync_folder

RESERVE_BYTES = 2 * 1024**2
CLOCK_JUMP_NS = 100_000_000
"""The wall clock has jumped when it moves this much against the monotonic clock in a second."""


class FileKeeper:
    """Keeps what is written to one recording file safe from a power cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(path)
        self._log = Path(f"{path}-wal")
        self._synced = (0, 0)
        self._folder_synced = False

    def is_in_place(self) -> bool:
        """Whether the file is still there under its name; else what is written cannot be found."""
        return self._identity is not None and _identity(self.path) == self._identity

    def sync(self) -> None:
        """Flush the log to the disk, so that a power cut costs about a second."""
        try:
            with open(self._log, "rb") as log:
                state = os.fstat(log.fileno())
                if (state.st_size, state.st_mtime_ns) != self._synced:
                    os.fsync(log.fileno())
                    self._synced = (state.st_size, state.st_mtime_ns)
        except FileNotFoundError:
            return
        if not self._folder_synced:  # so that the names of the new files survive, too
            sync_folder(self.path.parent)
            self._folder_synced = True

    def log_bytes(self) -> int:
        """Length of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def room(self) -> int:
        """Bytes that can still be recorded: what is free, less what the log will need."""
        return shutil.disk_usage(self.path.parent).free - self.log_bytes()


def taken_away(path: Path | str) -> RecordingGone:
    """The error for a file that is not there any more under its name."""
    return RecordingGone(
        f"{path} was removed, renamed or replaced while it was recorded into, and recording has "
        "stopped; if it was renamed, everything up to then is in it"
    )


def check_room(path: Path, min_free_bytes: int) -> None:
    """Make sure that there is room to begin a recording.

    Raises:
        DiskFull: there is not.
    """
    if FileKeeper(path).room() < min_free_bytes:
        raise DiskFull(
            f"less than {min_free_bytes / 1e6:,.0f} MB are free on the disk of {path}; free some "
            f"space, or lower the limit with --min-free"
        )


class DiskReserve:
    """Room on a disk for the end of a recording, in case the disk gets full before.

    It is a file without a name, so that nothing of it stays, however the process ends.

    Raises:
        DiskFull: there is not even that much room.
        StorageError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - held until `release`
        except OSError as error:
            raise StorageError(f"{folder} cannot be written to: {error.strerror}") from None
        try:
            os.posix_fallocate(self._file.fileno(), 0, RESERVE_BYTES)
        except OSError as error:
            self._file.close()
            raise DiskFull(f"there is no room to record in {folder}: {error.strerror}") from None

    def release(self) -> None:
        """Give the room back. May be repeated."""
        self._file.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def wall_offset_ns() -> int:
    """Wall time minus monotonic time, from the tightest of three readings."""
    readings = []
    for _ in range(3):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


class ClockWatch:
    """Compares the wall clock with the monotonic clock.

    Args:
        wall_offset_ns: tells wall time minus monotonic time.
    """

    def __init__(self, wall_offset_ns: Callable[[], int] = wall_offset_ns) -> None:
        self._wall_offset_ns = wall_offset_ns
        self.offset_ns = wall_offset_ns()
        """Wall time minus monotonic time at the start: receive times are counted with it."""
        self.jumps = 0
        self._last = self.offset_ns

    def now_ns(self) -> int:
        """The receive time of now: wall time at the start plus monotonic time since."""
        return time.monotonic_ns() + self.offset_ns

    def sample(self) -> tuple[int, int, int]:
        """(receive time, wall time, how far the wall clock jumped since the last sample), in ns."""
        offset = self._wall_offset_ns()
        jump = offset - self._last
        self._last = offset
        if abs(jump) < CLOCK_JUMP_NS:
            jump = 0
        self.jumps += jump != 0
        now = time.monotonic_ns()
        return now + self.offset_ns, now + offset, jump

"""The files of a folder of segments: some of them open, and what is known of the others."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dimos_record.errors import StorageError
from dimos_record.store.connection import has_log
from dimos_record.store.reader import Known, RecordingReader

SUFFIX = ".db"
MAX_OPEN = 32
"""How many segments are open at a time, unless more are being read at once."""
_SETTLED_NS = 1_000_000_000
"""A folder that was changed less long ago may be changed again without looking different."""


def segments_of(folder: Path) -> list[Path]:
    """The segment files of a folder, in order.

    Raises:
        StorageError: the folder cannot be read.
    """
    return [Path(entry.path) for entry in _entries(folder)[0]]


def names_in(folder: Path) -> set[str]:
    """The names of all files in a folder.

    Raises:
        StorageError: the folder cannot be read.
    """
    return _entries(folder)[1]


def _entries(folder: Path) -> tuple[list[os.DirEntry[str]], set[str]]:
    """The segments of a folder in order, and the names of all files in it."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}") from None
    segments = [entry for entry in entries if _is_segment(entry)]
    names = {entry.name for entry in entries if entry.is_file()}
    return sorted(segments, key=lambda entry: entry.name), names


def _is_segment(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    # as for `Path.suffix`: of a hidden file the first dot begins the name
    return name.endswith(SUFFIX) and name != SUFFIX and entry.is_file()


@dataclass
class Segment:
    """One segment, and what is known of it for good, if it is finished."""

    path: Path
    whole: bool
    """Whether what it carries from the segments before it is shown: these are not there."""
    stamp: tuple[int, int, int]
    """Inode, size and time of change when it was looked at."""
    finished: bool
    """Whether nobody writes to it."""
    known: Known | None = None
    answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    """What its reader has answered, of a finished one."""

    def is_same(self, other: Segment | None) -> bool:
        """Whether what is known of the other one holds for this one."""
        return (
            other is not None
            and self.finished
            and other.finished
            and (self.path, self.whole, self.stamp) == (other.path, other.whole, other.stamp)
        )


class Folder:
    """Knows the segments of a folder, in order; looks again when the folder has changed."""

    def __init__(self, path: Path, only: list[Path] | None = None) -> None:
        self.path = path
        self._only = only
        self._lock = threading.Lock()
        self._segments: dict[Path, Segment] = {}
        self._as_of: tuple[int, int] | None = None
        self.version = 0
        """Changes whenever the segments may be others."""

    def segments(self) -> list[Segment]:
        """The segments that are there now.

        Raises:
            StorageError: the folder cannot be read.
        """
        with self._lock:
            try:
                status = os.stat(self.path)
            except OSError as error:
                raise StorageError(f"{self.path} cannot be read: {error.strerror}") from None
            as_of = status.st_ino, status.st_mtime_ns
            if as_of != self._as_of or self._only is not None:
                self._look()
                settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
                self._as_of = as_of if settled else None
            return list(self._segments.values())

    def _look(self) -> None:
        names: set[str] = set()
        if self._only is None:
            entries, names = _entries(self.path)
            paths = [Path(entry.path) for entry in entries]
        else:
            paths = self._only
            names = {f"{path.name}-wal" for path in paths if has_log(path)}
        found: dict[Path, Segment] = {}
        for path in paths:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # deleted a moment ago
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            segment = Segment(path, not found, stamp, f"{path.name}-wal" not in names)
            before = self._segments.get(path)
            found[path] = before if before is not None and segment.is_same(before) else segment
        if found != self._segments:
            self.version += 1
        self._segments = found


class OpenSegments:
    """Readers of segments: those used last stay open. Safe to use from several threads."""

    def __init__(self, at_most: int = MAX_OPEN) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._readers: OrderedDict[tuple[Path, bool], RecordingReader] = OrderedDict()
        self._in_use: dict[RecordingReader, int] = {}

    @contextmanager
    def reading(self, segment: Segment) -> Iterator[RecordingReader]:
        """The reader of a segment, which stays open as long as it is used.

        Raises:
            RecordingNotFound: the segment was deleted.
            NotARecording, RecordingDamaged, NewerSchema, StorageError
        """
        key = segment.path, segment.whole
        with self._lock:
            reader = self._readers.get(key)
            if reader is None:
                reader = RecordingReader.open(segment.path, whole=segment.whole)
                self._readers[key] = reader
            self._readers.move_to_end(key)
            self._in_use[reader] = self._in_use.get(reader, 0) + 1
            self._close_unused(self._at_most)
        try:
            yield reader
        finally:
            with self._lock:
                self._in_use[reader] -= 1
                if not self._in_use[reader]:
                    del self._in_use[reader]
                    if reader not in self._readers.values():
                        reader.close()

    def forget(self, present: list[Segment]) -> None:
        """Close the readers of segments that are gone."""
        keys = {(segment.path, segment.whole) for segment in present}
        with self._lock:
            for key in self._readers.keys() - keys:
                self._drop(key)

    def _close_unused(self, at_most: int) -> None:
        idle = [key for key, reader in self._readers.items() if reader not in self._in_use]
        for key in idle[: max(0, len(self._readers) - at_most)]:
            self._drop(key)

    def _drop(self, key: tuple[Path, bool]) -> None:
        """Close a reader, now or when nobody uses it any more."""
        reader = self._readers.pop(key)
        if reader not in self._in_use:
            reader.close()

    def close(self) -> None:
        """Close all of them, used or not. Closing twice is harmless."""
        with self._lock:
            for reader in (*self._readers.values(), *self._in_use):
                reader.close()
            self._readers.clear()

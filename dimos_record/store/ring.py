"""A ring: a folder of segments that keeps within a bound while it is recorded into.

It is always the oldest segment that is deleted, whole. The bound in time counts what was recorded,
not the time that passed: what happened before a crash is still there when recording begins again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection
from pathlib import Path

from dimos_record.errors import DimosRecordError, OptionError, RecordingDamaged, RecordingExists
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import is_unborn, remove_recording_file
from dimos_record.store.segments import segments_of
from dimos_record.store.unfinished import clean_up

SESSION_KEY = "ring"
"""What a session says of itself that records into a ring."""
_LEFT_OVER = re.compile(r"\.(.+)\.saving-[0-9]+")
_BESIDE = ("-wal", "-shm", "-journal")

log = logging.getLogger("dimos_record")


class Ring:
    """Deletes the oldest segments of a folder.

    Args:
        folder: of the recording.
        max_s: what is to be kept at least, in seconds of recording; None is no limit.
        max_bytes: what all files may take together; None is no limit.
    """

    def __init__(self, folder: Path, max_s: float | None, max_bytes: int | None) -> None:
        self.folder = folder
        self._max_s, self._max_bytes = max_s, max_bytes
        self._lengths_s: dict[Path, float] = {}

    def note(self, segment: Path, length_s: float) -> None:
        """How many seconds a segment holds that was recorded just now."""
        self._lengths_s[segment] = length_s

    def trim(self, busy: Collection[Path], current_s: float) -> list[Path]:
        """Delete what is beyond the bound.

        Args:
            busy: the segments that are written to; the last one is the current one.
            current_s: how many seconds it holds.

        Returns:
            The segments that were deleted.
        """
        deleted = []
        finished = [path for path in segments_of(self.folder) if path not in busy]
        while finished and self._is_too_long(finished, current_s):
            deleted.append(finished.pop(0))
            self._delete(deleted[-1])
        return deleted

    def delete_oldest(self, busy: Collection[Path]) -> bool:
        """Delete one segment, since the disk is nearly full; whether there was one."""
        finished = [path for path in segments_of(self.folder) if path not in busy]
        if not finished:
            return False
        log.warning("%s: the disk is nearly full; %s is deleted", self.folder, finished[0].name)
        self._delete(finished[0])
        return True

    def _is_too_long(self, finished: list[Path], current_s: float) -> bool:
        """Whether the bound holds without the oldest segment."""
        if self._max_bytes is not None and _size(self.folder) > self._max_bytes:
            return True
        if self._max_s is None:
            return False
        return sum(map(self._length_s, finished[1:])) + current_s >= self._max_s

    def _length_s(self, segment: Path) -> float:
        if segment not in self._lengths_s:
            self._lengths_s[segment] = _recorded_s(segment)
        return self._lengths_s[segment]

    def _delete(self, segment: Path) -> None:
        remove_recording_file(segment)
        self._lengths_s.pop(segment, None)


def _recorded_s(segment: Path) -> float:
    """How many seconds a segment holds, from its own first message to the end of its session."""
    try:
        with RecordingReader.open(segment, whole=False) as reader:
            span, sessions = reader.span_ns(), reader.sessions()
    except DimosRecordError as error:
        log.warning("%s does not count for the length of the ring: %s", segment, error)
        return 0.0
    if span is None:
        return 0.0
    return (max([span[1], *(one.stop_ns or 0 for one in sessions)]) - span[0]) / 1e9


def _size(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
            except FileNotFoundError:
                continue  # deleted or finished a moment ago
    return total


def check_ring(folder: Path) -> None:
    """Make sure that something may be recorded into as a ring; nothing is changed.

    Raises:
        RecordingExists: there is a recording that is no ring: its oldest parts would be deleted.
        OptionError: it is a file.
    """
    if not os.path.exists(folder):
        return
    if not os.path.isdir(folder):
        raise OptionError(
            f"{folder} is a single file and cannot become a ring; choose another name"
        )
    for segment in reversed(segments_of(folder)):
        try:
            said = _is_of_ring(segment)
        except RecordingDamaged:
            continue  # it is set aside
        if said is False:
            raise RecordingExists(
                f"{folder} holds a recording that is no ring, of which a ring would delete the "
                "oldest parts; choose another name, or replace it with --overwrite"
            )
        if said:
            return


def prepare_ring(folder: Path) -> None:
    """Put a ring in order, so that nothing stops a recorder from going on with it.

    A segment that is damaged is set aside under another name; what is left of files that were being
    deleted, and of what was being kept, when the power failed is deleted.
    """
    if not os.path.isdir(folder):
        return
    for segment in segments_of(folder):
        try:
            _is_of_ring(segment)
        except RecordingDamaged as error:
            _set_aside(segment, error)
    _remove_orphans(folder)
    for entry in list(os.scandir(folder)):
        if match := _LEFT_OVER.fullmatch(entry.name):
            clean_up(folder / match[1])


def _is_of_ring(segment: Path) -> bool | None:
    """Whether a segment was recorded as one of a ring; None if it does not say.

    Raises:
        RecordingDamaged: it cannot be read.
    """
    if is_unborn(segment):
        return None
    with RecordingReader.open(segment) as reader:
        sessions = reader.sessions()
    return SESSION_KEY in sessions[-1].meta if sessions else None


def _set_aside(segment: Path, error: RecordingDamaged) -> None:
    aside = segment.with_name(f"{segment.name}.damaged")
    log.warning("%s; it is called %s from now on, and recording goes on", error, aside.name)
    for suffix in ("", *_BESIDE):
        if os.path.exists(f"{segment}{suffix}"):
            os.replace(f"{segment}{suffix}", f"{aside}{suffix}")


def _remove_orphans(folder: Path) -> None:
    for entry in list(os.scandir(folder)):
        base = next((entry.path.removesuffix(s) for s in _BESIDE if entry.name.endswith(s)), None)
        if base is not None and base.endswith(".db") and not os.path.exists(base):
            os.unlink(entry.path)

"""A ring: a folder of segments that keeps within a bound while it is recorded into.

It is always the oldest segment that is deleted, whole, and nothing that was not recorded into the
ring. The bound in time counts what was recorded, not the time that passed: what happened before a
crash is still there when recording begins again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection
from pathlib import Path

from dimos_record.errors import (
    DimosRecordError,
    NotARecording,
    OptionError,
    RecordingDamaged,
    RecordingExists,
)
from dimos_record.store.open_segments import SUFFIX, names_in, segments_of
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import is_unborn, recording_files, remove_recording_file
from dimos_record.store.unfinished import clean_up

SESSION_KEY = "ring"
"""What a session says of itself that records into a ring."""
_LEFT_OVER = re.compile(r"\.(.+)\.saving-[0-9]+")
_PREFIX, _DAMAGED = "segment-", ".damaged"
_OF_RING = re.compile(rf"{_PREFIX}[0-9]+\{SUFFIX}(\{_DAMAGED})?")
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
        finished = self._finished(busy)
        while finished and self._is_too_long(finished, current_s):
            deleted.append(finished.pop(0))
            self._delete(deleted[-1])
        return deleted

    def make_room(self, missing_bytes: int, busy: Collection[Path]) -> bool:
        """Delete as much as is missing on a nearly full disk; whether there was anything.

        What is being kept at this moment, and so has a second name, gives its room back later.
        """
        finished = self._finished(busy)
        remove_left_overs(self.folder)
        for index, segment in enumerate(finished):
            if missing_bytes <= 0:
                return True
            if not index:
                log.warning("%s: the disk is nearly full; the oldest is deleted", self.folder)
            missing_bytes -= sum(file.stat().st_size for file in recording_files(segment))
            self._delete(segment)
        return bool(finished)

    def _finished(self, busy: Collection[Path]) -> list[Path]:
        """What may be deleted, oldest first: nothing that was not recorded into this ring."""
        names = sorted(filter(_OF_RING.fullmatch, names_in(self.folder)))
        return [path for name in names if (path := self.folder / name) not in busy]

    def _is_too_long(self, finished: list[Path], current_s: float) -> bool:
        """Whether the bound holds without the oldest segment."""
        if self._max_bytes is not None and _size(self.folder) > self._max_bytes:
            return True
        if self._max_s is None:
            return False
        return sum(map(self._length_s, finished[1:])) + current_s >= self._max_s

    def _length_s(self, segment: Path) -> float:
        if segment not in self._lengths_s:
            whole = segment.suffix == SUFFIX  # and not set aside
            self._lengths_s[segment] = _recorded_s(segment) if whole else 0.0
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
                if entry.name.startswith(_PREFIX) and entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # deleted or finished a moment ago
    return total


def check_ring(folder: Path) -> None:
    """Make sure that something may be recorded into as a ring; nothing is changed.

    Raises:
        RecordingExists: there is a recording that is no ring: its oldest parts would be deleted.
        OptionError: it is a file.
        NotARecording: there is something else among the segments.
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
        except (RecordingDamaged, NotARecording) as error:
            if not may_be_set_aside(segment, error):
                raise
            continue
        if said is False:
            raise RecordingExists(
                f"{folder} holds a recording that is no ring, of which a ring would delete the "
                "oldest parts; choose another name, or replace it with --overwrite"
            )
        if said:
            return


def prepare_ring(folder: Path) -> None:
    """Delete what a power failure left of files that were being deleted, or kept."""
    if os.path.isdir(folder):
        _remove_orphans(folder)
        remove_left_overs(folder)


def remove_left_overs(folder: Path) -> None:
    """Delete what killed processes left in a folder of what they were keeping."""
    for name in os.listdir(folder):
        if match := _LEFT_OVER.fullmatch(name):
            clean_up(folder / match[1])


def _is_of_ring(segment: Path) -> bool | None:
    """Whether a segment was recorded as one of a ring; None if it does not say.

    Raises:
        RecordingDamaged, NotARecording: it cannot be read.
    """
    if is_unborn(segment):
        return None
    with RecordingReader.open(segment) as reader:
        sessions = reader.sessions()
    return SESSION_KEY in sessions[-1].meta if sessions else None


def may_be_set_aside(segment: Path, error: DimosRecordError) -> bool:
    """Whether a file that cannot be read is a segment that is damaged, if only by its name."""
    is_segment = _OF_RING.fullmatch(segment.name) is not None
    return isinstance(error, RecordingDamaged) or (isinstance(error, NotARecording) and is_segment)


def set_aside(segment: Path, error: DimosRecordError) -> None:
    """Give a damaged segment another name, so that nothing stops a ring from going on."""
    aside = segment.with_name(f"{segment.name}{_DAMAGED}")
    log.warning("%s; it is called %s from now on, and recording goes on", error, aside.name)
    for suffix in ("", *_BESIDE):
        if os.path.exists(f"{segment}{suffix}"):
            os.replace(f"{segment}{suffix}", f"{aside}{suffix}")


def _remove_orphans(folder: Path) -> None:
    for entry in list(os.scandir(folder)):
        base = next((entry.path.removesuffix(s) for s in _BESIDE if entry.name.endswith(s)), None)
        if base is not None and base.endswith(SUFFIX) and not os.path.exists(base):
            os.unlink(entry.path)

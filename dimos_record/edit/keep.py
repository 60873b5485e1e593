"""Keeping the past: the last minutes of a recording, which goes on, as a file of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from dimos_record.edit.carried import Timeline
from dimos_record.edit.derive import SectionNs, part_of, write_new
from dimos_record.edit.progress import OnProgress
from dimos_record.edit.writing import SaveReport
from dimos_record.errors import EditError, OptionError
from dimos_record.store import open_recording
from dimos_record.store.connection import has_log
from dimos_record.store.edit_state import EditState, Piece
from dimos_record.store.edited import EditedReader
from dimos_record.store.live import wait_until_written
from dimos_record.store.paths import path_for_writing
from dimos_record.store.ring import remove_left_overs
from dimos_record.store.segments import SegmentedReader, segments_of
from dimos_record.store.unfinished import remove, unfinished_path

PATIENCE_S = 10.0
"""How long to wait for a recorder to write what it has received."""


def keep(
    recording: Path,
    *,
    last_s: float | None = None,
    section_ns: SectionNs = (None, None),
    name: str | os.PathLike[str] | None = None,
    at_ns: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> SaveReport:
    """Write the past of a recording into a new file, while it is recorded into or afterwards.

    Every message that was received until now is in it, also what its recorder has not written
    yet, and nothing later. What latched topics said before is taken along. The new file begins at
    position 0. Segments that a ring deletes meanwhile are still copied.

    Args:
        recording: a folder of segments, or a file.
        last_s: how many seconds up to now, or up to the last message where nobody records.
        section_ns: ``[a, b)`` in receive times instead of that.
        name: of the new file; NAME-DATE-TIME.db beside the recording, if it is not given.
        at_ns: the moment that counts as now, as a receive time.
        overwrite: replace another recording, which nobody has open.
        on_progress: see `save`.

    Raises:
        EditError: there is no message in that time.
        OptionError: `last_s` is not above 0.
        RecordingExists, RecordingNotFound, NotARecording, RecordingBusy
        DiskFull, StorageError, CodecError, MissingExtra
    """
    if last_s is not None and not last_s > 0:
        raise OptionError(f"last_s must be above 0, not {last_s}")
    target = _beside(recording) if name is None else path_for_writing(name)
    with _Pins(recording, target) as pins:
        now_ns = wait_until_written(recording, at_ns, PATIENCE_S)
        with pins.opened() as reader:
            a, b = section_ns if last_s is None else _last(reader, last_s, now_ns)
            if b is None and now_ns is not None:
                b = now_ns + 1
            with _segments_between(reader, a, b) as segments:
                part = part_of(segments, (a, None))
                state = _until(part.state, b)
                starts_ns = _start(part, a, b)
                if starts_ns is None:
                    raise EditError(f"{recording} has no message in that time; nothing was kept")
                timeline = replace(Timeline.of(part), origin_ns=starts_ns)
                return write_new(
                    segments, state, timeline, target, overwrite=overwrite, on_progress=on_progress
                )


def _beside(recording: Path) -> Path:
    """`ring-20261120-140305-417.db`: to the millisecond, since a trigger and a person may agree."""
    stem = recording.name if recording.is_dir() else recording.stem
    milliseconds = time.time_ns() // 1_000_000
    at = time.strftime("%Y%m%d-%H%M%S", time.localtime(milliseconds // 1000))
    base = recording.absolute().with_name(f"{stem}-{at}-{milliseconds % 1000:03d}.db")
    path, number = base, 1
    while os.path.lexists(path):
        number += 1
        path = base.with_stem(f"{base.stem}-{number}")
    return path


def _last(reader: EditedReader, last_s: float, now_ns: int | None) -> tuple[int, int]:
    """The last seconds up to now, or to the last message."""
    if now_ns is None:
        span = reader.span_ns()
        now_ns = 0 if span is None else span[1]
    return now_ns - round(last_s * 1e9), now_ns + 1


class _Pins:
    """Other names for the finished segments of a ring, by hard links, so that none is lost.

    Where the file system or the rights do not allow that, there are none. The last segment needs
    none: it is the last that a ring would delete.
    """

    def __init__(self, recording: Path, target: Path) -> None:
        self._recording = recording
        self._folder = unfinished_path(recording / target.name)
        self._descriptor: int | None = None
        self._links: dict[str, Path] = {}

    def __enter__(self) -> _Pins:
        if self._recording.is_dir() and segments_of(self._recording):
            with suppress(OSError):
                self._folder.mkdir()
                # what is open is not left over from a kill
                self._descriptor = os.open(self._folder, os.O_RDONLY)
                remove_left_overs(self._recording)
            self._pin()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            remove(self._folder)

    def opened(self) -> EditedReader:
        """The recording, with what has been finished meanwhile, and what has been deleted."""
        if not self._recording.is_dir():
            return open_recording(self._recording)
        return EditedReader(SegmentedReader(self._recording, self._pin()))

    def _pin(self) -> list[Path]:
        """Pin what is finished by now; returns all segments, in order."""
        files = segments_of(self._recording)
        for file in files[:-1]:
            if self._descriptor is not None and file.name not in self._links and not has_log(file):
                with suppress(OSError):
                    os.link(file, self._folder / file.name)
                    self._links[file.name] = self._folder / file.name
        found = {file.name: file for file in files} | self._links
        return [found[name] for name in sorted(found)]


@contextmanager
def _segments_between(reader: EditedReader, a: int | None, b: int | None) -> Iterator[EditedReader]:
    """The segments with messages of a section as one recording; a file as it is."""
    base = reader.base
    if not isinstance(base, SegmentedReader):
        yield reader
        return
    files = base.files_between(a, b)
    if not files:
        raise EditError(f"{base.path} has no message in that time; nothing was kept")
    with EditedReader(SegmentedReader(base.path, files)) as segments:
        yield segments


def _until(state: EditState, b: int | None) -> EditState:
    """A state without messages from a time on, which are still being added."""
    if b is None:
        return state
    streams = {
        name: replace(one, pieces=tuple(_cut_off(one.pieces, b - one.shift_ns)))
        for name, one in state.streams.items()
    }
    return replace(state, streams=streams)


def _cut_off(pieces: Sequence[Piece], b: int) -> Iterator[Piece]:
    for piece in pieces:
        if piece.low_ns < b:
            yield piece._replace(high_ns=min(piece.high_ns, b))


def _start(part: EditedReader, a: int | None, b: int | None) -> int | None:
    """When the first message of a section was received; None if there is none."""
    ends = (part.ends(stream, a, b) for stream in part.streams)
    return min((found[0] for found in ends if found is not None), default=None)

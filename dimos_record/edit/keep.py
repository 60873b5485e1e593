"""Keeping the past: the last minutes of a recording, which goes on, as a file of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dimos_record.edit.carried import Timeline
from dimos_record.edit.derive import SectionNs, part_of, write_new
from dimos_record.edit.progress import OnProgress
from dimos_record.edit.writing import SaveReport
from dimos_record.errors import EditError, OptionError
from dimos_record.store import open_recording
from dimos_record.store.connection import has_log, is_wal, read_header
from dimos_record.store.edit_state import EditState, Piece
from dimos_record.store.edited import EditedReader
from dimos_record.store.live import wait_until_written
from dimos_record.store.paths import path_for_writing
from dimos_record.store.segments import SegmentedReader
from dimos_record.store.unfinished import clean_up, remove, unfinished_path

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
    now_ns = wait_until_written(recording, at_ns, PATIENCE_S)
    with open_recording(recording) as reader:
        a, b = section_ns if last_s is None else _last(reader, last_s, now_ns)
        if b is None and now_ns is not None:
            b = now_ns + 1
        with _pinned(reader, target, a, b) as pinned:
            part = part_of(pinned, (a, None))
            state = _until(part.state, b)
            starts_ns = _start(part, a, b)
            if starts_ns is None:
                raise EditError(f"{recording} has no message in that time; nothing was kept")
            timeline = replace(Timeline.of(part), origin_ns=starts_ns)
            return write_new(
                pinned, state, timeline, target, overwrite=overwrite, on_progress=on_progress
            )


def _beside(recording: Path) -> Path:
    stem = recording.name if recording.is_dir() else recording.stem
    base = recording.absolute().with_name(f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}.db")
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


@contextmanager
def _pinned(
    reader: EditedReader, target: Path, a: int | None, b: int | None
) -> Iterator[EditedReader]:
    """The segments with messages of a section as a recording from which nothing is deleted.

    Finished segments get another name, by a hard link, where the file system and the rights allow
    that. Those that are written to are the last that a ring would delete.
    """
    base = reader.base
    if not isinstance(base, SegmentedReader):
        yield reader
        return
    folder = unfinished_path(base.path / target.name)
    clean_up(base.path / target.name)
    files = base.files_between(a, b)
    try:
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)  # what is open is not left over from a kill
    except OSError:
        yield _only(base.path, files)
        return
    try:
        with _only(base.path, [_link(file, folder) for file in files]) as pinned:
            yield pinned
    finally:
        os.close(descriptor)
        remove(folder)


def _only(folder: Path, files: Sequence[Path]) -> EditedReader:
    if not files:
        raise EditError(f"{folder} has no message in that time; nothing was kept")
    return EditedReader(SegmentedReader(folder, list(files)))


def _link(file: Path, folder: Path) -> Path:
    """Another name for a finished file; its own for one that has a log, which goes by the name."""
    if has_log(file) or is_wal(read_header(file)):
        return file
    try:
        os.link(file, folder / file.name)
    except OSError:
        return file
    return folder / file.name


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

"""What a session writes into: one file, or a folder of segments."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import (
    NotARecording,
    OptionError,
    RecordingDamaged,
    StorageError,
)
from dimos_record.store.editing import refuse_if_edited
from dimos_record.store.in_use import refuse_if_used
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import (
    already_exists,
    is_unborn,
    recording_files,
    refuse_if_busy,
    remove_recording_file,
    sync_folder,
)
from dimos_record.store.ring import check_ring, may_be_set_aside, prepare_ring, set_aside
from dimos_record.store.segments import SegmentedReader, next_segment_path, segments_of
from dimos_record.store.writer import RecordingWriter


def _nothing() -> None:
    """There is nothing to be done."""


class Target(NamedTuple):
    """The writer to begin with, and how to get the next one where the recording is split."""

    writer: RecordingWriter
    next_writer: Callable[[RecordingWriter], RecordingWriter]
    undo: Callable[[], None] = _nothing
    """Closes the writer and leaves everything as it was, for a session that could not start."""
    begun: Callable[[], None] = _nothing
    """The session has started: what it replaces is deleted."""


def open_target(
    path: Path,
    *,
    split: bool = False,
    append: bool = False,
    overwrite: bool = False,
    ring: bool = False,
) -> Target:
    """Open or create what a session writes into.

    Args:
        path: a file, or a folder of segments.
        split: create a folder where nothing is there yet.
        append: add to what is there.
        overwrite: replace what is there, once the session has started; only recordings are ever
            replaced.
        ring: the folder is to be a ring. One that is there is gone on with, whatever state it is
            in: a robot that records always starts the same command again.

    Raises:
        RecordingExists: something is there and neither `append` nor `overwrite` was asked for; or
            it is no ring, and is to become one.
        RecordingBusy: somebody is recording into it.
        EditError: what is to be appended to has edits that are not saved.
        NotARecording: what is to be appended to or overwritten is none.
        StorageError: the folder does not exist or may not be written.
    """
    check_target(path, split=split, append=append, overwrite=overwrite, ring=ring)
    if ring:
        split = True
        prepare_ring(path)
    if (append or overwrite) and os.path.isfile(path) and is_unborn(path):
        refuse_if_used(path, [path])  # else its recorder was killed before it held anything
        remove_recording_file(path)
    existing = os.path.exists(path)
    if existing and overwrite:
        return _replace(path, split)
    if existing and not ring:
        refuse_if_edited(path)
    if os.path.isdir(path) or (split and not existing):
        return _open_folder(path, ring=ring)
    return _append_to_file(path) if existing else _create_file(path)


def check_target(
    path: Path,
    *,
    split: bool = False,
    append: bool = False,
    overwrite: bool = False,
    ring: bool = False,
) -> None:
    """Make sure, as far as looking tells, that `open_target` will succeed; nothing is changed.

    Raises:
        RecordingExists, NotARecording, OptionError, StorageError: as there.
    """
    existing = os.path.exists(path)
    if ring and not overwrite:
        check_ring(path)
        append = True
    if existing and not (append or overwrite):
        raise already_exists(path)
    if not os.path.isdir(path.parent):
        raise StorageError(f"there is no folder {path.parent}; create it first")
    if existing and overwrite:
        return
    if os.path.isdir(path) and _others_in(path) and not segments_of(path):
        raise NotARecording(
            f"{path} is a folder with other files in it and not a recording; choose another name"
        )
    if split and existing and not os.path.isdir(path):
        raise OptionError(
            f"{path} is a single file and cannot be split; choose another name, or --overwrite"
        )


def _others_in(folder: Path) -> list[str]:
    """What lies in a folder and is no file, nor what is left of one, of a recording."""
    return [name for name in os.listdir(folder) if not name.startswith("segment-")]


def _create_file(path: Path) -> Target:
    writer = RecordingWriter.create(path)
    return Target(writer, cannot_split, lambda: _discard(writer))


def _append_to_file(path: Path) -> Target:
    writer = RecordingWriter.append(path)
    return Target(writer, cannot_split, lambda: _close_unchanged(writer))


def _open_folder(folder: Path, *, ring: bool = False) -> Target:
    created = not os.path.exists(folder)
    try:
        folder.mkdir(exist_ok=True)
        if created:
            sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{folder} cannot be created: {error.strerror}") from None
    try:
        writer = _first_writer(folder, ring)
    except BaseException:
        if created:
            folder.rmdir()
        raise

    def undo() -> None:
        _discard(writer)
        if created:
            folder.rmdir()

    return Target(writer, lambda earlier: _next_writer(folder, earlier), undo)


def _first_writer(folder: Path, ring: bool) -> RecordingWriter:
    """The writer of a new segment, after the segments that are there are put in order.

    Those of a ring that turn out to be damaged are set aside.
    """
    present = segments_of(folder)
    last_ids: Counter[str] = Counter()
    last_seq = 0
    with_streams = []
    for path in present:
        with _set_aside_if_damaged(path, ring):
            if path == present[-1] and is_unborn(path):
                remove_recording_file(path)
                continue
            with RecordingReader.open(path) as reader:
                known = reader.known()  # what everybody asks who reads the folder
                refuse_if_busy(reader.name, known.sessions)
                finished = reader.self_contained
                ids, seq = reader.last_numbers()
            last_ids |= ids  # the larger of both
            last_seq = max(last_seq, seq)
            if not finished:
                RecordingWriter.append(path).close()
            if known.streams:
                with_streams.append(path)
    for path in reversed(with_streams):
        with _set_aside_if_damaged(path, ring):
            return _writer_after(path, folder, last_ids, last_seq)
    return RecordingWriter.create(next_segment_path(folder))


@contextmanager
def _set_aside_if_damaged(segment: Path, ring: bool) -> Iterator[None]:
    try:
        yield
    except (RecordingDamaged, NotARecording) as error:
        if not (ring and may_be_set_aside(segment, error)):
            raise
        set_aside(segment, error)


def _writer_after(
    latest: Path, folder: Path, last_ids: Counter[str], last_seq: int
) -> RecordingWriter:
    earlier = RecordingWriter.append(latest)
    try:
        earlier.go_on_from(last_ids, last_seq)
        return _next_writer(folder, earlier)
    finally:
        earlier.close()


def _next_writer(folder: Path, earlier: RecordingWriter) -> RecordingWriter:
    writer = RecordingWriter.create(next_segment_path(folder))
    try:
        writer.continue_from(earlier)
    except BaseException:
        _discard(writer)
        raise
    return writer


def _replace(path: Path, split: bool) -> Target:
    """Set a recording aside, and delete it once the new one has begun."""
    with SegmentedReader(path) if os.path.isdir(path) else RecordingReader.open(path) as reader:
        refuse_if_busy(reader.name, reader.sessions())
    files = segments_of(path) if os.path.isdir(path) else [path]
    aside = [(file, Path(f"{file}.replaced")) for one in files for file in recording_files(one)]
    try:
        for file, elsewhere in aside:
            file.rename(elsewhere)
    except OSError as error:
        _put_back(aside)
        raise StorageError(f"{path} cannot be replaced: {error.strerror}") from None

    def undo() -> None:
        target.undo()
        _put_back(aside)

    def begun() -> None:
        for _, elsewhere in aside:
            elsewhere.unlink(missing_ok=True)

    try:
        target = _open_folder(path) if split or os.path.isdir(path) else _create_file(path)
    except BaseException:
        _put_back(aside)
        raise
    return target._replace(undo=undo, begun=begun)


def _put_back(aside: list[tuple[Path, Path]]) -> None:
    for file, elsewhere in aside:
        if elsewhere.exists():
            elsewhere.rename(file)


def _discard(writer: RecordingWriter) -> None:
    """Delete a recording that was just created."""
    writer.abandon()
    remove_recording_file(Path(writer.path))


def _close_unchanged(writer: RecordingWriter) -> None:
    if writer.session is not None:
        writer.forget_session()
    writer.close()


def cannot_split(earlier: RecordingWriter) -> RecordingWriter:
    """Refuse to go on in another segment: what is written to is one file, or memory."""
    raise OptionError(f"{earlier.path} cannot be split; only a folder of segments can")

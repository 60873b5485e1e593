"""What a session writes into: one file, or a folder of segments."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import NotARecording, OptionError, RecordingExists, StorageError
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import SegmentedReader, segment_path, segments_of
from dimos_record.store.writer import RecordingWriter, remove_recording_file


class Target(NamedTuple):
    """The writer to begin with, and how to get the next one where the recording is split."""

    writer: RecordingWriter
    next_writer: Callable[[RecordingWriter], RecordingWriter]
    undo: Callable[[], None]
    """Removes what was created, for a session that could not start."""


def open_target(
    path: Path, *, split: bool = False, append: bool = False, overwrite: bool = False
) -> Target:
    """Open or create what a session writes into.

    Args:
        path: a file, or a folder of segments.
        split: create a folder where nothing is there yet.
        append: add to what is there.
        overwrite: replace what is there; only recordings are ever replaced.

    Raises:
        RecordingExists: something is there and neither `append` nor `overwrite` was asked for.
        RecordingBusy: somebody is recording into it.
        NotARecording: what is to be appended to or overwritten is none.
        StorageError: the folder does not exist or may not be written.
    """
    existing = path.exists()
    if existing and not (append or overwrite):
        raise RecordingExists(
            f"{path} exists already; add to it with --append, replace it with --overwrite, "
            f"or choose another name"
        )
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {path.parent}; create it first")
    if existing and overwrite:
        _remove(path)
        existing = False
    if path.is_dir() or (split and not existing):
        return _open_folder(path)
    if split:
        raise NotARecording(
            f"{path} is a single file and cannot be split; choose another name, or --overwrite"
        )
    writer = RecordingWriter.append(path) if existing else RecordingWriter.create(path)
    undo = _nothing if existing else lambda: remove_recording_file(path)
    return Target(writer, cannot_split, undo)


def _open_folder(folder: Path) -> Target:
    created = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be created: {error.strerror}") from None
    present = segments_of(folder)

    def next_writer(earlier: RecordingWriter) -> RecordingWriter:
        numbers = [int(p.stem.rpartition("-")[2]) for p in segments_of(folder)]
        writer = RecordingWriter.create(segment_path(folder, max(numbers, default=0) + 1))
        writer.continue_from(earlier)
        return writer

    if not present:
        first = segment_path(folder, 1)
        writer = RecordingWriter.create(first)
        undo = (lambda: shutil.rmtree(folder)) if created else lambda: remove_recording_file(first)
        return Target(writer, next_writer, undo)
    last = RecordingWriter.append(present[-1])
    try:
        writer = next_writer(last)
    finally:
        last.close()
    return Target(writer, next_writer, lambda: remove_recording_file(Path(writer.path)))


def _remove(path: Path) -> None:
    """Delete a recording, after making sure that it is one and nobody records into it."""
    if path.is_dir():
        SegmentedReader(path).close()
        files = segments_of(path)
    else:
        RecordingReader.open(path).close()
        files = [path]
    for file in files:
        RecordingWriter.append(file).close()
        remove_recording_file(file)


def _nothing() -> None:
    """Undo for a file that was there before."""


def cannot_split(earlier: RecordingWriter) -> RecordingWriter:
    """Refuse to go on in another segment: what is written to is one file, or memory."""
    raise OptionError(f"{earlier.path} cannot be split; only a folder of segments can")

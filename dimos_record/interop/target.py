"""The recording that an import writes: a new file, or one that gets another session."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dimos_record.edit.replacing import put_new
from dimos_record.errors import RecordingExists, StorageError
from dimos_record.interop.files import naming, only_writer
from dimos_record.store.base import Marker
from dimos_record.store.editing import refuse_if_edited
from dimos_record.store.recording_file import (
    already_exists,
    check_may_be_written,
    recording_files,
    remove_recording_file,
)
from dimos_record.store.unfinished import clean_up, unfinished_path
from dimos_record.store.writer import RecordingWriter


@contextmanager
def creating(path: Path, overwrite: bool) -> Iterator[RecordingWriter]:
    """A new file, which gets its name when it is complete."""
    with only_writer(path), _creating(path, overwrite) as writer:
        yield writer


@contextmanager
def _creating(path: Path, overwrite: bool) -> Iterator[RecordingWriter]:
    if path.exists():
        _check_replaceable(path, overwrite)
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {path.parent}; create it first")
    for left_over in clean_up(path):
        remove_recording_file(left_over)  # and its log
    unfinished = unfinished_path(path)
    writer = RecordingWriter.create(unfinished)
    try:
        with naming(path, unfinished):
            yield writer
            writer.close()
        _put(unfinished, path, overwrite)
    except BaseException:
        writer.connection.close()
        remove_recording_file(unfinished)
        raise


def _put(unfinished: Path, path: Path, overwrite: bool) -> None:
    if not path.exists():
        try:
            put_new(unfinished, path)
        except FileExistsError:
            raise already_exists(path) from None
        return
    _check_replaceable(path, overwrite)
    for beside in recording_files(path)[1:]:  # the log of the old one is none of the new one
        beside.unlink(missing_ok=True)
    os.replace(unfinished, path)


def _check_replaceable(path: Path, overwrite: bool) -> None:
    """Only recordings are ever replaced, and none that is in use."""
    if not overwrite:
        raise already_exists(path)
    if path.is_dir():
        raise RecordingExists(f"{path} is a folder; import into a file of another name")
    check_may_be_written(path)


@contextmanager
def adding_to(path: Path) -> Iterator[RecordingWriter]:
    """An existing file, changed in one transaction."""
    if path.is_dir():
        raise RecordingExists(f"{path} is a folder of segments; import into a file")
    refuse_if_edited(path)
    writer = RecordingWriter.append(path)
    try:
        with writer.transaction():
            yield writer
        writer.close()
    except BaseException:
        writer.connection.close()
        RecordingWriter.append(path).close()  # which leaves a self-contained file
        raise


def add_markers(writer: RecordingWriter, markers: Sequence[Marker]) -> None:
    """Add markers behind those that are there."""
    last = writer.connection.execute("SELECT coalesce(max(id), 0) FROM _dr_markers").fetchone()[0]
    rows = [
        (last + number, one.at_ns, one.until_ns, one.label, _as_json(one.data))
        for number, one in enumerate(markers, start=1)
    ]
    with writer.transaction():
        writer.connection.executemany(
            "INSERT INTO _dr_markers (id, at_ns, until_ns, label, data) VALUES (?, ?, ?, ?, ?)",
            rows,
        )


def _as_json(data: Any) -> str | None:
    return None if data is None else json.dumps(data)

"""Changing the list of edits that a recording keeps."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from dimos_record.errors import EditError, StorageError
from dimos_record.store import open_as_recorded, schema
from dimos_record.store.connection import connect_for_editing, errors_about
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import refuse_if_busy
from dimos_record.store.segments import SegmentedReader, edits_file
from dimos_record.store.totals import load_totals, save_totals
from dimos_record.store.writer import RecordingWriter

Result = TypeVar("Result")
Change = Callable[[sqlite3.Connection], Result]
"""What is to be done to the list of edits (see `store.edits`), in one transaction."""


def change_edits(path: Path, change: Change[Result]) -> Result:
    """Change the edits of a recording, a file or a folder of segments.

    Raises:
        RecordingBusy: it is being recorded into.
        StorageError: it is read-only.
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema
    """
    if os.path.isdir(path):
        return _change(_editable_folder(path), change, create=True)
    _make_editable(path)
    return _change(path, change)


def _change(file: Path, change: Change[Result], *, create: bool = False) -> Result:
    with closing(connect_for_editing(file, create=create)) as connection, errors_about(file):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if create:
                connection.execute(schema.EDITS_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
            totals = load_totals(connection, file)
            result = change(connection)
            if totals is not None:
                save_totals(connection, file, totals)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return result


def _make_editable(file: Path) -> None:
    """Finish a recording that was killed, and bring an older one to the current schema."""
    with RecordingReader.open(file) as reader:
        refuse_if_busy(file, reader.sessions())
        finished = _is_finished(reader)
    _refuse_read_only(file)
    if not finished:
        RecordingWriter.append(file).close()


def _is_finished(reader: RecordingReader) -> bool:
    current = reader.schema_version == schema.SCHEMA_VERSION
    ended = all(session.stop_ns is not None for session in reader.sessions())
    return current and reader.self_contained and ended


def _editable_folder(folder: Path) -> Path:
    with SegmentedReader(folder) as reader:
        refuse_if_busy(folder, reader.sessions())
        unfinished = [Path(one.path) for one in reader.each() if not _is_finished(one)]
    _refuse_read_only(folder)
    for file in unfinished:
        RecordingWriter.append(file).close()
    return edits_file(folder)


def _refuse_read_only(path: Path) -> None:
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise StorageError(
            f"{path} is read-only, so it cannot keep edits; copy it to where you may write, or "
            "write a part of it into a new file with: dimos-record extract"
        )


def refuse_if_edited(path: Path) -> None:
    """Raise if a recording has edits that are not saved: what is added now would be edited, too.

    Raises:
        EditError: it has; the message says what to do.
    """
    if os.path.isdir(path) and not edits_file(path).exists():
        return
    with open_as_recorded(path) as reader:
        if any(not edit.undone for edit in reader.edits()):
            raise EditError(
                f"{path} has edits that are not saved; write them with: dimos-record save {path}, "
                f"or drop them with: dimos-record revert {path}"
            )

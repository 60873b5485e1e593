"""A recording as it is published: one finished file, or several, without any unused page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dimos_record.store.connection import connect_for_editing, connect_for_reading, errors_about
from dimos_record.store.open_segments import segments_of
from dimos_record.store.recovery import recover

OnStep = Callable[[], None]
"""Called many times a second; what it raises cancels."""

_INSTRUCTIONS = 1000
"""Of SQLite's machine: what copies some hundred messages."""


def compact(recording: Path, copy: Path, on_step: OnStep) -> None:
    """Write what a recording holds into a new one, which the same content gives the same bytes.

    What was deleted, and what a killed recorder left in logs, is not in it, or in its place. The
    recording itself stays as it is.

    Args:
        recording: a file, or a folder of segments.
        copy: a new file, or a folder.

    Raises:
        RecordingDamaged, RecordingBusy, DiskFull, StorageError
    """
    if not recording.is_dir():
        _compact_file(recording, copy, on_step)
        return
    copy.mkdir()
    for segment in segments_of(recording):
        _compact_file(segment, copy / segment.name, on_step)


def _compact_file(file: Path, copy: Path, on_step: OnStep) -> None:
    with closing(connect_for_reading(file)) as source, errors_about(file):
        source.execute("PRAGMA query_only=OFF")  # it would also forbid to write elsewhere
        _vacuum(source, "VACUUM INTO ?", (str(copy),), on_step)
    recover(copy)  # a killed recorder leaves messages that dimos does not see
    with closing(connect_for_editing(copy)) as connection, errors_about(file):
        if connection.execute("PRAGMA freelist_count").fetchone()[0]:
            _vacuum(connection, "VACUUM", (), on_step)


def _vacuum(
    connection: sqlite3.Connection, statement: str, values: tuple[str, ...], on_step: OnStep
) -> None:
    raised: list[BaseException] = []

    def look() -> int:
        try:
            on_step()
        except BaseException as error:  # noqa: BLE001 - SQLite would swallow it
            raised.append(error)
        return len(raised)

    connection.set_progress_handler(look, _INSTRUCTIONS)
    try:
        connection.execute(statement, values)
    except sqlite3.OperationalError:
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)

"""How many messages a finished recording holds, known without counting them.

What the recorder or `save` has counted stands in `_dr_meta` under `totals`, with the number of
changes that the header of the file then counts (SQLite's file change counter,
https://sqlite.org/fileformat2.html#file_change_counter). Whoever changes the file later, with
whatever program, makes that number another one: then nothing is known, and messages are counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from dimos_record.errors import DimosRecordError
from dimos_record.store import schema
from dimos_record.store.connection import connect_for_reading, is_wal, read_header

KEY = "totals"

Totals = Mapping[str, tuple[int, int]]
"""Stream name to its messages and the bytes of their payloads as stored."""


def load_totals(connection: sqlite3.Connection, path: Path | str) -> Totals | None:
    """The totals of a recording, if it is as it was when they were written down; else None.

    Args:
        connection: to the file, in a transaction, so that nobody changes it meanwhile.
    """
    if not isinstance(path, Path) or not schema.version(connection):
        return None
    row = connection.execute("SELECT value FROM _dr_meta WHERE key = ?", (KEY,)).fetchone()
    changes = None if row is None else _changes(path)
    if row is None or changes is None:
        return None
    try:
        found = json.loads(row[0])
        known = {str(name): (int(n), int(size)) for name, (n, size) in found["streams"].items()}
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return known if found["changes"] == changes else None


def totals_of(path: Path) -> Totals | None:
    """The totals of a file that is not open yet; None if they are not known."""
    try:
        connection = connect_for_reading(path)
    except DimosRecordError:  # who opens it for good will say what is wrong with it
        return None
    try:
        connection.execute("BEGIN")
        return load_totals(connection, path)
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def save_totals(connection: sqlite3.Connection, path: Path, totals: Totals) -> None:
    """Write the totals down, as a part of the last change of a file that is finished.

    Args:
        connection: to the file, which has no log, in a transaction that writes and then commits.
    """
    changes = _changes(path)
    if changes is not None:
        content = json.dumps({"changes": (changes + 1) % 2**32, "streams": totals})
        connection.execute("INSERT OR REPLACE INTO _dr_meta VALUES (?, ?)", (KEY, content))


def _changes(path: Path) -> int | None:
    """How often a file was changed; None where changes go into a log, or it was renamed."""
    try:
        header = read_header(path)
    except DimosRecordError:
        return None
    return None if is_wal(header) else int.from_bytes(header[24:28], "big")

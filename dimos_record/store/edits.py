"""Edits that are kept in a recording until it is saved, its markers, and its skips."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any, NamedTuple

from dimos_record.store.base import Marker
from dimos_record.store.connection import BadContent
from dimos_record.store.intervals import Intervals

KINDS = ("cut", "trim", "delete", "shift", "rename", "codec", "mark", "unmark")


class Edit(NamedTuple):
    """One change of a recording that is not saved yet."""

    id: int
    made_ns: int
    """When it was made, UNIX nanoseconds."""
    kind: str
    """One of `KINDS`; `docs/reference/file-format.md` describes their arguments."""
    args: dict[str, Any]
    undone: bool = False
    """Whether it was taken back, and can be made again."""


def load_edits(connection: sqlite3.Connection) -> list[Edit]:
    """The edits of a recording, oldest first, and after them those that were undone."""
    query = "SELECT id, made_ns, kind, args, undone FROM _dr_edits ORDER BY id"
    return [_edit(*row) for row in connection.execute(query)]


def _edit(number: int, made_ns: int, kind: str, args: str, undone: int) -> Edit:
    if kind not in KINDS:
        raise BadContent(f"edit {number} is of an unknown kind, {kind!r}")
    return Edit(number, made_ns, kind, _json(args, f"edit {number}"), bool(undone))


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadContent(f"{what} cannot be read")
    return found


def add_edit(connection: sqlite3.Connection, kind: str, args: dict[str, Any]) -> Edit:
    """Add an edit; what was undone before cannot be made again any more."""
    connection.execute("DELETE FROM _dr_edits WHERE undone")
    made_ns = time.time_ns()
    cursor = connection.execute(
        "INSERT INTO _dr_edits (made_ns, kind, args) VALUES (?, ?, ?)",
        (made_ns, kind, json.dumps(args)),
    )
    return Edit(int(cursor.lastrowid or 0), made_ns, kind, args)


def undo_edits(connection: sqlite3.Connection, at_most: int | None = 1) -> list[Edit]:
    """Take back the last edits (all for None); returns them, the last one first."""
    return _turn(connection, "NOT undone ORDER BY id DESC", at_most, undone=True)


def redo_edits(connection: sqlite3.Connection, at_most: int | None = 1) -> list[Edit]:
    """Make edits again that were undone; returns them, the first one first."""
    return _turn(connection, "undone ORDER BY id", at_most, undone=False)


def _turn(
    connection: sqlite3.Connection, which: str, at_most: int | None, *, undone: bool
) -> list[Edit]:
    query = f"SELECT id, made_ns, kind, args, undone FROM _dr_edits WHERE {which} LIMIT ?"
    found = [
        _edit(*row) for row in connection.execute(query, (-1 if at_most is None else at_most,))
    ]
    connection.executemany(
        "UPDATE _dr_edits SET undone = ? WHERE id = ?", [(int(undone), edit.id) for edit in found]
    )
    return [edit._replace(undone=undone) for edit in found]


def load_skips(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """The sections that are not there any more, in order."""
    rows = connection.execute("SELECT a_ns, b_ns FROM _dr_skips ORDER BY a_ns").fetchall()
    if not all(isinstance(a_ns, int) and isinstance(b_ns, int) for a_ns, b_ns in rows):
        raise BadContent("a skip has no times")
    return list(Intervals.of(rows).items)


def load_markers(connection: sqlite3.Connection) -> list[Marker]:
    """The saved markers, in the order of time."""
    query = "SELECT id, at_ns, label, until_ns, data FROM _dr_markers ORDER BY at_ns, id"
    return [
        Marker(number, at_ns, str(label), until_ns, None if data is None else json.loads(data))
        for number, at_ns, label, until_ns, data in connection.execute(query)
    ]


def origin_ns(connection: sqlite3.Connection) -> int | None:
    """Position 0 where it is written down: the first message is not there any more."""
    row = connection.execute("SELECT value FROM _dr_meta WHERE key = 'origin_ns'").fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else None

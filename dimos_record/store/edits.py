"""Edits that are kept in a recording until it is saved, its markers, and its skips."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dimos_record.errors import RecordingDamaged
from dimos_record.store.base import Marker
from dimos_record.store.codecs import CHOOSABLE
from dimos_record.store.intervals import FOREVER, NEVER, Intervals

MAX_SHIFT_NS = 10**18
"""How far the receive times of a topic can be moved, by all its shifts together."""


def _is_time(value: object) -> bool:
    return type(value) is int and NEVER <= value <= FOREVER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_MARKER = ("id", "at", "label", "until", "data")
"""What an edit says of a marker, in the order of `Marker`."""


def _is_marker(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(_MARKER)
        and _is_time(value["id"])
        and _is_time(value["at"])
        and _is_time_or_nothing(value["until"])
        and _is_text(value["label"])
    )


def _is_time_or_nothing(value: object) -> bool:
    return value is None or _is_time(value)


_SECTION: dict[str, Callable[[Any], bool]] = {
    "a": _is_time_or_nothing,
    "b": _is_time_or_nothing,
    "streams": lambda value: value is None or _is_texts(value),
}
_ARGUMENTS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "cut": _SECTION,
    "trim": _SECTION,
    "delete": {"streams": _is_texts},
    "shift": {
        "stream": _is_text,
        "ns": lambda value: type(value) is int and abs(value) <= MAX_SHIFT_NS,
    },
    "rename": {"stream": _is_text, "topic": _is_text, "channel": _is_text},
    "codec": {"stream": _is_text, "codec": lambda value: value in CHOOSABLE},
    "mark": {"markers": lambda value: isinstance(value, list) and all(map(_is_marker, value))},
    "unmark": {"ids": lambda value: isinstance(value, list) and all(map(_is_time, value))},
}
"""What each kind of edit says, and what that can be: somebody else may have written the file."""
KINDS = tuple(_ARGUMENTS)


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
    """The edits of a recording, oldest first, and after them those that were undone.

    Raises:
        RecordingDamaged: one of them cannot be read.
    """
    columns = "id, made_ns, kind, args, undone"
    return [_edit(connection, row) for row in _stored(connection, "_dr_edits", columns, "id")]


def _edit(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Edit:
    number, made_ns, kind, args, undone = row
    checks = _ARGUMENTS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        raise _damaged(connection, f"edit {number} is of an unknown kind", "_dr_edits")
    found = _from_json(args)
    if (
        not (_is_time(number) and _is_time(made_ns))
        or not isinstance(found, dict)
        or found.keys() != checks.keys()
        or not all(is_right(found[key]) for key, is_right in checks.items())
    ):
        raise _damaged(connection, f"edit {number} ({kind}) cannot be read", "_dr_edits")
    return Edit(number, made_ns, kind, found, bool(undone))


def _stored(
    connection: sqlite3.Connection, table: str, columns: str, order: str
) -> list[tuple[Any, ...]]:
    """What is in a table, if it is one: a view could go on without end."""
    known = "SELECT 1 FROM sqlite_master WHERE name = ? AND sql LIKE 'CREATE TABLE%'"
    if connection.execute(known, (table,)).fetchone() is None:
        raise _damaged(connection, f"it has no table {table}")
    return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()


def _damaged(
    connection: sqlite3.Connection, what: str, table: str | None = None
) -> RecordingDamaged:
    path = connection.execute("PRAGMA database_list").fetchone()[2] or "memory"
    remedy = f"save what is left with: dimos-record recover {path}"
    if table is not None:
        remedy = f"without what is noted there it opens: sqlite3 {path} 'DELETE FROM {table}'"
    return RecordingDamaged(f"{path} is damaged ({what}); {remedy}")


def _from_json(text: object) -> Any:
    """What a text says in JSON; None if it is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


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
    rows = connection.execute(query, (-1 if at_most is None else at_most,)).fetchall()
    found = [_edit(connection, row) for row in rows]
    connection.executemany(
        "UPDATE _dr_edits SET undone = ? WHERE id = ?", [(int(undone), edit.id) for edit in found]
    )
    return [edit._replace(undone=undone) for edit in found]


def load_skips(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """The sections that are not there any more, in order.

    Raises:
        RecordingDamaged: one of them cannot be read.
    """
    rows = _stored(connection, "_dr_skips", "a_ns, b_ns", "a_ns")
    if not all(_is_time(a_ns) and _is_time(b_ns) for a_ns, b_ns in rows):
        raise _damaged(connection, "a skip has no times", "_dr_skips")
    return list(Intervals.of(rows).items)


def load_markers(connection: sqlite3.Connection) -> list[Marker]:
    """The saved markers, in the order of time.

    Raises:
        RecordingDamaged: one of them cannot be read.
    """
    rows = _stored(connection, "_dr_markers", "id, at_ns, label, until_ns, data", "at_ns, id")
    found = [dict(zip(_MARKER, (*row[:4], _from_json(row[4])), strict=True)) for row in rows]
    if not all(map(_is_marker, found)):
        raise _damaged(connection, "a marker cannot be read", "_dr_markers")
    return [marker_of(one) for one in found]


def marker_of(said: Mapping[str, Any]) -> Marker:
    """The marker that an edit says this of."""
    return Marker(*(said[key] for key in _MARKER))


def is_marker(marker: Marker) -> bool:
    """Whether a marker that a file of somebody else describes can be one of a recording."""
    return _is_marker(said_of(marker))


def said_of(marker: Marker) -> dict[str, Any]:
    """What an edit says of a marker."""
    return dict(zip(_MARKER, marker, strict=True))


def origin_ns(connection: sqlite3.Connection) -> int | None:
    """Position 0 where it is written down: the first message is not there any more."""
    row = connection.execute("SELECT value FROM _dr_meta WHERE key = 'origin_ns'").fetchone()
    return row[0] if row is not None and _is_time(row[0]) else None

"""The state that a segment carries from before it begins, so that it stands alone.

A new segment of a folder begins with copies of the messages that make up the state of the latched
streams: of each its last message, of transforms the last one of every child frame. They have the
number, arrival number and times that they had, and `_dr_meta` says under `carried` up to which
number of each stream messages are such copies. The folder as one recording leaves them out, except
in its first segment: there the originals are gone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from dimos_record.store import edits, meta, order, schema
from dimos_record.store.connection import ReadConnection, quote_name

KEY = "carried"
_COLUMNS = ", ".join(
    ("id", "ts", "value", *meta.POSE_COLUMNS, "tags", *(c.split()[0] for c in schema.OUR_COLUMNS))
)

Carried = Mapping[str, int]
"""Stream name to the highest number of a message that was carried over."""


def load_carried(connection: sqlite3.Connection) -> Carried:
    """What a segment carries; what cannot be right in a file counts as nothing."""
    if not schema.version(connection):
        return {}
    row = connection.execute("SELECT value FROM _dr_meta WHERE key = ?", (KEY,)).fetchone()
    try:
        found = json.loads(row[0]) if row is not None else {}
    except (TypeError, ValueError, RecursionError):
        found = {}
    known = schema.tables(connection) if found else {}
    return {
        name: last
        for name, last in (found.items() if isinstance(found, dict) else ())
        if isinstance(last, int) and {name.lower(), f"{name}_blob".lower()} <= known.keys()
    }


def hide(connection: sqlite3.Connection, carried: Carried) -> None:
    """Let a connection for reading see the streams without what was carried over.

    A temporary view goes before the table of its name, wherever that is not called `main.`.
    """
    connection.execute("PRAGMA query_only=OFF")
    try:
        for name, last in carried.items():
            for table in (name, f"{name}_blob"):
                if isinstance(connection, ReadConnection):
                    connection.own_views.add(table)
                connection.execute(
                    f"CREATE TEMP VIEW IF NOT EXISTS {quote_name(table)} AS "
                    f"SELECT * FROM main.{quote_name(table)} WHERE id > {last}"
                )
    finally:
        connection.execute("PRAGMA query_only=ON")


def copies(connection: sqlite3.Connection, carried: Carried, stream: str, of: str = "*") -> int:
    """How many messages of a stream were carried over.

    Args:
        of: a column, to count only those that have something there.
    """
    if stream not in carried:
        return 0
    source = f"main.{quote_name(stream)} WHERE id <= {carried[stream]}"
    return int(connection.execute(f"SELECT count({of}) FROM {source}").fetchone()[0])


def skipped(
    connection: sqlite3.Connection, carried: Carried, others: Iterable[str]
) -> list[tuple[int, int]]:
    """The time ``[a, b)`` from what is carried to the segment's own first message, if there is any.

    Args:
        others: the streams of which nothing is carried.
    """
    first, own = [], []
    for name, last in carried.items():
        table = f"main.{quote_name(name)}"
        first.append(_first(connection, f"{table} WHERE id <= {last}"))
        own.append(_first_of(connection, name, f"id > {last}"))
    own += [_first_of(connection, name) for name in others]
    own.append(_first(connection, "_dr_spool"))
    begins = min((time for time in first if time is not None), default=None)
    ends = min((time for time in own if time is not None), default=None)
    return [] if begins is None or ends is None or begins >= ends else [(begins, ends)]


def _first_of(connection: sqlite3.Connection, name: str, where: str = "1") -> int | None:
    """When the first message in the table of a stream was received that meets a condition."""
    table = f"main.{quote_name(name)}"
    if order.is_in_order(connection, name):
        return order.ends(connection, table, where)[0]
    return _first(connection, f"{table} WHERE {where}")


def _first(connection: sqlite3.Connection, source: str) -> int | None:
    found = connection.execute(f"SELECT min(ts_ns) FROM {source}").fetchone()[0]
    return found if isinstance(found, int) else None


def carry(
    earlier: sqlite3.Connection, new: sqlite3.Connection, state: Mapping[str, Sequence[int]]
) -> None:
    """Copy the state into a new segment, which has its tables already, and position 0.

    Args:
        earlier: the segment before; nothing of these streams is in its spool.
        new: the new segment, in a transaction.
        state: the numbers of the messages, by the name of each stream of the segment before.
    """
    for name, numbers in state.items():
        _copy(earlier, new, name, _COLUMNS, numbers)
        _copy(earlier, new, f"{name}_blob", "id, data", numbers)
        order.ensure(new, name)
    carried = {name: max(numbers) for name, numbers in state.items() if numbers}
    rows: list[tuple[str, Any]] = [(KEY, json.dumps(carried))] if carried else []
    origin_ns = _origin(earlier, state)
    if origin_ns is not None:
        rows.append(("origin_ns", origin_ns))
    new.executemany("INSERT OR REPLACE INTO _dr_meta VALUES (?, ?)", rows)


def _origin(earlier: sqlite3.Connection, names: Iterable[str]) -> int | None:
    stored = edits.origin_ns(earlier)
    if stored is not None:
        return stored
    firsts = (_first_of(earlier, name) for name in names)
    return min((time for time in firsts if time is not None), default=None)


def _copy(
    earlier: sqlite3.Connection,
    new: sqlite3.Connection,
    table: str,
    columns: str,
    numbers: Sequence[int],
) -> None:
    places = ", ".join("?" * (columns.count(",") + 1))
    query = f"SELECT {columns} FROM {quote_name(table)} WHERE id = ?"
    insert = f"INSERT INTO {quote_name(table)} ({columns}) VALUES ({places})"
    for number in numbers:
        with closing(earlier.execute(query, (number,))) as found:
            new.executemany(insert, found)

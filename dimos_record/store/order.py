"""Streams whose receive times follow their numbers, which need no index on time.

A message gets the next number when it arrives, so times ascend with numbers. Since version 5 that
is a rule: in a stream without its time index, in its table and in the spool, no message is older
than one of a lower number. Whoever writes the first message that breaks the rule makes the index,
in the same transaction. What lies at a time is then found by looking at a few numbers.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from dimos_record.store import schema
from dimos_record.store.connection import BadContent, quote_name

SINCE = 5
"""The first version with this rule."""

LOWEST, HIGHEST = -(2**63), 2**63 - 1
_STEP = 64
"""How far from where a time is expected it is looked for first."""


class Key(NamedTuple):
    """What messages are in the order of."""

    ts_ns: int
    id: int


def is_in_order(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a stream needs no index on time."""
    return schema.version(connection) >= SINCE and not has_index(connection, name)


def has_index(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a stream has its index on time."""
    query = "SELECT 1 FROM pragma_index_info(?, 'main')"  # sqlite_master would be read to its end
    return connection.execute(query, (schema.time_index(name),)).fetchone() is not None


def ensure(connection: sqlite3.Connection, name: str) -> None:
    """Make the index of a stream whose rows were written without a look at their order.

    Args:
        connection: in a transaction that writes.
    """
    if not has_index(connection, name) and breaks(connection, name):
        schema.create_time_index(connection, name)


def breaks(connection: sqlite3.Connection, name: str) -> int:
    """How many messages in the table of a stream break the rule; reads all of it."""
    query = (
        f"SELECT count(*) FROM (SELECT ts_ns, lag(ts_ns) OVER (ORDER BY id) AS before "
        f"FROM {quote_name(name)}) WHERE typeof(ts_ns) <> 'integer' OR ts_ns < before"
    )
    return int(connection.execute(query).fetchone()[0])


def ends(
    connection: sqlite3.Connection, table: str, where: str = "1"
) -> tuple[int | None, int | None]:
    """First and last time in a table of a stream in order.

    Args:
        table: in SQL.
        where: which of its rows count.
    """
    source = f"{table} WHERE {where} AND ts_ns IS NOT NULL"
    first, last = _key(connection, source, "id"), _key(connection, source, "id DESC")
    return first and first.ts_ns, last and last.ts_ns


def place(connection: sqlite3.Connection, table: str, key: Key, near: int | None = None) -> int:
    """The lowest number from which on messages of a stream in order are at or after a key.

    Times grow evenly as a rule, so the search begins where the key should be; O(log n) anyway.

    Args:
        table: in SQL.
        near: a number where it may well be.

    Returns:
        One more than the last number if there is no such message, 0 in an empty stream.
    """
    if near is not None:
        found = _at(connection, table, near)
        if found is not None and found.id == near and found.ts_ns == key.ts_ns:
            if key.id == near:
                return near
            if key.id == near + 1:
                return key.id
    source = f"{table} WHERE ts_ns IS NOT NULL"
    first, last = _key(connection, source, "id"), _key(connection, source, "id DESC")
    if first is None or last is None:
        return 0
    if key <= first:
        return first.id
    if key > last:
        return last.id + 1
    return _Search(connection, table, key, first, last).run()


class _Search:
    """Narrows down where a key is: below it lies `low`, and `high` does not."""

    def __init__(
        self, connection: sqlite3.Connection, table: str, key: Key, low: Key, high: Key
    ) -> None:
        self._connection, self._table, self._key = connection, table, key
        self._low, self._high = low, high

    def run(self) -> int:
        self._look_around(self._expected())
        while self._high.id - self._low.id > 1:
            self._try((self._low.id + self._high.id) // 2)
        return self._high.id

    def _expected(self) -> int:
        low, high = self._low, self._high
        part = (self._key.ts_ns - low.ts_ns) / max(1, high.ts_ns - low.ts_ns)
        return low.id + round(part * (high.id - low.id))

    def _look_around(self, number: int) -> None:
        """Look at a number, and then at others ever further away, until the key is in between."""
        step = _STEP
        towards = 1 if self._try(number) else -1
        while self._try(number + towards * step) == (towards > 0):
            number, step = number + towards * step, 2 * step

    def _try(self, number: int) -> bool:
        """Look at a number in between; returns whether it is below the key."""
        low, high = self._low, self._high
        if number <= low.id:
            return True
        if number >= high.id:
            return False
        found = _at(self._connection, self._table, number)
        if found is None or found.id >= high.id:  # there is none in between
            self._high = high._replace(id=number)
            return False
        if found < self._key:
            self._low = found
            return True
        self._high = found._replace(id=number)
        return False


def _at(connection: sqlite3.Connection, table: str, number: int) -> Key | None:
    """The message of a number, or the next one."""
    query = f"SELECT ts_ns, id FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"
    return _checked(connection.execute(query, (number,)).fetchone())


def _key(connection: sqlite3.Connection, source: str, order: str) -> Key | None:
    query = f"SELECT ts_ns, id FROM {source} ORDER BY {order} LIMIT 1"
    return _checked(connection.execute(query).fetchone())


def _checked(row: tuple[object, object] | None) -> Key | None:
    if row is None:
        return None
    ts_ns, number = row
    if not (isinstance(ts_ns, int) and isinstance(number, int)):
        raise BadContent("receive times that are no numbers")
    return Key(ts_ns, number)

"""Selecting recorded messages by what is stored beside their payloads."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from dimos_record.store import jsonb
from dimos_record.store.base import StreamInfo
from dimos_record.store.connection import quote_name
from dimos_record.store.observation import Meta, Pose

POSE_COLUMNS = ("pose_x", "pose_y", "pose_z", "pose_qx", "pose_qy", "pose_qz", "pose_qw")
_SHARED = ", ".join(("id", "ts", "value", *POSE_COLUMNS, "tags"))


class MetaRow(NamedTuple):
    """One recorded message without its payload."""

    id: int
    seq: int
    ts_ns: int
    stamp_ns: int | None
    meta: Meta

    def sort_key(self, column: str) -> float:
        """The value of a column as SQLite orders it: what is missing comes first."""
        if column in POSE_COLUMNS:
            pose = self.meta.pose
            return -math.inf if pose is None else pose[POSE_COLUMNS.index(column)]
        value = self.meta.value if column == "value" else getattr(self, column)
        return -math.inf if value is None else value


class Where(NamedTuple):
    """A condition in SQL, with its parameters."""

    sql: str = "1"
    parameters: tuple[Any, ...] = ()

    def also(self, other: Where) -> Where:
        """Both conditions."""
        return Where(f"{self.sql} AND {other.sql}", self.parameters + other.parameters)


def source(info: StreamInfo, topic: int | None, ours: bool) -> str:
    """A subquery with the columns of every message of a stream, whether moved from the spool yet.

    Args:
        topic: the stream's topic number, where the recording has a spool.
        ours: whether the stream's table has our columns.
    """
    table = quote_name(info.name)
    extra = (
        "seq, ts_ns, stamp_ns" if ours else f"id AS seq, {to_ns('ts')} AS ts_ns, NULL AS stamp_ns"
    )
    select = f"SELECT {_SHARED}, {extra} FROM {table}"
    if topic is not None:
        nothing = ", ".join(["NULL"] * (len(POSE_COLUMNS) + 2))
        select += (
            f" UNION ALL SELECT id, ts_ns / 1e9, {nothing}, seq, ts_ns, stamp_ns "
            f"FROM _dr_spool WHERE topic = {int(topic)}"
        )
    return f"({select})"


def to_ns(seconds: str) -> str:
    """SQL for a time in nanoseconds, from SQL for one in seconds."""
    return f"CAST(ROUND({seconds} * 1e9) AS INTEGER)"


def count(connection: sqlite3.Connection, table: str, where: Where) -> int:
    """How many messages meet a condition."""
    query = f"SELECT count(*) FROM {table} WHERE {where.sql}"
    return int(connection.execute(query, where.parameters).fetchone()[0])


def ids(
    connection: sqlite3.Connection, table: str, where: Where, order: str, descending: bool
) -> list[int]:
    """Numbers of the messages that meet a condition, ordered by a column."""
    direction = "DESC" if descending else "ASC"
    query = (
        f"SELECT id FROM {table} WHERE {where.sql} "
        f"ORDER BY {quote_name(order)} {direction}, id {direction}"
    )
    return [row[0] for row in connection.execute(query, where.parameters)]


def page(
    connection: sqlite3.Connection, table: str, where: Where, after: int, limit: int
) -> list[MetaRow]:
    """Up to `limit` messages that meet a condition, with numbers above `after`, in their order."""
    query = (
        f"SELECT id, seq, ts_ns, stamp_ns, value, {', '.join(POSE_COLUMNS)}, tags "
        f"FROM {table} WHERE id > ? AND {where.sql} ORDER BY id LIMIT ?"
    )
    rows = connection.execute(query, (after, *where.parameters, limit))
    return [_meta_row(row) for row in rows]


def by_ids(connection: sqlite3.Connection, table: str, numbers: list[int]) -> list[MetaRow]:
    """The messages of these numbers, in this order."""
    marks = ", ".join("?" * len(numbers))
    query = (
        f"SELECT id, seq, ts_ns, stamp_ns, value, {', '.join(POSE_COLUMNS)}, tags "
        f"FROM {table} WHERE id IN ({marks})"
    )
    found = {row[0]: _meta_row(row) for row in connection.execute(query, numbers)}
    return [found[number] for number in numbers if number in found]


def _meta_row(row: tuple[Any, ...]) -> MetaRow:
    number, seq, ts_ns, stamp_ns, value, *pose, tags = row
    place = None if pose[0] is None else Pose(*pose)
    return MetaRow(number, seq, ts_ns, stamp_ns, Meta(place, _tags(tags), value))


def _tags(stored: bytes | str | None) -> dict[str, Any]:
    tags = jsonb.loads(stored) if stored not in (None, b"\x0c") else {}
    return tags if isinstance(tags, dict) else {}


def tag_of(stored: bytes | str | None, key: str) -> Any:
    """One tag, for use as an SQL function: SQLite before 3.45 cannot look into binary JSON."""
    value = _tags(stored).get(key)
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def chunks(numbers: list[int], size: int) -> Iterator[list[int]]:
    """A list in pieces of at most `size`."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]

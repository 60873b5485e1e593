"""Selecting recorded messages by what is stored beside their payloads."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from dimos_record.store import jsonb
from dimos_record.store.base import StreamInfo
from dimos_record.store.connection import quote_name
from dimos_record.store.intervals import FOREVER, NEVER
from dimos_record.store.observation import Meta, Pose
from dimos_record.store.sql_time import to_ns, to_seconds

POSE_COLUMNS = ("pose_x", "pose_y", "pose_z", "pose_qx", "pose_qy", "pose_qz", "pose_qw")
_SHARED = ", ".join(("id", "ts", "value", *POSE_COLUMNS, "tags"))
_COLUMNS = ", ".join(("id", "seq", "ts", "ts_ns", "stamp_ns", "value", *POSE_COLUMNS, "tags"))


class MetaRow(NamedTuple):
    """One recorded message without its payload."""

    id: int
    seq: int
    ts: float
    """As it is stored: where dimos wrote it, `ts_ns` is rounded from it."""
    ts_ns: int
    stamp_ns: int | None
    meta: Meta

    def sort_key(self, column: str) -> tuple[float, int]:
        """A key that orders as `ids` does: what is missing comes first, then the number counts."""
        if column in POSE_COLUMNS:
            value = self.meta.pose and self.meta.pose[POSE_COLUMNS.index(column)]
        else:
            value = self.meta.value if column == "value" else getattr(self, column)
        return (-math.inf if value is None else value), self.id


class Where(NamedTuple):
    """A condition in SQL, with its parameters, and how many messages are wanted at most."""

    sql: str = "1"
    parameters: tuple[Any, ...] = ()
    at_most: int | None = None
    shift_ns: int = 0
    """How far receive times were moved by an edit; the condition is about those after it."""
    low_ns: int = NEVER
    """The condition is met by no message before this time ..."""
    high_ns: int = FOREVER
    """... and by none after this one; to look for them where they can be."""

    @property
    def has_limits(self) -> bool:
        """Whether anything is known of the times of messages that meet the condition."""
        return self.low_ns > NEVER or self.high_ns < FOREVER

    def also(self, other: Where) -> Where:
        """Both conditions."""
        return self._replace(
            sql=f"{self.sql} AND {other.sql}",
            parameters=self.parameters + other.parameters,
            low_ns=max(self.low_ns, other.low_ns),
            high_ns=min(self.high_ns, other.high_ns),
        )


def source(
    info: StreamInfo, topic: int | None, ours: bool, checked: bool = False, within: str = "1"
) -> str:
    """A subquery with the columns of every message of a stream, whether moved from the spool yet.

    Columns of both parts have the same affinity. Else SQLite would not look into the parts, and
    read and sort all of them for the first few rows (https://sqlite.org/optoverview.html#flattening).

    Args:
        topic: the stream's topic number, where the recording has a spool.
        ours: whether the stream's table has our columns.
        checked: whether it has checksums.
        within: which rows of the stream's own table count.
    """
    table = quote_name(info.name)
    extra = (
        "seq, ts_ns, stamp_ns" if ours else f"id AS seq, {to_ns('ts')} AS ts_ns, NULL AS stamp_ns"
    )
    crc = "crc" if checked else "CAST(NULL AS INTEGER) AS crc"
    select = f"SELECT {_SHARED}, {extra}, {crc} FROM {table} WHERE {within}"
    if topic is not None:
        nothing = ["CAST(NULL AS NUMERIC)"] + ["CAST(NULL AS REAL)"] * len(POSE_COLUMNS)
        select += (
            f" UNION ALL SELECT id, CAST({to_seconds('ts_ns')} AS REAL), {', '.join(nothing)}, "
            f"CAST(NULL AS BLOB), seq, ts_ns, stamp_ns, "
            f"{crc} FROM _dr_spool WHERE topic = {int(topic)}"
        )
    return f"({select})"


def shifted(source: str, by_ns: int) -> str:
    """A subquery with the same messages at other receive times."""
    if not by_ns:
        return source
    ts_ns = f"(ts_ns + {int(by_ns)})"
    others = ", ".join(("id", "value", *POSE_COLUMNS, "tags", "seq", "stamp_ns"))
    return f"(SELECT {others}, {ts_ns} AS ts_ns, {to_seconds(ts_ns)} AS ts FROM {source})"


def count(connection: sqlite3.Connection, table: str, where: Where) -> int:
    """How many messages meet a condition."""
    query = f"SELECT count(*) FROM {table} WHERE {where.sql}"
    return int(connection.execute(query, where.parameters).fetchone()[0])


def ids(
    connection: sqlite3.Connection, table: str, where: Where, order: str, descending: bool
) -> list[int]:
    """Numbers of the messages that meet a condition, ordered by a column."""
    direction = "DESC" if descending else "ASC"
    columns = ("ts_ns", "ts") if order == "ts" else (order,)  # ts_ns has an index
    names = [quote_name(column) for column in columns]
    terms = ", ".join(f"{name} {direction}" for name in (*names, "id"))
    query = f"SELECT id, {', '.join(names)} FROM {table} WHERE {where.sql} ORDER BY {terms} LIMIT ?"
    limit = -1 if where.at_most is None else where.at_most
    return [row[0] for row in connection.execute(query, (*where.parameters, limit))]


def page(
    connection: sqlite3.Connection, table: str, where: Where, after: int, limit: int
) -> list[MetaRow]:
    """Up to `limit` messages that meet a condition, with numbers above `after`, in their order."""
    query = f"SELECT {_COLUMNS} FROM {table} WHERE id > ? AND {where.sql} ORDER BY id LIMIT ?"
    rows = connection.execute(query, (after, *where.parameters, limit))
    return [_meta_row(row) for row in rows]


def by_ids(connection: sqlite3.Connection, table: str, numbers: list[int]) -> list[MetaRow]:
    """The messages of these numbers, in this order."""
    marks = ", ".join("?" * len(numbers))
    query = f"SELECT {_COLUMNS} FROM {table} WHERE id IN ({marks})"
    found = {row[0]: _meta_row(row) for row in connection.execute(query, numbers)}
    return [found[number] for number in numbers if number in found]


def _meta_row(row: tuple[Any, ...]) -> MetaRow:
    number, seq, ts, ts_ns, stamp_ns, value, *pose, tags = row
    place = None if None in pose else Pose(*pose)
    return MetaRow(number, seq, ts, ts_ns, stamp_ns, Meta(place, _tags(tags), value))


def _tags(stored: bytes | str | None) -> dict[str, Any]:
    tags = jsonb.loads(stored) if stored not in (None, b"\x0c") else {}
    return tags if isinstance(tags, dict) else {}


def tag_of(stored: bytes | str | None, key: str) -> str:
    """One tag in a form that can be compared, for use as an SQL function.

    SQLite before 3.45 cannot look into binary JSON.
    """
    return comparable(_tags(stored).get(key))


def comparable(value: Any) -> str:
    """The same text for values that Python calls equal, as `1`, `1.0` and `True`.

    Raises:
        TypeError: the value cannot be a tag, which is JSON.
    """
    return json.dumps(_number_like(value), sort_keys=True)


def _number_like(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if isinstance(value, dict):
        return {key: _number_like(item) for key, item in value.items()}
    return [_number_like(item) for item in value] if isinstance(value, (list, tuple)) else value


def chunks(numbers: list[int], size: int) -> Iterator[list[int]]:
    """A list in pieces of at most `size`."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]

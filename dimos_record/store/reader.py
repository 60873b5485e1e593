"""Reading one recording file, ours or dimos's, finished, killed or being written.

Every read is a short transaction of its own, so that a reader never holds a recorder's log back.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dimos_record.errors import UnknownTopic
from dimos_record.messages import stamp_reader
from dimos_record.store import catalog, meta, schema
from dimos_record.store.base import Row, SessionInfo, StreamInfo, StreamStats
from dimos_record.store.codecs import codec_for
from dimos_record.store.connection import (
    connect_for_reading,
    errors_about,
    is_wal,
    quote_name,
    read_header,
)
from dimos_record.store.meta import MetaRow, Where
from dimos_record.store.sessions import load_sessions

_PAGE_BYTES = 4_000_000
_FIRST_PAGE, _LARGEST_PAGE = 16, 4096


class _Table(NamedTuple):
    """How to read a stream: its SQL names, and whether it has our columns."""

    info: StreamInfo
    topic: int | None
    ours: bool
    decode: Callable[[bytes], bytes] | None


class RecordingReader:
    """A recording file opened for reading. Safe to use from several threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | str,
        *,
        lock: threading.RLock | None = None,
        owns: bool = True,
    ) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock or threading.RLock()
        self._owns = owns
        self._tables: dict[str, _Table] = {}
        self._sorted_up_to: dict[str, int] = {}
        connection.create_function("dr_tag", 2, meta.tag_of, deterministic=True)
        self._has_spool = schema.version(connection) > 0
        self._load_tables()

    @classmethod
    def open(cls, path: Path) -> RecordingReader:
        """Open a file; nothing on disk changes.

        Raises:
            RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        """
        connection = connect_for_reading(path)
        try:
            with errors_about(path):
                schema.check(connection, path)
                return cls(connection, path)
        except BaseException:
            connection.close()
            raise

    @property
    def name(self) -> str:
        """What messages call this recording."""
        return str(self.path)

    @property
    def schema_version(self) -> int:
        """Version of our tables; 0 for a file that dimos wrote."""
        return schema.version(self._connection)

    @property
    def self_contained(self) -> bool:
        """Whether the one file is all there is, readable from a read-only folder."""
        return not isinstance(self.path, Path) or not is_wal(read_header(self.path))

    def _load_tables(self) -> None:
        numbers = (
            {info.name: n for n, info in catalog.load_topics(self._connection)}
            if self._has_spool
            else {}
        )
        for info in catalog.load_streams(self._connection):
            if info.name in self._tables:
                continue
            ours = "ts_ns" in schema.columns_of(self._connection, info.name)
            self._tables[info.name] = _Table(info, numbers.get(info.name), ours, None)

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name; of a file that is being recorded, those there are by now."""
        with self._lock, errors_about(self.path):
            if self._has_spool:
                self._load_tables()
            return {name: table.info for name, table in self._tables.items()}

    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """
        return find_stream(self.streams, topic_or_stream, self.name)

    def stats(self, stream: str) -> StreamStats:
        """Count, payload bytes as stored, and extent of a stream."""
        table = self._tables[self.find(stream).name]
        blob = quote_name(f"{table.info.name}_blob")
        with self._lock, errors_about(self.path):
            count, first, last = self._extent(table)
            if table.info.codec == "scalar":
                return StreamStats(count, 8 * count, first, last)
            size = self._one(f"SELECT total(length(data)) FROM {blob}")[0]
            if table.topic is not None:
                size += self._one(
                    "SELECT total(length(data)) FROM _dr_spool WHERE topic = ?", table.topic
                )[0]
        return StreamStats(count, int(size), first, last)

    def _extent(self, table: _Table) -> tuple[int, int | None, int | None]:
        name = quote_name(table.info.name)
        if table.ours:
            count, first, last = self._one(f"SELECT count(*), min(ts_ns), max(ts_ns) FROM {name}")
        else:
            count, first, last = self._one(f"SELECT count(*), min(ts), max(ts) FROM {name}")
            first, last = _to_ns(first), _to_ns(last)
        if table.topic is not None:
            more, earliest, latest = self._one(
                "SELECT count(*), min(ts_ns), max(ts_ns) FROM _dr_spool WHERE topic = ?",
                table.topic,
            )
            if more:
                count += more
                first = earliest if first is None else min(first, earliest)
                last = latest if last is None else max(last, latest)
        return count, first, last

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message; None when there is no message."""
        with self._lock, errors_about(self.path):
            extents = [self._ends(table) for table in self._all_tables()]
        firsts = [first for first, _ in extents if first is not None]
        lasts = [last for _, last in extents if last is not None]
        return (min(firsts), max(lasts)) if firsts else None

    def _ends(self, table: _Table) -> tuple[int | None, int | None]:
        """First and last time of a stream, by two look-ups in its index."""
        name, column = quote_name(table.info.name), "ts_ns" if table.ours else "ts"
        first = self._one(f"SELECT min({column}) FROM {name}")[0]
        last = self._one(f"SELECT max({column}) FROM {name}")[0]
        if not table.ours:
            return _to_ns(first), _to_ns(last)
        if table.topic is not None:
            low, high = self._one(
                "SELECT min(ts_ns), max(ts_ns) FROM _dr_spool WHERE topic = ?", table.topic
            )
            if low is not None:
                first = low if first is None else min(first, low)
                last = high if last is None else max(last, high)
        return first, last

    def _all_tables(self) -> list[_Table]:
        return [self._tables[name] for name in self.streams]

    def sessions(self) -> list[SessionInfo]:
        """The recording sessions with their accounts, oldest first; none in dimos's own files."""
        with self._lock, errors_about(self.path):
            return load_sessions(self._connection) if self._has_spool else []

    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""
        table = self._tables[self.find(stream).name]
        low, high = _bounds(start_ns, end_ns)
        with self._lock, errors_about(self.path):
            source = self._time_source(table)
            count = self._one(
                f"SELECT count(*) FROM {source} t WHERE t.ts_ns >= ? AND t.ts_ns < ?", low, high
            )[0]
            if table.topic is not None:
                count += self._one(
                    "SELECT count(*) FROM _dr_spool WHERE topic = ? AND ts_ns >= ? AND ts_ns < ?",
                    table.topic,
                    low,
                    high,
                )[0]
        return int(count)

    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Messages with ``start_ns <= ts_ns < end_ns`` in order of (ts_ns, id), lazily.

        Finding the first costs O(log n). Each page is a transaction of its own.

        Raises:
            UnknownTopic: there is no such stream.
        """
        table = self._table(stream)
        low, high = _bounds(start_ns, end_ns)
        return self._pages(table, low, high, reverse)

    def _pages(self, table: _Table, low: int, high: int, reverse: bool) -> Iterator[Row]:
        key = (high, -1) if reverse else (low, -1)
        limit = _FIRST_PAGE
        while True:
            rows = self._page(table, low, high, key, reverse, limit)
            yield from rows
            if len(rows) < limit:
                return
            key = (rows[-1].ts_ns, rows[-1].id)
            mean = sum(len(row.data) for row in rows) // len(rows) + 1
            limit = max(1, min(_LARGEST_PAGE, 8 * limit, _PAGE_BYTES // mean))

    def _page(
        self, table: _Table, low: int, high: int, key: tuple[int, int], reverse: bool, limit: int
    ) -> list[Row]:
        """Up to `limit` rows beyond a key, from the stream's table and the spool alike."""
        with self._lock, errors_about(self.path), _ReadTransaction(self._connection):
            if table.topic is None:
                raw = self._stored_page(table, low, high, key, reverse, limit)
            elif reverse:
                raw = self._spooled_page(table, low, high, key, reverse, limit)
                raw += self._stored_page(table, low, high, key, reverse, limit - len(raw))
            else:
                raw = self._stored_page(table, low, high, key, reverse, limit)
                if len(raw) < limit:
                    raw += self._spooled_page(table, low, high, key, reverse, limit - len(raw))
        info, decode = table.info, table.decode
        if decode is None and table.ours:
            return [Row(info, *row) for row in raw]
        return [self._decoded(table, row) for row in raw]

    def _stored_page(
        self, table: _Table, low: int, high: int, key: tuple[int, int], reverse: bool, limit: int
    ) -> list[tuple[Any, ...]]:
        source, blob = self._time_source(table), quote_name(f"{table.info.name}_blob")
        columns = "t.id, t.seq, t.ts_ns, t.stamp_ns, b.data"
        where, order = _beyond("t.", reverse)
        joined = f"{source} t LEFT JOIN {blob} b ON b.id = t.id"
        if not table.ours:
            columns = "t.id, t.id, t.ts_ns, NULL, coalesce(b.data, m.value)"
            joined += f" JOIN {quote_name(table.info.name)} m ON m.id = t.id"
        return self._connection.execute(
            f"SELECT {columns} FROM {joined} WHERE {where} ORDER BY {order} LIMIT ?",
            (low, high, *key, limit),
        ).fetchall()

    def _spooled_page(
        self, table: _Table, low: int, high: int, key: tuple[int, int], reverse: bool, limit: int
    ) -> list[tuple[Any, ...]]:
        where, order = _beyond("", reverse)
        return self._connection.execute(
            f"SELECT id, seq, ts_ns, stamp_ns, data FROM _dr_spool "
            f"WHERE {where} AND topic = ? ORDER BY {order} LIMIT ?",
            (low, high, *key, table.topic, limit),
        ).fetchall()

    def _decoded(self, table: _Table, row: tuple[Any, ...]) -> Row:
        number, seq, ts_ns, stamp, data = row
        if not isinstance(data, bytes):
            data = str(data).encode()
        elif table.decode is not None:
            data = table.decode(data)
        if stamp is None and not table.ours and self._stamp_of(table) is not None:
            stamp = self._stamp_of(table)(data)  # type: ignore[misc]
        return Row(table.info, number, seq, ts_ns, stamp, data)

    def _stamp_of(self, table: _Table) -> Callable[[bytes], int | None] | None:
        return stamp_reader(table.info.type_name)

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time; O(log n)."""
        return next(iter(self.rows(stream, end_ns=ts_ns + 1, reverse=True)), None)

    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily.

        Args:
            order: a column: `id`, `ts`, `seq`, `stamp_ns`, `value`, `pose_x` ...
        """
        table = self._tables[self.find(stream).name]
        rows = meta.source(table.info, table.topic, table.ours)
        if order == "id" and not descending:
            after, limit = 0, _FIRST_PAGE
            while True:
                with self._lock, errors_about(self.path):
                    found = meta.page(self._connection, rows, where, after, limit)
                yield from found
                if len(found) < limit:
                    return
                after, limit = found[-1].id, min(8 * limit, _LARGEST_PAGE)
        with self._lock, errors_about(self.path):
            numbers = meta.ids(self._connection, rows, where, order, descending)
        for chunk in meta.chunks(numbers, 500):
            with self._lock, errors_about(self.path):
                found = meta.by_ids(self._connection, rows, chunk)
            yield from found

    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""
        table = self._tables[self.find(stream).name]
        with self._lock, errors_about(self.path):
            rows = meta.source(table.info, table.topic, table.ours)
            return meta.count(self._connection, rows, where)

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message.

        Raises:
            LookupError: the stream has no message of that number.
        """
        table = self._table(stream)
        blob = quote_name(f"{table.info.name}_blob")
        with self._lock, errors_about(self.path):
            found = self._connection.execute(
                f"SELECT data FROM {blob} WHERE id = ?", (number,)
            ).fetchone()
            if found is None and table.topic is not None:
                found = self._connection.execute(
                    "SELECT data FROM _dr_spool WHERE topic = ? AND id = ?", (table.topic, number)
                ).fetchone()
        if found is None:
            raise LookupError(f"{self.name}: stream {stream} has no message {number}")
        return table.decode(found[0]) if table.decode else bytes(found[0])

    def _table(self, stream: str) -> _Table:
        """A stream's table, with its codec resolved when it is first read."""
        table = self._tables[self.find(stream).name]
        if table.info.codec not in ("lcm", "pickle", "scalar") and table.decode is None:
            codec = codec_for(table.info.codec, table.info.topic)
            table = self._tables[table.info.name] = table._replace(decode=codec.decode)
        return table

    def _time_source(self, table: _Table) -> str:
        """A table (ts_ns, id) in time order: the stream itself, or an index in memory.

        dimos writes no time index, so the first read of a stream of dimos's sorts it once.
        """
        if table.ours:
            return quote_name(table.info.name)
        name = quote_name(f"{table.info.name}_time")
        self._connection.execute("PRAGMA query_only=OFF")
        try:
            self._connection.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {name} "
                f"(ts_ns INTEGER, id INTEGER, PRIMARY KEY (ts_ns, id)) WITHOUT ROWID"
            )
            stream = quote_name(table.info.name)
            newest = self._one(f"SELECT coalesce(max(id), 0) FROM main.{stream}")[0]
            if newest > self._sorted_up_to.get(table.info.name, 0):
                self._connection.execute(
                    f"INSERT INTO temp.{name} SELECT CAST(ROUND(ts * 1e9) AS INTEGER), id "
                    f"FROM main.{stream} WHERE id > ? AND id <= ? ORDER BY ts, id",
                    (self._sorted_up_to.get(table.info.name, 0), newest),
                )
                self._sorted_up_to[table.info.name] = newest
        finally:
            self._connection.execute("PRAGMA query_only=ON")
        return f"temp.{name}"

    def _one(self, sql: str, *arguments: object) -> tuple[Any, ...]:
        return tuple(self._connection.execute(sql, arguments).fetchone())

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        if self._owns:
            with self._lock:
                self._connection.close()

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _ReadTransaction:
    """One snapshot for several statements; rolled back, since it only reads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mine = False

    def __enter__(self) -> None:
        self._mine = not self._connection.in_transaction
        if self._mine:
            self._connection.execute("BEGIN")

    def __exit__(self, *exc: object) -> None:
        if self._mine:
            self._connection.execute("COMMIT")


def find_stream(streams: dict[str, StreamInfo], wanted: str, where: str) -> StreamInfo:
    """The stream that a topic, channel or stream name means.

    Raises:
        UnknownTopic: there is none; the message lists what there is.
    """
    if wanted in streams:
        return streams[wanted]
    for info in streams.values():
        if wanted in (info.topic, info.channel, info.topic.lstrip("/")):
            return info
    known = ", ".join(sorted(info.topic for info in streams.values())) or "none"
    raise UnknownTopic(f"{where} has no topic {wanted!r}; it has: {known}")


_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def _bounds(start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    return (_LOWEST if start_ns is None else start_ns, _HIGHEST if end_ns is None else end_ns)


def _beyond(prefix: str, reverse: bool) -> tuple[str, str]:
    """WHERE and ORDER BY for (low, high, key) in one direction."""
    time, number = f"{prefix}ts_ns", f"{prefix}id"
    compare, direction = ("<", "DESC") if reverse else (">", "ASC")
    where = f"{time} >= ? AND {time} < ? AND ({time}, {number}) {compare} (?, ?)"
    return where, f"{time} {direction}, {number} {direction}"


def _to_ns(ts: float | None) -> int | None:
    return None if ts is None else round(ts * 1e9)

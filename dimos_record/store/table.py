"""How one stream is read: its tables, its time order, pages of its rows."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from dimos_record.errors import CodecError
from dimos_record.messages import stamp_reader
from dimos_record.store import meta, order, schema
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.codecs import PLAIN, codec_for
from dimos_record.store.connection import BadContent, quote_name
from dimos_record.store.malloc import keep_freed_memory
from dimos_record.store.order import HIGHEST, LOWEST, Key
from dimos_record.store.sql_time import to_ns

_PAGE_BYTES = 4_000_000
_CHUNK = 64
_LARGE_BYTES = 128 * 1024
"""From here on glibc gives freed memory back to the system."""
_SAMPLES = 256

RowMaker = Callable[[tuple[Any, ...]], Row]
"""(id, seq, ts_ns, stamp_ns, stored payload) to a row"""


class Span(NamedTuple):
    """Rows with ``low <= ts_ns < high``, in one direction, beyond the last one that was read."""

    low: int
    high: int
    reverse: bool
    after: tuple[int, int]
    """(ts_ns, id)"""

    @classmethod
    def between(cls, start_ns: int | None, end_ns: int | None, reverse: bool = False) -> Span:
        """All rows between two times; None is no limit."""
        low = LOWEST if start_ns is None else start_ns
        high = HIGHEST if end_ns is None else end_ns
        return cls(low, high, reverse, ((high if reverse else low), -1))

    def beyond(self, row: Row) -> Span:
        """What is left after a row; its ends close in, since an index is searched by them alone."""
        if self.reverse:
            return self._replace(high=min(self.high, row.ts_ns + 1), after=(row.ts_ns, row.id))
        return self._replace(low=max(self.low, row.ts_ns), after=(row.ts_ns, row.id))

    def clauses(self, prefix: str = "") -> tuple[str, str]:
        """WHERE, with the parameters low, high and after, and ORDER BY."""
        time, number = f"{prefix}ts_ns", f"{prefix}id"
        compare, direction = ("<", "DESC") if self.reverse else (">", "ASC")
        where = f"{time} >= ? AND {time} < ? AND ({time}, {number}) {compare} (?, ?)"
        return where, f"{time} {direction}, {number} {direction}"


class Page(NamedTuple):
    """Rows in order, and whether they are the last ones."""

    rows: list[Row]
    complete: bool


class StreamTable(NamedTuple):
    """A stream and what its tables look like."""

    info: StreamInfo
    topic: int | None
    """Its number in the spool; None in a recording without one."""
    ours: bool
    """Whether every row has our columns filled in; those that dimos wrote do not."""
    has_blobs: bool
    """Whether there is a table of payloads; dimos makes none for streams of numbers."""
    checked: bool = False
    """Whether rows may have checksums: since version 4."""
    in_order: bool = False
    """Whether times ascend with numbers: then there is no index on time."""

    @property
    def source(self) -> str:
        """The messages without payloads, as a subquery for `meta`."""
        return meta.source(self.info, self.topic, self.ours, self.checked)

    def source_within(self, connection: sqlite3.Connection, span: Span) -> str:
        """The same, without what lies outside a span as far as that is known without an index."""
        if not self.in_order:
            return self.source
        first, end = self._stored_within(connection, span)
        within = f"id >= {first} AND id < {end}"
        return meta.source(self.info, self.topic, self.ours, self.checked, within)

    def _stored_within(self, connection: sqlite3.Connection, span: Span) -> tuple[int, int]:
        """Of a stream in order, the first number in a span, and the one behind the last.

        Only what has been moved from the spool counts.
        """
        name = quote_name(self.info.name)
        first = order.place(connection, name, Key(span.low, LOWEST))
        end = order.place(connection, name, Key(span.high, LOWEST))
        return first, max(first, end)

    def within(self, connection: sqlite3.Connection, span: Span) -> tuple[int, int]:
        """Of a stream in order, the first number in a span, and the one behind the last."""
        first, end = self._stored_within(connection, span)
        if self.topic is None:
            return first, end
        query = (
            "SELECT min(id), max(id) FROM _dr_spool WHERE topic = ? AND ts_ns >= ? AND ts_ns < ?"
        )
        low, high = _one(connection, query, self.topic, span.low, span.high)
        if low is None:
            return first, end
        return (first if first < end else low), high + 1

    def times(self, connection: sqlite3.Connection, span: Span) -> sqlite3.Cursor:
        """(receive time, number) of the messages in a span, in their order."""
        limits = (span.low, span.high)
        query = f"SELECT ts_ns, id FROM {self.source} WHERE ts_ns >= ? AND ts_ns < ?"
        if not self.in_order:
            return connection.execute(f"{query} ORDER BY ts_ns, id", limits)
        numbers = self.within(connection, span)
        return connection.execute(f"{query} AND id >= ? AND id < ? ORDER BY id", limits + numbers)

    def figures(self, connection: sqlite3.Connection) -> tuple[int, int, int | None, int | None]:
        """Count, payload bytes, first and last time."""
        name, blobs = quote_name(self.info.name), quote_name(f"{self.info.name}_blob")
        count = _one(connection, f"SELECT count(*) FROM {name}")[0]
        size = 8 * count
        if self.has_blobs:
            size = _one(connection, f"SELECT total(length(data)) FROM {blobs}")[0]
        if self.topic is not None:
            spooled = "SELECT count(*), total(length(data)) FROM _dr_spool WHERE topic = ?"
            more, more_bytes = _one(connection, spooled, self.topic)
            count, size = count + more, size + more_bytes
        return count, int(size), *self.ends(connection)

    def ends(
        self, connection: sqlite3.Connection, times: str | None = None, span: Span | None = None
    ) -> tuple[int | None, int | None]:
        """First and last time, by two look-ups.

        Args:
            times: a table (ts_ns, id) in the order of time, to look only at ...
            span: ... what is in here.
        """
        within = "1" if span is None else "ts_ns >= ? AND ts_ns < ?"
        limits = () if span is None else (span.low, span.high)
        found = list(self._stored_ends(connection, times, span))
        if self.topic is not None:
            spooled = f"SELECT min(ts_ns), max(ts_ns) FROM _dr_spool WHERE topic = ? AND {within}"
            found += _one(connection, spooled, self.topic, *limits)
        known = [time for time in found if time is not None]
        if not all(isinstance(time, int) for time in known):
            raise BadContent(f"stream {self.info.name} has times that are no numbers")
        return min(known, default=None), max(known, default=None)

    def _stored_ends(
        self, connection: sqlite3.Connection, times: str | None, span: Span | None
    ) -> tuple[int | None, int | None]:
        name = quote_name(self.info.name)
        if self.in_order:
            if span is None:
                return order.ends(connection, name)
            first, end = self._stored_within(connection, span)
            return order.ends(connection, name, f"id >= {first} AND id < {end}")
        columns = ["min(ts_ns)", "max(ts_ns)"]
        if times is None and not self.ours:
            columns = [to_ns("min(ts)"), to_ns("max(ts)")]
        within = "1" if span is None else "ts_ns >= ? AND ts_ns < ?"
        limits = () if span is None else (span.low, span.high)
        first, last = (
            _one(connection, f"SELECT {column} FROM {times or name} WHERE {within}", *limits)[0]
            for column in columns
        )
        return first, last

    def numbers(self, connection: sqlite3.Connection) -> tuple[int | None, int | None]:
        """Lowest and highest number of a message."""
        name = quote_name(self.info.name)
        sources: list[tuple[str, str, tuple[int, ...]]] = [(name, "", ())]
        if self.topic is not None:
            sources.append(("_dr_spool", "WHERE topic = ?", (self.topic,)))
        found = [
            number
            for source, where, arguments in sources
            for end in ("min", "max")
            for number in _one(connection, f"SELECT {end}(id) FROM {source} {where}", *arguments)
            if isinstance(number, int)
        ]
        return min(found, default=None), max(found, default=None)

    def is_dense_with(self, connection: sqlite3.Connection, count: int) -> bool:
        """Whether so many messages have numbers without gaps between the lowest and the highest."""
        first, last = self.numbers(connection)
        return count == (0 if first is None or last is None else last - first + 1)

    def count_in(self, connection: sqlite3.Connection, times: str, span: Span) -> int:
        """How many rows are in a span."""
        within, limits = "ts_ns >= ? AND ts_ns < ?", (span.low, span.high)
        if self.in_order:
            within, limits = "id >= ? AND id < ?", self._stored_within(connection, span)
        count = _one(connection, f"SELECT count(*) FROM {times} WHERE {within}", *limits)[0]
        if self.topic is not None:
            query = "SELECT count(*) FROM _dr_spool WHERE topic = ? AND ts_ns >= ? AND ts_ns < ?"
            count += _one(connection, query, self.topic, span.low, span.high)[0]
        return int(count)

    def ranks(
        self, connection: sqlite3.Connection, times: str, at_ns: Sequence[int], dense: bool
    ) -> list[int]:
        """How many rows lie before each of these times, which ascend.

        Args:
            dense: whether numbers are known to have no gaps.
        """
        first, last = _one(
            connection, f"SELECT (SELECT min(id) FROM {times}), (SELECT max(id) FROM {times})"
        )
        stored = [0] * len(at_ns)
        if self.in_order and first is not None:
            places = [order.place(connection, times, Key(time, LOWEST)) for time in at_ns]
            stored = [number - first for number in places]
            if not dense:
                stored = self._counted(connection, times, "id", [first, *places])
        elif last is not None and self._is_dense(connection, first, last):
            query = f"SELECT id FROM {times} WHERE ts_ns >= ? ORDER BY ts_ns, id LIMIT 1"
            found = (connection.execute(query, (time,)).fetchone() for time in at_ns)
            stored = [(row[0] if row else last + 1) - first for row in found]
        elif last is not None:
            stored = self._counted(connection, times, "ts_ns", [LOWEST, *at_ns])
        if self.topic is None:
            return stored
        query = "SELECT ts_ns FROM _dr_spool WHERE topic = ? ORDER BY ts_ns"
        spooled = [row[0] for row in connection.execute(query, (self.topic,))]
        return [rank + bisect_left(spooled, time) for rank, time in zip(stored, at_ns, strict=True)]

    @staticmethod
    def _counted(
        connection: sqlite3.Connection, times: str, column: str, borders: Sequence[int]
    ) -> list[int]:
        """How many rows lie between the first border and each of the others, which ascend."""
        query = f"SELECT count(*) FROM {times} WHERE {column} >= ? AND {column} < ?"
        return list(accumulate(_one(connection, query, *pair)[0] for pair in pairwise(borders)))

    def _is_dense(self, connection: sqlite3.Connection, first: int, last: int) -> bool:
        """Whether numbers have no gaps and follow time, as far as samples tell."""
        if not (self.ours and isinstance(first, int) and isinstance(last, int)):
            return False
        steps = min(_SAMPLES, last - first)
        numbers = [first + (last - first) * step // max(1, steps) for step in range(steps + 1)]
        query = f"SELECT ts_ns FROM {quote_name(self.info.name)} WHERE id = ?"
        found = [connection.execute(query, (number,)).fetchone() for number in numbers]
        times = [row[0] for row in found if row is not None and isinstance(row[0], int)]
        return len(times) == len(numbers) and times == sorted(times)

    def sizes(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages."""
        sources = []
        if self.has_blobs:
            sources.append(f"{quote_name(f'{self.info.name}_blob')} WHERE id = ?")
        if self.topic is not None:
            sources.append(f"_dr_spool WHERE topic = {self.topic} AND id = ?")
        if not sources:
            return [8] * len(numbers)
        sizes = []
        for number in numbers:
            asked = (f"SELECT length(data) FROM {source}" for source in sources)
            found = (connection.execute(query, (number,)).fetchone() for query in asked)
            sizes.append(next((int(row[0] or 0) for row in found if row is not None), 0))
        return sizes

    def bytes_in(self, connection: sqlite3.Connection, times: str, span: Span) -> int:
        """Bytes of all stored payloads in a span."""
        limits = (span.low, span.high)
        if not self.has_blobs:
            return 8 * self.count_in(connection, times, span)
        blobs = quote_name(f"{self.info.name}_blob")
        if self.in_order:
            numbers = self._stored_within(connection, span)
            query = f"SELECT total(length(data)) FROM {blobs} WHERE id >= ? AND id < ?"
            size = _one(connection, query, *numbers)[0]
        else:
            size = _one(
                connection,
                f"SELECT total(length(b.data)) FROM {times} t JOIN {blobs} b ON b.id = t.id "
                f"WHERE t.ts_ns >= ? AND t.ts_ns < ?",
                *limits,
            )[0]
        if self.topic is not None:
            query = (
                "SELECT total(length(data)) FROM _dr_spool "
                "WHERE topic = ? AND ts_ns >= ? AND ts_ns < ?"
            )
            size += _one(connection, query, self.topic, *limits)[0]
        return int(size)

    def page(
        self, connection: sqlite3.Connection, times: str, span: Span, limit: int, make: RowMaker
    ) -> Page:
        """The next rows of a span, from the stream's tables and the spool alike.

        Args:
            times: a table (ts_ns, id) in the order of time.
            limit: how many rows at most; of large ones it will be fewer.
        """
        stored = self._stored(connection, times, span, limit, make)
        if self.topic is None:
            return stored
        spooled = self._spooled(connection, span, limit, make)
        return _merged(stored, spooled, span.reverse) if spooled.rows else stored

    def _stored(
        self, connection: sqlite3.Connection, times: str, span: Span, limit: int, make: RowMaker
    ) -> Page:
        where, sorting = span.clauses("t.")
        limits = (span.low, span.high, *span.after)
        if self.in_order:
            where = "t.id >= ? AND t.id < ? AND t.ts_ns >= ? AND t.ts_ns < ?"
            sorting = f"t.id {'DESC' if span.reverse else 'ASC'}"
            limits = (*self._left(connection, span), span.low, span.high)
        joined, row = f"{times} t", "t"
        if not self.ours:
            joined, row = f"{joined} JOIN {quote_name(self.info.name)} m ON m.id = t.id", "m"
        payload = f"{row}.value"
        if self.has_blobs:
            joined += f" LEFT JOIN {quote_name(f'{self.info.name}_blob')} b ON b.id = t.id"
            payload = f"coalesce(CAST(b.data AS BLOB), {payload})"
        if self.ours and self.info.codec in PLAIN:
            payload = f"CAST({payload} AS BLOB)"
        seq, stamp = ("coalesce(t.seq, 0)", "t.stamp_ns") if self.ours else ("t.id", "NULL")
        columns = f"t.id, CAST({seq} AS INTEGER), t.ts_ns, CAST({stamp} AS INTEGER), {payload}"
        query = f"SELECT {columns} FROM {joined} WHERE {where} ORDER BY {sorting} LIMIT ?"
        with closing(connection.execute(query, (*limits, limit))) as found:
            page = _fetched(found, limit, make)
        if self.in_order and page.rows:
            _check_order([span.after, _key(page.rows[0]), _key(page.rows[-1])], span.reverse)
        return page

    def _left(self, connection: sqlite3.Connection, span: Span) -> tuple[int, int]:
        """Of a stream in order, the first number that is left, and the one behind the last."""
        name, (ts_ns, last) = quote_name(self.info.name), span.after
        if span.reverse:
            first = order.place(connection, name, Key(span.low, LOWEST))
            return first, order.place(connection, name, Key(ts_ns, last), near=last)
        end = HIGHEST
        if span.high != HIGHEST:
            end = order.place(connection, name, Key(span.high, LOWEST))
        return order.place(connection, name, Key(ts_ns, last + 1), near=last), end

    def _spooled(
        self, connection: sqlite3.Connection, span: Span, limit: int, make: RowMaker
    ) -> Page:
        where, sorting = span.clauses()
        query = (
            "SELECT id, CAST(coalesce(seq, 0) AS INTEGER), ts_ns, "
            "CAST(stamp_ns AS INTEGER), CAST(data AS BLOB) FROM _dr_spool "
            f"WHERE {where} AND topic = ? ORDER BY {sorting} LIMIT ?"
        )
        parameters = (span.low, span.high, *span.after, self.topic, limit)
        with closing(connection.execute(query, parameters)) as found:
            return _fetched(found, limit, make)

    def payload(self, connection: sqlite3.Connection, number: int) -> Any:
        """The payload of one message as stored; None if there is no such message."""
        queries = []
        if self.has_blobs:
            queries.append(f"SELECT data FROM {quote_name(f'{self.info.name}_blob')} WHERE id = ?")
        if self.topic is not None:
            queries.append(f"SELECT data FROM _dr_spool WHERE topic = {self.topic} AND id = ?")
        queries.append(f"SELECT value FROM {quote_name(self.info.name)} WHERE id = ?")
        for query in queries:
            row = connection.execute(query, (number,)).fetchone()
            if row is not None and row[0] is not None:
                return row[0]
        return None

    def decoder(self) -> Callable[[Any], bytes]:
        """A function from stored payloads to wire bytes; numbers become text.

        Raises:
            CodecError: nobody knows the codec.
            MissingExtra: the codec needs a package that is not installed.
        """
        info = self.info
        decode = None if info.codec in PLAIN else codec_for(info.codec, info.topic).decode

        def to_wire(data: Any) -> bytes:
            if not isinstance(data, bytes):
                return str(data).encode()
            return data if decode is None else decode(data)

        return to_wire

    def row_maker(self, where: str) -> RowMaker:
        """A function that makes rows of what is stored.

        Args:
            where: what messages call the recording.

        Raises:
            CodecError, MissingExtra
        """
        info, decode = self.info, self.decoder()
        stamp_of = None if self.ours else stamp_reader(info.type_name)
        if self.ours and info.codec in PLAIN:
            return lambda found: Row(info, *found)

        def make(found: tuple[Any, ...]) -> Row:
            number, seq, ts_ns, stamp, data = found
            if data is None:
                raise BadContent(f"message {number} of {info.topic} has no payload")
            try:
                data = decode(data)
            except CodecError as error:
                raise CodecError(f"{where}: message {number} of {info.topic}: {error}") from error
            if stamp_of is not None:
                stamp = stamp_of(data)
            return Row(info, number, seq, ts_ns, stamp, data)

        return make


class TimeIndexes:
    """Time order of streams that have no index, kept in memory: dimos writes none."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sorted_up_to: dict[str, int] = {}

    def of(self, table: StreamTable) -> str:
        """A table (ts_ns, id) in time order; the first look at a stream of dimos's sorts it."""
        name = table.info.name
        if table.ours:
            return quote_name(name)
        stream = f"main.{quote_name(name)}"
        index = f"temp.{quote_name(schema.time_index(name))}"
        newest = _one(self._connection, f"SELECT coalesce(max(id), 0) FROM {stream}")[0]
        done = self._sorted_up_to.get(name, 0)
        if name in self._sorted_up_to and newest <= done:
            return index
        self._connection.execute("PRAGMA query_only=OFF")
        try:
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {index} "
                f"(ts_ns INTEGER, id INTEGER, PRIMARY KEY (ts_ns, id)) WITHOUT ROWID"
            )
            self._connection.execute(
                f"INSERT INTO {index} SELECT {to_ns('ts')}, id FROM {stream} "
                f"WHERE id > ? AND id <= ? ORDER BY ts, id",
                (done, newest),
            )
        finally:
            self._connection.execute("PRAGMA query_only=ON")
        self._sorted_up_to[name] = newest
        return index


def _fetched(found: sqlite3.Cursor, limit: int, make: RowMaker) -> Page:
    """Rows up to a number and a size, so that a page of images does not fill the memory."""
    rows: list[Row] = []
    size, fit = 0, 1
    while len(rows) < limit and size < _PAGE_BYTES:
        chunk = [make(row) for row in found.fetchmany(min(fit, limit - len(rows)))]
        if not chunk:
            return Page(rows, True)
        rows += chunk
        try:
            size += sum([len(row.data) for row in chunk])
        except TypeError:
            raise BadContent("messages without payload") from None
        fit = min(_CHUNK, 1 + (_PAGE_BYTES - size) * len(rows) // (size + 1))
        if size > _LARGE_BYTES * len(rows):
            keep_freed_memory()
    return Page(rows, False)


def _key(row: Row) -> tuple[int, int]:
    return row.ts_ns, row.id


def _check_order(keys: list[tuple[int, int]], reverse: bool) -> None:
    """Refuse what somebody has changed without a look at its order: reading would never end."""
    if keys != sorted(keys, reverse=reverse):
        raise BadContent("a stream without index on time whose messages are not in its order")


def _merged(first: Page, second: Page, reverse: bool) -> Page:
    """Two pages in one order, as far as both reach."""
    rows = sorted(first.rows + second.rows, key=_key, reverse=reverse)
    ends = [_key(page.rows[-1]) for page in (first, second) if not page.complete]
    if not ends:
        return Page(rows, True)
    end = max(ends) if reverse else min(ends)
    kept = [row for row in rows if (_key(row) >= end if reverse else _key(row) <= end)]
    return Page(kept, False)


def _one(connection: sqlite3.Connection, sql: str, *arguments: object) -> tuple[Any, ...]:
    return tuple(connection.execute(sql, arguments).fetchone())

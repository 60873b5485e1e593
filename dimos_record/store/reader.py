"""Reading one recording file, ours or dimos's, finished, killed or being written.

Every read is a short transaction of its own, so that a reader never holds a recorder's log back.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import UnknownTopic
from dimos_record.store import catalog, edits, meta, schema
from dimos_record.store.base import (
    LogLine,
    Marker,
    Row,
    SessionInfo,
    StoreReader,
    StreamInfo,
    StreamStats,
)
from dimos_record.store.carried import Carried, hide, load_carried, skipped
from dimos_record.store.connection import (
    ReadConnection,
    connect_for_reading,
    errors_about,
    is_wal,
    only_numbers,
    read_header,
)
from dimos_record.store.edits import Edit
from dimos_record.store.intervals import Intervals
from dimos_record.store.meta import MetaRow, Where
from dimos_record.store.sessions import load_sessions, log_page
from dimos_record.store.table import Page, RowMaker, Span, StreamTable, TimeIndexes
from dimos_record.store.totals import Totals, load_totals

_FIRST_PAGE, _LARGEST_PAGE = 16, 4096


class Known(NamedTuple):
    """What is asked most often about a file, by name of the stream where it is about streams."""

    version: tuple[int, int]
    """Of the file, as its reader tells it from others."""
    streams: dict[str, StreamInfo]
    ends: dict[str, tuple[int, int]]
    """First and last receive time."""
    numbers: dict[str, tuple[int, int]]
    """Lowest and highest message number."""
    origin_ns: int
    skips: list[tuple[int, int]]
    sessions: list[SessionInfo]
    markers: list[Marker]
    schema_version: int


class RecordingReader:
    """A recording file opened for reading. Safe to use from several threads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | str,
        *,
        lock: threading.RLock | None = None,
        owns: bool = True,
        whole: bool = True,
    ) -> None:
        self.path = path
        self._whole = whole
        self._carried: Carried = {}
        self._opened = 0
        self._released = False
        self._lock = lock or threading.RLock()
        self._owns = owns
        self._use(connection)

    @classmethod
    def open(cls, path: Path, *, whole: bool = True) -> RecordingReader:
        """Open a file; nothing on disk changes.

        Args:
            whole: show also the state that a segment carries from those before it.

        Raises:
            RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
        """
        connection = connect_for_reading(path)
        try:
            return cls(connection, path, whole=whole)
        except BaseException:
            connection.close()
            raise

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._opened += 1
        self._times = TimeIndexes(connection)
        self._tables: dict[str, StreamTable] = {}
        self._tables_version: int | None = None
        self._origin: tuple[tuple[int, int], int] | None = None
        """How often the file has been changed by others and by us, and position 0 then."""
        self._totals: tuple[tuple[int, int], Totals] | None = None
        """The same, and what was known then of how much there is."""
        connection.create_function("dr_tag", 2, meta.tag_of, deterministic=True)
        with self._reading() as current:  # another one, if the file has just been finished
            schema.check(current, self.path)
            self._load_tables()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for several statements, with errors that name the recording."""
        with self._lock, errors_about(self.path), only_numbers(self.path):
            if self._released:
                self._reopen()
            connection = self._connection
            if connection.in_transaction:
                yield connection
                return
            if isinstance(connection, ReadConnection) and connection.is_outdated():
                self._reopen()
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def _reopen(self) -> None:
        """The file was released, or somebody records into one that nobody had open: look anew."""
        fresh = connect_for_reading(Path(self.path))
        self._connection.close()
        self._released = False
        self._use(fresh)

    @property
    def name(self) -> str:
        """What messages call this recording."""
        return str(self.path)

    @property
    def schema_version(self) -> int:
        """Version of our tables; 0 for a file that dimos wrote."""
        with self._reading() as connection:
            return schema.version(connection)

    @property
    def self_contained(self) -> bool:
        """Whether the one file is all there is, readable from a read-only folder."""
        return not isinstance(self.path, Path) or not is_wal(read_header(self.path))

    def _load_tables(self) -> None:
        """Find the streams, if any table was created since they were last looked for."""
        version = self._connection.execute("PRAGMA schema_version").fetchone()[0]
        if version != self._tables_version:
            self._carried = load_carried(self._connection)
            if not self._whole:
                hide(self._connection, self._carried)
            self._tables = {t.info.name: t for t in catalog.load_tables(self._connection)}
            self._tables_version = version

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name; of a file that is being recorded, those there are by now."""
        with self._reading():
            self._load_tables()
            return {name: table.info for name, table in self._tables.items()}

    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """
        return find_stream(self.streams, topic_or_stream, self.name)

    def _table(self, topic_or_stream: str) -> StreamTable:
        with self._reading():
            self._load_tables()
            known = self._tables.get(topic_or_stream)
            return known or self._tables[self.find(topic_or_stream).name]

    def stats(self, stream: str) -> StreamStats:
        """Count, payload bytes as stored, and extent of a stream."""
        with self._reading() as connection:
            table = self._table(stream)
            known = self._known_totals(connection).get(table.info.name)
            if known is not None and table.is_dense_with(connection, known[0]):
                return StreamStats(*known, *table.ends(connection))
            return StreamStats(*table.figures(connection))

    def _known_totals(self, connection: sqlite3.Connection) -> Totals:
        as_of = _changes(connection)
        if self._totals is None or self._totals[0] != as_of:
            self._totals = as_of, load_totals(connection, self.path) or {}
        return self._totals[1]

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message; None when there is no message.

        Messages inside skips do not count.
        """
        return span_between_skips(self)

    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        """Times of the first and the last message with ``start_ns <= ts_ns < end_ns``; O(log n)."""
        with self._reading() as connection:
            table = self._table(stream)
            if start_ns is None and end_ns is None:
                first, last = table.ends(connection)
            else:
                span = Span.between(start_ns, end_ns)
                first, last = table.ends(connection, self._times.of(table), span)
        return None if first is None or last is None else (first, last)

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        """How many messages of a stream lie before each of these times, which ascend.

        O(log n) each where numbers are dense and follow time; else they are counted.
        """
        with self._reading() as connection:
            table = self._table(stream)
            known = self._known_totals(connection).get(table.info.name)
            dense = known is not None and table.is_dense_with(connection, known[0])
            return table.ranks(connection, self._times.of(table), times_ns, dense)

    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages, without loading them; 0 where there is none."""
        table = self._table(stream)
        with self._reading() as connection:
            return table.sizes(connection, numbers)

    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """Bytes of all stored payloads with ``start_ns <= ts_ns < end_ns``; O(n)."""
        with self._reading() as connection:
            table = self._table(stream)
            return table.bytes_in(connection, self._times.of(table), Span.between(start_ns, end_ns))

    def copy_into(self, connection: sqlite3.Connection) -> None:
        """Copy the whole database, for what needs a file."""
        with self._reading() as own:
            own.backup(connection)

    def origin_ns(self) -> int:
        """Position 0: when the first message was received, as recorded; 0 without messages."""
        with self._reading() as connection:
            as_of = _changes(connection)
            if self._origin is None or self._origin[0] != as_of:
                self._origin = as_of, self._find_origin(connection)
            return self._origin[1]

    def _find_origin(self, connection: sqlite3.Connection) -> int:
        stored = edits.origin_ns(connection) if self._has_edits(connection) else None
        if stored is not None:
            return stored
        self._load_tables()
        ends = [table.ends(connection)[0] for table in self._tables.values()]
        return min((first for first in ends if first is not None), default=0)

    def skips(self) -> list[tuple[int, int]]:
        """Sections ``[a, b)`` that were cut before the file was saved, in order.

        In a segment also the time before it, of which only the state is there.
        """
        with self._reading() as connection:
            found = edits.load_skips(connection) if self._has_edits(connection) else []
            self._load_tables()
            if not (self._whole and self._carried):
                return found
            others = self._tables.keys() - self._carried.keys()
            return list(Intervals.of([*found, *skipped(connection, self._carried, others)]))

    def markers(self) -> list[Marker]:
        """Labelled instants and intervals, in the order of time."""
        with self._reading() as connection:
            return edits.load_markers(connection) if self._has_edits(connection) else []

    def edits(self) -> list[Edit]:
        """The edits that are not saved, and those that were undone, oldest first."""
        with self._reading() as connection:
            return edits.load_edits(connection) if self._has_edits(connection) else []

    @staticmethod
    def _has_edits(connection: sqlite3.Connection) -> bool:
        return schema.version(connection) >= schema.EDITS_SINCE

    def last_numbers(self) -> tuple[Counter[str], int]:
        """The highest message id per channel, and the highest arrival number."""
        with self._reading() as connection:
            ids = Counter(
                {
                    table.info.channel: catalog.last_id(connection, name, table.topic)
                    for name, table in self._tables.items()
                }
            )
            return ids, catalog.last_seq(connection) if schema.version(connection) else 0

    def known(self) -> Known:
        """What is asked most often, at once."""
        with self._reading() as connection:
            self._load_tables()
            numbers = {n: t.numbers(connection) for n, t in self._tables.items()}
            ends = {name: table.ends(connection) for name, table in self._tables.items()}
            return Known(
                self._version(connection),
                {name: table.info for name, table in self._tables.items()},
                {n: (a, b) for n, (a, b) in ends.items() if a is not None and b is not None},
                {n: (a, b) for n, (a, b) in numbers.items() if a is not None and b is not None},
                self.origin_ns(),
                self.skips(),
                self.sessions(),
                self.markers(),
                schema.version(connection),
            )

    def is_as_of(self, known: Known) -> bool:
        """Whether nothing was written since."""
        with self._reading() as connection:
            return self._version(connection) == known.version

    def _version(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Changes whenever somebody else writes to the file, or this one opens it anew."""
        return self._opened, connection.execute("PRAGMA data_version").fetchone()[0]

    def sessions(self) -> list[SessionInfo]:
        """The recording sessions with their accounts, oldest first; none in dimos's own files."""
        with self._reading() as connection:
            return load_sessions(connection) if schema.version(connection) else []

    def log_lines(self) -> Iterator[LogLine]:
        """What the recorded program has logged, in the order of writing, lazily."""
        after, complete = 0, False
        while not complete:
            with self._reading() as connection:
                if schema.version(connection) < schema.LOG_SINCE:
                    return
                found = log_page(connection, after, _LARGEST_PAGE)
            yield from (line for _, line in found)
            complete = len(found) < _LARGEST_PAGE
            after = found[-1][0] if found else after

    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""
        with self._reading() as connection:
            table = self._table(stream)
            return table.count_in(connection, self._times.of(table), Span.between(start_ns, end_ns))

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
            CodecError, MissingExtra: its payloads cannot be read here.
        """
        table = self._table(stream)
        make = table.row_maker(self.name)
        return in_pages(
            lambda span, limit: self._page(table.info.name, span, limit, make),
            Span.between(start_ns, end_ns, reverse),
        )

    def page(self, stream: str, span: Span, limit: int) -> Page:
        """The next rows of a span, at most so many."""
        make = self._table(stream).row_maker(self.name)
        return self._page(stream, span, limit, make)

    def _page(self, stream: str, span: Span, limit: int, make: RowMaker) -> Page:
        with self._reading() as connection:
            table = self._table(stream)  # as it is now: whether it is in order may change
            return table.page(connection, self._times.of(table), span, limit, make)

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time; O(log n)."""
        span = Span.between(None, ts_ns + 1, reverse=True)
        return next(iter(self.page(stream, span, 1).rows), None)

    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily.

        Args:
            order: a column: `id`, `ts`, `seq`, `stamp_ns`, `value`, `pose_x` ...
        """
        if order == "id" and not descending:
            after, limit = 0, _FIRST_PAGE
            while True:
                with self._reading() as connection:
                    source = self._source(connection, stream, where)
                    found = meta.page(connection, source, where, after, limit)
                yield from found
                if len(found) < limit:
                    return
                after, limit = found[-1].id, min(8 * limit, _LARGEST_PAGE)
        with self._reading() as connection:
            if order == "ts" and self._table(stream).in_order:
                order = "id"
            source = self._source(connection, stream, where)
            numbers = meta.ids(connection, source, where, order, descending)
        for chunk in meta.chunks(numbers, 500):
            with self._reading() as connection:
                source = meta.shifted(self._table(stream).source, where.shift_ns)
                found = meta.by_ids(connection, source, chunk)
            yield from found

    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""
        with self._reading() as connection:
            return meta.count(connection, self._source(connection, stream, where), where)

    def _source(self, connection: sqlite3.Connection, stream: str, where: Where) -> str:
        """A subquery with the messages of a stream among which those that meet a condition are."""
        table, source = self._table(stream), self._table(stream).source
        if where.has_limits:
            shift_ns = where.shift_ns
            span = Span.between(where.low_ns - shift_ns, where.high_ns - shift_ns + 1)
            source = table.source_within(connection, span)
        return meta.shifted(source, where.shift_ns)

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message.

        Raises:
            LookupError: the stream has no message of that number.
        """
        table = self._table(stream)
        with self._reading() as connection:
            found = table.payload(connection, number)
        if found is None:
            raise LookupError(f"{self.name}: stream {stream} has no message {number}")
        return table.decoder()(found)

    def release(self) -> None:
        """Let go of the file for now: it is opened again when something is asked for next."""
        if self._owns:
            with self._lock:
                self._connection.close()
                self._released = True

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        if self._owns:
            with self._lock:
                self._connection.close()
                self._released = False

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _changes(connection: sqlite3.Connection) -> tuple[int, int]:
    """How often a file has been changed by others and by us, as far as can be told from here."""
    return connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes


def in_pages(page: Callable[[Span, int], Page], span: Span) -> Iterator[Row]:
    """The rows of a span, a page at a time, which grow.

    Args:
        page: gives the next rows of a span, at most so many.
    """
    limit, complete = _FIRST_PAGE, False
    while not complete:
        rows, complete = page(span, limit)
        yield from rows
        if rows:
            span = span.beyond(rows[-1])
        limit = min(_LARGEST_PAGE, 8 * limit)


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


def span_between_skips(reader: StoreReader) -> tuple[int, int] | None:
    """Times of the first and the last message of a recording that lie in no skip."""
    skips = Intervals.of(reader.skips())
    found = (_ends_between(reader, stream, skips) for stream in reader.streams)
    ends = [one for one in found if one is not None]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _ends_between(reader: StoreReader, stream: str, skips: Intervals) -> tuple[int, int] | None:
    """Times of the first and the last message of a stream that lie in no skip."""
    ends = reader.ends(stream)
    while ends is not None and (hole := skips.around(ends[0])):
        ends = reader.ends(stream, hole[1], None)
    if ends is None:
        return None
    first, last = ends
    while (hole := skips.around(last)) is not None:
        ends = reader.ends(stream, first, hole[0])
        last = first if ends is None else ends[1]
    return first, last

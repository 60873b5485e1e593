"""The streams that a recording is written to, and what is taken back when a transaction fails.

A transaction costs what the streams cost that it touches, however many others there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from dimos_record.store import catalog, schema
from dimos_record.store.base import StreamInfo, StreamSource
from dimos_record.store.codecs import CHOOSABLE
from dimos_record.store.connection import PAGE_SIZE
from dimos_record.store.stream_writer import StreamMark, StreamWriter


class StreamSet:
    """The streams by channel. Whoever changes one in a transaction touches it first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._streams: dict[str, StreamWriter] = {}
        self.taken: set[str] = set()
        """Names that no new stream can have, in lower case."""
        self.version = 0
        """SQLite's data version that belongs to what is known here."""
        self.spool_bytes = 0
        """What the spool takes in memory."""
        self._unsaved: dict[str, StreamWriter] = {}
        self.begin()

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> StreamSet:
        """Learn the streams of a file, and where their numbers stand; in a transaction."""
        loaded = cls(connection)
        loaded.taken = catalog.taken_names(connection)
        spooled = catalog.spooled(connection)  # at once: it has no index on topics
        for topic, info in catalog.load_topics(connection):
            if info.codec not in CHOOSABLE and not (info.codec == "pickle" and info.bus):
                continue  # only dimos writes it: new messages of that topic get another stream
            adopted = catalog.complete_rows(connection, info.name)
            rows = spooled.get(topic, [])
            last = max([catalog.last_id(connection, info.name, None), *[row[1] for row in rows]])
            stream = StreamWriter(info, topic, last, adopted=adopted)
            stream.spool = rows
            stream.learn_order(connection)
            loaded._streams[info.channel] = stream
        loaded.version = data_version(connection)
        return loaded

    def __iter__(self) -> Iterator[StreamWriter]:
        return iter(self._streams.values())

    def __contains__(self, channel: str) -> bool:
        return channel in self._streams

    def __getitem__(self, channel: str) -> StreamWriter:
        """The stream of a channel, to look at."""
        return self._streams[channel]

    def begin(self) -> None:
        """Note where things stand: a transaction begins."""
        self.touched: dict[str, StreamWriter] = {}
        """Streams that the transaction may change, or has added."""
        self._marks: dict[str, StreamMark] = {}
        self._before = self._unsaved, self.spool_bytes

    def touch(self, channel: str) -> StreamWriter:
        """The stream of a channel, to be changed in the transaction that is under way.

        Raises:
            KeyError: there is none.
        """
        stream = self._streams[channel]
        if channel not in self.touched:
            self._marks[channel] = stream.mark()
            self.touched[channel] = stream
        return stream

    def add(self, info: StreamInfo, source: StreamSource | None, last_id: int) -> StreamWriter:
        """Create a stream.

        Args:
            source: what is known of where it comes from.
            last_id: its messages get higher numbers.
        """
        schema.create_stream(self._connection, info.name)
        topic = catalog.save_topic(self._connection, info, source)
        stream = StreamWriter(info, topic, last_id)
        stream.state = {} if info.latched else None
        self._streams[info.channel] = self.touched[info.channel] = stream
        self._unsaved[info.channel] = stream
        self.taken.add(info.name.lower())
        return stream

    def go_back(self) -> None:
        """Return to where things stood: the transaction failed."""
        self._unsaved, self.spool_bytes = self._before
        for channel, stream in self.touched.items():
            if channel in self._marks:
                stream.restore(self._marks[channel])
            else:
                del self._streams[channel]
                self._unsaved.pop(channel, None)
                self.taken.discard(stream.info.name.lower())

    def expect(self, start_ns: int) -> None:
        """Get ready for messages from a time on."""
        for channel in self._streams:
            self.touch(channel).expect(self._connection, start_ns)

    def insert_pending(self) -> int:
        """Write the pending rows: little into the spool, much into the stream's own tables.

        Returns:
            Bytes of payload.
        """
        spool: list[tuple[Any, ...]] = []
        written = 0
        for stream in self.touched.values():
            if not stream.pending:
                continue
            written += stream.pending_bytes
            if stream.pending_bytes < PAGE_SIZE:
                spool += self._spooled(stream)
            else:
                self.insert_directly(stream)
        if spool:
            self._connection.executemany(
                "INSERT INTO _dr_spool (seq, topic, id, ts_ns, stamp_ns, crc, data) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                spool,
            )
        return written

    def _spooled(self, stream: StreamWriter) -> list[tuple[Any, ...]]:
        self._unsaved[stream.info.channel] = stream
        before = stream.spool_bytes
        rows = stream.spool_pending(self._connection)
        self.spool_bytes += stream.spool_bytes - before
        return [(row[0], stream.topic, *row[1:]) for row in rows]

    def insert_directly(self, stream: StreamWriter) -> None:
        """Write the pending rows of a touched stream into its own tables."""
        self._unsaved[stream.info.channel] = stream
        self.empty_spool(stream)
        stream.insert(self._connection, stream.take_pending(self._connection))

    def empty_spool(self, stream: StreamWriter) -> None:
        """Move what a touched stream has in the spool, so that later messages can follow it."""
        if stream.spool:
            moved = [(row[0],) for row in stream.spool]
            self.spool_bytes -= stream.spool_bytes
            stream.unspool(self._connection)
            self._connection.executemany("DELETE FROM _dr_spool WHERE seq = ?", moved)

    def drain(self) -> None:
        """Move all of the spool into the streams' own tables."""
        spooled = [channel for channel, stream in self._streams.items() if stream.spool]
        for channel in spooled:
            self.touch(channel).unspool(self._connection)
        if spooled:
            self._connection.execute("DELETE FROM _dr_spool")
        self.spool_bytes = 0

    def begin_accounts(self) -> None:
        """Start new accounts: those of a session."""
        for stream in self:
            stream.begin_account()
        self._unsaved = dict(self._streams)

    def take_unsaved(self, also: Iterable[str]) -> dict[str, StreamWriter]:
        """The streams whose accounts have changed since this was last asked for.

        Args:
            also: channels that count as changed, too, if there is a stream.
        """
        changed, self._unsaved = self._unsaved, {}
        return changed | {channel: self[channel] for channel in also if channel in self}


def data_version(connection: sqlite3.Connection) -> int:
    """Changes whenever somebody else has written to the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])

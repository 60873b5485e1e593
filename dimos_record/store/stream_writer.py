"""The writing side of one stream: its pending rows, its account, its SQL."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import NamedTuple

from dimos_record.messages import stamp_reader
from dimos_record.store import order, schema
from dimos_record.store.base import StreamAccount, StreamInfo
from dimos_record.store.bulk import insert_rows
from dimos_record.store.checksum import checksum, seed_of
from dimos_record.store.codecs import PLAIN, codec_for
from dimos_record.store.connection import BadContent, quote_name
from dimos_record.store.latched import parts
from dimos_record.store.order import LOWEST

STAMP_JUMP_NS = 1_000_000_000
"""A header stamp that moves this much further or less than the receive time has jumped."""

_ROW_BYTES = 300
"""Roughly what Python needs for a row besides its payload."""

Pending = tuple[int, int, int, "int | None", "int | None", bytes]
"""(seq, id, ts_ns, stamp_ns, checksum, stored payload)"""


class StreamMark(NamedTuple):
    """Where a stream stood before a transaction."""

    last_id: int
    last_ns: int
    last_stamp: int | None
    spool: list[Pending]
    spooled: int
    spool_bytes: int
    account: StreamAccount
    state: dict[str, int] | None
    in_order: bool
    newest_ns: int


class StreamWriter:
    """Turns the messages of one stream into rows and counts them."""

    def __init__(
        self, info: StreamInfo, topic: int, last_id: int, *, adopted: bool = False
    ) -> None:
        self.info = info
        self.topic = topic
        self.last_id = last_id
        self.spool: list[Pending] = []
        """What is committed to the spool and not yet in the stream's own tables."""
        self.spool_bytes = 0
        """What it takes in memory."""
        self.pending: list[Pending] = []
        self.pending_bytes = 0
        self.account = StreamAccount()
        self._before = (0, 0)
        """Messages and bytes that were written before this account began."""
        self.state: dict[str, int] | None = None
        """Of a latched stream, the numbers of the messages that are its state, by what they are the
        state of (see `latched.parts`); None where that is not known."""
        self.in_order = True
        """Whether the stream has no index on time, and needs none: see `order`."""
        self.newest_ns = LOWEST
        """Of a stream in order, when the last message was received."""
        self._stamp_of = stamp_reader(info.type_name)
        self._encode = None if info.codec in PLAIN else codec_for(info.codec, info.topic).encode
        self._seed = seed_of(info.name)
        self._last_ns = 0
        self._last_stamp: int | None = None
        # dimos's tables have a default and indexes that SQLite before 3.45 cannot evaluate
        tags = "NULL" if adopted else "x'0C'"
        self._values = f"(?, ?, ?, ?, ?, ?, {tags})"
        self._into = (
            f"INSERT INTO {quote_name(info.name)} (id, ts, seq, ts_ns, stamp_ns, crc, tags)"
        )
        self._into_blobs = f"INSERT INTO {quote_name(f'{info.name}_blob')}"

    def mark(self) -> StreamMark:
        """Remember where the stream stands."""
        return StreamMark(
            self.last_id,
            self._last_ns,
            self._last_stamp,
            self.spool,
            len(self.spool),
            self.spool_bytes,
            StreamAccount(**vars(self.account)),
            None if self.state is None else dict(self.state),
            self.in_order,
            self.newest_ns,
        )

    def restore(self, mark: StreamMark) -> None:
        """Go back to a mark; what was added since is forgotten."""
        self.last_id, self._last_ns, self._last_stamp = mark.last_id, mark.last_ns, mark.last_stamp
        self.spool, self.spool_bytes, self.account = mark.spool, mark.spool_bytes, mark.account
        self.state, self.in_order, self.newest_ns = mark.state, mark.in_order, mark.newest_ns
        del self.spool[mark.spooled :]
        self.pending, self.pending_bytes = [], 0

    def continue_from(self, earlier: StreamWriter) -> None:
        """Judge the next message by the last one of an earlier segment, whose state still holds."""
        self._last_ns, self._last_stamp = earlier._last_ns, earlier._last_stamp
        self.state = None if earlier.state is None else dict(earlier.state)

    def begin_account(self) -> None:
        """Start a new account: that of a session."""
        self._before, self.account = self.totals, StreamAccount()

    @property
    def totals(self) -> tuple[int, int]:
        """Messages, and bytes of payloads as stored, that were written here."""
        return self._before[0] + self.account.written, self._before[1] + self.account.bytes

    def forget_gap(self) -> None:
        """Judge the next message without the one before it."""
        self._last_ns, self._last_stamp = 0, None

    def add(self, seq: int, ts_ns: int, data: bytes) -> None:
        """Take in one message as it came off the wire."""
        self.last_id += 1
        stamp = self._stamp_of(data) if self._stamp_of is not None else None
        gap = ts_ns - self._last_ns
        if self._last_ns and gap > self.account.largest_gap_ns:
            self.account.largest_gap_ns = gap
            self.account.largest_gap_at_ns = self._last_ns
        self._last_ns = ts_ns
        if stamp is not None:
            if self._last_stamp is not None:
                self._judge_stamp(stamp - self._last_stamp, gap)
            self._last_stamp = stamp
        if self.state is not None:
            self.state |= dict.fromkeys(parts(self.info.type_name, data), self.last_id)
        if self._encode is not None:
            data = self._encode(data)
        crc = checksum(self._seed, self.last_id, seq, ts_ns, data)
        self.pending.append((seq, self.last_id, ts_ns, stamp, crc, data))
        self.pending_bytes += len(data)

    def _judge_stamp(self, step_ns: int, gap_ns: int) -> None:
        if step_ns == 0:
            # what is published again now and then, because it is still valid, keeps its stamp
            self.account.frozen += not self.info.latched
        elif step_ns < 0:
            self.account.out_of_order += 1
        if abs(step_ns - gap_ns) > STAMP_JUMP_NS and step_ns != 0:
            self.account.stamp_jumps += 1

    def learn_order(self, connection: sqlite3.Connection) -> None:
        """Look up whether what was written before is in order, and where it ends."""
        if not all(isinstance(row[2], int) for row in self.spool):
            raise BadContent("receive times in its spool that are no numbers")
        self.in_order = order.is_in_order(connection, self.info.name)
        if self.in_order:
            last_ns = order.ends(connection, quote_name(self.info.name))[1]
            self.newest_ns = LOWEST if last_ns is None else last_ns
            self._keep_order(connection, self.spool)

    def expect(self, connection: sqlite3.Connection, ts_ns: int) -> None:
        """Get ready for messages from a time on: to make an index later would hold them up."""
        if self.in_order and ts_ns < self.newest_ns:
            self._give_up_order(connection)

    def _keep_order(self, connection: sqlite3.Connection, rows: list[Pending]) -> None:
        times = [self.newest_ns, *[row[2] for row in rows]]
        if times == sorted(times):
            self.newest_ns = times[-1]
        else:
            self._give_up_order(connection)

    def _give_up_order(self, connection: sqlite3.Connection) -> None:
        schema.create_time_index(connection, self.info.name)
        self.in_order = False

    def take_pending(self, connection: sqlite3.Connection) -> list[Pending]:
        """Hand over the pending rows, counted as written once their transaction commits.

        If they do not go on in the order of the stream, it gets its index.
        """
        rows, self.pending = self.pending, []
        if self.in_order:
            self._keep_order(connection, rows)
        self.account.bytes += self.pending_bytes
        self.account.received += len(rows)
        self.account.written += len(rows)
        self.pending_bytes = 0
        return rows

    def insert(self, connection: sqlite3.Connection, rows: list[Pending]) -> None:
        """Write rows into the stream's own tables."""
        places = [
            (number, ts_ns / 10**9, seq, ts_ns, stamp, crc)
            for seq, number, ts_ns, stamp, crc, _ in rows
        ]
        insert_rows(connection, self._into, self._values, places)
        insert_rows(connection, self._into_blobs, "(?, ?)", [(row[1], row[5]) for row in rows])

    def spool_pending(self, connection: sqlite3.Connection) -> list[Pending]:
        """Hand over the pending rows for the spool, and keep them until they are moved."""
        self.spool_bytes += self.pending_bytes + _ROW_BYTES * len(self.pending)
        rows = self.take_pending(connection)
        self.spool += rows
        return rows

    def unspool(self, connection: sqlite3.Connection) -> None:
        """Write what is in the spool into the stream's own tables; the spool keeps it, too."""
        self.insert(connection, self.spool)
        self.spool, self.spool_bytes = [], 0

    def snapshot(self, dropped: int) -> StreamAccount:
        """The account as it stands, with what was dropped before it came here."""
        account = replace(self.account, dropped=dropped)
        account.received += dropped
        return account

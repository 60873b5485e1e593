"""What can be wrong with the messages of one stream."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from dimos_record.store import order, schema
from dimos_record.store.base import StreamInfo
from dimos_record.store.checksum import checksum, same, seed_of
from dimos_record.store.connection import quote_name
from dimos_record.store.doctor.findings import Finding, Severity, messages
from dimos_record.store.table import StreamTable

S = 1_000_000_000
_YEAR_2000_NS = 946_684_800 * S
_DAY_NS = 86_400 * S
_STEP_S = 1e-6
"""How far `ts` may be from `ts_ns`: a float of today's date steps by 238 ns."""
_PAGE = 1000

OnMessages = Callable[[int], None]
"""Gets how many messages were compared; an exception that it raises cancels."""


class Checked(NamedTuple):
    """How many messages of a stream have which checksum."""

    right: int = 0
    wrong: int = 0
    without: int = 0


class StreamChecks:
    """Checks one stream of a file.

    Args:
        connection: reads the file.
        table: the stream.
        indexes: the names of the indexes that the file has.
        path: the recording, for the commands that help.
    """

    def __init__(
        self, connection: sqlite3.Connection, table: StreamTable, indexes: set[str], path: Path
    ) -> None:
        self._connection = connection
        self._table = table
        self._indexes = indexes
        self._path = path
        self._remedy = f"dimos-record recover {path}"
        self._rows = quote_name(table.info.name)
        self._blobs = quote_name(f"{table.info.name}_blob")

    @property
    def name(self) -> str:
        """That of the stream."""
        return self._info.name

    @property
    def _info(self) -> StreamInfo:
        return self._table.info

    def quick(self) -> Iterator[Finding]:
        """What is seen without reading payloads."""
        yield from self._orphans()
        if self._table.ours:
            yield from self._index()
            yield from self._order()
            yield from self._times()
        yield from self._stamps()

    def _count(self, query: str, *parameters: object) -> int:
        return int(self._connection.execute(query, parameters).fetchone()[0])

    def _finding(
        self, severity: Severity, check: str, what: str, remedy: str | None, n: int
    ) -> Finding:
        return Finding(severity, check, what, remedy, topic=self._info.topic, count=n)

    def _orphans(self) -> Iterator[Finding]:
        if not self._table.has_blobs:
            return
        rows = self._count(
            f"SELECT count(*) FROM {self._rows} m WHERE value IS NULL AND NOT EXISTS "
            f"(SELECT 1 FROM {self._blobs} b WHERE b.id = m.id)"
        )
        payloads = self._count(
            f"SELECT count(*) FROM {self._blobs} b WHERE NOT EXISTS "
            f"(SELECT 1 FROM {self._rows} m WHERE m.id = b.id)"
        )
        if rows:
            what = f"{messages(rows)} with times and without payload"
            yield self._finding("damage", "orphans", what, self._remedy, rows)
        if payloads:
            what = f"payloads of {messages(payloads)} without times, which nothing can read or play"
            yield self._finding("damage", "orphans", what, self._remedy, payloads)

    def _index(self) -> Iterator[Finding]:
        if schema.time_index(self._info.name).lower() in self._indexes:
            return
        remedy = f"dimos-record save {self._path} --as NEW.db"
        if not self._table.in_order:
            what = "it has no index on time, so that seeking reads all of it"
            yield self._finding("problem", "indexes", what, remedy, 1)
        elif broken := order.breaks(self._connection, self._info.name):
            what = f"it has no index on time and needs one: its order breaks at {messages(broken)}"
            yield self._finding("problem", "indexes", what, remedy, broken)

    def _order(self) -> Iterator[Finding]:
        query = (
            f"SELECT count(*) FROM (SELECT seq, lag(seq) OVER (ORDER BY id) AS before "
            f"FROM {self._rows}) WHERE seq <= before"
        )
        back = self._count(query)
        if back:
            what = f"the order of arrival (seq) does not rise at {messages(back)}"
            yield self._finding("problem", "order", what, None, back)
        other = self._count(
            f"SELECT count(*) FROM {self._rows} WHERE abs(ts - ts_ns / 1e9) > {_STEP_S}"
        )
        if other:
            what = f"{messages(other)} with two receive times that differ (ts and ts_ns)"
            yield self._finding("damage", "times", what, self._remedy, other)

    def _times(self) -> Iterator[Finding]:
        early = self._count(f"SELECT count(*) FROM {self._rows} WHERE ts_ns < ?", _YEAR_2000_NS)
        if early:
            yield self._finding(
                "problem",
                "times",
                f"{messages(early)} received before the year 2000: the clock was not set",
                f"dimos-record shift {self._path} {self._info.topic} SECONDS",
                early,
            )
        future = time.time_ns() + _DAY_NS
        late = self._count(f"SELECT count(*) FROM {self._rows} WHERE ts_ns > ?", future)
        if late:
            yield self._finding(
                "problem",
                "times",
                f"{messages(late)} received in the future: a clock is wrong",
                f"dimos-record shift {self._path} {self._info.topic} SECONDS",
                late,
            )

    def _stamps(self) -> Iterator[Finding]:
        if not self._table.ours:
            return
        query = f"SELECT count(*) FROM {self._rows} WHERE stamp_ns < ? AND ts_ns >= ?"
        early = self._count(query, _YEAR_2000_NS, _YEAR_2000_NS)
        if early:
            what = f"{messages(early)} with a header stamp before the year 2000: simulated time?"
            yield self._finding("note", "stamps", what, None, early)
        query = f"SELECT count(*) FROM {self._rows} WHERE stamp_ns > ts_ns + {_DAY_NS}"
        late = self._count(query)
        if late:
            what = f"{messages(late)} with a header stamp a day or more after the receive time"
            yield self._finding("problem", "stamps", what, None, late)

    def backwards(self, start_ns: int, stop_ns: int) -> Iterator[Finding]:
        """Whether receive times go backwards within a session."""
        if not self._table.ours or self._table.in_order:
            return
        back = self._count(
            f"SELECT count(*) FROM (SELECT ts_ns, lag(ts_ns) OVER (ORDER BY id) AS before "
            f"FROM {self._rows} WHERE ts_ns BETWEEN ? AND ?) WHERE ts_ns < before",
            start_ns,
            stop_ns,
        )
        if back:
            what = f"receive times go backwards at {messages(back)} of a session"
            yield self._finding("problem", "times", what, None, back)

    def checksums(self, on_messages: OnMessages) -> tuple[Checked, list[Finding]]:
        """Compare every payload with its checksum."""
        checked = self._compare(on_messages)
        findings = []
        if checked.wrong:
            what = f"{messages(checked.wrong)} not as recorded: the checksum is wrong"
            findings = [self._finding("damage", "checksums", what, self._remedy, checked.wrong)]
        return checked, findings

    def _compare(self, on_messages: OnMessages) -> Checked:
        if not (self._table.checked and self._table.has_blobs):
            return Checked(without=self._table.figures(self._connection)[0])
        seed, right, wrong, without = seed_of(self._info.name), 0, 0, 0
        query = (
            f"SELECT crc, m.id, seq, ts_ns, data FROM {self._rows} m JOIN {self._blobs} b "
            f"ON b.id = m.id"
        )
        queries = [query]
        if self._table.topic is not None:
            spool = (
                f"SELECT crc, id, seq, ts_ns, data FROM _dr_spool WHERE topic = {self._table.topic}"
            )
            queries.append(spool)
        for one in queries:
            for number, (crc, *message) in enumerate(self._connection.execute(one)):
                if number % 64 == 0:
                    on_messages(64)
                if crc is None:
                    without += 1
                elif _is_right(crc, seed, message):
                    right += 1
                else:
                    wrong += 1
        return Checked(right, wrong, without)


def _is_right(crc: object, seed: int, message: list[object]) -> bool:
    number, seq, ts_ns, data = message
    if not (isinstance(number, int) and isinstance(seq, int) and isinstance(ts_ns, int)):
        return False
    if not (isinstance(data, bytes) and isinstance(crc, int)):
        return False
    return same(crc, checksum(seed, number, seq, ts_ns, data))

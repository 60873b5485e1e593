"""Copying stored messages from one recording file into another, as they are."""

from __future__ import annotations

import heapq
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from dimos_record.edit.new_file import NewFile, made
from dimos_record.edit.plan import Run, StreamPlan
from dimos_record.edit.progress import Progress
from dimos_record.errors import CodecError, DimosRecordError, MissingExtra, RecordingBusy
from dimos_record.messages import stamp_reader
from dimos_record.store import meta
from dimos_record.store.checksum import checksum, moved, seed_of
from dimos_record.store.codecs import codec_for
from dimos_record.store.connection import ReadConnection, quote_name
from dimos_record.store.intervals import Intervals
from dimos_record.store.sql_time import to_seconds
from dimos_record.store.table import Span, StreamTable

_CHUNK_BYTES = 2_000_000
_CHUNK_ROWS = 4096
_FIRST_ROWS = 16
_KEPT = ("value", *meta.POSE_COLUMNS, "seq")
_COLUMNS = ", ".join(("id", "ts", "tags", "ts_ns", "stamp_ns", "crc", *_KEPT))


def copy_stream(
    connection: ReadConnection, plan: StreamPlan, new: NewFile, first_id: int, progress: Progress
) -> int:
    """Copy what is planned of a stream, inside SQLite, in chunks of a few milliseconds each.

    Args:
        connection: reads the file; the new one is attached to it.
        first_id: the number of the first message in the new file; the others follow without a gap.

    Returns:
        Bytes of payload, as they were stored.

    Raises:
        DiskFull, StorageError, RecordingDamaged
        CodecError, MissingExtra: payloads cannot be stored with another codec.
        RecordingBusy: somebody else began to write to a file that nobody had open.
    """
    copied = 0
    with _Stored.opened(connection, plan) as stored:
        for run in plan.runs:
            for first, last, size in stored.chunks(run):
                chunk = (first_id - run.first, first, last)
                messages = stored.messages(first, chunk[0])
                connection.execute(f"INSERT INTO {made(plan.name)} ({_COLUMNS}) {messages}", chunk)
                if plan.table.has_blobs:
                    blobs = made(f"{plan.name}_blob")
                    connection.execute(f"INSERT INTO {blobs} {stored.payloads(first)}", chunk)
                    if plan.recode is not None:
                        connection.execute(
                            _sum_up(made(plan.name), made(f"{plan.name}_blob")), chunk
                        )
                new.wrote(size)
                progress.add(size)
                copied += size
            first_id += run.size
    return copied


class Part(NamedTuple):
    """What one of several files gives to a stream."""

    connection: ReadConnection
    """Reads the file."""
    plan: StreamPlan
    skips: Intervals
    """Where its messages are only state, which another file may have, too."""


def interleave_streams(
    parts: Sequence[Part], connection: sqlite3.Connection, new: NewFile, progress: Progress
) -> tuple[int, int]:
    """Copy one stream out of several files whose messages alternate, in the order of time.

    State that two files have kept of the same message is copied once.

    Args:
        parts: the files.
        connection: the new file.

    Returns:
        How many messages were copied, and bytes of payload, as they were stored.
    """
    name = parts[0].plan.name
    places = ", ".join("?" * (6 + len(_KEPT)))
    insert = f"INSERT INTO {quote_name(name)} ({_COLUMNS}) VALUES ({places})"
    insert_blob = f"INSERT INTO {quote_name(f'{name}_blob')} VALUES (?, ?)"
    sum_up = _sum_up(quote_name(name), quote_name(f"{name}_blob"))
    connection.create_function("dr_checksum", 4, partial(checksum, seed_of(name)))
    next_id, copied = 1, 0
    with ExitStack() as stack:
        opened = [stack.enter_context(_Stored.opened(one.connection, one.plan)) for one in parts]
        for index, run in _alternating(_in_time(opened, [one.skips for one in parts])):
            stored = opened[index]
            for first, last, size in stored.chunks(run):
                chunk = (next_id - run.first, first, last)
                read = stored.connection.execute
                connection.executemany(insert, read(stored.messages(first, chunk[0]), chunk))
                if stored.plan.table.has_blobs:
                    connection.executemany(insert_blob, read(stored.payloads(first), chunk))
                    if stored.plan.recode is not None:
                        connection.execute(sum_up, chunk)
                new.wrote(size)
                progress.add(size)
                copied += size
            next_id += run.size
    return next_id - 1, copied


def _alternating(messages: Iterable[tuple[int, int]]) -> Iterator[tuple[int, Run]]:
    """Messages (which part, number) in runs."""
    index, run = -1, Run(0, -1)
    for part, number in messages:
        if (part, number) == (index, run.last + 1):
            run = Run(run.first, number)
            continue
        if run.size:
            yield index, run
        index, run = part, Run(number, number)
    if run.size:
        yield index, run


def _in_time(parts: Sequence[_Stored], skips: Sequence[Intervals]) -> Iterator[tuple[int, int]]:
    """(which part, number) of the messages in the order of time, none of them twice."""
    ordered = heapq.merge(*(_times(one, index) for index, one in enumerate(parts)))
    for ts_ns, group in groupby(ordered, key=itemgetter(0)):
        found = [(index, number) for _, index, number in group]
        state = [one for one in found if ts_ns in skips[one[0]]] if len(found) > 1 else []
        if not state:
            yield from found
            continue
        kept = [one for one in found if one not in state]
        for one in state:
            if not any(_are_same(parts, one, other) for other in kept):
                kept.append(one)
        yield from sorted(kept)


def _are_same(parts: Sequence[_Stored], one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether messages of two parts are the same; within a part they are not."""
    return one[0] != other[0] and parts[one[0]].wire(one[1]) == parts[other[0]].wire(other[1])


def _times(stored: _Stored, index: int) -> Iterator[tuple[int, int, int]]:
    """(receive time from now on, which part, number) of its messages, in the order of time."""
    plan = stored.plan
    for piece in plan.edits.pieces:
        for ts_ns, number in plan.table.times(stored.connection, Span.between(*piece[:2])):
            if piece.ids is None or number in piece.ids:
                yield ts_ns + plan.edits.shift_ns, index, number


class _Stored:
    """What is planned of a stream in one file, and how to select it in SQL.

    The statements take (what to add to numbers, first number, last number).
    """

    def __init__(self, connection: ReadConnection, plan: StreamPlan) -> None:
        self.connection = connection
        self.plan = plan
        self._rows = _FIRST_ROWS
        self._spooled_from = _first_in_spool(connection, plan.table)
        self._payload = "data"
        self._stamp = "stamp_ns"

    @classmethod
    @contextmanager
    def opened(cls, connection: ReadConnection, plan: StreamPlan) -> Iterator[_Stored]:
        """With the functions that it needs; what goes wrong in them is raised from here."""
        stored = cls(connection, plan)
        errors: list[DimosRecordError] = []
        stored._add_functions(errors)
        try:
            yield stored
        except sqlite3.OperationalError:
            if errors:
                raise errors[0] from None
            raise

    def _add_functions(self, errors: list[DimosRecordError]) -> None:
        plan = self.plan
        if plan.recode is not None:
            self._payload = "dr_recode(data)"
            self.connection.create_function("dr_recode", 1, _noting(recoder(plan), errors))
            self.connection.create_function("dr_checksum", 4, partial(checksum, seed_of(plan.name)))
        self.connection.create_function("dr_moved", 6, _mover(plan.table.info.name, plan.name))
        read = _stamp_reader(plan.table)
        if read is not None:
            blobs = f"main.{quote_name(f'{plan.table.info.name}_blob')}"
            self._stamp = f"dr_stamp((SELECT data FROM {blobs} AS b WHERE b.id = message.id))"
            self.connection.create_function("dr_stamp", 1, read)

    def wire(self, number: int) -> bytes:
        """The wire bytes of a message."""
        table = self.plan.table
        return table.decoder()(table.payload(self.connection, number))

    def messages(self, first: int, by: int) -> str:
        """SQL that selects `_COLUMNS` of messages from number `first` on, which are moved."""
        shift, table = self.plan.edits.shift_ns, self.plan.table
        in_spool = first >= self._spooled_from
        topic = table.topic if in_spool else None
        source = meta.source(table.info, topic, table.ours, table.checked)
        columns = (
            "id + ?1",
            to_seconds(f"(ts_ns + {shift})") if shift else "ts",
            "coalesce(tags, x'0C')" if in_spool else "tags",
            f"ts_ns + {shift}",
            self._stamp,
            self._crc(by, shift),
            *_KEPT,
        )
        return f"SELECT {', '.join(columns)} FROM {source} AS message {_WITHIN}"

    def _crc(self, by: int, shift: int) -> str:
        plan = self.plan
        if plan.recode is not None:
            return "NULL"  # until the payload is there
        if not (by or shift) and plan.name == plan.table.info.name:
            return "crc"
        return f"dr_moved(crc, id, seq, ts_ns, id + ?1, ts_ns + {shift})"

    def payloads(self, first: int) -> str:
        """SQL that selects number and payload from number `first` on."""
        return f"SELECT id + ?1, {self._payload} FROM {self._blobs(first)} {_WITHIN}"

    def _blobs(self, first: int) -> str:
        table = self.plan.table
        blobs = f"main.{quote_name(f'{table.info.name}_blob')}"
        if table.topic is None or first < self._spooled_from:
            return blobs
        spool = f"SELECT id, data FROM main._dr_spool WHERE topic = {table.topic}"
        return f"(SELECT id, data FROM {blobs} UNION ALL {spool})"

    def chunks(self, run: Run) -> Iterator[tuple[int, int, int]]:
        """A run in parts: first and last number, and payload bytes."""
        first = run.first
        while first <= run.last:
            if self.connection.is_outdated():
                path = self.connection.path
                raise RecordingBusy(f"{path} is being written to; try again when that has ended")
            last, size = self._chunk(first, run.last)
            yield first, last, size
            first = last + 1

    def _chunk(self, first: int, end: int) -> tuple[int, int]:
        """Where a chunk ends that begins at `first`, and its bytes."""
        if first < self._spooled_from:  # what is in the spool comes after what is not
            end = min(end, self._spooled_from - 1)
        query = f"SELECT total(length(data)) FROM {self._blobs(first)} WHERE id BETWEEN ? AND ?"
        while True:
            last = min(first + self._rows - 1, end)
            rows = last - first + 1
            size = 8 * rows
            if self.plan.table.has_blobs:
                size = int(self.connection.execute(query, (first, last)).fetchone()[0])
            self._rows = max(1, min(_CHUNK_ROWS, 2 * rows, _CHUNK_BYTES * rows // max(1, size)))
            if size <= 2 * _CHUNK_BYTES or rows == 1:
                return last, size


def _sum_up(messages: str, payloads: str) -> str:
    """SQL that gives checksums to messages that were copied with another codec."""
    return (
        f"UPDATE {messages} AS message SET crc = dr_checksum(b.id, message.seq, message.ts_ns, "
        f"b.data) FROM {payloads} b WHERE b.id = message.id "
        f"AND message.id BETWEEN ?2 + ?1 AND ?3 + ?1"
    )


def _mover(was: str, called: str) -> Callable[..., int | None]:
    """Gives the checksum of a message that gets another number, time or stream name."""
    old, new = seed_of(was), seed_of(called)

    def move(
        crc: object, number: int, seq: int, ts_ns: int, new_number: int, new_ns: int
    ) -> int | None:
        return moved(crc, (old, number, seq, ts_ns), (new, new_number, seq, new_ns))

    return move


_WITHIN = "WHERE id BETWEEN ?2 AND ?3 ORDER BY id"


def _first_in_spool(connection: sqlite3.Connection, table: StreamTable) -> int:
    found = None
    if table.topic is not None:
        query = "SELECT min(id) FROM main._dr_spool WHERE topic = ?"
        found = connection.execute(query, (table.topic,)).fetchone()[0]
    return 2**63 - 1 if found is None else int(found)


def recoder(plan: StreamPlan) -> Callable[[bytes], bytes]:
    """Turns payloads as they are stored into what another codec makes of them.

    Raises:
        CodecError, MissingExtra
    """
    topic = plan.edits.info.topic
    decode = plan.table.decoder()
    encode = codec_for(plan.recode or plan.table.info.codec, topic).encode

    def recode(data: bytes) -> bytes:
        try:
            return encode(decode(data))
        except CodecError as error:
            raise CodecError(f"a message of {topic}: {error}") from error

    return recode


def _noting(
    function: Callable[[bytes], Any], errors: list[DimosRecordError]
) -> Callable[[bytes], Any]:
    """A function that notes what it raises: SQLite does not tell."""

    def noting(data: bytes) -> Any:
        try:
            return function(data)
        except DimosRecordError as error:
            errors.append(error)
            raise

    return noting


def _stamp_reader(table: StreamTable) -> Callable[[bytes | None], int | None] | None:
    """Reads header stamps out of payloads that dimos stored, who does not write them down."""
    stamp_of = None if table.ours or not table.has_blobs else stamp_reader(table.info.type_name)
    if stamp_of is None:
        return None
    try:
        decode = table.decoder()
    except (CodecError, MissingExtra):
        return None

    def read(data: bytes | None) -> int | None:
        try:
            return None if data is None else stamp_of(decode(data))
        except (CodecError, MissingExtra, struct.error):
            return None

    return read


def make_rtree(connection: sqlite3.Connection, name: str) -> None:
    """Enter the positions of a stream into an R*Tree, which dimos looks them up in.

    Args:
        connection: the new file. Not every SQLite has R*Trees; our own queries do without.
    """
    rtree, columns = quote_name(f"{name}_rtree"), "id, x_min, x_max, y_min, y_max, z_min, z_max"
    try:
        connection.execute(f"CREATE VIRTUAL TABLE {rtree} USING rtree({columns})")
    except sqlite3.OperationalError as error:
        if "no such module" in str(error):
            return
        raise
    connection.execute(
        f"INSERT INTO {rtree} SELECT id, pose_x, pose_x, pose_y, pose_y, pose_z, pose_z "
        f"FROM {quote_name(name)} WHERE pose_x IS NOT NULL ORDER BY id"
    )

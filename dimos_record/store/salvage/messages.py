"""The messages of a damaged recording: rows and payloads found, and put together where they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from dimos_record.store.salvage.btree import Cell, Record, record
from dimos_record.store.salvage.proof import COLUMNS, Judge, MessageRow, spooled_row, to_row
from dimos_record.store.salvage.streams import Stream
from dimos_record.store.salvage.trees import Source, Trees

_SPOOL = ["seq", "topic", "id", "ts_ns", "stamp_ns", "data", "crc"]
_SCALARS = "scalar"
_PAGES_KEPT = 500
"""Pages whose entries are kept in memory while payloads are looked for."""


class Found(NamedTuple):
    """A message that is whole."""

    stream: Stream
    row: MessageRow
    data: bytes | None
    """None where the row's value is the payload."""


class _Payload(NamedTuple):
    """A payload without a row."""

    stream: Stream | None
    """None where its page belongs to no table any more."""
    source: Source
    number: int


class Messages:
    """Finds the messages of a recording. Each is found once; `rest` comes after the streams."""

    def __init__(self, trees: Trees, streams: list[Stream]) -> None:
        self.streams = streams
        self._trees = trees
        self._only_proven = False
        self._judges = {stream.info.name: Judge(stream.info) for stream in streams}
        self._topics = {s.topic: s for s in streams if s.topic is not None}
        self.saved: dict[str, set[int]] = {stream.info.name: set() for stream in streams}
        """The numbers of the messages that were found, by stream."""
        self.seen: dict[str, dict[int, int | None]] = {s.info.name: {} for s in streams}
        """The numbers of messages of which only a part was found, with their receive time."""
        self._rows: list[tuple[Stream | None, MessageRow]] = []
        self._pages: dict[Source, _Payloads] = {}
        self._payloads: dict[int, dict[int, list[_Payload]]] = {}
        """By number and CRC-32."""

    def look_again(self, trees: Trees) -> None:
        """Look for what was not found in other pages, and take only what a checksum proves."""
        self._trees, self._only_proven = trees, True
        self._rows, self._payloads, self._pages = [], {}, {}

    def of_stream(self, stream: Stream) -> Iterator[Found]:
        """What is in the tables of a stream."""
        name, trees = stream.info.name, self._trees
        columns = trees.columns(name) or COLUMNS
        pages = trees.tree(f"{name}_blob").pages
        payloads = _Payloads(trees, (("page", number) for number in pages))
        for values in trees.records(trees.tree(name)):
            row = to_row(values, columns)
            if row is not None:
                yield from self._with_payload(stream, row, payloads)
        for number in payloads.left():
            for source, data in payloads.take(number):
                self._keep_payload(stream, number, data, source)

    def _with_payload(
        self, stream: Stream, row: MessageRow, payloads: _Payloads
    ) -> Iterator[Found]:
        judge, found = self._judges[stream.info.name], list[tuple[Source, bytes]]()
        for source, data in payloads.take(row.id):
            if judge.is_whole(row, data):
                yield from self._found(Found(stream, row, data))
                return
            found.append((source, data))
        if not found and row.value is not None and stream.info.codec == _SCALARS:
            yield from self._found(Found(stream, row, None))
            return
        self._rows.append((stream, row))
        for source, data in found:
            self._keep_payload(stream, row.id, data, source)

    def spooled(self) -> Iterator[Found]:
        """What was committed and not yet moved into the tables of its stream."""
        columns = self._trees.columns("_dr_spool") or _SPOOL
        for values in self._trees.records(self._trees.tree("_dr_spool")):
            yield from self._from_spool(values, columns)

    def rest(self) -> Iterator[Found]:
        """What is on pages that no table has any more, and what fits together only with these."""
        for source in self._trees.strays():
            for cell in self._trees.cells_on(source):
                yield from self._stray(cell, source)
        for stream, row in self._rows:
            yield from self._matched(stream, row)
        self._note_parts()

    def _stray(self, cell: Cell, source: Source) -> Iterator[Found]:
        values: Record = record(self._trees.payload(cell) or b"") or ()
        if not values or values[0] is not None:
            return
        values = (cell.rowid, *values[1:])
        if len(values) == 2 and isinstance(values[1], bytes):
            self._keep_payload(None, cell.rowid, values[1], source)
        elif len(values) in (len(_SPOOL), len(_SPOOL) - 1):
            yield from self._from_spool(values, _SPOOL)
        else:
            row = to_row(values, COLUMNS)
            if row is not None:
                self._rows.append((None, row))

    def _keep_payload(
        self, stream: Stream | None, number: int, data: bytes, source: Source
    ) -> None:
        crc = crc32(data)
        same = self._payloads.setdefault(number, {}).setdefault(crc, [])
        same.append(_Payload(stream, source, number))

    def _from_spool(self, values: Record, columns: list[str]) -> Iterator[Found]:
        found = spooled_row(values, columns)
        if found is None:
            return
        topic, row, data = found
        named = self._topics.get(topic)
        if row.crc is None:
            fits = [named] if named and self._judges[named.info.name].is_whole(row, data) else []
        else:  # the checksum knows the stream as well
            crc = crc32(data)
            fits = [s for s in self.streams if self._judges[s.info.name].expected(row) == crc]
        if len(fits) == 1:
            yield from self._found(Found(fits[0], row, data))
        elif named is not None:
            self.seen[named.info.name].setdefault(row.id, None)

    def _found(self, found: Found) -> Iterator[Found]:
        saved = self.saved[found.stream.info.name]
        if found.row.id not in saved and not (self._only_proven and found.row.crc is None):
            saved.add(found.row.id)
            yield found

    def _matched(self, stream: Stream | None, row: MessageRow) -> Iterator[Found]:
        """The message that a row makes with a payload of its number, if just one is right."""
        candidates = [stream] if stream is not None else self.streams
        fits: dict[tuple[str, bytes], Found] = {}
        for candidate in candidates:
            for payload in self._possible(candidate, row):
                data = self._data(candidate, row, payload)
                if data is not None:
                    fits[candidate.info.name, data] = Found(candidate, row, data)
                    if row.crc is not None:
                        break  # the others are the same bytes
        if len(fits) == 1:
            yield from self._found(*fits.values())

    def _possible(self, stream: Stream, row: MessageRow) -> list[_Payload]:
        """The payloads that may belong to a row, if it is one of this stream."""
        expected = self._judges[stream.info.name].expected(row)
        if expected is None and not self._is_likely(stream, row):
            return []
        found = self._payloads.get(row.id, {})
        some = [one for ones in found.values() for one in ones]
        return [
            one
            for one in (some if expected is None else found.get(expected, ()))
            if one.stream in (None, stream)
        ]

    def _data(self, stream: Stream, row: MessageRow, payload: _Payload) -> bytes | None:
        """The payload, if it and the row are a message of a stream."""
        judge = self._judges[stream.info.name]
        if payload.source not in self._pages:
            if len(self._pages) >= _PAGES_KEPT:
                self._pages.clear()
            self._pages[payload.source] = _Payloads(self._trees, [payload.source])
        there = self._pages[payload.source].take(payload.number)
        return next((data for _, data in there if judge.is_whole(row, data)), None)

    def _is_likely(self, stream: Stream, row: MessageRow) -> bool:
        """Whether a row without a checksum may belong to a payload from elsewhere at all."""
        same = [one for one in self.streams if one.info.type_name == stream.info.type_name]
        known = stream.info.type_name is not None and len(same) == 1
        return known and row.stamp_ns is not None

    def _note_parts(self) -> None:
        for stream, row in self._rows:
            if stream is not None and row.id not in self.saved[stream.info.name]:
                self.seen[stream.info.name][row.id] = row.ts_ns
        for number, payloads in self._payloads.items():
            for payload in (one for same in payloads.values() for one in same):
                if payload.stream and number not in self.saved[payload.stream.info.name]:
                    self.seen[payload.stream.info.name].setdefault(number, None)


class _Payloads:
    """The payloads of a stream by number, read page by page.

    In a damaged file several can bear the same number, of which one may be right.
    """

    def __init__(self, trees: Trees, sources: Iterable[Source]) -> None:
        self._trees = trees
        self._sources: dict[int, Source] = {}
        self._others: dict[int, list[Source]] = {}
        self._at: Source | None = None
        self._cells: dict[int, list[Cell]] = {}
        self._taken: set[int] = set()
        for source in sources:
            for cell in trees.cells_on(source):
                if self._sources.setdefault(cell.rowid, source) != source:
                    self._others.setdefault(cell.rowid, []).append(source)

    def take(self, number: int) -> Iterator[tuple[Source, bytes]]:
        """The payloads of a number that can be read, and the pages that they are on."""
        self._taken.add(number)
        if number in self._sources:
            for source in (self._sources[number], *self._others.get(number, ())):
                for cell in self._on(source).get(number, ()):
                    values = record(self._trees.payload(cell) or b"")
                    if values is not None and len(values) == 2 and isinstance(values[1], bytes):
                        yield source, values[1]

    def _on(self, source: Source) -> dict[int, list[Cell]]:
        if source != self._at:
            self._at, self._cells = source, {}
            for cell in self._trees.cells_on(source):
                self._cells.setdefault(cell.rowid, []).append(cell)
        return self._cells

    def left(self) -> list[int]:
        """The numbers that nobody has taken."""
        return [number for number in self._sources if number not in self._taken]

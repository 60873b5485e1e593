"""A recording as its unsaved edits leave it, for everybody who reads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import accumulate, chain
from typing import Any, Protocol, TypeVar, cast

from dimos_record.store.base import LogLine, Marker, Row, SessionInfo, StreamInfo, StreamStats
from dimos_record.store.codecs import PLAIN, codec_for
from dimos_record.store.connection import errors_about
from dimos_record.store.edit_state import WHOLE, EditState, Piece, StreamEdits, apply_edits
from dimos_record.store.edits import Edit
from dimos_record.store.intervals import FOREVER, NEVER, Intervals
from dimos_record.store.latched import StreamState
from dimos_record.store.meta import MetaRow, Where
from dimos_record.store.queries import QueryableReader
from dimos_record.store.reader import find_stream, span_between_skips


class RecordedReader(QueryableReader, Protocol):
    """Reads a recording as it was recorded, and the edits that are kept in it."""

    def edits(self) -> list[Edit]:
        """The edits that are not saved, and those that were undone, oldest first."""


Method = TypeVar("Method", bound=Callable[..., Any])


def _or_as_recorded(method: Method) -> Method:
    """Let a method of `EditedReader` ask the recording itself while there are no edits."""
    name = method.__name__

    @wraps(method)
    def ask(self: EditedReader, *args: Any, **kwargs: Any) -> Any:
        if self._state is None:
            return getattr(self.base, name)(*args, **kwargs)
        return method(self, *args, **kwargs)

    return cast(Method, ask)


class EditedReader:
    """A recording with its edits applied; without any, the recording as it is.

    Safe to use from several threads. What is being read when edits change is read to its end as it
    was.

    Args:
        base: the recording; it belongs to this reader from now on.
    """

    def __init__(self, base: RecordedReader) -> None:
        self.base = base
        self._lock = threading.Lock()
        self._edits: list[Edit] = []
        self._state: EditState | None = None
        self._latched: dict[str, StreamState] = {}
        """What was found out about latched streams, which cannot change while there are edits."""
        self.refresh()

    def refresh(self) -> bool:
        """Look at the edits again; returns whether they have changed."""
        with self._lock:
            found = self.base.edits()
            if found == self._edits:
                return False
            made = [edit for edit in found if not edit.undone]
            self._state = self.applied(made) if made else None
            self._edits = found
            return True

    def applied(self, edits: Sequence[Edit]) -> EditState:
        """What edits amount to in this recording, whether they are kept in it or not."""
        if self._state is None:
            self._latched = {}
        with errors_about(self.name):
            return apply_edits(edits, self.base, self._state_before)

    def _state_before(self, stream: StreamInfo, gone: Intervals, ts_ns: int) -> list[Row]:
        known = self._latched.get(stream.name)
        if known is None:
            known = self._latched.setdefault(stream.name, StreamState(self.base, stream))
        return known.before(ts_ns, gone)

    @property
    def edits(self) -> list[Edit]:
        """The edits that are not saved, oldest first; those that were undone are marked so."""
        return list(self._edits)

    @property
    def edited(self) -> bool:
        """Whether there are edits that are not saved."""
        return self._state is not None

    @property
    def state(self) -> EditState:
        """What the edits amount to."""
        return self._state or self.applied([])

    # --- what it holds

    @property
    def name(self) -> str:
        """What messages call this recording."""
        return self.base.name

    @property
    def schema_version(self) -> int:
        """Version of our tables; 0 for a file that dimos wrote."""
        return self.base.schema_version

    @property
    def self_contained(self) -> bool:
        """Whether the file is all there is."""
        return self.base.self_contained

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name, as the edits have left them."""
        state = self._state
        if state is None:
            return self.base.streams
        return {name: one.info for name, one in state.streams.items()}

    @_or_as_recorded
    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """
        return find_stream(self.streams, topic_or_stream, self.name)

    def _of(self, topic_or_stream: str) -> StreamEdits:
        streams = self.state.streams
        if topic_or_stream in streams:
            return streams[topic_or_stream]
        known = {name: one.info for name, one in streams.items()}
        return streams[find_stream(known, topic_or_stream, self.name).name]

    def origin_ns(self) -> int:
        """Position 0: when the first message was received, as recorded; 0 without messages."""
        return self.base.origin_ns()

    @_or_as_recorded
    def skips(self) -> list[tuple[int, int]]:
        """Sections ``[a, b)`` of which everything was cut, in order; playback jumps over them."""
        state = self.state
        first = min((self.origin_ns(), *self._firsts(state)))
        return [(max(low, first), high) for low, high in state.skips if high > first]

    def _firsts(self, state: EditState) -> Iterator[int]:
        """When each stream begins, as it was recorded and moved since."""
        for one in state.streams.values():
            if ends := self.base.ends(one.source):
                yield ends[0] + one.shift_ns

    @_or_as_recorded
    def markers(self) -> list[Marker]:
        """Labelled instants and intervals, in the order of time."""
        return list(self.state.markers)

    def sessions(self) -> list[SessionInfo]:
        """The recording sessions with their accounts, oldest first."""
        sessions, state = self.base.sessions(), self._state
        if state is not None:
            names = {one.source: name for name, one in state.streams.items()}
            for session in sessions:
                session.accounts = {
                    names[source]: account
                    for source, account in session.accounts.items()
                    if source in names
                }
        return sessions

    @_or_as_recorded
    def log_lines(self) -> Iterator[LogLine]:
        """What the recorded program has logged outside the sections that were cut, lazily."""
        cut = self.state.cut_sections
        return (line for line in self.base.log_lines() if line.ts_ns not in cut)

    @_or_as_recorded
    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message; None when there is no message.

        Messages inside skips do not count.
        """
        return span_between_skips(self)

    # --- figures of a stream

    @_or_as_recorded
    def stats(self, stream: str) -> StreamStats:
        """Count, bytes and extent of a stream. After `set_codec` bytes are those stored still."""
        one = self._of(stream)
        if one.pieces == WHOLE:
            stats = self.base.stats(one.source)
            if stats.first_ns is None or stats.last_ns is None:
                return stats
            return StreamStats(
                stats.count,
                stats.bytes,
                stats.first_ns + one.shift_ns,
                stats.last_ns + one.shift_ns,
            )
        first_ns, last_ns = self.ends(stream) or (None, None)
        return StreamStats(
            self.count_between(stream, None, None),
            self.bytes_between(stream, None, None),
            first_ns,
            last_ns,
        )

    @_or_as_recorded
    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        """Times of the first and the last message with ``start_ns <= ts_ns < end_ns``."""
        one = self._of(stream)
        pieces = _within(one, start_ns, end_ns)
        first = next(filter(None, (self._piece_ends(one, piece) for piece in pieces)), None)
        last = next(filter(None, (self._piece_ends(one, piece) for piece in pieces[::-1])), None)
        if first is None or last is None:
            return None
        return first[0] + one.shift_ns, last[1] + one.shift_ns

    def _piece_ends(self, one: StreamEdits, piece: Piece) -> tuple[int, int] | None:
        return self.base.ends(one.source, *_limits(piece))

    @_or_as_recorded
    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""
        one = self._of(stream)
        return sum(
            self.base.count_between(one.source, *_limits(piece))
            if piece.ids is None
            else len(piece.ids)
            for piece in _within(one, start_ns, end_ns)
        )

    @_or_as_recorded
    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        """How many messages of a stream lie before each of these times, which ascend."""
        one = self._of(stream)
        if one.unchanged:
            return self.base.ranks(one.source, times_ns)
        asked = [min(max(time - one.shift_ns, NEVER), FOREVER) for time in times_ns]
        borders = sorted({*asked, *(edge for piece in one.pieces for edge in piece[:2])})
        before = dict(zip(borders, self.base.ranks(one.source, borders), strict=True))

        lows = [piece.low_ns for piece in one.pieces]
        counts = [
            before[p.high_ns] - before[p.low_ns] if p.ids is None else len(p.ids)
            for p in one.pieces
        ]
        kept = [0, *accumulate(counts)]

        def rank(time: int) -> int:
            index = bisect_left(lows, time)
            if index:
                low, high, ids = one.pieces[index - 1]
                if ids is None and time < high:
                    return kept[index - 1] + before[time] - before[low]
            return kept[index]

        return [rank(time) for time in asked]

    @_or_as_recorded
    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages, without loading them."""
        return self.base.sizes(self._of(stream).source, numbers)

    @_or_as_recorded
    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """Bytes of all stored payloads with ``start_ns <= ts_ns < end_ns``; O(n)."""
        one = self._of(stream)
        return sum(
            self.base.bytes_between(one.source, *_limits(piece))
            if piece.ids is None
            else sum(self.base.sizes(one.source, sorted(piece.ids)))
            for piece in _within(one, start_ns, end_ns)
        )

    # --- messages

    @_or_as_recorded
    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Messages with ``start_ns <= ts_ns < end_ns`` in order of (ts_ns, id), lazily."""
        one = self._of(stream)
        if one.unchanged:
            return self.base.rows(one.source, start_ns=start_ns, end_ns=end_ns, reverse=reverse)
        pieces = _within(one, start_ns, end_ns)
        return chain.from_iterable(
            self._piece_rows(one, piece, reverse)
            for piece in (reversed(pieces) if reverse else pieces)
        )

    def _piece_rows(self, one: StreamEdits, piece: Piece, reverse: bool) -> Iterator[Row]:
        low, high = _limits(piece)
        rows = self.base.rows(one.source, start_ns=low, end_ns=high, reverse=reverse)
        if piece.ids is not None:
            rows = (row for row in rows if row.id in (piece.ids or ()))
        if one.same_rows:
            return rows
        return map(self._changer(one), rows)

    def _changer(self, one: StreamEdits) -> Callable[[Row], Row]:
        info, shift_ns, recoded = one.info, one.shift_ns, self._recoder(one)

        def change(row: Row) -> Row:
            ts_ns = row.ts_ns + shift_ns
            return row._replace(stream=info, ts_ns=ts_ns, data=recoded(row.data))

        return change

    @staticmethod
    def _recoder(one: StreamEdits) -> Callable[[bytes], bytes]:
        """Wire bytes to those that another codec will leave of them."""
        if one.recode is None or one.recode in PLAIN or one.recode == "lz4+lcm":
            return _same
        codec = codec_for(one.recode, one.info.topic)
        return lambda data: codec.decode(codec.encode(data))

    @_or_as_recorded
    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time."""
        one = self._of(stream)
        for piece in reversed(_within(one, None, ts_ns + 1)):
            if piece.ids is not None:
                found = next(self._piece_rows(one, piece, reverse=True), None)
            else:
                found = self.base.last_at(one.source, piece.high_ns - 1)
                found = self._changer(one)(found) if found is not None else None
            if found is not None and found.ts_ns - one.shift_ns >= piece.low_ns:
                return found
        return None

    @_or_as_recorded
    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily."""
        one = self._of(stream)
        return self.base.meta_rows(one.source, _kept(one, where), order, descending)

    @_or_as_recorded
    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""
        one = self._of(stream)
        return self.base.count_where(one.source, _kept(one, where))

    @_or_as_recorded
    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message.

        Raises:
            LookupError: the stream has no message of that number, or it was cut.
        """
        one = self._of(stream)
        if not one.unchanged:
            here = _kept(one, Where("id = ?", (number,)))
            if not self.base.count_where(one.source, here):
                raise LookupError(f"{self.name}: stream {stream} has no message {number}")
        return self._recoder(one)(self.base.payload(one.source, number))

    def release(self) -> None:
        """Let go of the file for now: it is opened again when something is asked for next."""
        self.base.release()

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self.base.close()

    def __enter__(self) -> EditedReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _same(data: bytes) -> bytes:
    return data


def _limits(piece: Piece) -> tuple[int | None, int | None]:
    """A piece's ends as readers take them: None for no end."""
    low, high, _ = piece
    return (None if low == NEVER else low), (None if high == FOREVER else high)


def _within(one: StreamEdits, start_ns: int | None, end_ns: int | None) -> list[Piece]:
    """The pieces of a stream, clipped to a section of the timeline after the edits."""
    low = NEVER if start_ns is None else max(start_ns - one.shift_ns, NEVER)
    high = FOREVER if end_ns is None else min(end_ns - one.shift_ns, FOREVER)
    clipped = [Piece(max(low, p.low_ns), min(high, p.high_ns), p.ids) for p in one.pieces]
    return [piece for piece in clipped if piece.low_ns < piece.high_ns]


def _kept(one: StreamEdits, where: Where) -> Where:
    """A condition on messages of a stream, as a condition on those that were recorded."""
    if one.pieces != WHOLE:
        by_ns = one.shift_ns
        ranges = _values((p.low_ns + by_ns, p.high_ns + by_ns) for p in one.pieces if p.ids is None)
        states = _values((p.low_ns + by_ns, number) for p in one.pieces for number in p.ids or ())
        kept = (
            f"(EXISTS (SELECT 1 FROM (VALUES {ranges}) AS kept "
            f"WHERE ts_ns >= kept.column1 AND ts_ns < kept.column2) "
            f"OR (ts_ns, id) IN (VALUES {states}))"
        )
        where = where.also(Where(kept))
    return where._replace(shift_ns=one.shift_ns)


def _values(pairs: Iterable[tuple[int, int]]) -> str:
    """Pairs of whole numbers in SQL, which allows fewer parameters than there can be edits."""
    return ", ".join(f"({a}, {b})" for a, b in pairs) or "(NULL, NULL)"

"""What the edits of a recording amount to: per stream, what stays of it and as what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dimos_record.store.base import Marker, Row, StreamInfo
from dimos_record.store.connection import BadContent
from dimos_record.store.edits import MAX_SHIFT_NS, Edit, marker_of
from dimos_record.store.intervals import FOREVER, NEVER, Intervals
from dimos_record.store.names import stream_name


class Piece(NamedTuple):
    """Messages that stay: ``low_ns <= ts_ns < high_ns``, in receive times as recorded."""

    low_ns: int
    high_ns: int
    ids: frozenset[int] | None = None
    """Only these: state that what follows needs, in a section that was cut; None for all."""


WHOLE = (Piece(NEVER, FOREVER),)
"""All of a stream."""


@dataclass(frozen=True)
class StreamEdits:
    """What becomes of one stream."""

    info: StreamInfo
    """The stream as it is after the edits."""
    source: str
    """Its name as recorded."""
    shift_ns: int = 0
    """How far its receive times move."""
    pieces: tuple[Piece, ...] = WHOLE
    """What stays, in order; pieces do not overlap."""
    recode: str | None = None
    """The codec to store it with from now on; None if that does not change."""
    same_rows: bool = True
    """Whether each row that stays is as it was recorded."""

    @property
    def unchanged(self) -> bool:
        """Whether it is what was recorded."""
        return self.pieces == WHOLE and self.same_rows


@dataclass(frozen=True)
class EditState:
    """A recording after its edits."""

    streams: Mapping[str, StreamEdits]
    """By name after the edits, in the order of the recording."""
    skips: Intervals
    """What playback jumps over. Nothing is to be jumped over at the end."""
    cut_sections: Intervals
    """Everything that was cut from all streams: also what was cut off at the end."""
    markers: tuple[Marker, ...]
    """In the order of time; those inside a section that was cut are gone."""


class Recorded(Protocol):
    """What has to be known of a recording to tell what its edits amount to."""

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """The streams as recorded, by name."""

    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        """Times of the first and the last message of a stream."""

    def skips(self) -> list[tuple[int, int]]:
        """What was cut before the recording was last saved."""

    def markers(self) -> list[Marker]:
        """The markers as recorded."""


StateBefore = Callable[[StreamInfo, Intervals, int], Iterable[Row]]
"""(stream as recorded, times of messages that do not count, a time) to the rows of its state"""

Section = tuple[int, int]
"""``[a, b)``"""


def apply_edits(edits: Sequence[Edit], recorded: Recorded, state_before: StateBefore) -> EditState:
    """What edits amount to: each applies to the timeline as those before it have left it.

    Args:
        edits: those that were not undone, oldest first.
        recorded: the recording without any edit.
        state_before: finds the rows that hold a latched stream's state just before a time.
    """
    work = _Work.on(recorded)
    for edit in edits:
        getattr(work, f"_{edit.kind}")(**edit.args)
    return work.result(state_before)


@dataclass
class _Stream:
    """A stream while edits are being applied. Times are as recorded."""

    recorded: StreamInfo
    info: StreamInfo
    ends: tuple[int, int] | None
    shift: int = 0
    gone: list[Section] = field(default_factory=list)
    """Cut from this stream: nothing of it stays."""
    passed: list[Section] = field(default_factory=list)
    """Cut from all streams: the state before what follows stays."""
    recode: str | None = None


@dataclass
class _Work:
    streams: dict[str, _Stream]
    """By name as recorded."""
    saved_skips: Intervals
    cuts: list[Section] = field(default_factory=list)
    """Cut from all streams, on the timeline."""
    markers: dict[int, Marker] = field(default_factory=dict)

    @classmethod
    def on(cls, recorded: Recorded) -> _Work:
        streams = {
            name: _Stream(info, info, recorded.ends(name))
            for name, info in recorded.streams.items()
        }
        markers = {marker.id: marker for marker in recorded.markers()}
        return cls(streams, Intervals.of(recorded.skips()), markers=markers)

    # --- one method per kind of edit

    def _cut(self, a: int | None, b: int | None, streams: Sequence[str] | None) -> None:
        self._remove(Intervals.of([self._section(a, b)]), streams)

    def _trim(self, a: int | None, b: int | None, streams: Sequence[str] | None) -> None:
        self._remove(Intervals.of([self._section(a, b)]).complement(), streams)

    def _delete(self, streams: Sequence[str]) -> None:
        for name in streams:
            self.streams.pop(name, None)

    def _shift(self, stream: str, ns: int) -> None:
        if stream in self.streams:
            one = self.streams[stream]
            one.shift += ns
            if abs(one.shift) > MAX_SHIFT_NS:
                raise BadContent(f"{one.info.topic} is moved by more than {MAX_SHIFT_NS:,} ns")

    def _rename(self, stream: str, topic: str, channel: str) -> None:
        if stream in self.streams:
            taken = {
                other.info.name.lower() for name, other in self.streams.items() if name != stream
            }
            taken |= {name.lower() for name in self.streams if name != stream}
            one = self.streams[stream]
            name = stream_name(topic, taken)
            one.info = one.info._replace(name=name, topic=topic, channel=channel)

    def _codec(self, stream: str, codec: str) -> None:
        if stream in self.streams:
            one = self.streams[stream]
            one.info = one.info._replace(codec=codec)
            one.recode = codec

    def _mark(self, markers: Sequence[Mapping[str, Any]]) -> None:
        for each in markers:
            self.markers[each["id"]] = marker_of(each)

    def _unmark(self, ids: Sequence[int]) -> None:
        for number in ids:
            self.markers.pop(number, None)

    def _section(self, a: int | None, b: int | None) -> tuple[int, int]:
        """A section; beyond the first or the last message it has no end, or is empty."""
        ends = [
            (one.ends[0] + one.shift, one.ends[1] + one.shift)
            for one in self.streams.values()
            if one.ends is not None
        ]
        first = min((first for first, _ in ends), default=0)
        last = max((last for _, last in ends), default=0)
        low = NEVER if a is None or a <= first else a
        high = FOREVER if b is None or b > last else b
        return (low, high) if low <= last and high > first else (NEVER, NEVER)

    def _remove(self, sections: Intervals, streams: Sequence[str] | None) -> None:
        if streams is None:
            self.cuts += sections
            for one in self.streams.values():
                one.passed += sections.shifted(-one.shift)
        for name in streams or ():
            if name in self.streams:
                one = self.streams[name]
                one.gone += sections.shifted(-one.shift)

    # --- what comes of it

    def result(self, state_before: StateBefore) -> EditState:
        streams = {}
        left = _Left(state_before)
        for name, one in self.streams.items():
            pieces = left.of(one)
            same = one.info == one.recorded and not one.shift
            streams[one.info.name] = StreamEdits(
                one.info, name, one.shift, pieces, one.recode, same
            )
        cuts = Intervals.of(self.cuts).union(self.saved_skips)
        markers = sorted(self.markers.values(), key=lambda marker: (marker.at_ns, marker.id))
        return EditState(
            streams,
            self._skips(cuts, streams.values()),
            cuts,
            tuple(marker for marker in markers if not is_cut(marker, cuts)),
        )

    def _skips(self, cuts: Intervals, streams: Iterable[StreamEdits]) -> Intervals:
        """Where nothing plays: a stream that was moved since the cut may reach into it."""
        played = Intervals()
        for pieces, shift_ns in {(stream.pieces, stream.shift_ns) for stream in streams}:
            kept = Intervals.of((p.low_ns, p.high_ns) for p in pieces if p.ids is None)
            played = played.union(kept.without(self.saved_skips).shifted(shift_ns))
        left = cuts.without(played) if streams else cuts
        return Intervals.of(section for section in left if section[1] != FOREVER)


class _Left:
    """What is left of streams; most were cut alike, and are worked out once."""

    def __init__(self, state_before: StateBefore) -> None:
        self._state_before = state_before
        self._known: dict[tuple[tuple[Section, ...], ...], tuple[Piece, ...]] = {}

    def of(self, one: _Stream) -> tuple[Piece, ...]:
        """The pieces of a stream."""
        key = tuple(one.gone), tuple(one.passed)
        if key not in self._known:
            kept = Intervals.of((*one.gone, *one.passed)).complement()
            self._known[key] = tuple(Piece(low, high) for low, high in kept)
        pieces = self._known[key]
        if not (one.recorded.latched and one.passed):
            return pieces
        return tuple(sorted([*pieces, *self._state(one)], key=lambda piece: piece.low_ns))

    def _state(self, one: _Stream) -> Iterator[Piece]:
        gone, state = Intervals.of(one.gone), dict[int, set[int]]()
        for low, high in Intervals.of(one.passed):
            if high != FOREVER:
                for row in self._state_before(one.recorded, gone, high):
                    if low <= row.ts_ns:
                        state.setdefault(row.ts_ns, set()).add(row.id)
        for ts_ns, ids in state.items():
            yield Piece(ts_ns, ts_ns + 1, frozenset(ids))


def is_cut(marker: Marker, cuts: Intervals) -> bool:
    """Whether a marker lies wholly inside a section that was cut."""
    section = cuts.around(marker.at_ns)
    return section is not None and (marker.until_ns is None or marker.until_ns <= section[1])

"""An immutable, lazy view of a recording that can be played, counted, iterated or saved."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from dimos_record.bus.base import Selection, several
from dimos_record.errors import OptionError
from dimos_record.replay import operators as make
from dimos_record.replay.clock import check_rate
from dimos_record.replay.operators import Operator
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.source import NOTHING
from dimos_record.replay.timeline import Timeline
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.meta import Where
from dimos_record.store.observation import Meta, Observation
from dimos_record.store.queries import Filter, StreamQuery, near, observable, tagged

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from reactivex import Observable

    from dimos_record.interop.exporting import ExportReport, OnProgress
    from dimos_record.plotting import Plot
    from dimos_record.record_replay import RecordReplay
    from dimos_record.replay.player import Player

_HAS_META = Where(
    "(pose_x IS NOT NULL OR value IS NOT NULL OR (tags IS NOT NULL AND tags IS NOT x'0C'))"
)
_Number = TypeVar("_Number", int, float)
_FURTHEST_S = 1e9
_STEP_BACK = 64
"""Rows held while a view with operators is read backwards."""


@dataclass(frozen=True)
class ReplayView:
    """Some topics and a section of a recording, with operators applied on the way.

    Every method returns another view. Positions are seconds from the start of the recording, and
    stay so: a view of a section does not renumber time. Topics and section are chosen before any
    operator runs, wherever in the chain they stand; operators run in the order of the chain.

    A view obeys the edits of its recording at once. State that is kept from a section that was cut
    (see `StoreReader.skips`) belongs to it; a player that plays it jumps over such sections.
    """

    recording: RecordReplay
    selection: Selection = field(default_factory=Selection)
    start_s: float | None = None
    end_s: float | None = None
    operators: tuple[Operator, ...] = ()
    options: PlayOptions = field(default_factory=PlayOptions)
    _found: dict[str, tuple[object, Timeline]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The timeline, and what it was made from."""

    # --- narrowing

    def select(self, topics: str | Iterable[str], exclude: str | Iterable[str] = ()) -> ReplayView:
        """Only these topics (patterns allowed), instead of those selected before.

        Raises:
            PatternError: a pattern cannot be read.
        """
        chosen = Selection.of(several(topics), (*self.selection.exclude, *several(exclude)))
        return dataclasses.replace(self, selection=chosen)

    def between(self, a: float | None, b: float | None) -> ReplayView:
        """Only what is in the section ``[a, b)``, in seconds; None is the start or the end.

        What a shift has moved to before the start of the recording is at positions below 0.

        Raises:
            OptionError: nothing is in it: `b` is not above `a`, or an earlier section ends before.
                Or one of them is no number.
        """
        if b == math.inf:
            b = None
        for position_s in (a, b):
            if position_s is not None and not abs(position_s) <= _FURTHEST_S:
                raise OptionError(f"between({a}, {b}): {position_s} is no position; give seconds")
        start_s, end_s = _latest(self.start_s, a), _earliest(self.end_s, b)
        if start_s is not None and end_s is not None and start_s >= end_s:
            there = f"{self.start_s or 0} to {'the end' if self.end_s is None else self.end_s}"
            raise OptionError(
                f"between({a}, {b}) of a view from {there} is empty; write a < b, in seconds"
            )
        return dataclasses.replace(self, start_s=start_s, end_s=end_s)

    def seek(self, seconds: float) -> ReplayView:
        """Only what is at a position or after it."""
        return self.between(seconds, None)

    def near(self, pose: Any, radius: float) -> ReplayView:
        """Only messages observed within `radius` metres of a place (see `fill_poses`).

        Raises:
            OptionError: it is no place.
        """
        return self._that_meet(near(pose, radius))

    def tags(self, **tags: Any) -> ReplayView:
        """Only messages with these tags.

        Raises:
            OptionError: a tag's name is not an identifier, or its value is not JSON.
        """
        return self._that_meet(*(tagged(key, value) for key, value in tags.items()))

    def _that_meet(self, *filters: Filter) -> ReplayView:
        """In the recording SQL finds them; what operators have changed must be looked at."""
        if self.operators:
            return self.filter(lambda observation: all(f.matches(observation) for f in filters))

        def numbers() -> dict[str, set[int]]:
            reader = self.recording.reader
            return {
                info.name: {found.id for found in StreamQuery(reader, info, filters)}
                for info in self.streams
            }

        return self._with(make.numbered(numbers))

    # --- operators

    def every(self, n: int, topics: str | Iterable[str] = "*") -> ReplayView:
        """Every `n`-th message of each stream."""
        return self._with(make.every(n, Selection.of(several(topics))))

    def throttle(self, rate_hz: float, topics: str | Iterable[str] = "*") -> ReplayView:
        """At most so many messages per recorded second of each stream."""
        return self._with(make.throttle(rate_hz, Selection.of(several(topics))))

    def map(self, fn: Callable[[Observation], Observation | None]) -> ReplayView:
        """Each observation replaced by what a function returns; None drops it.

        Other data is published (and saved) as the bytes that it encodes to; see
        `Observation.derive`.
        """
        return self._with(make.mapped(fn))

    def filter(self, predicate: Callable[[Observation], bool]) -> ReplayView:
        """The observations for which a function says yes."""
        return self._with(make.filtered(predicate))

    def transform(self, fn: Operator) -> ReplayView:
        """What a function makes of the whole sequence: an iterable of observations to another."""
        return self._with(fn)

    def _with(self, operator: Operator) -> ReplayView:
        return dataclasses.replace(self, operators=(*self.operators, operator))

    # --- how to play

    def remap(self, topics: Mapping[str, str] | None = None, /, **more: str) -> ReplayView:
        """Publish topics under other names: ``remap({"/camera/*": "/sim/camera/*"})``."""
        return self._playing(remap={**self.options.remap, **(topics or {}), **more})

    def at_speed(self, rate: float) -> ReplayView:
        """Play at another rate; `math.inf` is as fast as possible."""
        return self._playing(speed=check_rate(rate))

    def looped(self, a: float | None = None, b: float | None = None) -> ReplayView:
        """Play over and over, or only the section ``[a, b)``, in seconds."""
        whole = a is None and b is None
        return self._playing(loop=whole or (a or 0.0, math.inf if b is None else b))

    def restamped(self) -> ReplayView:
        """Shift header stamps to now while playing."""
        return self._playing(restamp=True)

    def _playing(self, **changes: Any) -> ReplayView:
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changes))

    def play(self, speed: float | None = None, *, block: bool = False, **options: Any) -> Player:
        """Play this view on the recording's bus; see `RecordReplay.play`."""
        return self.recording.play_view(self, speed, block=block, **options)

    # --- results

    def __iter__(self) -> Iterator[Observation]:
        return self._observations(*self._window())

    def count(self) -> int:
        """How many messages there are."""
        if self.operators:
            return sum(1 for _ in self)
        start_ns, end_ns = self._window()
        reader = self.recording.reader
        return sum(reader.count_between(info.name, start_ns, end_ns) for info in self.streams)

    def observable(self) -> Observable[Observation]:
        """All messages as a `reactivex` observable, as fast as they are read."""
        return observable(self)

    def save(self, name: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the messages of this view into a new recording, with their times, poses and tags.

        Returns:
            The path of the new recording.

        Raises:
            RecordingExists: there is one already, and `overwrite` is not set.
            OptionError: it is the recording of this view.
            CodecError: an operator has derived data that cannot be encoded.
        """
        from dimos_record.replay.saving import save_view

        return save_view(self, name, overwrite=overwrite)

    def export(
        self,
        name: str | PathLike[str],
        format: str | None = None,
        *,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> ExportReport:
        """Write the messages of this view into a file of another format.

        See `RecordReplay.export`.
        """
        from dimos_record.interop.formats import export_view

        return export_view(
            self, name, format, options, overwrite=overwrite, on_progress=on_progress
        )

    def plot(
        self,
        *fields: str,
        out: str | PathLike[str] | None = None,
        stamp: bool = False,
        overwrite: bool = False,
    ) -> Plot:
        """Draw numbers of this view over time; see `RecordReplay.plot`."""
        from dimos_record.plotting import plot

        return plot(self, fields, out, stamp=stamp, overwrite=overwrite)

    # --- what a player needs (see `Source`)

    @property
    def name(self) -> str:
        """The name of the recording."""
        return self.recording.reader.name

    @property
    def streams(self) -> Sequence[StreamInfo]:
        """The selected streams."""
        return self._timeline().streams

    def origin_ns(self) -> int:
        """The time of position 0: when the first message was received, as recorded."""
        return self.recording.reader.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        """Times of the first and the last message of the whole recording, outside of skips."""
        return self.recording.reader.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections of the recording of which everything was cut."""
        return self.recording.reader.skips()

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """The rows of this view with ``start_ns <= ts_ns < end_ns``, in the order of time."""
        low, high = self._window()
        start_ns, end_ns = _latest(low, start_ns), _earliest(high, end_ns)
        if not self.operators:
            return self._timeline().rows(start_ns, end_ns, reverse=reverse, only=only)
        if reverse:
            rows = self._backwards(start_ns, end_ns)
        else:
            rows = (one.to_row() for one in self._observations(start_ns, end_ns))
        return rows if only is None else (row for row in rows if only.matches(row.stream.channel))

    def _observations(self, start_ns: int | None, end_ns: int | None) -> Iterator[Observation]:
        """Operators see the view from its start, so that seeking does not change what they keep."""
        rows = self._timeline().rows(self._window()[0], end_ns)
        observations = self._through_operators(rows)
        if start_ns is None:
            return observations
        return (one for one in observations if one.ts_ns >= start_ns)

    def _through_operators(self, rows: Iterable[Row]) -> Iterator[Observation]:
        observe = _observer(self.recording)
        observations: Iterator[Observation] = map(observe, rows)
        for operator in self.operators:
            observations = iter(operator(observations))
        return observations

    def _backwards(self, start_ns: int | None, end_ns: int | None) -> Iterator[Row]:
        """The same rows backwards: the last few of the sequence, then the few before these ..."""
        left: int | None = None
        while left != 0:
            head = islice(self._observations(start_ns, end_ns), left)
            last = deque(enumerate(head), maxlen=_STEP_BACK)
            left = last[0][0] if last else 0
            for _, observation in reversed(last):
                yield observation.to_row()

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time, through the operators."""
        rows = self._timeline().latched_before(ts_ns, also)
        if not self.operators:
            return rows
        return [observation.to_row() for observation in self._through_operators(rows)]

    def _timeline(self) -> Timeline:
        """The recording as it is now; what was found out about it is kept until it changes."""
        reader = self.recording.reader
        as_of = (reader, reader.edits, reader.streams)
        found = self._found.get("timeline")
        if found is None or found[0] != as_of:
            # who has found the topics before goes on without those that were renamed or deleted
            found = as_of, Timeline(reader, self.selection, strict=found is None)
            self._found["timeline"] = found
        return found[1]

    def _window(self) -> tuple[int | None, int | None]:
        """The section in ns; what has no start begins with the first message, wherever that is."""
        if self.start_s is None and self.end_s is None:
            return None, None
        origin_ns = self.recording.reader.origin_ns()
        start_ns = None if self.start_s is None else origin_ns + round(self.start_s * 1e9)
        end_ns = None if self.end_s is None else origin_ns + round(self.end_s * 1e9)
        return start_ns, end_ns


def _observer(recording: RecordReplay) -> Callable[[Row], Observation]:
    """Turns rows into observations whose pose and tags are loaded when asked for."""
    with_meta: dict[str, bool] = {}

    def meta_of(row: Row) -> Meta:
        name, reader = row.stream.name, recording.reader
        if name not in with_meta:  # most streams have nothing: one look spares one per message
            with_meta[name] = next(reader.meta_rows(name, _HAS_META), None) is not None
        if not with_meta[name]:
            return Meta()
        found = next(reader.meta_rows(name, Where("id = ?", (row.id,))), None)
        return found.meta if found else Meta()

    return lambda row: Observation.of_row(row, lambda: meta_of(row))


def _latest(a: _Number | None, b: _Number | None) -> _Number | None:
    return max((at for at in (a, b) if at is not None), default=None)


def _earliest(a: _Number | None, b: _Number | None) -> _Number | None:
    return min((at for at in (a, b) if at is not None), default=None)

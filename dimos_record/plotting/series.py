"""Numbers over time, read from the bytes of a recording's messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dimos_record.bus.base import literal
from dimos_record.errors import EditError, OptionError
from dimos_record.interop.exporting import rows_with_meta
from dimos_record.messages.columns import ColumnReader
from dimos_record.messages.fields import find_field, numeric_fields
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.observation import Meta

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

_BATCH_ROWS = 8192
_BATCH_BYTES = 16_000_000
_MOST_NAMED = 12
_VALUE = "value"
"""What the field is called of streams in which dimos stored plain numbers."""

Numbers = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """One number of each message of a topic."""

    label: str
    """`/odom.pose.pose.position.x`"""
    x: Numbers
    """Seconds from the start of the recording, ascending; of shape (n,), n > 0."""
    y: Numbers
    """The number; NaN where the line has a gap, as between sessions, and where a list is short."""


def plottable(view: ReplayView) -> list[str]:
    """Every topic and field of a view that has a number: `/odom.pose.pose.position.x` ..."""
    return [f"{info.topic}.{path}" for info in view.streams for path in _paths(info)]


def read_series(view: ReplayView, fields: Sequence[str], *, stamp: bool = False) -> list[Series]:
    """Read topics and fields; see `dimos_record.plotting.plot`.

    Raises:
        OptionError: there is no such topic or field, or none was named.
        EditError: there is no message in the section.
    """
    if not fields:
        raise OptionError("no field to plot; name one, for example /odom.pose.pose.position.x")
    streams = view.streams
    asked = [(label, *_resolve(streams, label)) for label in fields]
    tracks: dict[str, _Track] = {}
    for _, info, path in asked:
        tracks.setdefault(info.name, _Track(stamp)).paths.append(path)
    for row, meta in rows_with_meta(view.select({literal(info.topic) for _, info, _ in asked})):
        if row.stream.name in tracks:
            tracks[row.stream.name].add(row, meta)
    lines = _Lines(view)
    return [lines.series(label, info, tracks[info.name], path) for label, info, path in asked]


def _resolve(streams: Sequence[StreamInfo], label: str) -> tuple[StreamInfo, str]:
    """The stream and the field that `TOPIC.FIELD` names; the longest topic that fits counts."""
    names = {name: info for info in streams for name in (info.name, info.topic.strip("/"))}
    names |= {info.topic: info for info in streams}
    fitting = [name for name in names if label == name or label.startswith(f"{name}.")]
    if not fitting:
        near = difflib.get_close_matches(label.partition(".")[0], names, n=3)
        topics = [names[name].topic for name in near] or [info.topic for info in streams]
        raise OptionError(
            f"{label!r} begins with no topic that there is; write TOPIC.FIELD, where TOPIC may be "
            f"{_listed(dict.fromkeys(topics))}"
        )
    info = names[max(fitting, key=len)]
    path = label[len(max(fitting, key=len)) + 1 :]
    if not path:
        raise OptionError(
            f"{label} needs a field, as in {info.topic}.FIELD; "
            f"it has {_listed(_paths(info)) or 'no number'}"
        )
    if info.codec == "scalar":
        if path != _VALUE:
            raise OptionError(f"{info.topic} has no number {path!r}; it has {_VALUE}")
        return info, path
    try:
        find_field(info.type_name, path)
    except OptionError as error:
        raise OptionError(f"{info.topic}: {error}") from error
    return info, path


def _paths(info: StreamInfo) -> list[str]:
    return [_VALUE] if info.codec == "scalar" else numeric_fields(info.type_name)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_MOST_NAMED]) + (" ..." if len(every) > _MOST_NAMED else "")


class _Track:
    """The numbers of some fields of one stream, collected a batch at a time."""

    def __init__(self, stamp: bool) -> None:
        self.paths: list[str] = []
        self._stamp = stamp
        self._rows: list[Row] = []
        self._values: list[float] = []
        self._bytes = 0
        self._times: list[Times] = []
        self._received: list[Times] = []
        self._numbers: dict[str, list[Numbers]] = {}

    def add(self, row: Row, meta: Meta | None) -> None:
        """Take in one message; without a stamp, where that is its time, it is left out."""
        if self._stamp and row.stamp_ns is None:
            return
        self._rows.append(row)
        value = meta.value if meta else None
        self._values.append(np.nan if value is None else value)
        self._bytes += len(row.data)
        if len(self._rows) >= _BATCH_ROWS or self._bytes >= _BATCH_BYTES:
            self._read()

    def _read(self) -> None:
        rows, values = self._rows, self._values
        self._rows, self._values, self._bytes = [], [], 0
        times = [row.stamp_ns if self._stamp else row.ts_ns for row in rows]
        self._times.append(np.array(times, np.int64))
        self._received.append(np.array([row.ts_ns for row in rows], np.int64))
        # what an operator made of the messages may be of several types
        types = [row.stream.type_name for row in rows]
        found = {path: np.full(len(rows), np.nan) for path in self.paths}
        for type_name in set(types):
            at = np.array([one == type_name for one in types])
            batch = [row.data for row, here in zip(rows, at, strict=True) if here]
            if rows[0].stream.codec == "scalar":
                found[_VALUE] = np.array(values)
            else:
                self._read_fields(type_name, batch, at, found)
        for path, numbers in found.items():
            self._numbers.setdefault(path, []).append(numbers)

    def _read_fields(
        self, type_name: str | None, batch: list[bytes], at: Any, found: dict[str, Numbers]
    ) -> None:
        fields = {path: find_field(type_name, path) for path in found}
        reader = ColumnReader(type_name or "", {field.path for field, _ in fields.values()})
        columns = reader.read(batch)
        for path, (field, index) in fields.items():
            column = columns.by_path[field.path]
            numbers = column.values if index is None else column.item(index)
            found[path][at] = np.where(columns.valid, numbers, np.nan)

    def collected(self, path: str) -> tuple[Times, Times, Numbers] | None:
        """Times, times of reception, and numbers; None without messages."""
        if self._rows:
            self._read()
        if not self._times:
            return None
        times, received = np.concatenate(self._times), np.concatenate(self._received)
        return times, received, np.concatenate(self._numbers[path])


class _Lines:
    """Makes series of the numbers of a view: gaps where nothing was recorded, or all was cut."""

    def __init__(self, view: ReplayView) -> None:
        self._origin_ns, self._skips = view.origin_ns(), view.skips()
        sessions = [one.start_ns for one in view.recording.reader.sessions()]
        breaks = [*sessions, *(start_ns for start_ns, _ in self._skips)]
        self._breaks = np.array(sorted(breaks), np.int64)

    def series(self, label: str, info: StreamInfo, track: _Track, path: str) -> Series:
        """One series.

        Raises:
            EditError: there is no message.
        """
        found = track.collected(path)
        if found is not None:
            times, received, numbers = found
            for start_ns, end_ns in self._skips:  # state that is kept is not of that time
                kept = (received < start_ns) | (received >= end_ns)
                times, received, numbers = times[kept], received[kept], numbers[kept]
        if found is None or not len(times):
            raise EditError(f"{info.topic} has no message there that could be plotted")
        x = (times - self._origin_ns) / 1e9
        gaps = np.unique(np.searchsorted(received, self._breaks))
        gaps = gaps[(gaps > 0) & (gaps < len(x))]
        x, y = np.insert(x, gaps, x[gaps]), np.insert(numbers, gaps, np.nan)
        order = np.argsort(x, kind="stable")
        return Series(label, x[order], y[order])

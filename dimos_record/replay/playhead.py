"""Where playback is between two rows, also when several rows have the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from dimos_record.bus.base import Selection
from dimos_record.replay.source import Source
from dimos_record.store.base import Row


class Playhead:
    """A place between two rows: a time, and how many rows of just that time lie before it."""

    __slots__ = ("_last_seq", "done", "ts_ns")

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns
        self.done = 0
        self._last_seq: int | None = None
        """Order of arrival of the last row at its time that lies before it."""

    def move(self, ts_ns: int) -> None:
        """Go to a time, before all rows at that time."""
        self.ts_ns = ts_ns
        self.done = 0
        self._last_seq = None

    def move_before(self, row: Row, done: int) -> None:
        """Go before a row, and behind the `done` rows at its time that precede it."""
        self.ts_ns = row.ts_ns
        self.done = done
        self._last_seq = row.seq - 1

    def move_behind(self, row: Row, done: int) -> None:
        """Go behind a row, which `done` rows at its time precede."""
        self.ts_ns = row.ts_ns
        self.done = done + 1
        self._last_seq = row.seq

    def passed(self, row: Row) -> None:
        """Go behind the next row."""
        self._last_seq = row.seq
        if row.ts_ns == self.ts_ns:
            self.done += 1
        else:
            self.ts_ns = row.ts_ns
            self.done = 1

    def count_again(self, source: Source) -> None:
        """Find the same place again in a source that has other rows now."""
        if self._last_seq is not None:
            last_seq, here = self._last_seq, source.rows(self.ts_ns, self.ts_ns + 1)
            self.done = sum(1 for row in here if row.seq <= last_seq)

    def rows_after(
        self, source: Source, end_ns: int, only: Selection | None = None
    ) -> Iterator[tuple[Row, int]]:
        """The rows behind it and before a time, each with how many rows at its time precede it.

        Args:
            only: of these topics only.
        """
        ts_ns, done = self.ts_ns, self.done
        for row, before in _counted(source, ts_ns, end_ns, only):
            if row.ts_ns > ts_ns or before >= done:
                yield row, before

    def rows_before(
        self, source: Source, only: Selection | None = None
    ) -> Iterator[tuple[Row, int]]:
        """The rows before it, backwards, each with how many rows at its time precede it."""
        ts_ns, done = self.ts_ns, self.done
        for row, before in _counted(source, None, ts_ns + 1, only, reverse=True):
            if row.ts_ns < ts_ns or before < done:
                yield row, before


def _counted(
    source: Source,
    start_ns: int | None,
    end_ns: int,
    only: Selection | None,
    *,
    reverse: bool = False,
) -> Iterator[tuple[Row, int]]:
    """Rows, each with the number of rows at its time that precede it."""
    rows = source.rows(start_ns, end_ns, reverse=reverse, only=only)
    for ts_ns, group in groupby(rows, key=attrgetter("ts_ns")):
        here = list(group)
        if only is None:
            places: Sequence[int] = range(len(here))
            yield from zip(here, reversed(places) if reverse else places, strict=True)
        else:
            everything = list(source.rows(ts_ns, ts_ns + 1))
            for row in here:
                yield row, everything.index(row) if row in everything else 0

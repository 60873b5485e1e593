"""Where playback is between two rows, also when several rows have the same time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from dimos_record.replay.source import Source
from dimos_record.store.base import Row


class Playhead:
    """A place between two rows: a time, and how many rows of just that time lie before it."""

    __slots__ = ("done", "ts_ns")

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns
        self.done = 0

    def move(self, ts_ns: int, done: int = 0) -> None:
        """Go to a time, behind the first `done` rows at that time."""
        self.ts_ns = ts_ns
        self.done = done

    def passed(self, row: Row) -> None:
        """Go behind the next row."""
        if row.ts_ns == self.ts_ns:
            self.done += 1
        else:
            self.ts_ns = row.ts_ns
            self.done = 1

    def rows_after(self, source: Source, end_ns: int) -> Iterator[Row]:
        """The rows behind it and before a time."""
        return islice(source.rows(self.ts_ns, end_ns), self.done, None)

    def rows_before(self, source: Source) -> Iterator[tuple[Row, int]]:
        """The rows before it, backwards, each with the number of rows at its time before it."""
        at_head = source.rows(self.ts_ns, self.ts_ns + 1)
        pending = list(islice(at_head, self.done))
        for row in source.rows(None, self.ts_ns, reverse=True):
            if pending and pending[-1].ts_ns != row.ts_ns:
                yield from _backwards(pending)
                pending = []
            pending.insert(0, row)
        yield from _backwards(pending)


def _backwards(same_time: list[Row]) -> Iterator[tuple[Row, int]]:
    for before in range(len(same_time) - 1, -1, -1):
        yield same_time[before], before

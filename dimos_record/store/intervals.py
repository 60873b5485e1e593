"""Sets of times: disjoint half-open intervals in order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NEVER, FOREVER = -(2**62), 2**62
"""Before and beyond every time, and small enough for SQLite also when they are shifted."""


@dataclass(frozen=True)
class Intervals:
    """Disjoint intervals ``[low, high)`` in ascending order; none touches the next."""

    items: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, items: Iterable[tuple[int, int]]) -> Intervals:
        """The union of any intervals; empty ones count as nothing."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(item for item in items if item[0] < item[1]):
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    @classmethod
    def everything(cls) -> Intervals:
        """All times."""
        return cls(((NEVER, FOREVER),))

    def union(self, other: Intervals) -> Intervals:
        """What is in one of both."""
        return Intervals.of((*self.items, *other.items))

    def complement(self) -> Intervals:
        """What is in none of them."""
        edges = [NEVER, *(edge for item in self.items for edge in item), FOREVER]
        return Intervals.of(zip(edges[::2], edges[1::2], strict=True))

    def without(self, other: Intervals) -> Intervals:
        """What is not in the other."""
        return self.complement().union(other).complement()

    def within(self, low: int, high: int) -> Intervals:
        """What is in ``[low, high)``, too."""
        return Intervals.of((max(low, a), min(high, b)) for a, b in self.items)

    def shifted(self, by: int) -> Intervals:
        """All moved; what reaches to the ends of time stays there."""
        return Intervals.of(
            (low if low == NEVER else low + by, high if high == FOREVER else high + by)
            for low, high in self.items
        )

    def around(self, time: int) -> tuple[int, int] | None:
        """The interval that holds a time."""
        index = bisect_right(self.items, (time, FOREVER)) - 1
        if index >= 0 and self.items[index][0] <= time < self.items[index][1]:
            return self.items[index]
        return None

    def __contains__(self, time: object) -> bool:
        return isinstance(time, int) and self.around(time) is not None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

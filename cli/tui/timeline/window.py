"""What part of the timeline is shown, and which column stands for which time.

Positions in this package are nanoseconds from the start of the recording as recorded, in names that
end in ``_ns``; readers speak UNIX time, the facade seconds.
"""

from __future__ import annotations

from typing import NamedTuple

S = 1_000_000_000
SHORTEST_NS = 100_000
"""No window is shorter: 100 µs over 80 columns tell 1 MHz apart."""
_PAGE_FROM, _PAGE_TO = 0.9, 0.1
"""A playhead behind the first share of the window turns the page; it goes on at the second."""


class Extent(NamedTuple):
    """All there is to see: ``[low_ns, high_ns)``."""

    low_ns: int
    high_ns: int


class Window(NamedTuple):
    """The part ``[start_ns, end_ns)`` of the timeline that is shown."""

    start_ns: int
    end_ns: int

    @classmethod
    def whole(cls, extent: Extent) -> Window:
        """Everything."""
        return cls(extent.low_ns, max(extent.high_ns, extent.low_ns + SHORTEST_NS))

    @property
    def length_ns(self) -> int:
        """How long it is."""
        return self.end_ns - self.start_ns

    def shows(self, position_ns: int) -> bool:
        """Whether a position is in it."""
        return self.start_ns <= position_ns < self.end_ns

    # --- columns

    def column_of(self, position_ns: int, columns: int) -> int:
        """The column of a position; below 0 or from `columns` on where it is not shown."""
        return (position_ns - self.start_ns) * columns // self.length_ns

    def border(self, column: int, columns: int) -> int:
        """The first position of a column."""
        return self.start_ns - (-column * self.length_ns // columns)

    def borders(self, columns: int) -> list[int]:
        """The first positions of all columns, and the end of the last."""
        return [self.border(column, columns) for column in range(columns + 1)]

    # --- moving

    def zoomed(self, factor: float, around_ns: int, extent: Extent) -> Window:
        """A window `factor` times as short; `around_ns` keeps its column, if it is shown."""
        if not self.shows(around_ns):
            around_ns = self.start_ns + self.length_ns // 2
        length_ns = max(round(self.length_ns / factor), SHORTEST_NS)
        before_ns = (around_ns - self.start_ns) * length_ns // self.length_ns
        return Window._of(around_ns - before_ns, length_ns, extent)

    def panned(self, share: float, extent: Extent) -> Window:
        """Moved by a share of its length; positive is later."""
        return Window._of(self.start_ns + round(share * self.length_ns), self.length_ns, extent)

    def showing(self, position_ns: int, extent: Extent) -> Window:
        """This window, or one of the same length around a position that is not in it."""
        if self.shows(position_ns):
            return self
        return Window._of(position_ns - self.length_ns // 2, self.length_ns, extent)

    def following(self, position_ns: int, extent: Extent) -> Window:
        """This window, or the page with a playhead that is about to leave it at the right."""
        ahead_ns = position_ns - self.start_ns
        if 0 <= ahead_ns < _PAGE_FROM * self.length_ns:
            return self
        start_ns = position_ns - round(_PAGE_TO * self.length_ns)
        return Window._of(start_ns, self.length_ns, extent)

    @classmethod
    def _of(cls, start_ns: int, length_ns: int, extent: Extent) -> Window:
        """A window within the extent, as far as it fits in."""
        whole = cls.whole(extent)
        if length_ns >= whole.length_ns:
            return whole
        start_ns = min(max(start_ns, whole.start_ns), whole.end_ns - length_ns)
        return cls(start_ns, start_ns + length_ns)

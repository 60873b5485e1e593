"""Small charts of braille characters: two columns and four rows of dots in each cell."""

from __future__ import annotations

from collections.abc import Sequence

_BLANK = 0x2800
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
"""The dots of a cell's left column, filled up from the bottom by 0, 1 ... 4."""
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


def braille_row(
    values: Sequence[float], width: int, height_cells: int = 1, peak: float | None = None
) -> list[str]:
    """A bar chart: a column of dots per value, from the bottom up.

    Args:
        values: up to ``2 * width`` numbers, two per cell, from the left; what is missing is blank,
            and what does not fit is left out.
        width: cells per line.
        height_cells: lines, of four dots each.
        peak: the value that fills a column; the largest one if None. Larger values fill it, too.

    Returns:
        `height_cells` lines of `width` characters, the uppermost first. A value above 0 has at
        least one dot.
    """
    most = 4 * height_cells
    top = max(values, default=0.0) if peak is None else peak
    heights = [_dots(value, top, most) for value in values[: 2 * width]]
    heights += [0] * (2 * width - len(heights))
    return [
        "".join(
            chr(_BLANK | _LEFT[_within(left, line)] | _RIGHT[_within(right, line)])
            for left, right in zip(heights[::2], heights[1::2], strict=True)
        )
        for line in reversed(range(height_cells))
    ]


def _dots(value: float, top: float, most: int) -> int:
    if not value > 0 or not top > 0:
        return 0
    return max(1, min(most, round(value / top * most)))


def _within(dots: int, line: int) -> int:
    """How many of a column's dots lie in a line of cells, counted from the lowest line."""
    return max(0, min(4, dots - 4 * line))

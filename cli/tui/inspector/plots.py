"""Plots of braille characters: two columns and four rows of dots in each cell."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint16)
"""The bit of each dot of a cell, by row and column."""
_BLANK = 0x2800

Dots = NDArray[np.bool_]
"""Of shape (4 * lines, 2 * characters), the uppermost first."""


class Extent(NamedTuple):
    """The rectangle that holds all points."""

    left: float
    right: float
    bottom: float
    top: float

    @property
    def proportions(self) -> tuple[float, float]:
        """Width and height; never 0."""
        width, height = self.right - self.left, self.top - self.bottom
        least = max(width, height, 1e-6) / 20
        return max(width, least), max(height, least)


def braille(dots: Dots) -> list[str]:
    """The lines of characters that show these dots."""
    lines, columns = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(lines, 4, columns, 2).transpose(0, 2, 1, 3)
    codes = _BLANK + (cells * _BITS).sum(axis=(2, 3))
    return ["".join(map(chr, line)) for line in codes.tolist()]


def curve(values: NDArray[Any], columns: int, lines: int) -> list[str]:
    """Numbers over their index as a line, scaled to the finite ones; what is not finite is a gap.

    Where many numbers share a column of dots, the whole range of them is drawn: no peak is lost.

    Args:
        values: of shape (n,), n > 0.
    """
    numbers = values.astype(np.float64) / 2  # so that no difference is too large
    numbers[~np.isfinite(numbers)] = np.nan
    low, high = _range_per_column(numbers, 2 * columns)
    present = ~np.isnan(low)
    if not present.any():
        return [" " * columns] * lines
    most = 4 * lines - 1
    lowest, span = low[present].min(), high[present].max() - low[present].min()
    scale = most / span if span > 0 else 0.0
    first = np.where(present, np.round((low - lowest) * scale), np.nan)
    last = np.where(present, np.round((high - lowest) * scale), np.nan)
    first, last = _connected(first, last)
    row = np.arange(most, -1, -1)[:, None]
    return braille((row >= first) & (row <= last))


def labelled_curve(values: NDArray[Any], columns: int, lines: int) -> list[str]:
    """A curve with the largest and the smallest finite number on its left."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return []
    labels = [f"{finite.max():.5g}", *[""] * (lines - 2), f"{finite.min():.5g}"]
    gutter = max(map(len, labels))
    drawn = curve(values, max(1, columns - gutter - 1), lines)
    return [f"{label:>{gutter}} {line}" for label, line in zip(labels, drawn, strict=True)]


def extent_of(x: NDArray[Any], y: NDArray[Any]) -> Extent:
    """The rectangle that holds these points; there must be one."""
    return Extent(float(x.min()), float(x.max()), float(y.min()), float(y.max()))


def scatter_size(extent: Extent, columns: int, lines: int) -> tuple[int, int]:
    """Characters and lines that a scatter plot of equal scales needs of those there are."""
    width, height = extent.proportions
    scale = min(2 * columns / width, 4 * lines / height)
    return (
        min(columns, max(1, int(np.ceil(width * scale / 2)))),
        min(lines, max(1, int(np.ceil(height * scale / 4)))),
    )


def dot_places(
    x: NDArray[Any], y: NDArray[Any], extent: Extent, columns: int, lines: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the dot of each point: x to the right, y upwards, in the same scale."""
    width, height = extent.proportions
    scale = min((2 * columns - 1) / width, (4 * lines - 1) / height)
    across = (x - (extent.left + extent.right) / 2) * scale + (2 * columns - 1) / 2
    down = ((extent.bottom + extent.top) / 2 - y) * scale + (4 * lines - 1) / 2
    return (
        np.clip(np.round(down).astype(np.intp), 0, 4 * lines - 1),
        np.clip(np.round(across).astype(np.intp), 0, 2 * columns - 1),
    )


def _range_per_column(numbers: NDArray[Any], columns: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The smallest and the largest number in each column of dots; NaN where there is none."""
    count = len(numbers)
    if count <= columns:
        at = np.interp(np.linspace(0, count - 1, columns), np.arange(count), numbers)
        return at, at
    starts = np.arange(columns) * count // columns
    return np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts)


def _connected(first: NDArray[Any], last: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Columns made longer, so that each touches the one before it."""
    before_first = np.concatenate([first[:1], first[:-1]])
    before_last = np.concatenate([last[:1], last[:-1]])
    longer_first, longer_last = first.copy(), last.copy()
    rising, falling = first > before_last + 1, last < before_first - 1
    longer_first[rising] = before_last[rising] + 1
    longer_last[falling] = before_first[falling] - 1
    return longer_first, longer_last

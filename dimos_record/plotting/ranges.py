"""Fewer points than there are, without losing a peak: the range of a line in each column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_MOST_PIECES = 1000
"""Pieces of a line between gaps that are drawn as lines; points of more are drawn alone."""


class Ranges(NamedTuple):
    """The smallest and the largest value in each column; NaN where there is none."""

    low: Numbers
    high: Numbers


def ranges(x: Numbers, y: Numbers, span: tuple[float, float], columns: int) -> Ranges:
    """The range that a line through points covers in each of some columns of equal width.

    Args:
        x: of shape (n,), ascending.
        y: of shape (n,); what is not finite is a gap in the line.
        span: where the first column begins, and the last one ends.
        columns: how many.
    """
    edges = np.linspace(*span, columns + 1) if span[1] > span[0] else np.array(span)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    there = np.isfinite(y)
    _add_points(x[there], y[there], span, low, high)
    pieces = list(_pieces(there))
    if len(pieces) <= _MOST_PIECES and len(edges) == columns + 1:
        for start, stop in pieces:
            _add_line(x[start:stop], y[start:stop], edges, low, high)
    empty = low > high
    low[empty] = high[empty] = np.nan
    return Ranges(low, high)


def thinned(x: Numbers, y: Numbers, columns: int) -> tuple[Numbers, Numbers]:
    """A line that looks the same at a width: at most four points and a gap in each column.

    Of each column the first, the smallest, the largest and the last point stay.
    """
    if len(x) <= 5 * columns:
        return x, y
    width = (x[-1] - x[0]) / columns or 1.0
    column = np.minimum((x - x[0]) / width, columns - 1).astype(np.intp)
    # gaps belong to themselves: sections of a column between them are kept apart
    gap = ~np.isfinite(y)
    starts = np.flatnonzero((np.diff(column, prepend=-1) != 0) | (np.diff(gap, prepend=False)))
    section = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(x)))
    finite = np.where(gap, 0.0, y)
    by_value = np.lexsort((finite, section))
    ends = np.append(starts[1:], len(x)) - 1
    kept = np.unique(np.concatenate([starts, ends, by_value[starts], by_value[ends]]))
    return x[kept], y[kept]


def _pieces(there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where runs of true begin and end, of shape (runs, 2)."""
    changes = np.flatnonzero(np.diff(there.astype(np.int8), prepend=0, append=0))
    return changes.reshape(-1, 2)


def _add_points(
    x: Numbers, y: Numbers, span: tuple[float, float], low: Numbers, high: Numbers
) -> None:
    width = (span[1] - span[0]) / len(low) or 1.0
    column = np.clip((x - span[0]) / width, 0, len(low) - 1).astype(np.intp)
    np.minimum.at(low, column, y)
    np.maximum.at(high, column, y)


def _add_line(x: Numbers, y: Numbers, edges: Numbers, low: Numbers, high: Numbers) -> None:
    """Add what lies between the points: the line's height at both edges of each column."""
    first = max(int(np.searchsorted(edges, x[0], "right")) - 1, 0)
    last = min(int(np.searchsorted(edges, x[-1], "left")), len(low))
    if last <= first:
        return
    at = np.clip(edges[first : last + 1], x[0], x[-1])
    heights = np.interp(at, x, y)
    low[first:last] = np.minimum(low[first:last], np.minimum(heights[:-1], heights[1:]))
    high[first:last] = np.maximum(high[first:last], np.maximum(heights[:-1], heights[1:]))

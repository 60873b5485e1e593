"""Plots in characters: a panel of braille dots for each series, two by four in a cell."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dimos_record.plotting.labels import printable
from dimos_record.plotting.ranges import Ranges, ranges
from dimos_record.plotting.ticks import label_of, ticks

if TYPE_CHECKING:
    from dimos_record.plotting import Plot, Series

_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint16)
"""The bit of each dot of a cell, by row and column."""
_BLANK = 0x2800
_LEAST_COLUMNS, _LEAST_LINES, _MOST_LINES = 20, 4, 20
_MARKER, _TICKS_APART = "┊", 12
_COLOURS = (36, 33, 32, 35, 34, 31)


def draw(plot: Plot, columns: int | None, lines: int | None, colour: bool) -> str:
    """The plot in characters; see `Plot.text`."""
    terminal = shutil.get_terminal_size()
    columns = max(columns or terminal.columns, _LEAST_COLUMNS)
    lines = lines or terminal.lines - 1
    each = (lines - 3) // len(plot.series) - 1
    each = min(max(each, _LEAST_LINES), _MOST_LINES)
    gutter = max(len(text) for one in plot.series for text in _ends(one))
    width = columns - gutter - 2
    span = min(one.x[0] for one in plot.series), max(one.x[-1] for one in plot.series)
    marked = {_column(at, span, width): None for at in _positions(plot)}
    drawn = _marker_line(plot, span, width, gutter)
    for i, series in enumerate(plot.series):
        drawn.append(
            _coloured(f"{'':{gutter}}  {printable(series.label)}", _COLOURS[i % 6], colour)
        )
        drawn += _panel(series, span, (width, each, gutter), list(marked), i if colour else None)
    drawn += _axis(span, width, gutter)
    return "\n".join(line.rstrip() for line in drawn)


def _panel(
    series: Series,
    span: tuple[float, float],
    size: tuple[int, int, int],
    marked: list[int],
    colour: int | None,
) -> list[str]:
    """The lines of one series, with its largest and its smallest number on the left."""
    width, height, gutter = size
    cells = _braille(ranges(series.x, series.y, span, 2 * width), height)
    top, bottom = _ends(series)
    labels = [top, *[""] * (height - 2), bottom]
    lines = []
    for label, row in zip(labels, cells, strict=True):
        for at in marked:
            if row[at] == chr(_BLANK):
                row[at] = _MARKER
        text = "".join(row).replace(chr(_BLANK), " ")
        text = text if colour is None else _coloured(text, _COLOURS[colour % 6], True)
        lines.append(f"{label:>{gutter}} {'┤' if label else '│'}{text}")
    return lines


def _ends(series: Series) -> tuple[str, str]:
    """The largest and the smallest number as text."""
    finite = series.y[np.isfinite(series.y)]
    if not finite.size:
        return "no", "number"
    return f"{finite.max():.5g}", f"{finite.min():.5g}"


def _braille(found: Ranges, height: int) -> list[list[str]]:
    """The characters that show a range of numbers in each column of dots."""
    low, high = found
    there = ~np.isnan(low)
    dots = np.zeros((4 * height, len(low)), np.bool_)
    if there.any():
        bottom, span = low[there].min(), high[there].max() - low[there].min()
        most = 4 * height - 1
        scale = most / span if span > 0 else 0.0
        first, last = np.round((low - bottom) * scale), np.round((high - bottom) * scale)
        row = np.arange(most, -1, -1)[:, None]
        dots = (row >= first) & (row <= last)  # NaN is neither
    cells = dots.reshape(height, 4, -1, 2).transpose(0, 2, 1, 3)
    codes: NDArray[np.int64] = _BLANK + (cells * _BITS).sum(axis=(2, 3))
    return [[chr(code) for code in line] for line in codes.tolist()]


def _positions(plot: Plot) -> list[float]:
    """Where the markers are, and the ends of those that are intervals."""
    return [_at(plot, ns) for one in plot.markers for ns in (one.at_ns, one.until_ns) if ns]


def _at(plot: Plot, time_ns: int) -> float:
    return (time_ns - plot.origin_ns) / 1e9


def _column(at: float, span: tuple[float, float], width: int) -> int:
    share = (at - span[0]) / (span[1] - span[0]) if span[1] > span[0] else 0.0
    return min(max(int(share * width), 0), width - 1)


def _marker_line(plot: Plot, span: tuple[float, float], width: int, gutter: int) -> list[str]:
    """The names of the markers above where they are, as far as there is room."""
    if not plot.markers:
        return []
    line = ""
    for one in sorted(plot.markers, key=lambda marker: marker.at_ns):
        at, name = _column(_at(plot, one.at_ns), span, width), printable(one.label)
        if len(line) <= at and at + len(name) <= width:
            line = f"{line:{at}}{name} "
    return [f"{'':{gutter}}  {line}"]


def _axis(span: tuple[float, float], width: int, gutter: int) -> list[str]:
    """The line below the panels, with seconds from the start of the recording."""
    places = ticks(*span, max(2, width // _TICKS_APART))
    line, labels = ["─"] * width, ""
    for place in places:
        at, text = _column(place, span, width), label_of(place, places)
        if len(labels) <= at and at + len(text) <= width:
            line[at] = "┬"
            labels = f"{labels:{at}}{text} "
    labels = labels.rstrip() + " s" if len(labels.rstrip()) + 2 <= width else labels
    return [f"{'':{gutter}} └{''.join(line)}", f"{'':{gutter}}  {labels}"]


def _coloured(text: str, code: int, wanted: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if wanted and text.strip() else text

"""Draws dots, blocks and lines of a terminal as shapes of an SVG.

As text they would depend on the reader's font: many have no braille, and no two let lines meet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

WIDTH, HEIGHT = 12.2, 24.4  # of a cell in rich's pictures
_TOP = 1.5  # of the first cell

# Bits of U+2800 to U+28FF: (column, row) of their dots.
_DOTS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]

_DOTTED = (
    f'fill="none" stroke="{{colour}}" stroke-width="3.4" stroke-linecap="round" '
    f'stroke-dasharray="0 {WIDTH / 2}"'
)

# Parts of a cell that are filled: left, top, right, bottom.
_BLOCKS = {
    "▀": (0.0, 0.0, 1.0, 0.5),
    "▐": (0.5, 0.0, 1.0, 1.0),
    "▔": (0.0, 0.0, 1.0, 0.125),
    "▕": (0.875, 0.0, 1.0, 1.0),
    **{chr(0x2580 + n): (0.0, 1 - n / 8, 1.0, 1.0) for n in range(1, 9)},
    **{chr(0x2590 - n): (0.0, 0.0, n / 8, 1.0) for n in range(1, 8)},
}

# Lines between points of a cell, and how wide they are drawn.
_N, _E, _S, _W, _MIDDLE = (0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5), (0.5, 0.5)
_LINES = {
    "│": ((_N, _S), 1.5),
    "┃": ((_N, _S), 3.0),
    "╂": ((_N, _S), 3.0),
    "─": ((_W, _E), 1.5),
    "╷": ((_MIDDLE, _S), 1.5),
    "╱": (((0.0, 1.0), (1.0, 0.0)), 1.5),
    "╭": ((_S, _MIDDLE, _E), 1.5),
    "╮": ((_S, _MIDDLE, _W), 1.5),
    "╰": ((_N, _MIDDLE, _E), 1.5),
    "╯": ((_N, _MIDDLE, _W), 1.5),
}


class Cell(NamedTuple):
    """A character, where it is, and its colour (`#rrggbb`)."""

    character: str
    column: int
    row: int
    colour: str


def is_shape(character: str) -> bool:
    """Whether a character is drawn, and not written."""
    return "\u2800" <= character <= "\u28ff" or character in _BLOCKS or character in _LINES


def drawn(cells: Iterable[Cell]) -> str:
    """The shapes of the cells."""
    dots: dict[str, set[tuple[int, int]]] = defaultdict(set)
    blocks: dict[str, list[str]] = defaultdict(list)
    lines: dict[tuple[str, float], list[str]] = defaultdict(list)
    for cell in cells:
        if cell.character in _BLOCKS:
            blocks[cell.colour].append(_block(cell))
        elif cell.character in _LINES:
            lines[cell.colour, _LINES[cell.character][1]].append(_line(cell))
        else:
            dots[cell.colour].update(_dots(cell))
    paths = [
        *(
            _path(f'fill="{colour}" shape-rendering="crispEdges"', blocks[colour])
            for colour in blocks
        ),
        *(
            _path(f'fill="none" stroke="{colour}" stroke-width="{width}"', each)
            for (colour, width), each in lines.items()
        ),
        *(_path(_DOTTED.format(colour=colour), _dotted_lines(dots[colour])) for colour in dots),
    ]
    return "\n".join(paths)


def _path(style: str, pieces: Iterable[str]) -> str:
    return f'<path {style} d="{"".join(pieces)}"/>'


def _at(cell: Cell, x: float, y: float) -> str:
    return f"{(cell.column + x) * WIDTH:.5g} {_TOP + (cell.row + y) * HEIGHT:.5g}"


def _block(cell: Cell) -> str:
    left, top, right, bottom = _BLOCKS[cell.character]
    return (
        f"M{_at(cell, left, top)}h{(right - left) * WIDTH:g}"
        f"v{(bottom - top) * HEIGHT:g}h{(left - right) * WIDTH:g}z"
    )


def _line(cell: Cell) -> str:
    return "M" + "L".join(_at(cell, x, y) for x, y in _LINES[cell.character][0])


def _dots(cell: Cell) -> Iterable[tuple[int, int]]:
    """The dots of a cell: number of the line of dots, number in that line."""
    bits = ord(cell.character) - 0x2800
    for bit, (column, row) in enumerate(_DOTS):
        if bits >> bit & 1:
            yield 4 * cell.row + row, 2 * cell.column + column


def _dotted_lines(dots: set[tuple[int, int]]) -> Iterable[str]:
    """A line for all dots that are side by side."""
    for row, first in sorted(dots):
        if (row, first - 1) not in dots:
            last = first
            while (row, last + 1) in dots:
                last += 1
            y = _TOP + (row + 0.5) * HEIGHT / 4
            yield f"M{(first + 0.5) * WIDTH / 2:.5g} {y:.5g}h{(last - first) * WIDTH / 2 + 0.1:.5g}"

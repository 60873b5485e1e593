"""Draws what `tmux capture-pane -e -p` prints as an SVG: reads stdin, writes stdout.

The picture names no font to be downloaded; it uses the reader's own monospaced one.

Usage: _terminal_svg.py TITLE COLUMNS
"""

from __future__ import annotations

import re
import sys
from io import StringIO
from itertools import groupby
from operator import itemgetter

from _terminal_shapes import WIDTH as CELL
from _terminal_shapes import Cell, drawn, is_shape
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.ansi import AnsiDecoder
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

_LEADING_SPACES = re.compile(
    r'x="(?P<x>[\d.]+)"(?P<between> y="[\d.]+" )textLength="(?P<length>[\d.]+)"'
    r"(?P<end>[^>]*)>(?P<spaces>(?:&#160;)+)(?=[^<&]|&(?!#160;))"
)
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# readable on GitHub's light and dark page alike
DARK = TerminalTheme(
    (22, 27, 34),
    (214, 222, 230),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (214, 222, 230),
    ],
)


def svg_of(terminal: str, title: str, columns: int) -> str:
    """The picture of a terminal's content, given with its ANSI escape sequences."""
    console = Console(record=True, width=columns, file=StringIO(), highlight=False)
    cells: list[Cell] = []
    for row, line in enumerate(AnsiDecoder().decode(terminal.strip("\n"))):
        written, shapes = _apart(line, row)
        console.print(written, no_wrap=True, crop=True)
        cells += shapes
    svg_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg_format = re.sub(r"<!--.*?-->", "", svg_format)
    svg_format = svg_format.replace("Fira Code, monospace", FONTS)
    svg = console.export_svg(title=title, theme=DARK, code_format=svg_format, unique_id="demo")
    svg = svg.replace('<g class="demo-matrix">', f'{drawn(cells)}<g class="demo-matrix">')
    return _LEADING_SPACES.sub(_without_leading_spaces, svg)


def _apart(line: Text, row: int) -> tuple[Text, list[Cell]]:
    """A line with blanks where shapes are, and these shapes."""
    console = Console()
    shapes: list[Cell] = []
    written: list[tuple[str, Style]] = []
    before = None
    for column, character in enumerate(line.plain):
        style = line.get_style_at_offset(console, column)
        front, behind = style.color, style.bgcolor
        if style.reverse:
            front, behind = behind, front
        if is_shape(character):
            shapes.append(Cell(character, column, row, _hex(front)))
            character, style = " ", Style(bgcolor=behind)
        if character == " " and written and behind == before:
            style = written[-1][1]  # of a blank only the background can be seen
        before = behind
        written.append((character, style))
    runs = groupby(written, key=itemgetter(1))
    return Text.assemble(*(("".join(c for c, _ in run), style) for style, run in runs)), shapes


def _hex(colour: Color | None) -> str:
    if colour is None or colour.is_default:
        return DARK.foreground_color.hex
    return colour.get_truecolor(DARK).hex


def _without_leading_spaces(found: re.Match[str]) -> str:
    """The same text begun where its first character is: some viewers drop spaces before it."""
    shift = len(found["spaces"]) // len("&#160;") * CELL
    x, length = float(found["x"]) + shift, float(found["length"]) - shift
    return f'x="{x:g}"{found["between"]}textLength="{length:g}"{found["end"]}>'


if __name__ == "__main__":
    print(svg_of(sys.stdin.read(), sys.argv[1], int(sys.argv[2])), end="")

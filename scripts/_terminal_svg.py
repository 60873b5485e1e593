"""Draws what `tmux capture-pane -e -p` prints as an SVG: reads stdin, writes stdout.

The picture names no font to be downloaded; it uses the reader's own monospaced one.

Usage: _terminal_svg.py TITLE COLUMNS
"""

from __future__ import annotations

import re
import sys
from io import StringIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

CELL = 12.2  # width of a character in rich's pictures
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
    for line in terminal.strip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    svg_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg_format = re.sub(r"<!--.*?-->", "", svg_format)
    svg_format = svg_format.replace("Fira Code, monospace", FONTS)
    svg = console.export_svg(title=title, theme=DARK, code_format=svg_format, unique_id="demo")
    return _LEADING_SPACES.sub(_without_leading_spaces, svg)


def _without_leading_spaces(found: re.Match[str]) -> str:
    """The same text begun where its first character is: some viewers drop spaces before it."""
    shift = len(found["spaces"]) // len("&#160;") * CELL
    x, length = float(found["x"]) + shift, float(found["length"]) - shift
    return f'x="{x:g}"{found["between"]}textLength="{length:g}"{found["end"]}>'


if __name__ == "__main__":
    print(svg_of(sys.stdin.read(), sys.argv[1], int(sys.argv[2])), end="")

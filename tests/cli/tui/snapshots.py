"""Comparing what a screen shows with a picture of it in `snapshots/`.

Compared is the text, character by character, so that it holds for every release of Textual; the
pictures are for people. `pytest tests/cli/tui --update-snapshots` writes them anew.

async def test_the_live_screen_looks_as_it_should(snapshots):
    for size in SIZES:
        async with app.run_test(size=size) as pilot:
            ...  # fixed figures, and `await pilot.pause()`
            snapshots.check(pilot.app, "live")
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from textual.app import App

SIZES = [(80, 24), (160, 48)]
FOLDER = Path(__file__).parent / "snapshots"

_PIECE = re.compile(
    r'<text class="[^"]*-r\d+" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)"[^>]*>(?P<text>[^<]*)</text>'
)
_WEB_FONTS = re.compile(r"@font-face \{[^}]*\}\s*")
_CELL_WIDTH, _LINE_HEIGHT, _FIRST_LINE = 12.2, 24.4, 20.0  # as rich draws terminals


class Snapshots:
    """Pictures of screens, to compare with or to be written."""

    def __init__(self, *, update: bool) -> None:
        self._update = update

    def check(self, app: App[Any], name: str) -> None:
        """Fail unless the screen shows the text that the picture `NAME-WIDTHxHEIGHT.svg` shows."""
        path = FOLDER / f"{name}-{app.size.width}x{app.size.height}.svg"
        picture = _WEB_FONTS.sub("", app.export_screenshot(title=name))
        if self._update:
            path.write_text(picture)
        assert path.exists(), f"no {path.name}; write it with --update-snapshots"
        assert text_of(picture) == text_of(path.read_text()), f"{path.name} differs"


def text_of(picture: str) -> list[str]:
    """The lines of text that a picture of a terminal shows, without blanks at their ends."""
    lines: dict[int, str] = {}
    for piece in _PIECE.finditer(picture):
        row = round((float(piece["y"]) - _FIRST_LINE) / _LINE_HEIGHT)
        column = round(float(piece["x"]) / _CELL_WIDTH)
        line = lines.get(row, "")
        text = html.unescape(piece["text"]).strip("\n").replace("\xa0", " ")
        lines[row] = line + " " * (column - cell_len(line)) + text
    return [lines.get(row, "").rstrip() for row in range(max(lines, default=-1) + 1)]


def screen_text(app: App[Any]) -> str:
    """What the screen shows now, as text."""
    return "\n".join(text_of(app.export_screenshot()))

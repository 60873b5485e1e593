"""A line of the screen while it is being drawn: characters, and what each of them stands for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Styles = Callable[[str, str], Style]
"""(role, ground) to how it looks; see `palette`."""


class Line:
    """A line of a fixed number of cells, blank at first.

    What a cell stands for is its *role* (`cut`, `playhead`, `load-3` ...), what lies behind it is
    its *ground* (`cursor`, `selected`); both are names, so that a picture can be compared without
    colours.
    """

    def __init__(self, cells: int) -> None:
        self.characters = [" "] * cells
        self.roles = [""] * cells
        self.grounds = [""] * cells

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def text(self) -> str:
        """The line without its colours."""
        return "".join(self.characters)

    def put(self, column: int, text: str, role: str, end: int | None = None) -> None:
        """Write a text of narrow characters; what is beyond the line, or `end`, is left out."""
        end = len(self) if end is None else min(end, len(self))
        for i, character in enumerate(text, column):
            if 0 <= i < end:
                self.characters[i], self.roles[i] = character, role

    def fill(self, start: int, end: int, character: str, role: str) -> None:
        """Write one character into the columns from `start` to before `end`."""
        start = max(0, start)
        self.put(start, character * (end - start), role)

    def underlay(self, start: int, end: int, ground: str) -> None:
        """Lay a ground behind the columns from `start` to before `end`."""
        for i in range(max(0, start), min(end, len(self))):
            self.grounds[i] = ground

    def beside(self, right: Line) -> Line:
        """This line with another one right of it."""
        both = Line(0)
        both.characters = self.characters + right.characters
        both.roles = self.roles + right.roles
        both.grounds = self.grounds + right.grounds
        return both

    def strip(self, styles: Styles) -> Strip:
        """The line as Textual shows it."""
        cells = zip(self.characters, self.roles, self.grounds, strict=True)
        segments = [
            Segment("".join(cell[0] for cell in run), styles(role, ground))
            for (role, ground), run in groupby(cells, key=lambda cell: cell[1:])
        ]
        return Strip(segments, len(self))


def narrow(text: str) -> str:
    """A text whose characters take one cell each, as names from a bus or a file need not."""
    return "".join(c if cell_len(c) == 1 and c.isprintable() else "?" for c in text)


def elided(text: str, cells: int) -> str:
    """A text in so many cells; of a longer one its end, which tells topics apart."""
    if len(text) <= cells:
        return text
    return f"…{text[len(text) - cells + 1 :]}" if cells > 1 else ""


def counted(messages: int) -> str:
    """`1 message`, `1,234 messages`"""
    return "1 message" if messages == 1 else f"{messages:,} messages"

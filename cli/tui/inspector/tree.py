"""The tree of a message: lines that open and close, drawn only where they are seen."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.inspector.bodies import is_matrix
from dimos_record.cli.tui.inspector.describe import SHOWN_NUMBERS, Node
from dimos_record.cli.tui.inspector.lines import Line, Path, lines_of, opened_at_first
from dimos_record.cli.tui.inspector.plots import curve
from dimos_record.cli.tui.keys import Key

_SCROLLBAR = 1
_SPARK_COLUMNS = (8, 30)
"""The least and the most characters of the small plot behind an array."""


class MessageTree(ScrollView, can_focus=True):
    """The values of a message as a tree.

    What is open stays open when the next message of the same type is shown.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tree--name",
        "tree--number",
        "tree--text",
        "tree--array",
        "tree--faint",
        "tree--note",
        "tree--cursor",
    }
    DEFAULT_CSS = """
    MessageTree {
        height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;
        & > .tree--name { color: $foreground; }
        & > .tree--number { color: $primary; }
        & > .tree--text { color: $success; }
        & > .tree--array { color: $secondary; }
        & > .tree--faint { color: $faint; }
        & > .tree--note { color: $warning; }
        & > .tree--cursor { background: $panel; }
        &:focus > .tree--cursor { background: $primary-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Key("enter", "toggle_value", "Open or close a value", section="Message", label="open"),
        Key("right", "open_value", "Open a value, or go into it", section="Message"),
        Key("left", "close_value", "Close a value, or go to what it is in", section="Message"),
        Key("up", "move(-1)", "One line up", section="Message"),
        Key("down", "move(1)", "One line down", section="Message"),
        Key("pageup", "page(-1)", "One page up", section="Message"),
        Key("pagedown", "page(1)", "One page down", section="Message"),
        Key("home", "first", "To the first line", section="Message"),
        Key("end", "last", "To the last line", section="Message"),
        Key("y", "copy", "Copy a value to the terminal's clipboard", section="Message"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.cursor = 0
        """Number of the line that keys act on."""
        self._root = Node("", "", "message")
        self._opened: dict[str, set[Path]] = {}
        """By type; those that cannot be decoded have none."""

    def show(self, root: Node, room: tuple[int, int]) -> None:
        """Show a message.

        Args:
            room: the characters and lines that the tree is about to have.
        """
        self._root = root
        has_values = any(node.kind != "note" for node in root.children)
        if has_values and root.type_name not in self._opened:
            columns, lines = room
            self._opened[root.type_name] = opened_at_first(root, lines, columns - _SCROLLBAR)
        self._lay_out()

    @property
    def opened(self) -> set[Path]:
        """The values that are open."""
        return self._opened.get(self._root.type_name, set())

    @property
    def _width(self) -> int:
        """Characters in a line; the place of the scrollbar is always kept free."""
        return max(8, self.content_region.width - _SCROLLBAR)

    def _lay_out(self) -> None:
        before = self.lines[self.cursor].path if self.cursor < len(self.lines) else ()
        self.lines = list(lines_of(self._root, self.opened, self._width))
        places = {line.path: at for at, line in reversed(list(enumerate(self.lines)))}
        self.cursor = min(places.get(before, self.cursor), max(0, len(self.lines) - 1))
        self.virtual_size = Size(self._width, len(self.lines))
        self.refresh()

    def on_resize(self) -> None:
        """Plots and texts are as wide as there is room."""
        self._lay_out()

    # --- keys

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self.cursor = max(0, min(len(self.lines) - 1, self.cursor + lines))
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False)
        self.refresh()

    def action_page(self, pages: int) -> None:
        """Move the cursor by pages."""
        self.action_move(pages * max(1, self.size.height - 1))

    def action_first(self) -> None:
        """Move the cursor to the beginning."""
        self.action_move(-len(self.lines))

    def action_last(self) -> None:
        """Move the cursor to the end."""
        self.action_move(len(self.lines))

    def action_toggle_value(self) -> None:
        """Open or close the value under the cursor."""
        if self.lines:
            self._set_open(self._at_cursor.path not in self.opened)

    def action_open_value(self) -> None:
        """Open the value under the cursor, or go to the first one in it."""
        if self.lines and self._at_cursor.path in self.opened:
            self.action_move(1)
        elif self.lines:
            self._set_open(True)

    def action_close_value(self) -> None:
        """Close the value under the cursor, or go to the one that it is in."""
        if not self.lines:
            return
        if self._at_cursor.path in self.opened:
            self._set_open(False)
            return
        parent = self._at_cursor.path[:-1]
        paths = [line.path for line in self.lines]
        if parent in paths:
            self.action_move(paths.index(parent) - self.cursor)

    def action_copy(self) -> None:
        """Give the value under the cursor to the terminal's clipboard (OSC 52)."""
        if self.lines:
            value = self._at_cursor.text or self._at_cursor.node.value
            self.app.copy_to_clipboard(value)
            tui(self).say(f"Copied, if the terminal allows it: {value}")

    @property
    def _at_cursor(self) -> Line:
        return self.lines[self.cursor]

    def _set_open(self, is_open: bool) -> None:
        line = self._at_cursor
        if line.node.opens and is_open:
            self.opened.add(line.path)
        else:
            self.opened.discard(line.path)
        self._lay_out()
        self.action_move(0)

    def on_click(self, event: events.Click) -> None:
        """Open or close the value that is clicked."""
        at = event.y + self.scroll_offset.y
        if at < len(self.lines):
            self.cursor = at
            self.action_toggle_value()

    # --- drawing

    def render_line(self, y: int) -> Strip:
        """One line of what is seen."""
        at = y + self.scroll_offset.y
        width = self._width
        if at >= len(self.lines):
            return Strip.blank(width)
        text = self._text(self.lines[at], width)
        text.truncate(width, overflow="ellipsis")
        segments = [Segment(s.text, s.style) for s in text.render(self.app.console) if s.text]
        strip = Strip(segments).extend_cell_length(width)
        if at != self.cursor:
            return strip
        return strip.apply_style(self.get_component_rich_style("tree--cursor", partial=True))

    def _text(self, line: Line, width: int) -> Text:
        text = Text(" " * line.indent, no_wrap=True, end="")
        node = line.node
        if line.text is not None:
            return text.append(line.text, self._style("note" if node.kind == "note" else "array"))
        is_open = line.path in self.opened
        text.append("▾ " if is_open else "▸ " if node.opens else "  ", self._style("faint"))
        if node.name:
            text.append(f"{node.name}: ", self._style("name"))
        if is_open and node.kind == "message":
            return text.append(node.type_name, self._style("faint"))
        text.append(node.value, self._style(_ROLES[node.kind]))
        if node.kind == "array" and not is_open:
            text.append(_spark(node, width - text.cell_len - 1), self._style("array"))
        return text

    def _style(self, role: str) -> Style:
        return self.get_component_rich_style(f"tree--{role}", partial=True)


_ROLES = {
    "message": "faint",
    "list": "faint",
    "array": "number",
    "bytes": "faint",
    "text": "text",
    "number": "number",
    "more": "faint",
}


def _spark(node: Node, room: int) -> str:
    """A plot in one line; empty where there are few numbers or little room."""
    values, (least, most) = node.data, _SPARK_COLUMNS
    if values is None or values.size <= SHOWN_NUMBERS or values.ndim != 1 or is_matrix(node):
        return ""
    if room < least + 1 or values.dtype == np.bool_ or values.min() == values.max():
        return ""
    return " " + curve(values, min(room - 1, most, (values.size + 1) // 2), 1)[0]

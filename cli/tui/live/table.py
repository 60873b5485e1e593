"""The table of topics: a tree whose lines can be chosen and folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from dimos_record.bus import split_channel
from dimos_record.cli import text
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.live.columns import Columns, cut
from dimos_record.cli.tui.live.tree import Row
from dimos_record.cli.tui.live.watch import TopicNow

_STALE_S = 5.0
_MARKS = {None: "◐ ", True: "● ", False: "○ "}
_MARK_WIDTH = 2


class TopicHeader(Widget):
    """The names of the columns, above the table."""

    DEFAULT_CSS = """
    TopicHeader { height: 1; padding: 0 1; color: $faint; }
    """

    def render(self) -> Text:
        """One line."""
        return Text(Columns.for_width(self.size.width).header(), no_wrap=True)


class TopicTable(ScrollView, can_focus=True):
    """Lines with a mark, a name and figures, one of them highlighted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Key("up,k", "move(-1)", "One line up", section="Table"),
        Key("down,j", "move(1)", "One line down", section="Table"),
        Key("pageup", "page(-1)", "One page up", section="Table"),
        Key("pagedown", "page(1)", "One page down", section="Table"),
        Key("home,g", "move(-100000)", "To the first line", section="Table"),
        Key("end,G", "move(100000)", "To the last line", section="Table"),
        Key("enter", "fold", "Fold or unfold a branch", section="Table"),
        Key("left,h", "fold(True)", "Fold the branch", section="Table"),
        Key("right,l", "fold(False)", "Unfold the branch", section="Table"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--cursor",
        "table--branch",
        "table--chosen",
        "table--faint",
        "table--chart",
    }
    DEFAULT_CSS = """
    TopicTable {
        height: 1fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    TopicTable > .table--cursor { background: $cursor; }
    TopicTable > .table--branch { text-style: bold; }
    TopicTable > .table--chosen { color: $mark; text-style: bold; }
    TopicTable.-recording > .table--chosen { color: $recording; text-style: bold; }
    TopicTable > .table--faint { color: $faint; }
    TopicTable > .table--chart { color: $load-2; }
    """

    class Highlighted(Message):
        """Another line is highlighted, or its figures are new."""

    class Marked(Message):
        """The mark of the highlighted line was clicked."""

    class Folded(Message):
        """A branch was folded, or unfolded."""

        def __init__(self, branch: str, closed: bool) -> None:
            super().__init__()
            self.branch, self.closed = branch, closed

    def __init__(self, is_chosen: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_chosen = is_chosen
        self._rows: list[Row] = []
        self._topics: Mapping[str, TopicNow] = {}
        self._folded: frozenset[str] = frozenset()
        self._cursor = 0

    def show(self, rows: list[Row], topics: Mapping[str, TopicNow], closed: frozenset[str]) -> None:
        """Show other lines, or other figures; the highlight stays on its line."""
        before = self.row
        self._rows, self._topics, self._folded = rows, topics, closed
        keys = [row.key for row in rows]
        if before is not None and before.key in keys:
            self._cursor = keys.index(before.key)
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows))
        self.refresh()
        self.post_message(self.Highlighted())

    @property
    def row(self) -> Row | None:
        """The highlighted line; None where there is none."""
        return self._rows[self._cursor] if self._rows else None

    def action_move(self, lines: int) -> None:
        """Move the highlight."""
        if self._rows:
            self._cursor = max(0, min(len(self._rows) - 1, self._cursor + lines))
            self.scroll_to_region(Region(0, self._cursor, 1, 1), animate=False)
            self.refresh()
            self.post_message(self.Highlighted())

    def action_page(self, pages: int) -> None:
        """Move the highlight by as many lines as are seen."""
        self.action_move(pages * max(1, self.scrollable_content_region.height - 1))

    def action_fold(self, closed: bool | None = None) -> None:
        """Fold or unfold the highlighted branch."""
        row = self.row
        if row is not None and row.branch is not None:
            if closed is None:
                closed = row.branch not in self._folded
            self.post_message(self.Folded(row.branch, closed))

    def on_click(self, event: events.Click) -> None:
        """Highlight a line; a click on its mark chooses it, two fold it."""
        place = event.get_content_offset(self)
        if place is None or not place.y + self.scroll_offset.y < len(self._rows):
            return
        self.action_move(place.y + self.scroll_offset.y - self._cursor)
        if place.x < _MARK_WIDTH:
            self.post_message(self.Marked())
        elif event.chain == 2:
            self.action_fold()

    def render_line(self, y: int) -> Strip:
        """One line."""
        number = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        base = self.rich_style
        if number >= len(self._rows):
            return Strip.blank(width, base)
        if number == self._cursor:
            base += self.get_component_rich_style("table--cursor", partial=True)
        strip = Strip(self._segments(self._rows[number], Columns.for_width(width)))
        return strip.adjust_cell_length(width).apply_style(base)

    def _segments(self, row: Row, columns: Columns) -> list[Segment]:
        topics = [self._topics[one] for one in row.channels]
        figures, chart = columns.figures(topics)
        is_stale = all(one.age_s > _STALE_S for one in topics)
        faint = self._style("faint")
        name_style = (
            self._style("branch") if row.branch is not None else faint if is_stale else Style()
        )
        mark = self._mark(row)
        kind = "" if row.branch is not None else split_channel(row.channels[0])[1] or "no type"
        return [
            Segment(_MARKS[mark], faint if mark is False else self._style("chosen")),
            Segment(cut(self._label(row), columns.name), name_style),
            Segment(cut(text.printable(kind), columns.kind), faint),
            Segment(figures, faint if is_stale else Style()),
            Segment(f" {chart}", self._style("chart")),
        ]

    def _label(self, row: Row) -> str:
        indent = "  " * row.depth
        if row.branch is None:
            return indent + text.printable(row.label)
        return f"{indent}{'▸' if row.branch in self._folded else '▾'} {text.printable(row.label)}"

    def _mark(self, row: Row) -> bool | None:
        """Whether a line is chosen; None if part of it is."""
        chosen = {self._is_chosen(one) for one in row.channels}
        return None if len(chosen) == 2 else True in chosen

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"table--{name}", partial=True)

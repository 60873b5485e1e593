"""Everything that is worked out for a message before it is shown, in a thread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rich.text import Text

from dimos_record.cli.text import moment, printable, seconds, size
from dimos_record.cli.tui.inspector.describe import Node, describe_row
from dimos_record.cli.tui.inspector.views import Drawing, Room, View, view_of
from dimos_record.errors import DimosRecordError
from dimos_record.store.base import Row, StreamInfo

NARROWEST_TREE = 36
"""Characters that the tree keeps beside a picture."""
LARGEST_DRAWING = (160, 60)
"""Characters and lines; more would take too long ten times per second."""
SMALLEST_DRAWING = (8, 3)
MANY_LINES = 12
"""Enough to spare two for what is said of a drawing."""


class Wanted(NamedTuple):
    """A message, and the room that there is for it."""

    stream: StreamInfo
    row: Row | None
    position_s: float
    columns: int
    lines: int
    few_colours: bool = False

    @property
    def what(self) -> Wanted:
        """The same, wherever it is on the timeline."""
        return self._replace(position_s=0.0)


class Seen(NamedTuple):
    """What to show."""

    wanted: Wanted
    heading: list[Text]
    root: Node
    drawing: Drawing | None
    is_beside: bool
    """Whether the drawing belongs beside the tree, and not above it."""

    def moved(self, position_s: float) -> Seen:
        """The same message, said to be elsewhere on the timeline."""
        wanted = self.wanted._replace(position_s=position_s)
        return self._replace(
            wanted=wanted, heading=heading(wanted.stream, wanted.row, position_s, wanted.columns)
        )

    @property
    def tree_room(self) -> tuple[int, int]:
        """Characters and lines that are left for the tree."""
        columns, lines = self.wanted.columns, self.wanted.lines - len(self.heading)
        if self.drawing is not None:
            width, height = self.drawing.size
            columns -= (width + 1) if self.is_beside else 0
            lines -= 0 if self.is_beside else height
        return columns, max(0, lines)


def look(wanted: Wanted) -> Seen:
    """Decode a message, describe it, and draw what can be drawn of it."""
    with np.errstate(all="ignore"):  # numbers of any size are to be expected
        return _look(wanted)


def _look(wanted: Wanted) -> Seen:
    lines = heading(wanted.stream, wanted.row, wanted.position_s, wanted.columns)
    if wanted.row is None:
        nothing = f"No message on {printable(wanted.stream.topic)} until here."
        root = Node("", "", "message", (Node("", nothing, "note"),))
        return Seen(wanted, lines, root, None, False)
    root, message = describe_row(wanted.row)
    drawing, is_beside = None, False
    try:
        view = None if message is None else view_of(message)
        if view is not None:
            room, is_beside = room_for(view, wanted.columns, wanted.lines - len(lines))
            drawing = _drawn(view, room._replace(few_colours=wanted.few_colours))
    except DimosRecordError as error:
        root = root._replace(children=(Node("", printable(str(error)), "note"), *root.children))
    return Seen(wanted, lines, root, drawing, is_beside)


def _drawn(view: View, room: Room) -> Drawing | None:
    least_columns, least_lines = SMALLEST_DRAWING
    return view.draw(room) if room.columns >= least_columns and room.lines >= least_lines else None


def room_for(view: View, columns: int, lines: int) -> tuple[Room, bool]:
    """The room for a view, and whether that is beside the tree: where it can be larger."""
    width, height = view.proportions
    caption_lines = 2 if lines >= MANY_LINES else 1
    beside = columns - NARROWEST_TREE - 1, lines - caption_lines
    above = columns, lines * 3 // 5 - caption_lines

    def scale(size: tuple[int, int]) -> float:
        return min(size[0] / width, 2 * size[1] / height)

    is_beside = scale(beside) >= scale(above)
    most_columns, most_lines = LARGEST_DRAWING
    columns, lines = beside if is_beside else above
    return Room(min(columns, most_columns), min(lines, most_lines), caption_lines), is_beside


def heading(stream: StreamInfo, row: Row | None, position_s: float, columns: int) -> list[Text]:
    """Topic and type, and the figures of the message, in as many lines as they need.

    Args:
        position_s: where the message is on the timeline.
    """
    topic = Text(printable(stream.topic), style="bold")
    names = _packed([topic, Text(printable(stream.type_name or "no type"))], columns)
    if row is None:
        return names
    figures = [f"#{row.id:,}", f"{position_s:.3f} s", moment(row.ts_ns)]
    if row.stamp_ns is not None:
        figures.append(_stamp_text(row.stamp_ns, row.ts_ns))
    figures.append(size(len(row.data)))
    return [*names, *_packed([Text(figure) for figure in figures], columns)]


def _stamp_text(stamp_ns: int, ts_ns: int) -> str:
    """`stamp 10:15:30.120, lag 3.2 ms`: the lag is how much later the message was received."""
    lag_ns = ts_ns - stamp_ns
    stamp, received = moment(stamp_ns), moment(ts_ns)
    same_day = stamp.split()[0] == received.split()[0]
    shown = stamp.split()[1] if same_day else stamp
    lag = seconds(round(abs(lag_ns), -3) / 1e9)
    return f"stamp {shown}, lag {'-' if lag_ns < -500 else ''}{lag}"


def _packed(parts: list[Text], columns: int) -> list[Text]:
    """Parts side by side, as many to a line as fit."""
    for part in parts:
        part.truncate(columns, overflow="ellipsis")
    lines = [parts[0]]
    for part in parts[1:]:
        if lines[-1].cell_len + 2 + part.cell_len <= columns:
            lines[-1] = Text.assemble(lines[-1], "  ", part)
        else:
            lines.append(part)
    return lines

"""Drawing lanes: density in braille dots, single messages as ticks, what was cut hatched."""

from __future__ import annotations

from collections.abc import Sequence

from dimos_record.cli.tui.braille import braille_row
from dimos_record.cli.tui.timeline import density
from dimos_record.cli.tui.timeline.density import Picture
from dimos_record.cli.tui.timeline.line import Line, counted, elided, narrow
from dimos_record.cli.tui.timeline.scene import Lane, Marks, Scene, Section
from dimos_record.cli.tui.timeline.window import Window

CUT, PAUSE, START, TICK = "╱", "·", "┊", "│"
PLAYHEAD, PLAYHEAD_ON_TICK = "┃", "╂"
IN, OUT = "[", "]"
BLANK = "\u2800"


def dots(figures: Sequence[int], cells: int, rows: int) -> list[str]:
    """Columns of dots, two per character, as so many lines from top to bottom.

    By the root, so that a burst does not hide what is usual.
    """
    high = [figure**0.5 for figure in figures]
    # a dot is left free between this lane and the one above it
    peak = max(high, default=0.0) * 4 * rows / (4 * rows - 1)
    return [line.replace(BLANK, " ") for line in braille_row(high, cells, rows, peak)]


def plot(
    scene: Scene, lane: Lane, picture: Picture | None, window: Window, cells: int, rows: int
) -> list[Line]:
    """The lines of a lane, without its label.

    Args:
        picture: what was counted; None while nobody has.
        window: what the lines are to show. A picture of another window is not drawn.
        cells: columns of characters.
    """
    lines = [Line(cells) for _ in range(rows)]
    for pause in scene.pauses:
        _fill(lines, columns_of(pause, window, cells), PAUSE, "pause")
    for start_ns in scene.starts:
        column = window.column_of(start_ns, cells)
        _fill(lines, range(column, column + 1), START, "start")
    if picture is not None and lane.stream in picture.counts:
        _draw_messages(lines, picture, lane.stream)
    for cut in lane.cuts:
        _fill(lines, columns_of(cut, window, cells), CUT, "cut")
    return lines


def _draw_messages(lines: list[Line], picture: Picture, stream: str) -> None:
    request, counts = picture.request, picture.counts[stream]
    figures = picture.lanes[stream]
    single = density.are_single(counts)
    hot = density.loads(figures, request.window, request.unit, single=single)
    if single:
        ticks = "".join(TICK if number else " " for number in density.per_cell(counts))
        texts = [ticks] * len(lines)
    else:
        texts = dots(figures, request.cells, len(lines))
    for line, text in zip(lines, texts, strict=True):
        for column, character in enumerate(text):
            if character != " ":
                line.put(column, character, f"load-{hot[column]}")


def _fill(lines: list[Line], columns: range, character: str, role: str) -> None:
    for line in lines:
        line.fill(columns.start, columns.stop, character, role)


def columns_of(section: Section, window: Window, cells: int) -> range:
    """The columns that a section fills by more than half; at least one, if it is shown at all."""
    start, end = (_nearest_border(at, window, cells) for at in section)
    if end <= start:
        start = window.column_of(section.start_ns, cells)
        end = start + 1
    return range(max(0, start), min(end, cells))


def _nearest_border(position_ns: int, window: Window, cells: int) -> int:
    return (window.column_of(position_ns, 2 * cells) + 1) // 2


def mark(line: Line, marks: Marks, window: Window) -> None:
    """Show the marks on a line, and what lies between them."""
    cells = len(line)
    if marks.section is not None:
        columns = columns_of(marks.section, window, cells)
        line.underlay(columns.start, columns.stop, "selected")
    if marks.in_ns is not None:
        line.put(window.column_of(marks.in_ns, cells), IN, "mark")
    if marks.out_ns is not None:
        line.put(window.column_of(marks.out_ns, cells), OUT, "mark")


def playhead(line: Line, column: int) -> str:
    """What the playhead looks like on a line, so that the tick of a message is still seen."""
    return PLAYHEAD_ON_TICK if line.characters[column] == TICK else PLAYHEAD


def label(lane: Lane, cells: int, rows: int, *, cursor: bool, state: str) -> list[Line]:
    """What stands left of a lane: whether it is chosen, its state, name, and count if there's room.

    Args:
        state: `M` for a muted lane, `S` for a soloed one, else a space.
    """
    lines = [Line(cells) for _ in range(rows)]
    name = narrow(lane.topic)
    lines[0].put(0, "▸" if cursor else " ", "cursor")
    lines[0].put(1, state, "muted" if state == "M" else "solo")
    room = cells - 4
    number = f"{lane.messages:,}"
    if rows > 1:
        words = counted(lane.messages)
        lines[1].put(3, words if len(words) <= room else elided(number, room), "faint")
    elif len(name) + 1 + len(number) <= room:
        lines[0].put(cells - 1 - len(number), number, "faint")
    role = "muted" if state == "M" else "name"
    lines[0].put(3, elided(name, room), role)
    return lines

"""Drawing what belongs to all lanes: the time axis, the markers, and the overview."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from dimos_record.cli.tui.timeline import density
from dimos_record.cli.tui.timeline.density import Unit
from dimos_record.cli.tui.timeline.lanes import CUT, PAUSE, PLAYHEAD, columns_of, dots, mark
from dimos_record.cli.tui.timeline.line import Line, narrow
from dimos_record.cli.tui.timeline.scene import Flag, Marks, Scene, Section
from dimos_record.cli.tui.timeline.window import S, Window

FLAG = "◆"
Loop = tuple["int | None", "int | None"]
"""A and B, as far as they are set."""
NO_LOOP: Loop = (None, None)
HEAD = "▼"
"""Of the playhead, above the lanes."""
_MINUTE_NS, _HOUR_NS = 60 * S, 3600 * S
_STEPS_NS: tuple[int, ...] = (
    *(factor * 10**power for power in range(3, 10) for factor in (1, 2, 5)),
    *(factor * S for factor in (10, 15, 30)),
    *(factor * _MINUTE_NS for factor in (1, 2, 5, 10, 15, 30)),
    *(factor * _HOUR_NS for factor in (1, 2, 6, 12, 24)),
)


def clock(position_ns: int, step_ns: int) -> str:
    """`1:02:03`, `0:04.25`: a position, as exact as ticks at this distance need it."""
    sign = "-" if position_ns < 0 else ""
    seconds, rest_ns = divmod(abs(position_ns), S)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    digits = next(d for d in range(10) if step_ns % 10 ** (9 - d) == 0)
    exact = f".{rest_ns:09d}"[: digits + 1] if digits else ""
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{front}:{seconds:02d}{exact}"


def tick_step(window: Window, cells: int) -> int:
    """The shortest round distance of ticks whose labels do not touch, in ns."""
    for step_ns in _STEPS_NS:
        longest = max(len(clock(at, step_ns)) for at in (window.start_ns, window.end_ns))
        if step_ns * cells >= (longest + 3) * window.length_ns:
            return step_ns
    return -(-window.length_ns // _STEPS_NS[-1]) * _STEPS_NS[-1]


def axis(window: Window, cells: int, marks: Marks, loop: Loop = NO_LOOP) -> Line:
    """Ticks with their times, the marks, and A and B of a loop."""
    line = Line(cells)
    step_ns = tick_step(window, cells)
    at_ns = -(-window.start_ns // step_ns) * step_ns
    while at_ns < window.end_ns:
        text = f"╷{clock(at_ns, step_ns)}"
        column = window.column_of(at_ns, cells)
        if column + len(text) <= cells:
            line.put(column, text, "axis")
        at_ns += step_ns
    mark(line, marks, window)
    for name, loop_ns in zip("AB", loop, strict=True):
        if loop_ns is not None:
            line.put(window.column_of(loop_ns, cells), name, "loop")
    return line


def flags(all_flags: Sequence[Flag], window: Window, cells: int) -> Line:
    """Markers with their labels; an interval is drawn out to its end."""
    line = Line(cells)
    shown = sorted(all_flags, key=lambda flag: flag.at_ns)
    for flag, following in zip_longest(shown, shown[1:]):
        column = window.column_of(flag.at_ns, cells)
        if flag.until_ns is not None:
            columns = columns_of(Section(flag.at_ns, flag.until_ns), window, cells)
            line.fill(columns.start, columns.stop, "─", "flag")
        end = cells if following is None else window.column_of(following.at_ns, cells) - 1
        line.put(column, FLAG, "flag")
        line.put(column + 1, narrow(flag.label), "flag-label", max(end, column + 1))
    return line


def overview(
    scene: Scene,
    figures: Sequence[int],
    unit: Unit,
    window: Window,
    cells: int,
    playhead_ns: int,
    marks: Marks,
) -> Line:
    """The whole recording in one line, with the window lit.

    Args:
        figures: per dot column of the whole recording; empty while nobody has counted.
    """
    whole = Window.whole(scene.extent)
    line = Line(cells)
    for pause in scene.pauses:
        columns = columns_of(pause, whole, cells)
        line.fill(columns.start, columns.stop, PAUSE, "pause")
    if len(figures) == density.DOTS * cells:
        hot = density.loads(figures, whole, unit, single=False)
        for column, character in enumerate(dots(figures, cells, 1)[0]):
            if character != " ":
                line.put(column, character, f"load-{hot[column]}")
    for cut in scene.cuts:
        columns = columns_of(cut, whole, cells)
        line.fill(columns.start, columns.stop, CUT, "cut")
    for flag in scene.flags:
        line.put(whole.column_of(flag.at_ns, cells), FLAG, "flag")
    mark(line, marks, whole)
    if window != whole:
        columns = columns_of(Section(window.start_ns, window.end_ns), whole, cells)
        line.underlay(columns.start, columns.stop, "window")
    line.put(whole.column_of(playhead_ns, cells), PLAYHEAD, "playhead")
    return line

"""The lanes of a recording, with the time axis and the markers above them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from dimos_record.cli.tui.timeline import density, lanes, ruler
from dimos_record.cli.tui.timeline.density import Picture, Read, Request, Unit
from dimos_record.cli.tui.timeline.latest import Latest
from dimos_record.cli.tui.timeline.line import Line, Styles
from dimos_record.cli.tui.timeline.palette import styles
from dimos_record.cli.tui.timeline.scene import Lane, Marks, Scene
from dimos_record.cli.tui.timeline.window import Extent, Window

_RULER = 2
"""Lines above the lanes: the axis, and the markers."""
_MOST_ROWS = 3
"""Lines per lane, where there is room."""


class TimelineView(Widget, can_focus=True):
    """Lanes, one per stream; as many as fit, the rest can be scrolled to.

    What is counted is counted in a thread: until it is there, the picture before stays.

    Args:
        read: lets that thread read the recording.
    """

    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    TimelineView { width: 1fr; height: 1fr; }
    """

    class Picked(Message):
        """A position was clicked."""

        def __init__(self, position_ns: int) -> None:
            super().__init__()
            self.position_ns = position_ns

    class Moved(Message):
        """Another part of the timeline is shown, or another lane has the cursor."""

    def __init__(self, read: Read) -> None:
        super().__init__()
        self.scene = Scene(Extent(0, 1))
        self.window = Window.whole(self.scene.extent)
        """What is to be shown; what is shown lags behind until it is counted."""
        self.unit: Unit = "messages"
        self.cursor = 0
        """Number of the lane that keys for one stream are about."""
        self.playhead_ns = 0
        self.marks = Marks()
        self._loop = ruler.NO_LOOP
        self._states: dict[str, str] = {}
        self.follows = True
        """Whether the window goes where the playhead goes."""
        self._first = 0
        self._picture: Picture | None = None
        self._styles: Styles | None = None
        self._lines: dict[int, tuple[Line, Strip]] = {}
        """What was drawn, without the playhead, by line of the widget."""
        self._latest: Latest[Request, Picture] = Latest(
            self,
            lambda request, stale: density.compute(read, request, stale),
            self._take,
        )

    # --- what to show

    def show_scene(self, scene: Scene) -> None:
        """Show another recording, or what an edit has made of it."""
        all_shown = self.window == Window.whole(self.scene.extent)
        self.scene = scene
        whole = Window.whole(scene.extent)
        self.window = whole if all_shown else self.window.panned(0, scene.extent)
        self.cursor = min(self.cursor, max(0, len(scene.lanes) - 1))
        self._repaint()
        self._count()

    def show_states(self, muted: Iterable[str], soloed: Iterable[str]) -> None:
        """Show which topics are muted or soloed."""
        states = dict.fromkeys(muted, "M") | dict.fromkeys(soloed, "S")
        if states != self._states:
            self._states = states
            self._repaint()

    def show_marks(self, marks: Marks) -> None:
        """Show other marks."""
        self.marks = marks
        self._repaint()

    def show_loop(self, loop: ruler.Loop) -> None:
        """Show what is looped."""
        if loop != self._loop:
            self._loop = loop
            self._repaint()

    def show_unit(self, unit: Unit) -> None:
        """Show messages or bytes."""
        self.unit = unit
        self._repaint()
        self._count()

    def show_playhead(self, position_ns: int, *, moving: bool = False) -> None:
        """Move the playhead.

        Args:
            moving: whether it plays, so that the next page is shown when it comes to the end.
        """
        if position_ns == self.playhead_ns:
            return
        before, self.playhead_ns = self.playhead_ns, position_ns
        if self.follows:
            extent = self.scene.extent
            if moving:
                self._show_window(self.window.following(position_ns, extent))
            else:
                self._show_window(self.window.showing(position_ns, extent))
        for column in {self._column(before), self._column(position_ns)}:
            if 0 <= column < self._cells:
                self.refresh(Region(self.label_cells + column, 0, 1, self.size.height))

    def follow(self) -> None:
        """Show the playhead from now on, wherever it goes."""
        self.follows = True
        self._show_window(self.window.showing(self.playhead_ns, self.scene.extent))

    def zoom(self, factor: float) -> None:
        """Zoom in (above 1) or out, around the playhead."""
        self._show_window(self.window.zoomed(factor, self.playhead_ns, self.scene.extent))

    def zoom_all(self) -> None:
        """Show the whole recording."""
        self.follows = True
        self._show_window(Window.whole(self.scene.extent))

    def pan(self, share: float) -> None:
        """Look earlier (below 0) or later, by a share of the window; the playhead stays."""
        self.follows = False
        self._show_window(self.window.panned(share, self.scene.extent))

    def _show_window(self, window: Window) -> None:
        if window != self.window:
            self.window = window
            self._count()
            self.post_message(self.Moved())

    def move_cursor(self, by: int) -> None:
        """Choose a lane below or above the one that is chosen."""
        before, last = self.cursor, len(self.scene.lanes) - 1
        self.cursor = max(0, min(before + by, last))
        self._bring_in(self.cursor)
        self._repaint_lane(before)
        self._repaint_lane(self.cursor)
        self.post_message(self.Moved())

    @property
    def lane(self) -> Lane | None:
        """The lane that is chosen."""
        return self.scene.lanes[self.cursor] if self.scene.lanes else None

    # --- layout

    @property
    def label_cells(self) -> int:
        """Columns left of the lanes."""
        longest = max((len(lane.topic) for lane in self.scene.lanes), default=0)
        with_counts = longest + len(
            f"{max((one.messages for one in self.scene.lanes), default=0):,}"
        )
        wide = with_counts + 6 if self.size.width >= 120 else longest + 4
        return max(15, min(wide, self.size.width * 3 // 10))

    @property
    def _cells(self) -> int:
        """Columns of the lanes."""
        return max(1, self.size.width - self.label_cells)

    @property
    def _rows(self) -> int:
        """Lines per lane."""
        room = max(1, self.size.height - _RULER)
        return max(1, min(_MOST_ROWS, room // max(1, len(self.scene.lanes))))

    @property
    def _fitting(self) -> int:
        """Lanes that are shown at a time."""
        return max(1, (self.size.height - _RULER) // self._rows)

    def _bring_in(self, lane: int) -> None:
        first = min(self._first, lane)
        self._scroll(max(first, lane - self._fitting + 1))

    def _scroll(self, first: int) -> None:
        first = max(0, min(first, len(self.scene.lanes) - self._fitting))
        if first != self._first:
            self._first = first
            self._repaint()
            self._count()

    def on_resize(self) -> None:
        """Other columns, other counts; the chosen lane stays in sight."""
        self._scroll(self._first)
        self._bring_in(self.cursor)
        self._repaint()
        self._count()

    # --- counting

    def _count(self) -> None:
        """Have counted what is to be shown, unless it is there."""
        shown = self.scene.lanes[self._first : self._first + self._fitting]
        streams = tuple(lane.stream for lane in shown)
        request = Request(self.window, self._cells, self.unit, streams, self.scene.edition)
        if self.size.width and streams and not self._has(request):
            self._latest.ask(request)

    def _has(self, request: Request) -> bool:
        picture = self._picture
        return (
            picture is not None
            and picture.request._replace(streams=()) == request._replace(streams=())
            and all(stream in picture.counts for stream in request.streams)
        )

    def _take(self, request: Request, picture: Picture) -> None:
        """Show what was counted, beside what is known of other lanes already."""
        known = self._picture
        if known is not None and known.request._replace(streams=()) == request._replace(streams=()):
            picture = picture._replace(
                lanes={**known.lanes, **picture.lanes}, counts={**known.counts, **picture.counts}
            )
        self._picture = picture
        self._repaint()

    @property
    def settled(self) -> bool:
        """Whether what is shown is what was asked for."""
        return not self._latest.running

    # --- drawing

    def _repaint(self) -> None:
        self._lines.clear()
        self.refresh()

    def _repaint_lane(self, number: int) -> None:
        place, rows = number - self._first, self._rows
        y = _RULER + place * rows
        if 0 <= place < self._fitting:
            for row in range(rows):
                self._lines.pop(y + row, None)
            self.refresh(Region(0, y, self.size.width, rows))

    def notify_style_update(self) -> None:
        """Draw all anew in another theme."""
        super().notify_style_update()
        self._styles = None
        self._lines.clear()

    @property
    def _shown(self) -> tuple[Window, int]:
        """The window that is drawn, and over how many columns."""
        if self._picture is None:
            return self.window, self._cells
        return self._picture.request.window, self._picture.request.cells

    def _column(self, position_ns: int) -> int:
        window, cells = self._shown
        return window.column_of(position_ns, cells)

    def render_line(self, y: int) -> Strip:
        """The axis, the markers, or a line of a lane."""
        if y not in self._lines:
            self._draw(y)
        line, strip = self._lines[y]
        column = self.label_cells + self._column(self.playhead_ns)
        if self.label_cells <= column < len(line):
            head = ruler.HEAD if y == 0 else lanes.playhead(line, column)
            if y != 1:
                piece = Segment(head, self._look("playhead", line.grounds[column]))
                parts = [strip.crop(0, column), Strip([piece], 1), strip.crop(column + 1)]
                strip = Strip.join(parts)
        back = self._look("", "")
        return strip.crop(0, self.size.width).extend_cell_length(self.size.width, back)

    def _draw(self, y: int) -> None:
        """Draw a line, and those that belong to the same lane."""
        window, cells = self._shown
        if y == 0:
            self._drawn(y, self._legend(y), ruler.axis(window, cells, self.marks, self._loop))
        elif y == 1:
            self._drawn(y, self._legend(y), ruler.flags(self.scene.flags, window, cells))
        else:
            self._draw_lane((y - _RULER) // self._rows)

    def _draw_lane(self, place: int) -> None:
        window, cells = self._shown
        rows, y = self._rows, _RULER + place * self._rows
        number = self._first + place
        if place >= self._fitting or number >= len(self.scene.lanes):
            for row in range(rows):
                self._drawn(y + row, Line(self.label_cells), Line(cells))
            return
        lane, cursor = self.scene.lanes[number], number == self.cursor
        state = self._states.get(lane.topic, " ")
        left = lanes.label(lane, self.label_cells, rows, cursor=cursor, state=state)
        right = lanes.plot(self.scene, lane, self._picture, window, cells, rows)
        for row in range(rows):
            if cursor:
                for line in (left[row], right[row]):
                    line.underlay(0, len(line), "cursor")
            lanes.mark(right[row], self.marks, window)
            self._drawn(y + row, left[row], right[row])

    def _drawn(self, y: int, left: Line, right: Line) -> None:
        line = left.beside(right)
        self._lines[y] = line, line.strip(self._look)

    @property
    def _look(self) -> Styles:
        if self._styles is None:
            self._styles = styles(self.app.theme_variables)
        return self._styles

    def _legend(self, y: int) -> Line:
        total, fitting = len(self.scene.lanes), self._fitting
        if y == 0:
            said: str = self.unit
        elif total > fitting:
            said = f"{self._first + 1}-{min(self._first + fitting, total)} of {total}"
        else:
            said = f"{total} stream{'s' * (total != 1)}"
        line = Line(self.label_cells)
        line.put(3, said, "faint", self.label_cells - 1)
        return line

    # --- the mouse

    def on_click(self, event: events.Click) -> None:
        """A lane gets the cursor, and the playhead goes where the click was."""
        number = self._first + (event.y - _RULER) // self._rows
        if event.y >= _RULER and number < len(self.scene.lanes):
            self.move_cursor(number - self.cursor)
        column = event.x - self.label_cells
        window, cells = self._shown
        if 0 <= column < cells:
            self.post_message(self.Picked(window.border(column, cells)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll, or zoom out with ctrl."""
        self._on_wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll, or zoom in with ctrl."""
        self._on_wheel(event, -1)

    def _on_wheel(self, event: events.MouseEvent, by: int) -> None:
        event.stop()
        if event.ctrl:
            self.zoom(2.0**-by)
        else:
            self._scroll(self._first + by)

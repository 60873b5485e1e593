"""The whole recording in one line, with the part lit that the timeline shows."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from dimos_record.cli.tui.timeline import density, ruler
from dimos_record.cli.tui.timeline.density import Picture, Read, Request, Unit
from dimos_record.cli.tui.timeline.latest import Latest
from dimos_record.cli.tui.timeline.line import Styles
from dimos_record.cli.tui.timeline.palette import styles
from dimos_record.cli.tui.timeline.scene import Marks, Scene
from dimos_record.cli.tui.timeline.window import Extent, Window


class Overview(Widget):
    """All streams together, from the first message to the last.

    Args:
        read: lets a thread read the recording.
    """

    DEFAULT_CSS = """
    Overview { height: 1; margin: 0 1; }
    """

    class Picked(Message):
        """A position was clicked."""

        def __init__(self, position_ns: int) -> None:
            super().__init__()
            self.position_ns = position_ns

    def __init__(self, read: Read) -> None:
        super().__init__()
        self._scene = Scene(Extent(0, 1))
        self._window = Window.whole(self._scene.extent)
        self._unit: Unit = "messages"
        self._playhead_ns = 0
        self._marks = Marks()
        self._figures: tuple[int, ...] = ()
        self._counted: Request | None = None
        self._styles: Styles | None = None
        self._latest: Latest[Request, Picture] = Latest(
            self,
            lambda request, stale: density.compute(read, request, stale),
            self._take,
        )

    def show(
        self, scene: Scene, window: Window, unit: Unit, marks: Marks, playhead_ns: int
    ) -> None:
        """Show this; what has to be counted for it is counted in a thread."""
        self._scene, self._window, self._unit = scene, window, unit
        self._marks = marks
        self._playhead_ns = playhead_ns
        self.refresh()
        self._count()

    def show_playhead(self, position_ns: int) -> None:
        """Move the playhead."""
        whole, cells = Window.whole(self._scene.extent), self.size.width
        before, self._playhead_ns = self._playhead_ns, position_ns
        if whole.column_of(before, cells) != whole.column_of(position_ns, cells):
            self.refresh()

    def _count(self) -> None:
        scene, whole = self._scene, Window.whole(self._scene.extent)
        streams = tuple(lane.stream for lane in scene.lanes)
        request = Request(whole, self.size.width, self._unit, streams, scene.edition)
        if request.cells and streams and request != self._counted:
            self._latest.ask(request)

    def _take(self, request: Request, picture: Picture) -> None:
        self._counted = request
        self._figures = density.total(picture.lanes.values())
        self.refresh()

    @property
    def settled(self) -> bool:
        """Whether what is shown is what was asked for."""
        return not self._latest.running

    def on_resize(self) -> None:
        """Other columns, other counts."""
        self._count()

    def render_line(self, y: int) -> Strip:
        """The line."""
        line = ruler.overview(
            self._scene,
            self._figures,
            self._unit,
            self._window,
            self.size.width,
            self._playhead_ns,
            self._marks,
        )
        if self._styles is None:
            self._styles = styles(self.app.theme_variables)
        return line.strip(self._styles)

    def notify_style_update(self) -> None:
        """Draw all anew in another theme."""
        super().notify_style_update()
        self._styles = None

    def on_click(self, event: events.Click) -> None:
        """Look there."""
        whole = Window.whole(self._scene.extent)
        self.post_message(self.Picked(whole.border(event.x, self.size.width)))

"""The message inspector: the message of one stream at the playhead, decoded."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from dimos_record.cli.tui.inspector.describe import Node
from dimos_record.cli.tui.inspector.look import Seen, Wanted, look
from dimos_record.cli.tui.inspector.tree import MessageTree
from dimos_record.cli.tui.inspector.views import Drawing
from dimos_record.store.base import Row, StreamInfo


class Inspector(Widget):
    """Shows one message: what is known about it, its values as a tree, and its picture.

    Messages are decoded in a thread, one at a time; of those that are given meanwhile only the
    last one is shown. The tree takes the focus.
    """

    DEFAULT_CSS = """
    Inspector {
        layout: vertical;
        & > #heading { height: auto; background: $surface; }
        & > #parts { layout: vertical; height: 1fr; }
        &.-beside > #parts { layout: horizontal; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.seen: Seen | None = None
        """What is shown now."""
        self._wanted: tuple[StreamInfo, Row | None, float] | None = None
        self._is_stale = False
        """Whether something else is to be shown than what is being worked on."""
        self._worker: Worker[Seen] | None = None

    def compose(self) -> ComposeResult:
        """Heading, picture and tree."""
        yield Static(id="heading")
        with Container(id="parts"):
            yield DrawingView()
            yield MessageTree()

    def show(self, stream: StreamInfo, row: Row | None, position_s: float) -> None:
        """Show a message of a stream; returns at once, and may be called at any rate.

        Args:
            row: the message; None if the stream has none yet at this position.
            position_s: where it is on the timeline, seconds from the start.
        """
        self._wanted = (stream, row, position_s)
        self._look()

    def on_resize(self) -> None:
        """Draw the picture in its new size."""
        self._look()

    def _look(self) -> None:
        if self._wanted is None or not self.size.width or not self.size.height:
            return
        few_colours = self.app.console.color_system != "truecolor"
        wanted = Wanted(*self._wanted, *self.size, few_colours)
        self._is_stale = self._worker is not None
        if self._worker is not None:
            return
        if self.seen is not None and wanted.what == self.seen.wanted.what:
            self.seen = self.seen.moved(wanted.position_s)
            self._show_heading(self.seen)
        else:
            # not a partial: Textual would write out the whole message to describe it
            self._worker = self.run_worker(
                lambda: look(wanted), thread=True, exit_on_error=False, group="look"
            )

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show what a thread has made of a message."""
        if event.worker is not self._worker or not event.worker.is_finished:
            return
        event.stop()
        self._worker = None
        if event.state == WorkerState.SUCCESS:
            self._show(event.worker.result)
        elif event.state == WorkerState.ERROR:
            self._fail(event.worker.error)
        if self._is_stale:
            self._look()

    def _show_heading(self, seen: Seen) -> None:
        self.query_one("#heading", Static).update(Text("\n").join(seen.heading))

    def _show(self, seen: Any) -> None:
        self.seen = seen
        self._show_heading(seen)
        self.query_one(DrawingView).show(seen.drawing)
        self.set_class(seen.is_beside, "-beside")
        self.query_one(MessageTree).show(seen.root, seen.tree_room)

    def _fail(self, error: BaseException | None) -> None:
        self.seen = None
        note = Node("", f"This message cannot be shown: {error!r}.", "note")
        self.query_one(DrawingView).show(None)
        self.query_one(MessageTree).show(Node("", "", "message", (note,)), self.size)


class DrawingView(Widget):
    """A picture or plot, and what is said of it; as large as that is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"drawing--caption"}
    DEFAULT_CSS = """
    DrawingView {
        display: none; margin: 0 1 0 0;
        & > .drawing--caption { color: $faint; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._drawing = Drawing([], [])

    def show(self, drawing: Drawing | None) -> None:
        """Show a drawing, or nothing."""
        self.display = drawing is not None
        if drawing is None:
            return
        if drawing.size != self._drawing.size:
            self.styles.width, self.styles.height = drawing.size
        self._drawing = drawing
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the drawing, or of what is said of it."""
        drawing, width = self._drawing, self.size.width
        if y < len(drawing.lines):
            return drawing.lines[y].adjust_cell_length(width)
        text = "".join(drawing.caption[y - len(drawing.lines) :][:1])
        style = self.get_component_rich_style("drawing--caption", partial=True)
        return Strip([Segment(text, style)]).adjust_cell_length(width)

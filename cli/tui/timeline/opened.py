"""A recording that is open on the screen: its picture, and what keys order to be done to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Container

from dimos_record import RecordReplay
from dimos_record.cli import text
from dimos_record.cli.times import clock
from dimos_record.cli.tui.frame import TitleLine, tui
from dimos_record.cli.tui.inspector import Inspector
from dimos_record.cli.tui.screen import TuiScreen
from dimos_record.cli.tui.timeline.latest import Latest
from dimos_record.cli.tui.timeline.line import counted, narrow
from dimos_record.cli.tui.timeline.loading import load_scene
from dimos_record.cli.tui.timeline.orders import Order, Orders
from dimos_record.cli.tui.timeline.overview import Overview
from dimos_record.cli.tui.timeline.scene import Marks, Scene
from dimos_record.cli.tui.timeline.transport import Transport, TransportState
from dimos_record.cli.tui.timeline.transport_bar import TransportBar
from dimos_record.cli.tui.timeline.view import TimelineView
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import DimosRecordError, RecordingNotFound
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.edited import EditedReader

T = TypeVar("T")

_LOOK_S = 0.05
"""How often the playhead is looked at while there is a player."""
_WATCH_S = 2.0
"""How often the file is looked at, which others may edit or record into."""
_INSPECT_S = 0.2
"""How often another message is decoded while playing."""
_WIDE = 120
"""From this width on, the inspector stands beside the lanes."""


class Looked(NamedTuple):
    """The message to be inspected."""

    stream: StreamInfo
    row: Row | None
    position_s: float


class Opened(NamedTuple):
    """A recording as it was when it was looked at."""

    scene: Scene
    path: Path
    title: str


class OpenedScreen(TuiScreen):
    """A recording on the timeline, without any keys.

    Nothing that reads the file or steers the player runs on the screen's thread: keys that do so
    give orders, which are carried out one after another.

    Args:
        recording: its path, or an object that nobody else uses; it is closed with the screen.
    """

    DEFAULT_CSS = """
    OpenedScreen > #body { height: 1fr; }
    OpenedScreen > #body.-wide { layout: horizontal; }
    OpenedScreen Inspector { display: none; width: 1fr; height: 1fr; border-top: solid $primary; }
    OpenedScreen > #body.-wide Inspector { border-top: none; border-left: solid $primary; }
    """

    def __init__(self, recording: Path | RecordReplay) -> None:
        super().__init__()
        self._recording = recording
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._released = False
        self._gone = False
        """Whether the file is no longer there."""
        self._inspected_at = 0.0
        self.title_line = TitleLine()
        self.overview = Overview(self.read)
        self.view = TimelineView(self.read)
        self.inspector = Inspector()
        self.bar = TransportBar()
        self.state = TransportState()
        self.path = Path()
        self.scene: Scene | None = None
        self.marks = Marks()

    def compose_body(self) -> ComposeResult:
        """From the top: title, overview, lanes with the inspector, transport."""
        yield self.title_line
        yield self.overview
        with Container(id="body"):
            yield self.view
            yield self.inspector
        yield self.bar

    # --- opening

    def on_mount(self) -> None:
        """Open the recording beside the screen."""
        bus_url = tui(self).bus_url
        if isinstance(self._recording, RecordReplay):
            self.rec = self._recording
        else:
            self.rec = RecordReplay(self._recording, bus=bus_url)
        self.transport = Transport(self.rec, bus_url)
        self.orders = Orders(self, self.transport.state, self.show_state, self.complain)
        self._looking: Latest[tuple[str, int], Looked] = Latest(
            self, lambda wanted, _: self.read(lambda r: _look_up(r, *wanted)), self._show_looked
        )
        self.title_line.left = f"opening {self._recording} ..."
        self.view.focus()
        self.orders.give(Order(self._load, self._show_opened, self._fail_to_open))
        self.set_interval(_LOOK_S, self._tick)
        self.set_interval(_WATCH_S, self.look_at_file)

    def read(self, work: Callable[[EditedReader], T]) -> T:
        """Let a thread read the recording; not while its file is being replaced.

        Raises:
            DimosRecordError: it cannot be read, or has been closed.
        """
        with self._reading:
            if self._released:
                raise DimosRecordError("the recording has been closed")
            return work(self.rec.reader)

    def _load(self) -> Opened:
        edition = self.scene.edition + 1 if self.scene else 0
        scene = self.read(lambda reader: load_scene(reader, edition))
        path = Path(self.rec.store.name)
        streams = "1 stream" if len(scene.lanes) == 1 else f"{len(scene.lanes)} streams"
        duration = clock((scene.extent.high_ns - scene.extent.low_ns) / S)
        title = f"{narrow(path.name)}   {duration}, {streams}, {counted(scene.messages)}"
        if size := bytes_on_disk(path):
            title += f", {text.size(size)}"
        return Opened(scene, path, title)

    def _show_opened(self, opened: Opened) -> None:
        scene = self.scene = opened.scene
        self.path = opened.path
        made = scene.edits_made
        edited = f"{made} edit{'s' * (made > 1)}, not saved" if made else ""
        self.title_line.left, self.title_line.right = opened.title, Text(edited, style="bold")
        self.view.show_scene(scene)
        self.show_overview()

    def _fail_to_open(self, error: Exception) -> None:
        self.title_line.left = f"{self._recording} cannot be opened"
        self.complain(error)

    def reload(self) -> None:
        """Look at the recording again: what can be seen of it may have changed."""
        self.orders.give(Order(self._load, self._show_opened, self.complain))

    def look_at_file(self) -> None:
        """Look whether another program has edited, recorded into, or removed the recording."""
        if self.scene is not None and not self._gone:
            self.order(self._has_changed, lambda changed: self.reload() if changed else None)

    def _has_changed(self) -> bool:
        scene, path = self.require_open(), self.path
        if isinstance(self._recording, Path) and not path.exists():
            self._gone = True
            raise RecordingNotFound(
                f"{path} was removed or renamed; what is open can still be looked at"
            )
        reader = self.rec.reader
        reader.refresh()
        span = reader.span_ns()
        grown = span is not None and span[1] - scene.origin_ns >= scene.extent.high_ns
        return grown or tuple(reader.edits) != scene.edits

    @contextmanager
    def writing(self, *, alone: bool) -> Iterator[None]:
        """For a thread that writes a file: the recording is not closed before it is done.

        Args:
            alone: whether nobody may read or play the recording meanwhile.
        """
        with ExitStack() as held:
            for lock in (self._writing, *((self.orders.lock, self._reading) if alone else ())):
                held.enter_context(lock)
            yield

    def release(self) -> None:
        """Stop playing, let what is under way end, and close the recording."""
        self._released = True
        if hasattr(self, "rec"):
            if (player := self.rec.player) is not None:
                player.close()  # it may be listening, which an order waits for
            with self.writing(alone=True):
                self.rec.close()

    # --- orders

    def order(self, work: Callable[[], Any], then: Callable[[Any], object] | None = None) -> None:
        """Have something done to the recording, after what was ordered before.

        Args:
            work: runs in a thread.
            then: gets what comes of it; else it is said, and should be a text or None.

        Raises:
            DimosRecordError: the recording is not open.
        """
        self.require_open()
        self.orders.give(Order(work, then or self._say, self.complain))

    async def done(self, work: Callable[[], T]) -> T:
        """Have something done after what was ordered before, and wait for it. Within a `task`.

        Raises:
            DimosRecordError: what it raised, or the recording is not open.
        """
        self.require_open()
        return await self.orders.done(work)

    def _say(self, said: str | None) -> None:
        self.say(said or "")  # what was said before is not about this any more

    def require_open(self) -> Scene:
        """The recording, for what needs it.

        Raises:
            DimosRecordError: it is not open yet, or cannot be opened.
        """
        if self.scene is None:
            raise DimosRecordError(f"{self._recording} is not open; wait, or press q to quit")
        return self.scene

    def _tick(self) -> None:
        if self.rec.player is not None:
            self.orders.look()

    @property
    def settled(self) -> bool:
        """Whether all that was ordered is done, and drawn."""
        drawn = self.view.settled and self.overview.settled
        return drawn and self.orders.settled and not self._looking.running

    # --- showing

    def show_state(self, state: TransportState) -> None:
        """Show where playback is."""
        before, self.state = self.state, state
        self.view.show_playhead(state.position_ns, moving=state.state == "playing")
        self.view.show_states(state.muted, state.soloed)
        self.view.show_loop((state.a_ns, state.b_ns))
        self.overview.show_playhead(state.position_ns)
        self._show_transport()
        if before.state != state.state:
            self.refresh_keys()
        self.inspect(at_once=state.state != "playing")

    def _show_transport(self) -> None:
        if self.scene is not None:
            self.bar.show(self.state, self.scene.extent.high_ns, self.marks)

    def show_marks(self, marks: Marks) -> None:
        """Show other marks."""
        self.marks = marks
        self.view.show_marks(marks)
        self.show_overview()
        self._show_transport()
        self.refresh_keys()

    def show_overview(self) -> None:
        """Show which part of the recording the lanes show."""
        view = self.view
        self.overview.show(view.scene, view.window, view.unit, self.marks, view.playhead_ns)

    def on_timeline_view_moved(self) -> None:
        """Another part is shown, or another lane is chosen."""
        self.show_overview()
        self.inspect(at_once=True)

    def on_timeline_view_picked(self, event: TimelineView.Picked) -> None:
        """Go where the click was."""
        position_ns = event.position_ns
        if self.scene is not None:
            self.order(lambda: self.transport.seek(position_ns))

    def on_overview_picked(self, event: Overview.Picked) -> None:
        """Go where the click was."""
        position_ns = event.position_ns
        if self.scene is not None:
            self.view.follows = True
            self.order(lambda: self.transport.seek(position_ns))

    # --- the inspector

    def on_resize(self, event: events.Resize) -> None:
        """Put the inspector beside the lanes where there is room, else below them."""
        self.query_one("#body").set_class(event.size.width >= _WIDE, "-wide")

    def inspect(self, *, at_once: bool) -> None:
        """Show the message of the chosen lane under the playhead, if the inspector is open."""
        lane, now = self.view.lane, time.monotonic()
        if not self.inspector.display or lane is None:
            return
        if at_once or now - self._inspected_at >= _INSPECT_S:
            self._inspected_at = now
            self._looking.ask((lane.stream, self.state.position_ns))

    def _show_looked(self, _wanted: tuple[str, int], looked: Looked) -> None:
        self.inspector.show(*looked)


def _look_up(reader: EditedReader, stream: str, position_ns: int) -> Looked:
    row = reader.last_at(stream, reader.origin_ns() + position_ns)
    return Looked(reader.find(stream), row, position_ns / S)


def bytes_on_disk(path: Path) -> int:
    """How large a file or folder is; 0 where it is not one, or gone."""
    files = path.glob("*") if path.is_dir() else [path, Path(f"{path}-wal")]
    return sum(file.stat().st_size for file in files if file.is_file())

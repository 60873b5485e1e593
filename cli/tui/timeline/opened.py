"""A recording that is open on the screen: its picture, and the keys' orders one after another."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

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
from dimos_record.cli.tui.tasks import task
from dimos_record.cli.tui.timeline.latest import Latest
from dimos_record.cli.tui.timeline.loading import load_scene
from dimos_record.cli.tui.timeline.overview import Overview
from dimos_record.cli.tui.timeline.scene import Marks, Scene
from dimos_record.cli.tui.timeline.transport import Transport, TransportState
from dimos_record.cli.tui.timeline.transport_bar import TransportBar
from dimos_record.cli.tui.timeline.view import TimelineView
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import DimosRecordError, RecordingNotFound
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.edited import EditedReader

_LOOK_S = 0.05
"""How often the playhead is looked at."""
_WATCH_S = 2.0
"""How often the file is looked at, which others may edit or record into."""
_INSPECT_S = 0.2
"""How often another message is decoded while playing."""

_WIDE = 120
"""From this width on, the inspector stands beside the lanes."""

Order = Callable[[], "str | None"]
"""Runs in a thread; what it returns is said."""


class Looked(NamedTuple):
    """The message to be inspected."""

    stream: StreamInfo
    row: Row | None
    position_s: float


class OpenedScreen(TuiScreen):
    """A recording on the timeline, without any keys.

    Nothing that reads the file or steers the player runs on the screen's thread: keys that do so
    are orders, which are carried out one after another.

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
        self._orders: deque[Order] = deque()
        self._obeying = False
        self._held = False
        """Whether nobody may look at the recording now, since it is being written."""
        self._released = False
        self._gone = False
        self._inspected_at = 0.0
        self.state = TransportState()
        self.scene: Scene | None = None
        self.marks = Marks()

    def compose_body(self) -> ComposeResult:
        """From the top: title, overview, lanes with the inspector, transport."""
        yield TitleLine()
        yield Overview(self._reader)
        with Container(id="body"):
            yield TimelineView(self._reader)
            yield Inspector()
        yield TransportBar()

    # --- opening

    def on_mount(self) -> None:
        """Open the recording beside the screen."""
        bus_url = tui(self).bus_url
        if isinstance(self._recording, RecordReplay):
            self.rec = self._recording
        else:
            self.rec = RecordReplay(self._recording, bus=bus_url)
        self.transport = Transport(self.rec, bus_url)
        self._looking: Latest[tuple[str, int], Looked] = Latest(
            self, lambda wanted, _: self._look_up(*wanted), self._show_looked
        )
        self.query_one(TitleLine).left = f"opening {self._recording} ..."
        self.view.focus()
        self.load()
        self.set_interval(_LOOK_S, self._serve)
        self.set_interval(_WATCH_S, self.watch_file)

    @property
    def view(self) -> TimelineView:
        """The lanes."""
        return self.query_one(TimelineView)

    def _reader(self) -> EditedReader:
        """The recording, as it is open now.

        Raises:
            DimosRecordError: it cannot be opened, or the screen has gone.
        """
        if self._released:
            raise DimosRecordError("the recording has been closed")
        return self.rec.reader

    @task
    async def load(self) -> None:
        """Look at the recording, for the first time or anew."""
        await self.reload()

    async def reload(self) -> None:
        """Look at the recording; what can be seen of it may have changed."""
        edition = self.scene.edition + 1 if self.scene else 0
        scene, title, edited = await asyncio.to_thread(self._load, edition)
        self.scene = scene
        bar = self.query_one(TitleLine)
        bar.left, bar.right = title, Text(edited, style="bold")
        self.view.show_scene(scene)
        self.show_overview()
        self._serve()

    def _load(self, edition: int) -> tuple[Scene, str, str]:
        reader = self._reader()
        scene = load_scene(reader, edition)
        streams = "1 stream" if len(scene.lanes) == 1 else f"{len(scene.lanes)} streams"
        duration = clock((scene.extent.high_ns - scene.extent.low_ns) / S)
        title = f"{reader.name}   {duration}, {streams}, {scene.messages:,} messages"
        if (size := self.bytes_on_disk()) is not None:
            title += f", {text.size(size)}"
        made = sum(not edit.undone for edit in reader.edits)
        return scene, title, "" if not made else f"{made} edit{'s' * (made > 1)}, not saved"

    def bytes_on_disk(self) -> int | None:
        """How large the file or folder is; None where it is not one, or gone."""
        path = Path(self.rec.store.name)
        files = path.glob("*") if path.is_dir() else [path, Path(f"{path}-wal")]
        sizes = [file.stat().st_size for file in files if file.is_file()]
        return sum(sizes) if sizes else None

    @task
    async def watch_file(self) -> None:
        """Look whether another program has edited, recorded into, or removed the recording."""
        if self.scene is None or self._held or self._gone:
            return
        if await asyncio.to_thread(self._has_changed, self.scene):
            await self.reload()

    def _has_changed(self, scene: Scene) -> bool:
        reader = self._reader()
        path = Path(reader.name)
        if isinstance(self._recording, Path) and not path.exists():
            self._gone = True
            raise RecordingNotFound(
                f"{path} was removed or renamed; what is open can still be looked at"
            )
        changed = reader.refresh()
        span = reader.span_ns()
        return changed or (span is not None and span[1] - scene.origin_ns >= scene.extent.high_ns)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Look neither at the recording nor at the player, since the file is being replaced."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def release(self) -> None:
        """Stop playing and close the recording."""
        self._released = True
        if hasattr(self, "rec"):
            self.rec.close()

    # --- orders

    def order(self, order: Order) -> None:
        """Have something done to the recording, after what was ordered before.

        Raises:
            DimosRecordError: it is not open.
        """
        self.require_open()
        self._orders.append(order)
        self._serve()

    def require_open(self) -> Scene:
        """The recording, for what needs it.

        Raises:
            DimosRecordError: it is not open yet, or cannot be opened.
        """
        if self.scene is None:
            raise DimosRecordError(f"{self._recording} is not open; wait, or press q to quit")
        return self.scene

    def _serve(self) -> None:
        """Carry out what was ordered, and show where playback is."""
        if not self._obeying and not self._held and self.scene is not None:
            self._obeying = True
            self.run_worker(self._obey(), group="orders")

    async def _obey(self) -> None:
        try:
            await self._carry_out()
            while self._orders:
                await self._carry_out()
        finally:
            self._obeying = False

    async def _carry_out(self) -> None:
        order = self._orders.popleft() if self._orders else None
        try:
            if order is not None and (said := await asyncio.to_thread(order)):
                self.say(said)
            self.show_state(await asyncio.to_thread(self.transport.state))
        except DimosRecordError as error:
            self.complain(error)

    # --- showing

    def show_state(self, state: TransportState) -> None:
        """Show where playback is."""
        before, self.state = self.state, state
        self.view.show_playhead(state.position_ns, moving=state.state == "playing")
        self.view.show_states(state.muted, state.soloed)
        self.query_one(Overview).show_playhead(state.position_ns)
        self._show_transport()
        if before.state != state.state:
            self.refresh_keys()
        self.inspect(at_once=state.state != "playing")

    def _show_transport(self) -> None:
        if self.scene is not None:
            bar = self.query_one(TransportBar)
            bar.show(self.state, self.scene.extent.high_ns, self.marks)

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
        self.query_one(Overview).show(
            view.scene, view.window, view.unit, self.marks, view.playhead_ns
        )

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

    @property
    def inspector(self) -> Inspector:
        """What shows the message under the playhead."""
        return self.query_one(Inspector)

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

    def _look_up(self, stream: str, position_ns: int) -> Looked:
        reader = self._reader()
        row = reader.last_at(stream, reader.origin_ns() + position_ns)
        return Looked(reader.find(stream), row, position_ns / S)

    def _show_looked(self, _wanted: tuple[str, int], looked: Looked) -> None:
        self.inspector.show(*looked)

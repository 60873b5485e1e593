"""Listening to a bus, and showing what is on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from dimos_record.bus import Bus, default_url, open_bus
from dimos_record.cli import text
from dimos_record.cli.tui.frame import TitleLine, tui
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.live.account import AccountPanel
from dimos_record.cli.tui.live.choice import Choice
from dimos_record.cli.tui.live.modules import ModuleFinder
from dimos_record.cli.tui.live.table import TopicHeader, TopicTable
from dimos_record.cli.tui.live.tree import CALLS, rows
from dimos_record.cli.tui.live.watch import BusWatch, TopicNow
from dimos_record.cli.tui.screen import TuiScreen
from dimos_record.cli.tui.tasks import task
from dimos_record.errors import DimosRecordError

_FIRST_LOOK_S = 0.3
_LOOK_S = 1.0
_ASK_MODULES_S = 10.0


class ListeningScreen(TuiScreen):
    """The part of the live screen that listens and shows.

    Args:
        bus_url: the bus; the default one if None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Key("slash", "filter", "Show only topics with a text", section="Select", label="filter"),
        Key("escape", "no_filter", "Show all topics again", section="Select"),
    ]
    DEFAULT_CSS = """
    ListeningScreen {
        #empty { height: 1fr; content-align: center middle; color: $faint; display: none; }
        #detail { height: 1; padding: 0 1; color: $faint; }
        #filter { display: none; }
        &.-empty TopicTable, &.-empty #detail, &.-empty TopicHeader { display: none; }
        &.-empty #empty { display: block; }
    }
    """

    def __init__(self, bus_url: str | None) -> None:
        super().__init__()
        self._bus_url = bus_url or default_url()
        self._bus: Bus | None = None
        self._watch: BusWatch | None = None
        self._finder = ModuleFinder(self._bus_url)
        self._asked_s = -_ASK_MODULES_S
        self._modules: dict[str, str] = {}
        self._topics: dict[str, TopicNow] = {}
        self._folded = frozenset({CALLS})
        self._choice = Choice()
        self._in_order = asyncio.Lock()
        """Held by what changes the subscription: one after the other, in the order of keys."""
        self._failed = False

    def compose_body(self) -> ComposeResult:
        """The topics, and below them how the recording stands."""
        yield TitleLine()
        yield TopicHeader()
        yield TopicTable(self._choice.has)
        yield Static(f"listening on {self._bus_url} ...", id="empty", markup=False)
        yield Static(id="detail")
        yield Input(placeholder="show topics with ...", id="filter", compact=True)
        yield AccountPanel()

    # --- looking

    def on_mount(self) -> None:
        """Begin to listen."""
        self.query_one(TitleLine).left = f"Live on {self._bus_url}"
        self.set_class(True, "-empty")
        self.query_one(TopicTable).focus()
        self.listen()

    @task
    async def listen(self) -> None:
        """Open the bus and listen to everything on it."""
        try:
            bus = await tui(self).in_thread(self._open)
        except DimosRecordError as error:
            self.query_one("#empty", Static).update(Text(str(error)))
            raise
        self.query_one(TitleLine).left = f"Live on {bus.reach}"
        self.set_timer(_FIRST_LOOK_S, self.look)
        self.set_interval(_LOOK_S, self.look)

    def _open(self) -> Bus:
        self._bus = bus = open_bus(self._bus_url)
        self._watch = BusWatch(bus)
        return bus

    def look(self) -> None:
        """Show how the topics stand now."""
        if self._watch is None or tui(self).shown is not self:
            return
        self._topics = {one.channel: one for one in self._watch.look()}
        if self._watch.failure is not None and not self._failed:
            self._failed = True
            self.complain(self._watch.failure)
        self._draw()
        due = time.monotonic() > self._asked_s + _ASK_MODULES_S
        if due and self._finder.worth_asking(self._topics):
            self._asked_s = time.monotonic()
            self._ask_modules()

    @task
    async def _ask_modules(self) -> None:
        channels = list(self._topics)
        found = await tui(self).in_thread(partial(self._finder.ask, channels))
        if found:
            self._modules = found
            self._draw()

    def _draw(self) -> None:
        is_empty = not self._topics
        self.set_class(is_empty, "-empty")
        if is_empty:
            self.query_one("#empty", Static).update(Text(self._nothing_heard()))
        shown = [channel for channel in self._topics if self._is_shown(channel)]
        lines = rows(shown, self._modules, self._folded)
        self.query_one(TopicTable).show(lines, self._topics, self._folded)
        self._draw_title()

    def _draw_title(self) -> None:
        chosen = [one for one in self._topics.values() if self._choice.has(one.channel)]
        parts = [f"{len(self._topics)} topics", f"{len(chosen)} selected"]
        parts.append(f"{text.size(sum(one.bytes_s for one in chosen))}/s")
        self.query_one(TitleLine).right = "  ".join(parts)

    def _nothing_heard(self) -> str:
        return (
            f"nothing is published on {self._bus_url}; start a robot, or try: "
            "dimos-record demo-robot"
        )

    def on_topic_table_highlighted(self) -> None:
        """Say more of the highlighted topic than there are columns for."""
        row = self.query_one(TopicTable).row
        if row is None:
            detail = "no topic has that text in it; esc shows all"
        elif row.branch is not None:
            detail = f"{row.branch}  {len(row.channels)} topics"
        else:
            one = self._topics[row.channels[0]]
            module = f"  from {self._modules[one.channel]}" if one.channel in self._modules else ""
            kind = one.type_name or "no type"
            detail = f"{one.topic}  {kind}{module}  {one.messages:,} messages"
        self.query_one("#detail", Static).update(Text(text.printable(detail), no_wrap=True))

    def on_topic_table_folded(self, event: TopicTable.Folded) -> None:
        """Show less, or more."""
        branch = {event.branch}
        self._folded = self._folded | branch if event.closed else self._folded - branch
        self._draw()

    def on_screen_suspend(self) -> None:
        """Nobody looks while another screen is shown."""
        if tui(self).shown is not self and self._watch is not None:
            self._change(self._watch.rest)

    def on_screen_resume(self) -> None:
        """Somebody looks again."""
        if self._watch is not None:
            self._watch.forget_rates()
            self._change(self._watch.wake)

    # --- filtering

    def _is_shown(self, channel: str) -> bool:
        return self.query_one("#filter", Input).value.lower() in channel.lower()

    def action_filter(self) -> None:
        """Ask for a text that topics must have."""
        line = self.query_one("#filter", Input)
        line.display = True
        line.focus()

    def action_no_filter(self) -> None:
        """Show all topics."""
        self.query_one("#filter", Input).value = ""
        self._leave_filter()

    def on_input_changed(self) -> None:
        """Show the topics with that text."""
        self._draw()

    def on_input_submitted(self) -> None:
        """Back to the topics, which stay filtered."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        line = self.query_one("#filter", Input)
        line.display = bool(line.value)
        self.query_one(TopicTable).focus()

    def _change(self, work: Callable[[], object]) -> None:
        """Change what is received, beside the screen, after what was asked for before."""
        self.run_worker(self._changing(work), group="changes")

    async def _changing(self, work: Callable[[], object]) -> None:
        try:
            async with self._in_order:
                await tui(self).in_thread(work)
        except DimosRecordError as error:
            self.complain(error)

    def release(self) -> None:
        """Close the bus."""
        self._finder.close()
        if self._watch is not None:
            self._watch.close()
        if self._bus is not None:
            self._bus.close()

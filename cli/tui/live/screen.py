"""The live screen: what is on the bus, choosing topics, and recording them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.widgets import Input

from dimos_record.bus import Selection
from dimos_record.cli.account import loss_sentence
from dimos_record.cli.times import clock
from dimos_record.cli.tui.files import new_recording
from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.live.account import AccountPanel
from dimos_record.cli.tui.live.choice import name_of
from dimos_record.cli.tui.live.listening import ListeningScreen
from dimos_record.cli.tui.live.recording import KEEP_S, LiveRecording
from dimos_record.cli.tui.live.table import TopicTable
from dimos_record.cli.tui.tasks import task
from dimos_record.errors import DimosRecordError
from dimos_record.store.paths import path_for_writing

_ACCOUNT_S = 0.25


class LiveScreen(ListeningScreen):
    """What is on a bus, to be recorded.

    Args:
        bus_url: the bus; the default one if None.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Key("space", "choose", "Select the topic, or the branch", section="Select", label="select"),
        Key("a", "choose_all", "Select all topics", section="Select", label="all"),
        Key("n", "choose_none", "Select no topic", section="Select", label="none"),
        Key("r", "record", "Record what is selected", section="Record", label="record"),
        Key("s", "stop", "Stop, and open the recording", section="Record", label="stop"),
        Key("p", "pause", "Pause recording, and go on", section="Record", label="pause"),
        Key("K", "keep", "Keep the last 2 minutes of it", section="Record", label="keep"),
        Key("asterisk", "pattern", "Select topics by a pattern", section="Select", label="pattern"),
    ]

    def __init__(self, bus_url: str | None) -> None:
        super().__init__(bus_url)
        self._recording: LiveRecording | None = None

    # --- choosing

    def on_topic_table_marked(self) -> None:
        """A click on a mark is what the key is."""
        self.action_choose()

    def action_choose(self) -> None:
        """Choose the highlighted topic or branch, or do not."""
        row = self.query_one(TopicTable).row
        if row is None:
            self.complain(self._nothing_heard())
            return
        names = [name_of(channel) for channel in row.channels]
        if all(map(self._choice.has, row.channels)):
            self._remove(*names)
        else:
            self._add(*names)

    def action_choose_all(self) -> None:
        """Choose everything, or everything that the filter shows."""
        shown = [name_of(channel) for channel in self._topics if self._is_shown(channel)]
        if self.query_one("#filter", Input).value:
            self._add(*shown)
        else:
            self._add(*self._choice.to_add("*", self._topics))

    def action_choose_none(self) -> None:
        """Choose nothing, or nothing that the filter shows."""
        shown = [name_of(channel) for channel in self._topics if self._is_shown(channel)]
        if self.query_one("#filter", Input).value:
            self._remove(*shown)
        elif self._recording is not None:
            self._remove(*shown)
            self.say("No topic that is here is recorded any more; new ones still are")
        else:
            self._choice.clear()
            self._draw()

    @task
    async def action_pattern(self) -> None:
        """Ask for a pattern, and choose what it matches."""
        pattern = await tui(self).ask(
            "Select topics by pattern",
            read=_pattern,
            hint="such as /camera/* or *#sensor_msgs.Image; with ! before it, it unselects",
        )
        if pattern is None:
            return
        wanted = pattern.removeprefix("!")
        matches = sum(map(Selection.of((wanted,)).matches, self._topics))
        if pattern.startswith("!"):
            self._remove(wanted)
        else:
            self._add(*self._choice.to_add(wanted, self._topics))
        self.say(f"{wanted} matches {matches} of {len(self._topics)} topics")

    def _add(self, *patterns: str) -> None:
        self._choice.add(*patterns)
        if self._recording is not None:
            self._change(partial(self._recording.add, *patterns))
        self._draw()

    def _remove(self, *patterns: str) -> None:
        self._choice.remove(*patterns)
        if self._recording is not None:
            self._change(partial(self._recording.remove, *patterns))
        self._draw()

    # --- recording

    def key_is_shown(self, key: Key) -> bool:
        """Stop, pause and keep while there is something to stop, pause and keep."""
        is_recording = self._recording is not None
        while_recording = dict.fromkeys(("stop", "pause", "keep"), is_recording)
        return {"record": not is_recording, **while_recording}.get(key.action, True)

    @task
    async def action_record(self) -> None:
        """Record what is chosen; the same key stops."""
        if self._recording is not None:
            await self._stop()
            return
        problem = self._why_not()
        if problem is not None or self._bus is None:
            self.complain(problem or f"{self._bus_url} is not open; choose another with --bus")
            return
        name = time.strftime("recording-%Y%m%d-%H%M%S.db")
        path = await tui(self).ask(
            f"Record {self._chosen_in_words()} to",
            read=new_recording,
            default=name,
            hint=f"in {path_for_writing(name).absolute().parent}; ⏎ starts, esc gives up",
        )
        if path is None:
            return
        self._recording = recording = LiveRecording(path, self._bus)
        try:
            async with self._in_order:
                await tui(self).in_thread(partial(recording.start, self._choice))
        except DimosRecordError:
            self._recording = None
            raise
        self.say(f"Recording to {path}")
        self._show_recording()
        self.run_worker(self._follow(recording), group="account")

    def _chosen_in_words(self) -> str:
        if "*" in self._choice.include and not self._choice.exclude:
            return "all topics"
        chosen = sum(map(self._choice.has, self._topics))
        return "1 topic" if chosen == 1 else f"{chosen} topics"

    def _why_not(self) -> str | None:
        """Why nothing can be recorded now."""
        if self._choice.include:
            return None
        if not self._topics:
            return self._nothing_heard()
        return "Nothing is selected; select topics with space, or all with a"

    async def _follow(self, recording: LiveRecording) -> None:
        """Show how it stands, until it has ended."""
        panel = self.query_one(AccountPanel)
        while self._recording is recording:
            account = await tui(self).in_thread(recording.account)
            if self._recording is not recording:  # it was stopped meanwhile
                return
            panel.account = account
            if recording.has_ended and not panel.ending:
                self.action_stop()
            await asyncio.sleep(_ACCOUNT_S)

    def _show_recording(self) -> None:
        is_recording = self._recording is not None
        self.query_one(TopicTable).set_class(is_recording, "-recording")
        if not is_recording:
            self.query_one(AccountPanel).account = None
        self.refresh_keys()

    @task
    async def action_stop(self) -> None:
        """Stop recording, and show what was recorded."""
        if self._recording is None:
            self.complain("Nothing is being recorded; r records what is selected")
            return
        await self._stop()

    async def _stop(self, *, opens: bool = True) -> None:
        recording, panel = self._recording, self.query_one(AccountPanel)
        if recording is None or panel.ending:
            return
        panel.ending = True
        try:
            async with self._in_order:
                progress = await tui(self).in_thread(recording.stop)
        finally:
            self._recording, panel.ending = None, False
            self._show_recording()
        loss = loss_sentence(
            progress.total.dropped, progress.lost_before_reception, progress.senders
        )
        why = "" if progress.reason == "stopped" else f"; ended by {progress.reason}"
        account = (
            f"{recording.path}: {progress.total.written:,} messages in "
            f"{clock(progress.elapsed_s)}{why}. {loss}"
        )
        self.say(account)
        if opens and progress.total.written:
            await tui(self).open_recording(recording.path)
        elif not opens:
            tui(self).parting.append(account)

    @task
    async def action_pause(self) -> None:
        """Pause recording, or go on."""
        if self._recording is None:
            self.complain("Nothing is being recorded; r records what is selected")
            return
        recording = self._recording
        async with self._in_order:
            is_paused = await tui(self).in_thread(recording.pause)
        if self._recording is recording:  # it was not stopped meanwhile
            self.say("Paused; p goes on" if is_paused else "Recording goes on")

    @task
    async def action_keep(self) -> None:
        """Write what was recorded in the last two minutes into a file, and go on recording."""
        if self._recording is None:
            self.complain("Nothing is being recorded; r records what is selected")
            return
        report = await tui(self).in_thread(self._recording.keep)
        self.say(f"The last {KEEP_S / 60:g} minutes are in {report.path}")

    # --- leaving

    async def may_leave(self) -> bool:
        """Ask while something is being recorded, and finish it."""
        if self._recording is None:
            return True
        name = self._recording.path.name
        wanted = await tui(self).confirm(
            f"Stop recording to {name}?", "What was recorded until now is kept.", yes="stop"
        )
        if wanted:
            await self._stop(opens=False)
        return wanted

    def release(self) -> None:
        """Finish what is being recorded, and close the bus."""
        try:
            if self._recording is not None:
                self._recording.stop()
        finally:
            super().release()


def _pattern(wanted: str) -> str:
    """A pattern that can be read.

    Raises:
        PatternError: it cannot.
    """
    Selection.of((wanted.removeprefix("!"),))
    return wanted.strip()

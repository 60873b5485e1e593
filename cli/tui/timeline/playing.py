"""The keys for looking at a recording and for playing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dimos_record.cli.times import Timescale, parse_position
from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.tasks import task
from dimos_record.cli.tui.timeline.line import narrow
from dimos_record.cli.tui.timeline.opened import OpenedScreen
from dimos_record.cli.tui.timeline.scene import Lane, Marks
from dimos_record.cli.tui.timeline.steps import next_flag
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import DimosRecordError


class PlayingScreen(OpenedScreen):
    """A recording on the timeline that can be looked at and played."""

    # --- playing

    def action_play(self) -> None:
        """Play, or pause."""
        self._move(self.transport.toggle)
        if self.state.published is None:
            self.show_state(self.state._replace(state="listening"))

    def action_seek_by(self, seconds: float) -> None:
        """Move the playhead."""
        self._move(lambda: self.transport.seek_by(seconds))

    def action_seek_share(self, share: float) -> None:
        """Move the playhead to a share of the recording."""
        self._move(lambda: self.transport.seek_share(share))

    def action_step(self, forward: bool) -> None:
        """To the next message, or the one before."""
        self._move(lambda: self.transport.step(forward))

    def action_step_lane(self, forward: bool) -> None:
        """To the next message of the chosen stream, or the one before."""
        topic = self.chosen().topic
        self._move(lambda: self.transport.step(forward, topic))

    def action_flag(self, forward: bool) -> None:
        """To the next marker, or the one before."""
        self._move(lambda: self._seek_flag(forward))

    def _seek_flag(self, forward: bool) -> str:
        flag = next_flag(self.require_open().flags, self.transport.position_ns, forward=forward)
        if flag is None:
            where = "after" if forward else "before"
            raise DimosRecordError(f"There is no marker {where} the playhead; k puts one there")
        self.transport.seek(flag.at_ns)
        return f"Marker: {narrow(flag.label)}"

    def _move(self, work: Callable[[], Any]) -> None:
        self.order(work)
        self.view.follows = True

    @task
    async def action_go_to(self) -> None:
        """Ask for a time, and go there."""
        app, scale = tui(self), await self.done(lambda: Timescale.of(self.rec.reader))
        here_s = self.state.position_ns / S
        position_s = await app.ask(
            "Go to",
            read=lambda written: parse_position(written, "time", scale, after_s=here_s),
            hint="12.5, 1:23.5, +10, -10 (from the end), start, end, @14:03:05, or a marker",
        )
        if position_s is not None:
            self._move(lambda: self.transport.seek(round(position_s * S)))

    def action_multiply_rate(self, factor: float) -> None:
        """Faster, or slower."""
        self.order(lambda: self.transport.multiply_rate(factor))

    def action_set_rate(self, rate: float) -> None:
        """As fast as this."""
        self.order(lambda: self.transport.set_rate(rate))

    def action_loop(self) -> None:
        """Set A, B, or end the loop."""
        self.order(self.transport.loop)

    def action_mute(self) -> None:
        """Mute the chosen stream, or not."""
        topic = self.chosen().topic
        self.order(lambda: self.transport.mute(topic))

    def action_solo(self) -> None:
        """Play the chosen stream alone, or not."""
        topic = self.chosen().topic
        self.order(lambda: self.transport.solo(topic))

    # --- looking

    def chosen(self) -> Lane:
        """The lane with the cursor.

        Raises:
            DimosRecordError: there is none.
        """
        self.require_open()
        lane = self.view.lane
        if lane is None:
            raise DimosRecordError("The recording has no streams")
        return lane

    def action_cursor(self, by: int) -> None:
        """Choose another lane."""
        self.view.move_cursor(by)

    def action_zoom(self, factor: float) -> None:
        """Zoom in or out."""
        self.view.zoom(factor)

    def action_zoom_all(self) -> None:
        """Show everything."""
        self.view.zoom_all()

    def action_pan(self, share: float) -> None:
        """Look earlier or later."""
        self.view.pan(share)

    def action_follow(self) -> None:
        """Look at the playhead."""
        self.view.follow()

    def action_unit(self) -> None:
        """Show bytes, or messages."""
        self.view.show_unit("messages" if self.view.unit == "bytes" else "bytes")
        self.show_overview()

    def action_inspect(self) -> None:
        """Open the inspector, or close it."""
        self.chosen()
        self.inspector.display = not self.inspector.display
        self.inspect(at_once=True)

    def action_give_up(self) -> None:
        """Close the inspector, or else forget the marks."""
        if self.inspector.display:
            self.inspector.display = False
            self.view.focus()
        elif self.marks != Marks():
            self.show_marks(Marks())
        else:
            self.say("There is nothing to close; q quits, B goes back")

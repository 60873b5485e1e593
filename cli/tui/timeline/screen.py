"""The timeline of a recording: looking, playing and editing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from dimos_record.bus.base import literal
from dimos_record.cli import text
from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.tasks import OnProgress, task
from dimos_record.cli.tui.timeline import edits
from dimos_record.cli.tui.timeline.keys import KEYS
from dimos_record.cli.tui.timeline.playing import PlayingScreen
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import EditError, RecordingExists

if TYPE_CHECKING:
    from dimos_record.edit import SaveReport
    from dimos_record.edit.report import EditReport

Write = Callable[[str, bool, OnProgress], "SaveReport"]
"""(name, whether to overwrite, progress) to what was written"""

_NEED_MARKS = {"cut", "trim"}


class TimelineScreen(PlayingScreen):
    """A recording on the timeline.

    Everything it does to a recording is done by `RecordReplay`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def key_is_shown(self, key: Key) -> bool:
        """Cutting and trimming are offered once something is marked."""
        return key.action not in _NEED_MARKS or self.marks != Marks()

    # --- marks and markers

    def action_mark_in(self) -> None:
        """A section begins at the playhead."""
        self.require_open()
        self._mark(*edits.set_in(self.marks, self.state.position_ns))

    def action_mark_out(self) -> None:
        """A section ends before the playhead."""
        self.require_open()
        self._mark(*edits.set_out(self.marks, self.state.position_ns))

    def _mark(self, marks: Marks, said: str) -> None:
        self.show_marks(marks)
        if said:
            self.say(said)

    @task
    async def action_add_marker(self) -> None:
        """Put a marker at the playhead."""
        self.require_open()
        await self._add_marker(self.state.position_ns / S, None)

    @task
    async def action_add_interval(self) -> None:
        """Put a marker on the marked section."""
        self.require_open()
        await self._add_marker(*edits.between(self.marks))

    async def _add_marker(self, at_s: float, until_s: float | None) -> None:
        app = tui(self)
        label = await app.ask("Label of the marker", read=edits.marker_label)
        if label is not None:
            await app.in_thread(lambda: self.rec.add_marker(at_s, label, until=until_s))
            self.say(f"Marker {label!r}; u to undo")
            await self.reload()

    @task
    async def action_delete_marker(self) -> None:
        """Delete the marker at the playhead."""
        scene = self.require_open()
        column_ns = self.view.window.length_ns // max(1, self.view.size.width)
        at_ns = scene.origin_ns + self.state.position_ns
        markers = await tui(self).in_thread(lambda: self.rec.markers)
        near = [one for one in markers if abs(one.at_ns - at_ns) <= column_ns]
        if not near:
            raise EditError("There is no marker at the playhead; n goes to the next one")
        marker = min(near, key=lambda one: abs(one.at_ns - at_ns))
        await tui(self).in_thread(lambda: self.rec.delete_marker(marker))
        self.say(f"Marker {marker.label!r} deleted; u to undo")
        await self.reload()

    # --- cutting

    @task
    async def action_cut(self) -> None:
        """Cut the marked section out of everything."""
        self.require_open()
        section = edits.between(self.marks)
        await self._edit(lambda: self.rec.delete_section(section))

    @task
    async def action_cut_lane(self) -> None:
        """Cut the marked section out of the chosen stream."""
        pattern, section = await self._chosen_pattern(), edits.between(self.marks)
        await self._edit(lambda: self.rec.delete_section(section, pattern))

    @task
    async def action_trim(self) -> None:
        """Keep the marked section only."""
        self.require_open()
        section = edits.within(self.marks)
        await self._edit(lambda: self.rec.trim(section))

    async def _edit(self, edit: Callable[[], EditReport]) -> None:
        report = await tui(self).in_thread(edit)
        self.show_marks(Marks())
        self.say(edits.done(report))
        await self.reload()

    async def _chosen_pattern(self) -> str:
        """What selects the chosen stream and no other."""
        lane = self.chosen()
        info = await tui(self).in_thread(lambda: self.rec.reader.find(lane.stream))
        return literal(info.channel)

    @task
    async def action_delete_lane(self) -> None:
        """Delete the chosen stream."""
        app, topic, pattern = tui(self), self.chosen().topic, await self._chosen_pattern()
        report = await app.in_thread(lambda: self.rec.delete_topic(pattern, preview=True))
        goes = f"{edits.amount(report)} go. Until the recording is saved, u brings them back."
        if await app.confirm(f"Delete {topic}?", goes, yes="delete"):
            report = await app.in_thread(lambda: self.rec.delete_topic(pattern))
            self.say(edits.done(report))
            await self.reload()

    # --- the list of edits

    @task
    async def action_undo(self) -> None:
        """Undo the last edit."""
        self.require_open()
        (entry,) = await tui(self).in_thread(self.rec.undo)
        self.say(f"Undone: {entry.text}; U to redo")
        await self.reload()

    @task
    async def action_redo(self) -> None:
        """Make an edit again that was undone."""
        self.require_open()
        (entry,) = await tui(self).in_thread(self.rec.redo)
        self.say(f"Done again: {entry.text}; u to undo")
        await self.reload()

    @task
    async def action_history(self) -> None:
        """Go back to an edit, or forward."""
        self.require_open()
        app = tui(self)
        history = await app.in_thread(lambda: self.rec.history)
        if not history:
            raise EditError("There are no edits; what is cut or marked is listed here")
        lines = [f"  {entry.text}{'  (undone)' * entry.undone}" for entry in history]
        chosen = await app.choose("As it was after which edit?", ["as saved", *lines])
        if chosen is None:
            return
        back, forth = edits.turn_to(history, chosen)
        if back:
            await app.in_thread(lambda: self.rec.undo(back))
        if forth:
            await app.in_thread(lambda: self.rec.redo(forth))
        self.say(f"{chosen} of {len(history)} edits are made")
        await self.reload()

    # --- writing

    @task
    async def action_save(self) -> None:
        """Write the edits into the file."""
        self.require_open()
        app = tui(self)
        if not await app.in_thread(lambda: self.rec.edited):
            raise EditError("There is nothing to save: no edit was made; W writes a copy")
        question = await app.in_thread(self._what_save_does)
        if not await app.confirm(f"Save {self.rec.store.name}?", question, yes="save"):
            return
        report = await self._writing("Saving", self.rec.save)
        given = report.size_before - report.size_after
        room = f", {text.size(given)} given back" if given > 0 else ""
        self.say(f"Saved: {edits.counted(report.messages)}{room}")

    def _what_save_does(self) -> str:
        goes = edits.what_goes(self.rec.reader)
        return edits.before_save(self.rec.history, goes, self.bytes_on_disk() or 0)

    @task
    async def action_save_as(self) -> None:
        """Write a new file as the edits leave it."""
        self.require_open()
        await self._write_new(
            "Save as",
            "edited",
            lambda name, overwrite, on_progress: self.rec.save_as(
                name, overwrite=overwrite, on_progress=on_progress
            ),
        )

    @task
    async def action_extract(self) -> None:
        """Write the marked section into a new file."""
        self.require_open()
        section = edits.within(self.marks)
        await self._write_new(
            "Export the marked section as",
            "part",
            lambda name, overwrite, on_progress: self.rec.extract(
                section, name, overwrite=overwrite, on_progress=on_progress
            ),
        )

    async def _write_new(self, question: str, suffix: str, write: Write) -> None:
        app, here = tui(self), Path(self.rec.store.name)
        default = str(here.with_name(f"{here.stem}-{suffix}.db"))
        name = await app.ask(question, read=edits.file_name, default=default)
        if name is None:
            return
        try:
            report = await self._writing(f"Writing {name}", lambda p: write(name, False, p))
        except RecordingExists:
            if not await app.confirm(f"{name} exists. Replace it?", yes="replace"):
                return
            report = await self._writing(f"Writing {name}", lambda p: write(name, True, p))
        size = text.size(report.size_after)
        self.say(f"Written: {report.path}, {edits.counted(report.messages)}, {size}")

    async def _writing(self, title: str, work: Callable[[OnProgress], SaveReport]) -> SaveReport:
        """Do long work with its progress, while nobody else looks at the recording."""
        with self.held():
            report = await tui(self).with_progress(title, work)
        await self.reload()
        return report

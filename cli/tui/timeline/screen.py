"""The timeline of a recording: looking, playing and editing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from dimos_record.bus.base import literal
from dimos_record.cli import text
from dimos_record.cli.tui.frame import tui
from dimos_record.cli.tui.keys import Key
from dimos_record.cli.tui.tasks import OnProgress, task
from dimos_record.cli.tui.timeline import edits
from dimos_record.cli.tui.timeline.keys import KEYS
from dimos_record.cli.tui.timeline.line import counted, narrow
from dimos_record.cli.tui.timeline.opened import bytes_on_disk
from dimos_record.cli.tui.timeline.playing import PlayingScreen
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.window import S
from dimos_record.errors import EditError, RecordingExists

if TYPE_CHECKING:
    from dimos_record.edit.report import EditReport
    from dimos_record.edit.writing import SaveReport

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

    async def may_leave(self) -> bool:
        """Nothing is lost: edits are kept in the file. It says so where that can still be seen."""
        if self.scene is not None and self.scene.edits_made:
            self.say(f"{narrow(self.path.name)} keeps its edits, which are not saved yet")
        return True

    def action_record(self) -> None:
        """Say where that is done."""
        self.complain("Topics are recorded on the live screen; L shows it")

    # --- marks and markers

    def action_mark_in(self) -> None:
        """A section begins at the playhead."""
        self.order(lambda: edits.set_in(self.marks, self.transport.position_ns), self._mark)

    def action_mark_out(self) -> None:
        """A section ends before the playhead; at the end of the recording, behind it."""
        high_ns = self.require_open().extent.high_ns

        def set_out() -> tuple[Marks, str]:
            at_ns = self.transport.position_ns
            return edits.set_out(self.marks, high_ns if at_ns >= high_ns - 1 else at_ns)

        self.order(set_out, self._mark)

    def _mark(self, marked: tuple[Marks, str]) -> None:
        marks, said = marked
        self.show_marks(marks)
        self.say(said)

    @task
    async def action_add_marker(self) -> None:
        """Put a marker at the playhead."""
        await self._add_marker(await self.done(lambda: self.transport.position_ns) / S, None)

    @task
    async def action_add_interval(self) -> None:
        """Put a marker on the marked section."""
        await self._add_marker(*await self.done(lambda: edits.between(self.marks)))

    async def _add_marker(self, at_s: float, until_s: float | None) -> None:
        label = await tui(self).ask("Label of the marker", read=edits.marker_label)
        if label is not None:
            await self.done(lambda: self.rec.add_marker(at_s, label, until=until_s))
            self.say(f"Marker {label!r}; u to undo")
            self.reload()

    def action_delete_marker(self) -> None:
        """Delete the marker at the playhead."""
        column_ns = self.view.window.length_ns // max(1, self.view.size.width)
        self.order(lambda: self._delete_marker(column_ns), self._turned)

    def _delete_marker(self, near_ns: int) -> str:
        at_ns = self.require_open().origin_ns + self.transport.position_ns
        marker = min(self.rec.markers, key=lambda one: abs(one.at_ns - at_ns), default=None)
        if marker is None or abs(marker.at_ns - at_ns) > near_ns:
            raise EditError("There is no marker at the playhead; n goes to the next one")
        self.rec.delete_marker(marker)
        return f"Marker {marker.label!r} deleted; u to undo"

    def _turned(self, said: str) -> None:
        self.say(said)
        self.reload()

    # --- cutting

    def action_cut(self) -> None:
        """Cut the marked section out of everything."""
        self.order(lambda: self.rec.delete_section(edits.between(self.marks)), self._edited)

    def action_cut_lane(self) -> None:
        """Cut the marked section out of the chosen stream."""
        stream = self.chosen().stream
        self.order(
            lambda: self.rec.delete_section(edits.between(self.marks), self._pattern(stream)),
            self._edited,
        )

    def action_trim(self) -> None:
        """Keep the marked section only."""
        self.order(lambda: self.rec.trim(edits.within(self.marks)), self._edited)

    def _edited(self, report: EditReport) -> None:
        self.show_marks(Marks())
        self.say(edits.done(report))
        self.reload()

    def _pattern(self, stream: str) -> str:
        """What selects a stream and no other."""
        return literal(self.rec.reader.find(stream).channel)

    @task
    async def action_delete_lane(self) -> None:
        """Delete the chosen stream."""
        lane = self.chosen()
        pattern = await self.done(lambda: self._pattern(lane.stream))
        report = await self.done(lambda: self.rec.delete_topic(pattern, preview=True))
        goes = f"{edits.amount(report)} go. Until the recording is saved, u brings them back."
        if await tui(self).confirm(f"Delete {narrow(lane.topic)}?", goes, yes="delete"):
            self._edited(await self.done(lambda: self.rec.delete_topic(pattern)))

    # --- the list of edits

    def action_undo(self) -> None:
        """Undo the last edit."""
        self.order(lambda: f"Undone: {self.rec.undo()[0].text}; U to redo", self._turned)

    def action_redo(self) -> None:
        """Make an edit again that was undone."""
        self.order(lambda: f"Done again: {self.rec.redo()[0].text}; u to undo", self._turned)

    @task
    async def action_history(self) -> None:
        """Go back to an edit, or forward."""
        history = await self.done(lambda: self.rec.history)
        if not history:
            raise EditError("There are no edits; what is cut or marked is listed here")
        lines = [f"  {entry.text}{'  (undone)' * entry.undone}" for entry in history]
        chosen = await tui(self).choose("As it was after which edit?", ["as saved", *lines])
        if chosen is not None:
            back, forth = edits.turn_to(history, chosen)
            if back:
                await self.done(lambda: self.rec.undo(back))
            if forth:
                await self.done(lambda: self.rec.redo(forth))
            self._turned(f"{chosen} of {len(history)} edits are made")

    # --- writing

    @task
    async def action_save(self) -> None:
        """Write the edits into the file."""
        if not await self.done(lambda: self.rec.edited):
            raise EditError("There is nothing to save: no edit was made; W writes a copy")
        question, name = await self.done(self._what_save_does), narrow(self.path.name)
        if not await tui(self).confirm(f"Save {name}?", question, yes="save"):
            return
        report = await self._write(
            f"Saving {name}", lambda p: self.rec.save(on_progress=p), alone=True
        )
        given = report.size_before - report.size_after
        room = f", {text.size(given)} given back" if given > 0 else ""
        self.say(f"Saved: {counted(report.messages)}{room}")

    def _what_save_does(self) -> str:
        goes = self.read(edits.what_goes)
        return edits.before_save(self.rec.history, goes, bytes_on_disk(self.path))

    @task
    async def action_save_as(self) -> None:
        """Write a new file as the edits leave it."""
        await self.done(lambda: None)
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
        section = await self.done(lambda: edits.within(self.marks))
        await self._write_new(
            "Export the marked section as",
            "part",
            lambda name, overwrite, on_progress: self.rec.extract(
                section, name, overwrite=overwrite, on_progress=on_progress
            ),
        )

    async def _write_new(self, question: str, suffix: str, write: Write) -> None:
        app, here = tui(self), self.path
        default = str(here.with_name(f"{here.stem}-{suffix}.db"))
        name = await app.ask(question, read=edits.file_name, default=default)
        if name is None:
            return
        try:
            report = await self._write(f"Writing {name}", lambda p: write(name, False, p))
        except RecordingExists:
            if not await app.confirm(f"{name} exists. Replace it?", yes="replace"):
                return
            report = await self._write(f"Writing {name}", lambda p: write(name, True, p))
        size = text.size(report.size_after)
        self.say(f"Written: {report.path}, {counted(report.messages)}, {size}")

    async def _write(
        self, title: str, work: Callable[[OnProgress], SaveReport], *, alone: bool = False
    ) -> SaveReport:
        """Do long work with its progress."""

        def write(on_progress: OnProgress) -> SaveReport:
            with self.writing(alone=alone):
                return work(on_progress)

        report = await tui(self).with_progress(title, write)
        self.reload()
        return report

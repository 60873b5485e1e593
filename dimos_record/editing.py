"""The editing part of `RecordReplay`: edits are kept in the recording, and change what is read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dimos_record.bus import Selection
from dimos_record.bus.base import join_channel, several, split_channel
from dimos_record.edit.report import EditReport, describe_edit, report_edit
from dimos_record.errors import EditError, OptionError, UnknownTopic
from dimos_record.recording import Recordable
from dimos_record.store import schema
from dimos_record.store.base import Marker
from dimos_record.store.codecs import check_choosable, codec_for
from dimos_record.store.edit_state import StreamEdits, is_cut
from dimos_record.store.edited import EditedReader
from dimos_record.store.editing import Change, Result
from dimos_record.store.edits import MAX_SHIFT_NS, Edit, add_edit, redo_edits, said_of, undo_edits

Section = tuple["float | None", "float | None"]
"""``[a, b)`` in seconds from the start of the recording; None is the start or the end."""


class HistoryEntry(NamedTuple):
    """One edit, in words."""

    edit: Edit
    text: str
    """`cut 10 s to 12.5 s`"""
    undone: bool


class Editable(Recordable):
    """The part of `RecordReplay` that edits.

    Nothing is destroyed before `save`: edits are a list kept in the file, which can be undone, and
    which everybody who reads or plays the recording obeys at once. They do not renumber time:
    positions stay seconds from the start as recorded.
    """

    # --- taking away

    def delete_section(
        self, section: Section, topics: str | Iterable[str] = "*", *, preview: bool = False
    ) -> EditReport:
        """Cut ``[a, b)`` out.

        Cut from all topics, playback jumps over it, and what latched topics said in there stays as
        far as what follows needs it (maps, camera infos, static transforms). Of chosen topics,
        exactly those messages go.

        Args:
            section: in seconds from the start of the recording; None is the start or the end.
            topics: from which topics (patterns allowed).
            preview: only tell what would go.

        Raises:
            OptionError: the section is empty.
            EditError: there is nothing in it, or nothing would be left.
            UnknownTopic: there is no such topic.
            RecordingBusy: the recording is being recorded into.
            StorageError: it is read-only.
        """
        return self._make("cut", {**self._section(section), **self._chosen(topics)}, preview)

    def trim(
        self, section: Section, topics: str | Iterable[str] = "*", *, preview: bool = False
    ) -> EditReport:
        """Keep ``[a, b)`` only; see `delete_section`."""
        return self._make("trim", {**self._section(section), **self._chosen(topics)}, preview)

    def delete_topic(self, *topics: str, preview: bool = False) -> EditReport:
        """Delete what was recorded of topics (patterns allowed).

        Raises:
            EditError: nothing would be left.
            UnknownTopic, RecordingBusy, StorageError
        """
        return self._make("delete", {"streams": self._sources(topics)}, preview)

    # --- changing

    def shift(self, topic: str, seconds: float, *, preview: bool = False) -> EditReport:
        """Move the receive times of a topic; its messages stay as they are, byte for byte.

        Raises:
            OptionError: it is no time, or 0.
            UnknownTopic, RecordingBusy, StorageError
        """
        if not math.isfinite(seconds) or abs(seconds) > 1e9 or not round(seconds * 1e9):
            raise OptionError(f"cannot shift {topic} by {seconds} s; give seconds other than 0")
        one, by_ns = self._one(topic), round(seconds * 1e9)
        if abs(one.shift_ns + by_ns) > MAX_SHIFT_NS:
            raise OptionError(f"cannot shift {topic} by another {seconds} s; that is too far")
        return self._make("shift", {"stream": one.source, "ns": by_ns}, preview)

    def rename_topic(self, topic: str, new: str, *, preview: bool = False) -> EditReport:
        """Give a topic another name; its type stays.

        Raises:
            OptionError: that is no name for a topic.
            EditError: the recording has a topic of that name.
            UnknownTopic, RecordingBusy, StorageError
        """
        one = self._one(topic)
        if not new or "#" in new or any(character.isspace() for character in new):
            raise OptionError(f"{new!r} cannot be the name of a topic; write for example /odom")
        channel = join_channel(new, split_channel(one.info.channel)[1])
        if any(new == other.topic for other in self.reader.streams.values()):
            raise EditError(f"{self.reader.name} has a topic {new} already; delete that one first")
        args = {"stream": one.source, "topic": new, "channel": channel}
        return self._make("rename", args, preview)

    def set_codec(self, topic: str, codec: str, *, preview: bool = False) -> EditReport:
        """Store what was recorded of a topic in another way, once the recording is saved.

        Args:
            topic: the topic.
            codec: `lcm` (as it came off the wire), `lz4+lcm`, or `jpeg`, which loses pixels.

        Raises:
            OptionError: the codec cannot be chosen.
            CodecError: the topic's messages cannot be stored like that.
            MissingExtra: the codec needs a package that is not installed.
            UnknownTopic, RecordingBusy, StorageError
        """
        check_choosable(codec)
        one = self._one(topic)
        info = one.info
        if info.codec == codec:
            raise EditError(f"{info.topic} is stored as {codec} already")
        if info.codec in ("pickle", "scalar"):
            raise EditError(f"{info.topic} holds {info.codec} data, which no other codec can store")
        first = next(self.reader.rows(info.name), None)
        if first is not None:
            codec_for(codec, info.topic).encode(first.data)
        return self._make("codec", {"stream": one.source, "codec": codec}, preview)

    # --- markers

    @property
    def markers(self) -> list[Marker]:
        """The markers, in the order of time; see `position_of`."""
        return self._fresh_reader().markers()

    def add_marker(
        self, at: float, label: str, until: float | None = None, data: Any = None
    ) -> Marker:
        """Label an instant, or the interval ``[at, until)``, in seconds.

        Args:
            at: where, in seconds from the start of the recording.
            label: what to call it; `seek` and the command line find it by this.
            until: the end of an interval.
            data: anything that JSON can hold.

        Raises:
            OptionError: there is no label, the data is not JSON, or the interval is empty.
            EditError: it lies in a section that was cut, or beyond the end.
            RecordingBusy, StorageError
        """
        return self.add_markers([(at, label, until, data)])[0]

    def add_markers(self, markers: Iterable[tuple[float, str, float | None, Any]]) -> list[Marker]:
        """Add several markers (at, label, until, data) in one edit, all or none."""
        number = self._next_marker()
        made = [self._marker(number + index, *marker) for index, marker in enumerate(markers)]
        self._check_markers(made)
        if made:
            self._make("mark", {"markers": [said_of(one) for one in made]})
        return made

    def delete_marker(self, marker: Marker | str) -> list[Marker]:
        """Delete a marker, or all of a label; returns what was deleted.

        Raises:
            EditError: there is none.
        """
        found = [m for m in self.markers if marker in (m, m.label)]
        if not found:
            known = ", ".join(sorted({one.label for one in self.markers})) or "none"
            raise EditError(f"{self.reader.name} has no marker {marker!r}; it has: {known}")
        self._make("unmark", {"ids": [one.id for one in found]})
        return found

    def _next_marker(self) -> int:
        reader = self._fresh_reader()
        added = (each for edit in reader.edits for each in edit.args.get("markers", ()))
        numbers = [marker.id for marker in reader.base.markers()]
        return max([*numbers, *(each["id"] for each in added)], default=0) + 1

    def _marker(self, number: int, at: float, label: str, until: float | None, data: Any) -> Marker:
        if not label.strip():
            raise OptionError("a marker needs a label")
        try:
            json.dumps(data)
        except (TypeError, ValueError) as error:
            raise OptionError(f"the data of marker {label!r} is not JSON: {error}") from None
        at_ns = self._ns(at)
        until_ns = None if until is None else self._ns(until)
        if until_ns is not None and until_ns <= at_ns:
            raise OptionError(f"marker {label!r} ends at {until} s, before it begins at {at} s")
        return Marker(number, at_ns, label.strip(), until_ns, data)

    def _check_markers(self, markers: Iterable[Marker]) -> None:
        reader = self.reader
        origin_ns, cut = reader.origin_ns(), reader.state.cut_sections
        first_ns, last_ns = reader.span_ns() or (0, -1)
        for marker in markers:
            where = f"marker {marker.label!r}: {(marker.at_ns - origin_ns) / 1e9:.9g} s lies"
            if not min(first_ns, origin_ns) <= marker.at_ns <= last_ns:
                raise EditError(f"{where} beyond the ends of {reader.name}")
            if is_cut(marker, cut):
                raise EditError(f"{where} in a section that was cut")

    # --- the list of edits

    @property
    def edited(self) -> bool:
        """Whether there are edits that are not saved."""
        return self._fresh_reader().edited

    @property
    def history(self) -> list[HistoryEntry]:
        """The edits that are not saved, oldest first, then those that were undone."""
        reader = self._fresh_reader()
        return [
            HistoryEntry(edit, describe_edit(edit, reader), edit.undone) for edit in reader.edits
        ]

    def undo(self, n: int = 1) -> list[HistoryEntry]:
        """Take back the last edits; returns them, the last one first.

        Raises:
            EditError: there is nothing to undo.
            RecordingBusy, StorageError
        """
        return self._turn(lambda connection: undo_edits(connection, _positive(n)), "undo")

    def redo(self, n: int = 1) -> list[HistoryEntry]:
        """Make edits again that were undone; returns them, the first one first.

        Raises:
            EditError: there is nothing to redo.
            RecordingBusy, StorageError
        """
        return self._turn(lambda connection: redo_edits(connection, _positive(n)), "redo")

    def revert(self) -> list[HistoryEntry]:
        """Take back all edits that are not saved; `redo` can make them again.

        Raises:
            EditError: there is none.
            RecordingBusy, StorageError
        """
        return self._turn(lambda connection: undo_edits(connection, None), "revert")

    @property
    def skips(self) -> list[tuple[float, float]]:
        """The sections ``[a, b)`` that playback jumps over, in seconds."""
        return [(self.position_of(a), self.position_of(b)) for a, b in self._fresh_reader().skips()]

    # --- how an edit is made

    def _turn(self, change: Change[list[Edit]], what: str) -> list[HistoryEntry]:
        if not any(edit.undone == (what == "redo") for edit in self._fresh_reader().edits):
            raise EditError(f"there is nothing to {what} in {self.reader.name}")
        turned = self._change(change)
        return [
            HistoryEntry(edit, describe_edit(edit, self.reader), edit.undone) for edit in turned
        ]

    def _make(self, kind: str, args: Mapping[str, Any], preview: bool = False) -> EditReport:
        reader = self._fresh_reader()
        edit = Edit(0, 0, kind, dict(args))
        report = report_edit(edit, reader)
        if preview:
            return report
        return report._replace(edit=self._change(lambda c: add_edit(c, kind, dict(args))))

    def _change(self, change: Change[Result]) -> Result:
        with self._lock:
            self._refuse_while_recording()
            self._finish_appending()
            reader = self.reader
            if reader.schema_version < schema.SCHEMA_VERSION or not reader.self_contained:
                self._release_reader()  # the file will be finished, or brought up to date
            result = self.store.edit(change)
            self._fresh_reader()
        self._obey_edits()
        return result

    def _obey_edits(self) -> None:
        """Whoever plays the recording now is told that its edits have changed."""

    def _fresh_reader(self) -> EditedReader:
        """The reader, with the edits as they are now: another program may have made some."""
        self.reader.refresh()
        return self.reader

    def _section(self, section: Section) -> dict[str, int | None]:
        try:
            a, b = section
        except (TypeError, ValueError):
            raise OptionError(f"{section!r} is no section; give (a, b) in seconds") from None
        if a is None and b is None:
            raise OptionError("a section needs a start or an end, in seconds")
        low, high = (None if at is None else self._ns(at) for at in (a, b))
        if low is not None and high is not None and low >= high:
            raise OptionError(f"the section from {a} to {b} s is empty; begin with the earlier end")
        return {"a": low, "b": high}

    def _ns(self, position_s: float) -> int:
        if not math.isfinite(position_s) or abs(position_s) > 1e9:
            raise OptionError(f"{position_s!r} is no position; give seconds")
        return self.reader.origin_ns() + round(position_s * 1e9)

    def _chosen(self, topics: str | Iterable[str]) -> dict[str, list[str] | None]:
        patterns = several(topics)
        everything = tuple(patterns) in (("*",), ("**",))
        return {"streams": None if everything else self._sources(patterns)}

    def _sources(self, patterns: Iterable[str]) -> list[str]:
        """The streams of topics, by their names as recorded."""
        state, chosen = self._fresh_reader().state, list[str]()
        for pattern in patterns:
            wanted = Selection.of((pattern,))
            found = [e.source for e in state.streams.values() if wanted.matches(e.info.channel)]
            if not found:
                topics = ", ".join(sorted(e.info.topic for e in state.streams.values())) or "none"
                raise UnknownTopic(
                    f"{self.reader.name}: no topic matches {pattern!r}; it has: {topics}"
                )
            chosen += [source for source in found if source not in chosen]
        if not chosen:
            raise OptionError("name at least one topic")
        return chosen

    def _one(self, topic: str) -> StreamEdits:
        """What has become of a topic.

        Raises:
            UnknownTopic: there is none.
        """
        reader = self._fresh_reader()
        return reader.state.streams[reader.find(topic).name]


def _positive(n: int) -> int:
    if n < 1:
        raise OptionError(f"cannot undo or redo {n} edits; give a number above 0")
    return n

"""Import of other tools' recordings into one of ours, completely or not at all.

A format is a class that meets `ImportSource`; `formats.py` lists them and tells them apart.
"""

from __future__ import annotations

import math
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from dimos_record.bus.base import Selection, join_channel, several
from dimos_record.errors import DecodeError, EditError, OptionError, UnknownTopic
from dimos_record.interop.exporting import OnProgress, ignore, touching
from dimos_record.interop.target import add_markers, adding_to, creating
from dimos_record.messages import is_latched
from dimos_record.store.base import Marker
from dimos_record.store.observation import Meta
from dimos_record.store.paths import path_for_writing
from dimos_record.store.sessions import process_identity
from dimos_record.store.writer import RecordingWriter

_BATCH = 10_000
_BATCH_BYTES = 8_000_000


class ImportedMessage(NamedTuple):
    """One message of a file, as it goes into a recording."""

    topic: str
    type_name: str | None
    """`nav_msgs.Odometry`; None where nobody knows, as on a raw channel."""
    data: bytes
    """LCM bytes."""
    ts_ns: int
    """When it was received by whoever wrote the file."""
    publish_ns: int
    """When it was published; the same, where the file does not say."""
    channel: str | None = None
    """Wire name, where the file knows it; else `TOPIC#TYPE`."""
    meta: Meta | None = None
    """Pose and tags, where the file has them."""


@dataclass(frozen=True, order=True)
class Problem:
    """What could not be taken over, and how often."""

    topic: str
    schema: str
    """`nav_msgs/msg/Odometry`; empty where a channel has none."""
    reason: str
    count: int
    """Messages concerned."""
    imported: bool
    """Whether those messages were imported, without one of their fields."""


@dataclass(frozen=True)
class Wanted:
    """Which messages are asked for: topics, and a section ``[start_ns, end_ns)`` of receive times.

    Latched topics are wanted from before the section, too: their last message there is what it
    begins with.
    """

    selection: Selection = field(default_factory=Selection)
    start_ns: int | None = None
    end_ns: int | None = None
    seen: dict[tuple[str, str | None], bool] = field(default_factory=dict, compare=False)
    """The topics and types that a source has asked about, and whether they are wanted."""

    def topic(self, topic: str, type_name: str | None = None) -> bool:
        """Whether a topic is wanted. Sources ask about every topic that they have."""
        key = (topic, type_name)
        if key not in self.seen:
            self.seen[key] = self.selection.matches(join_channel(topic, type_name))
        return self.seen[key]

    def time(self, ts_ns: int, *, latched: bool = False) -> bool:
        """Whether a message of a wanted topic is wanted."""
        if self.end_ns is not None and ts_ns >= self.end_ns:
            return False
        return latched or self.start_ns is None or ts_ns >= self.start_ns


class ImportSource(Protocol):
    """The messages of a file (or folder) of another tool. The path is all that is given to it.

    It is opened by its constructor, which raises RecordingNotFound, NotARecording,
    RecordingDamaged, StorageError or MissingExtra.
    """

    path: Path
    done: int
    """How much was read so far, of `total`."""
    unit: Literal["messages", "bytes"]
    """What `done` and `total` count."""

    @property
    def total(self) -> int:
        """How much there is to read."""

    @property
    def start_ns(self) -> int | None:
        """When the first message was received, of whatever topic; None without messages."""

    @property
    def latched(self) -> frozenset[str]:
        """Topics whose last message stays valid for late subscribers, as far as the file says."""

    @property
    def problems(self) -> list[Problem]:
        """What could not be taken over so far; complete once `messages` has ended."""

    @property
    def markers(self) -> Sequence[Marker]:
        """Labelled instants and intervals; complete once `messages` has ended."""

    def messages(self, wanted: Wanted) -> Iterator[ImportedMessage]:
        """The wanted messages in the order of time, read and converted as they are asked for.

        What is not wanted is neither converted nor listed as a problem.

        Raises:
            RecordingDamaged: a part of the file cannot be read.
        """

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""


@dataclass(frozen=True)
class ImportedTopic:
    """What was imported of one topic."""

    topic: str
    type_name: str | None
    count: int


@dataclass(frozen=True)
class ImportReport:
    """What an import has done."""

    path: Path
    """The recording that was written."""
    format: str
    """What the source is: `mcap`, `lcm` ..."""
    topics: tuple[ImportedTopic, ...]
    problems: tuple[Problem, ...]
    """What could not be taken over."""

    @property
    def count(self) -> int:
        """Messages imported."""
        return sum(topic.count for topic in self.topics)

    @property
    def total(self) -> int:
        """Messages that were asked for: those imported, and those that could not be."""
        return self.count + sum(one.count for one in self.problems if not one.imported)


def import_file(
    source: str | os.PathLike[str],
    name: str | os.PathLike[str],
    *,
    format: str | None = None,
    topics: str | Iterable[str] = "*",
    exclude: str | Iterable[str] = (),
    section: tuple[float | None, float | None] = (None, None),
    append: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import a file of another tool; `formats.FORMATS` lists what can be.

    The receive time of each message is that of the source. Its publish time is kept in the tag
    `publish_ns` where it is another. If anything goes wrong, or `on_progress` raises, then nothing
    is left behind, and what was there before stays as it was.

    Args:
        source: the file or folder to read.
        name: the recording to write.
        format: what the source is, where its content does not tell.
        topics: which topics (patterns allowed).
        exclude: which of these are left out.
        section: ``[a, b)`` in seconds from the first message of the source; None is no limit. What
            latched topics said before it is imported, too.
        append: add a session to an existing recording.
        overwrite: replace an existing recording, once everything is imported.
        on_progress: called now and then, and at the end.

    Raises:
        OptionError: there is no such format, or nothing can be in the section.
        MissingExtra, RecordingNotFound, NotARecording, RecordingDamaged, StorageError: of the
            source.
        RecordingExists: the target exists, and neither `append` nor `overwrite` is set.
        RecordingBusy: the target is being recorded into.
        UnknownTopic: the source has no such topic.
        EditError: the section has no message.
        DecodeError: the source has messages, and none of them can be converted.
    """
    from dimos_record.interop.formats import open_source

    _check_section(section)
    selection = Selection.of(several(topics), several(exclude))
    found, reader = open_source(Path(source).expanduser(), format)
    with closing(reader):
        wanted = Wanted(selection, *_section_ns(reader.start_ns, section))
        path = path_for_writing(name)
        with adding_to(path) if append and path.exists() else creating(path, overwrite) as writer:
            counts = _Importer(reader, wanted, writer, on_progress).run()
        imported = tuple(ImportedTopic(*key, count) for key, count in counts.items())
        return ImportReport(path, found, imported, tuple(reader.problems))


def _check_section(section: tuple[float | None, float | None]) -> None:
    a, b = section
    for limit in section:
        if limit is not None and not math.isfinite(limit):
            raise OptionError(f"{limit} is no time; give seconds from the first message")
    if b is not None and b <= (a or 0.0):
        raise OptionError(f"nothing is from {a or 0.0} s to {b} s; the end comes after the start")


def _section_ns(
    first_ns: int | None, section: tuple[float | None, float | None]
) -> tuple[int | None, int | None]:
    if first_ns is None:
        return None, None
    a, b = section
    return (
        None if a is None else first_ns + round(a * 1e9),
        None if b is None else first_ns + round(b * 1e9),
    )


class _Importer:
    """Moves the messages of one source into one writer."""

    def __init__(
        self,
        reader: ImportSource,
        wanted: Wanted,
        writer: RecordingWriter,
        on_progress: OnProgress | None,
    ) -> None:
        self._reader, self._wanted, self._writer = reader, wanted, writer
        self._on_progress = on_progress or ignore
        self._counts: dict[str, int] = {}
        self._channels: dict[str, tuple[str, str | None]] = {}
        self._state: dict[str, list[ImportedMessage]] = {}
        self._batch: list[tuple[str, ImportedMessage]] = []
        self._batch_bytes = 0
        self._first_ns: int | None = None
        self._last_ns = 0

    def run(self) -> dict[tuple[str, str | None], int]:
        """Import everything; how many messages there were per topic and type.

        Raises:
            DecodeError: nothing of it could be converted.
        """
        wanted = self._wanted
        for message in self._reader.messages(wanted):
            if wanted.start_ns is not None and message.ts_ns < wanted.start_ns:
                self._keep_state(message)
            else:
                if self._first_ns is None:
                    self._begin(wanted.start_ns or message.ts_ns)
                self._take(message)
        self._refuse_if_nothing_came()
        if self._first_ns is None:
            self._begin(time.time_ns())
        self._flush()
        self._add_markers()
        self._writer.end_session(self._last_ns, "imported", None, 0)
        self._on_progress(self._reader.done, self._reader.total)
        return {self._channels[channel]: count for channel, count in self._counts.items()}

    def _begin(self, start_ns: int) -> None:
        self._first_ns = self._last_ns = start_ns
        self._writer.begin_session(start_ns, _meta(self._reader), split=self._channels.__getitem__)
        for message in sorted(
            (one for kept in self._state.values() for one in kept), key=lambda one: one.ts_ns
        ):
            self._take(message._replace(ts_ns=start_ns, publish_ns=start_ns))

    def _keep_state(self, message: ImportedMessage) -> None:
        """Keep what latched topics say before the section: the last, and all of the transforms."""
        kept = self._state.setdefault(_channel_of(message), [])
        if message.type_name != "tf2_msgs.TFMessage":
            kept.clear()
        kept.append(message)

    def _take(self, message: ImportedMessage) -> None:
        channel = _channel_of(message)
        if channel not in self._counts:
            self._channels[channel] = (message.topic, message.type_name)
            self._declare(channel, message)
            self._counts[channel] = 0
        self._counts[channel] += 1
        self._last_ns = max(self._last_ns, message.ts_ns)
        self._batch.append((channel, message))
        self._batch_bytes += len(message.data)
        if len(self._batch) >= _BATCH or self._batch_bytes >= _BATCH_BYTES:
            self._flush()
            self._on_progress(self._reader.done, self._reader.total)

    def _declare(self, channel: str, message: ImportedMessage) -> None:
        info = self._writer.describe(channel, message.data)
        latched = info.latched or message.topic in self._reader.latched
        self._writer.declare(info._replace(latched=latched))

    def _flush(self) -> None:
        with self._writer.transaction():
            for plain, messages in groupby(self._batch, key=_is_plain):
                if plain:
                    self._writer.write(
                        [(one.ts_ns, channel, one.data) for channel, one in messages]
                    )
                else:
                    for channel, one in messages:
                        self._append_with_meta(channel, one)
        self._batch, self._batch_bytes = [], 0

    def _append_with_meta(self, channel: str, message: ImportedMessage) -> None:
        meta = message.meta or Meta()
        tags = dict(meta.tags)
        if message.publish_ns != message.ts_ns:
            tags["publish_ns"] = message.publish_ns
        self._writer.append_one(
            channel, message.ts_ns, message.data, pose=meta.pose, tags=tags, value=meta.value
        )

    def _add_markers(self) -> None:
        """Those that touch the section."""
        section = self._wanted.start_ns, self._wanted.end_ns
        add_markers(self._writer, touching(self._reader.markers, *section))

    def _refuse_if_nothing_came(self) -> None:
        wanted, path, problems = self._wanted, self._reader.path, self._reader.problems
        for pattern in wanted.selection.include:
            asked = Selection.of((pattern,))
            if pattern not in ("*", "**") and not any(
                asked.matches(join_channel(*topic)) for topic in wanted.seen
            ):
                there = ", ".join(sorted({topic for topic, _ in wanted.seen})) or "no topics"
                raise UnknownTopic(f"{path}: no topic matches {pattern!r}; it has {there}")
        if self._first_ns is not None:
            return
        if problems:
            worst = max(problems, key=lambda problem: problem.count)
            raise DecodeError(
                f"nothing of {path} can be converted: {len(problems)} kinds of messages have no "
                f"counterpart, for example {worst.schema or worst.topic} ({worst.reason})"
            )
        if wanted.start_ns is not None or wanted.end_ns is not None:
            raise EditError(f"{path} has no message in the section; nothing was imported")


def latched_in(source: ImportSource, topic: str, type_name: str | None) -> bool:
    """Whether the last message of a topic stays valid: the file says so, or its name and type."""
    return topic in source.latched or is_latched(topic, type_name)


def _is_plain(item: tuple[str, ImportedMessage]) -> bool:
    """Whether nothing belongs to a message but its bytes and when it was received."""
    _, message = item
    return message.meta is None and message.publish_ns == message.ts_ns


def _channel_of(message: ImportedMessage) -> str:
    # as dimos names them on LCM
    return message.channel or join_channel(message.topic, message.type_name)


def _meta(reader: ImportSource) -> dict[str, Any]:
    return {
        "session": uuid.uuid4().hex,
        **process_identity(),
        "argv": sys.argv,
        "imported_from": str(reader.path.absolute()),
        "imported_at_ns": time.time_ns(),
    }

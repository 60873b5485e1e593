"""Import of other tools' recordings into one of ours, completely or not at all.

A format is a class that meets `ImportSource`; `formats.py` lists them and tells them apart.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from dimos_record.bus.base import Selection, join_channel, several
from dimos_record.errors import OptionError
from dimos_record.interop.exporting import OnProgress
from dimos_record.interop.target import adding_to, creating
from dimos_record.messages import is_latched
from dimos_record.store.base import Marker
from dimos_record.store.observation import Meta
from dimos_record.store.paths import path_for_writing

_SKIPPED_AT_ONCE = 500


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


@dataclass
class Wanted:
    """Which messages are asked for: topics, and a section ``[start_ns, end_ns)`` of receive times.

    Latched topics are wanted from before the section, too: their last message there is what it
    begins with.
    """

    selection: Selection = field(default_factory=Selection)
    start_ns: int | None = None
    end_ns: int | None = None
    seen: dict[tuple[str, str | None], bool] = field(default_factory=dict)
    """The topics and types that a source has asked about, and whether they are wanted."""
    on_skip: Callable[[], None] | None = None
    """Called now and then while messages are passed over; what it raises ends the import."""
    skipped: int = 0
    """How often the answer was no."""

    def topic(self, topic: str, type_name: str | None = None) -> bool:
        """Whether a topic is wanted. Sources ask about every topic that they have."""
        key = (topic, type_name)
        if key not in self.seen:
            self.seen[key] = self.selection.matches(join_channel(topic, type_name))
        return self.seen[key] or self._skip()

    def time(self, ts_ns: int, *, latched: bool = False) -> bool:
        """Whether a message of a wanted topic is wanted."""
        if self.end_ns is not None and ts_ns >= self.end_ns:
            return self._skip()
        return latched or self.start_ns is None or ts_ns >= self.start_ns or self._skip()

    def _skip(self) -> bool:
        self.skipped += 1
        if self.on_skip is not None and not self.skipped % _SKIPPED_AT_ONCE:
            self.on_skip()
        return False


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
    from dimos_record.interop.importer import Importer

    _check_section(section)
    selection = Selection.of(several(topics), several(exclude))
    found, reader = open_source(Path(source).expanduser(), format)
    with closing(reader):
        wanted = Wanted(selection, *_section_ns(reader.start_ns, section))
        path = path_for_writing(name)
        with adding_to(path) if append and path.exists() else creating(path, overwrite) as writer:
            counts = Importer(reader, wanted, writer, on_progress).run()
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


def latched_in(source: ImportSource, topic: str, type_name: str | None) -> bool:
    """Whether the last message of a topic stays valid: the file says so, or its name and type."""
    return topic in source.latched or is_latched(topic, type_name)

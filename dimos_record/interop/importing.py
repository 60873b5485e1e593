"""Import of other tools' recordings into one of ours, completely or not at all."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dimos_record.errors import DecodeError, RecordingExists, StorageError
from dimos_record.interop.mcap import ImportedMessage, McapImport, Problem
from dimos_record.store.editing import refuse_if_edited
from dimos_record.store.paths import path_for_writing
from dimos_record.store.recording_file import (
    already_exists,
    check_may_be_written,
    remove_recording_file,
)
from dimos_record.store.sessions import process_identity
from dimos_record.store.writer import RecordingWriter

_BATCH = 2000

OnProgress = Callable[[int, int], None]
"""Called with (messages read, messages in the file); an exception that it raises cancels."""


@dataclass(frozen=True)
class ImportedTopic:
    """What was imported of one topic."""

    topic: str
    type_name: str
    count: int


@dataclass(frozen=True)
class ImportReport:
    """What an import has done."""

    path: Path
    """The recording that was written."""
    topics: tuple[ImportedTopic, ...]
    total: int
    """Messages in the source."""
    problems: tuple[Problem, ...]
    """What could not be taken over."""

    @property
    def count(self) -> int:
        """Messages imported."""
        return sum(topic.count for topic in self.topics)


def import_file(
    source: str | os.PathLike[str],
    name: str | os.PathLike[str],
    *,
    append: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Import an MCAP file with ROS 2 messages; see `McapImport`.

    The receive time of each message is the log time of the source. Its publish time is kept in the
    tag `publish_ns` where it is another. If anything goes wrong, or `on_progress` raises, then
    nothing is left behind, and what was there before stays as it was.

    Args:
        source: the file to read.
        name: the recording to write.
        append: add a session to an existing recording.
        overwrite: replace an existing recording, once everything is imported.
        on_progress: called now and then, and at the end.

    Raises:
        MissingExtra, RecordingNotFound, NotARecording, RecordingDamaged, StorageError: of the
            source.
        RecordingExists: the target exists, and neither `append` nor `overwrite` is set.
        RecordingBusy: the target is being recorded into.
        DecodeError: the source has messages, and none of them can be converted.
    """
    with McapImport(Path(source)) as reader:
        path = path_for_writing(name)
        with _adding_to(path) if append and path.exists() else _creating(path, overwrite) as writer:
            counts = _Importer(reader, writer, on_progress).run()
        problems = tuple(reader.problems)
        topics = tuple(ImportedTopic(*key, count) for key, count in counts.items())
        return ImportReport(path, topics, reader.total, problems)


@contextmanager
def _creating(path: Path, overwrite: bool) -> Iterator[RecordingWriter]:
    """A new file, which gets its name when it is complete."""
    if path.exists():
        _check_replaceable(path, overwrite)
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {path.parent}; create it first")
    unfinished = path.with_name(f".{path.name}.importing-{os.getpid()}")
    writer = RecordingWriter.create(unfinished)
    try:
        yield writer
        writer.close()
        if path.exists():
            _check_replaceable(path, overwrite)
            remove_recording_file(path)
        os.replace(unfinished, path)
    except BaseException:
        writer.connection.close()
        remove_recording_file(unfinished)
        raise


def _check_replaceable(path: Path, overwrite: bool) -> None:
    """Only recordings are ever replaced, and none that is in use."""
    if not overwrite:
        raise already_exists(path)
    if path.is_dir():
        raise RecordingExists(f"{path} is a folder; import into a file of another name")
    check_may_be_written(path)


@contextmanager
def _adding_to(path: Path) -> Iterator[RecordingWriter]:
    """An existing file, changed in one transaction."""
    if path.is_dir():
        raise RecordingExists(f"{path} is a folder of segments; import into a file")
    refuse_if_edited(path)
    writer = RecordingWriter.append(path)
    try:
        with writer.transaction():
            yield writer
        writer.close()
    except BaseException:
        writer.connection.close()
        RecordingWriter.append(path).close()  # which leaves a self-contained file
        raise


class _Importer:
    """Moves the messages of one source into one writer."""

    def __init__(
        self, reader: McapImport, writer: RecordingWriter, on_progress: OnProgress | None
    ) -> None:
        self._reader, self._writer = reader, writer
        self._on_progress = on_progress or _ignore
        self._counts: dict[tuple[str, str], int] = {}
        self._channels: dict[str, tuple[str, str | None]] = {}
        self._batch: list[tuple[int, str, bytes]] = []

    def run(self) -> dict[tuple[str, str], int]:
        """Import everything; how many messages there were per topic and type.

        Raises:
            DecodeError: nothing of it could be converted.
        """
        start_ns, end_ns = 0, 0
        for message in self._reader.messages():
            if not self._counts:
                start_ns = end_ns = message.ts_ns
                self._begin(start_ns)
            self._take(message)
            end_ns = max(end_ns, message.ts_ns)
        self._flush()
        if not self._counts:
            self._refuse_if_nothing_fits()
            start_ns = end_ns = time.time_ns()
            self._begin(start_ns)
        self._writer.end_session(end_ns, "imported", None, 0)
        self._on_progress(self._reader.done, self._reader.total)
        return self._counts

    def _begin(self, start_ns: int) -> None:
        self._writer.begin_session(start_ns, _meta(self._reader), split=self._channels.__getitem__)

    def _take(self, message: ImportedMessage) -> None:
        key = (message.topic, message.type_name)
        channel = f"{message.topic}#{message.type_name}"  # as dimos names them on LCM
        if key not in self._counts:
            self._channels[channel] = key
            self._declare(channel, message)
        self._counts[key] = self._counts.get(key, 0) + 1
        if message.publish_ns == message.ts_ns:
            self._batch.append((message.ts_ns, channel, message.data))
        else:
            self._flush()
            tags = {"publish_ns": message.publish_ns}
            self._writer.append_one(channel, message.ts_ns, message.data, tags=tags)
        if len(self._batch) >= _BATCH or self._reader.done % _BATCH == 0:
            self._flush()
            self._on_progress(self._reader.done, self._reader.total)

    def _declare(self, channel: str, message: ImportedMessage) -> None:
        info = self._writer.describe(channel, message.data)
        latched = info.latched or message.topic in self._reader.latched
        self._writer.declare(info._replace(latched=latched))

    def _flush(self) -> None:
        if self._batch:
            self._writer.write(self._batch)
            self._batch = []

    def _refuse_if_nothing_fits(self) -> None:
        problems = self._reader.problems
        if problems:
            worst = max(problems, key=lambda problem: problem.count)
            raise DecodeError(
                f"nothing of {self._reader.path} can be converted: {len(problems)} kinds of "
                f"messages have no counterpart, for example {worst.schema or worst.topic} "
                f"({worst.reason})"
            )


def _ignore(done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _meta(reader: McapImport) -> dict[str, Any]:
    return {
        "session": uuid.uuid4().hex,
        **process_identity(),
        "argv": sys.argv,
        "imported_from": str(reader.path.absolute()),
        "imported_at_ns": time.time_ns(),
    }

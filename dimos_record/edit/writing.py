"""Writing one recording file from what is planned to be copied into it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from dimos_record.edit.arrival import number_by_arrival
from dimos_record.edit.carried import Sessions, Timeline, write_timeline
from dimos_record.edit.copying import (
    Part,
    copy_stream,
    interleave_streams,
    make_rtree,
)
from dimos_record.edit.embeddings import copy_embeddings, has_embeddings
from dimos_record.edit.new_file import NewFile
from dimos_record.edit.plan import FilePlan, StreamPlan, has_table
from dimos_record.edit.progress import Progress
from dimos_record.errors import RecordingDamaged, StorageError
from dimos_record.store import order
from dimos_record.store.base import StreamInfo
from dimos_record.store.connection import ReadConnection, quote_name


class SaveReport(NamedTuple):
    """A recording that was written."""

    path: Path
    messages: int
    bytes: int
    """Payloads, as stored."""
    size_before: int
    """Bytes of the files that it was made from."""
    size_after: int
    """Bytes of the new file, or of all its segments."""


class Written(NamedTuple):
    """What was written into one file."""

    messages: int
    bytes: int


def write_file(
    new: NewFile,
    plans: Sequence[FilePlan],
    timeline: Timeline,
    progress: Progress,
    *,
    first_ids: Mapping[str, int] | None = None,
    interleaved: Collection[str] = (),
    number_anew: bool = False,
) -> Written:
    """Write a file, and wait until it is on the disk.

    Args:
        new: the file; when this fails, it is deleted.
        plans: what is copied, file after file.
        first_ids: the numbers that streams begin with; 1, where nothing is said.
        interleaved: streams whose messages alternate between files, and come in order of time.
        number_anew: whether the order of arrival is that of time from now on.

    Raises:
        DiskFull, StorageError, RecordingDamaged, RecordingBusy, CodecError, MissingExtra
    """
    try:
        writing = _Writing(new, plans, progress, first_ids or {})
        written = writing.write(timeline, interleaved, number_anew)
        new.finish()
    except BaseException:
        new.discard()
        raise
    return written


class _Writing:
    def __init__(
        self,
        new: NewFile,
        plans: Sequence[FilePlan],
        progress: Progress,
        first_ids: Mapping[str, int],
    ) -> None:
        self._new = new
        self._plans = plans
        self._progress = progress
        self._streams = _streams(plans)
        self._first_ids = {name: first_ids.get(name, 1) for name in self._streams}
        self._next_ids = dict(self._first_ids)
        self._bytes = dict.fromkeys(self._streams, 0)
        self._recoded: set[str] = set()
        self._rtrees: set[str] = set()

    def write(self, timeline: Timeline, interleaved: Collection[str], number_anew: bool) -> Written:
        topics = self._new.create(self._streams)
        sessions = Sessions(self._plans)
        for index, plan in enumerate(self._plans):
            with closing(plan.connect()) as source, self._new.attached(source):
                for stream in plan.streams:
                    self._copy(source, stream, stream.name in interleaved)
                sessions.carry(source, index, plan)
        with self._new.opened() as connection, self._progress.during(connection):
            connection.execute("BEGIN")
            for name in sorted(interleaved):
                self._interleave(connection, name)
            if number_anew:
                number_by_arrival(connection, list(self._streams))
            for name in self._streams:
                order.ensure(connection, name)
            for name in sorted(self._rtrees):
                make_rtree(connection, name)
            sessions.write(connection, topics)
            write_timeline(connection, timeline)
            connection.execute("COMMIT")
            written = self._checked(connection)
        self._new.note_totals(
            {
                name: (self._next_ids[name] - first, self._bytes[name])
                for name, first in self._first_ids.items()
            }
        )
        return written

    def _copy(self, source: ReadConnection, stream: StreamPlan, later: bool) -> None:
        name = stream.name
        if not later:
            next_id, progress = self._next_ids[name], self._progress
            self._bytes[name] += copy_stream(source, stream, self._new, next_id, progress)
            copy_embeddings(source, stream, next_id)
            self._next_ids[name] += stream.count
        elif has_embeddings(source, stream):
            raise StorageError(
                f"{stream.edits.info.topic} has embeddings, whose messages cannot be mixed with "
                "those of another recording; merge them end to end, or delete the topic from one"
            )
        if stream.recode is not None:
            self._recoded.add(name)
        if has_table(source, f"{stream.table.info.name}_rtree"):
            self._rtrees.add(name)

    def _interleave(self, connection: sqlite3.Connection, name: str) -> None:
        with ExitStack() as stack:
            parts = [
                Part(
                    stack.enter_context(closing(plan.connect())),
                    stream,
                    plan.skips,
                )
                for plan in self._plans
                for stream in plan.streams
                if stream.name == name
            ]
            count, size = interleave_streams(parts, connection, self._new, self._progress)
        self._next_ids[name] = self._first_ids[name] + count
        self._bytes[name] = size

    def _checked(self, connection: sqlite3.Connection) -> Written:
        """Count what was written before anybody relies on it.

        Raises:
            RecordingDamaged: it is not what was planned.
        """
        for name, first in self._first_ids.items():
            expected = self._next_ids[name] - first
            query = f"SELECT count(*), min(id), max(id) FROM {quote_name(name)}"
            found = connection.execute(query).fetchone()
            if found != (expected, *((first, first + expected - 1) if expected else (None, None))):
                raise RecordingDamaged(
                    f"{self._new.for_whom} cannot be written: {found[0]:,} messages of {name} "
                    f"arrived of {expected:,}"
                )
        for name in self._recoded:
            query = f"SELECT total(length(data)) FROM {quote_name(f'{name}_blob')}"
            self._bytes[name] = int(connection.execute(query).fetchone()[0])
        count = sum(self._next_ids.values()) - sum(self._first_ids.values())
        return Written(count, sum(self._bytes.values()))


def _streams(plans: Sequence[FilePlan]) -> dict[str, tuple[StreamInfo, str | None]]:
    """The streams of the new file, with dimos's description of those that it can open."""
    streams: dict[str, tuple[StreamInfo, str | None]] = {}
    for plan in plans:
        for stream in plan.streams:
            info, config = streams.get(stream.name, (stream.edits.info, None))
            if config is None and stream.edits.source in plan.configs:
                config = _recoded(plan.configs[stream.edits.source], stream)
            streams[stream.name] = info, config
    return streams


def _recoded(config: str, stream: StreamPlan) -> str | None:
    """dimos's description of a stream whose payloads get another codec."""
    if stream.recode is None:
        return config
    try:
        settings = json.loads(config)
        stored, seen = stream.table.info.codec, settings["codec_id"]
    except (ValueError, TypeError, KeyError):
        return None
    wanted = stream.recode
    if seen != stored:  # pictures that came as JPEG are `lcm` to us and `jpeg` to dimos
        wanted = wanted.replace("lcm", seen.removeprefix("lz4+"))
    return json.dumps({**settings, "codec_id": wanted})

"""What is to be copied out of a recording: which messages of which file, and how much that is."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from dimos_record.edit.progress import Progress
from dimos_record.store import catalog, schema
from dimos_record.store.base import SessionInfo
from dimos_record.store.carried import hide, load_carried
from dimos_record.store.connection import (
    ReadConnection,
    connect_for_editing,
    connect_for_reading,
    errors_about,
)
from dimos_record.store.edit_state import EditState, Piece, StreamEdits
from dimos_record.store.edited import EditedReader
from dimos_record.store.intervals import Intervals
from dimos_record.store.reader import RecordingReader
from dimos_record.store.recording_file import recording_files
from dimos_record.store.sessions import load_sessions
from dimos_record.store.table import Span, StreamTable

_SAMPLES = 256


class Run(NamedTuple):
    """Messages with consecutive numbers, all of which are copied."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class StreamPlan:
    """What is copied of one stream in one file."""

    edits: StreamEdits
    table: StreamTable
    """What it looks like in the file."""
    runs: tuple[Run, ...]
    """In ascending order."""
    first_id: int
    """The first number that the stream has in the file."""
    all_of_it: bool
    """Whether every message stays."""
    bytes: int
    """Payload, estimated from samples."""

    @property
    def name(self) -> str:
        """What the stream is called from now on."""
        return self.edits.info.name

    @property
    def count(self) -> int:
        """How many messages are copied."""
        return sum(run.size for run in self.runs)

    @property
    def changed(self) -> bool:
        """Whether it is otherwise than in the file."""
        called, was = self.edits.info, self.table.info
        renamed = (called.name, called.channel) != (was.name, was.channel)
        return bool(renamed or not self.all_of_it or self.edits.shift_ns or self.recode)

    @property
    def recode(self) -> str | None:
        """The codec to store payloads with, if it is another one."""
        wanted = self.edits.recode
        return None if wanted == self.table.info.codec else wanted


@dataclass(frozen=True)
class FilePlan:
    """What is copied of one file."""

    path: Path
    whole: bool
    """Whether what a segment carries from those before it is copied: these are not."""
    streams: tuple[StreamPlan, ...]
    sessions: tuple[SessionInfo, ...]
    """Those that the file knows; accounts by stream names as recorded."""
    configs: Mapping[str, str]
    """How dimos's `_streams` describes the streams of the file, by name."""
    meta: Mapping[str, Any]
    """The file's `_dr_meta`."""
    first_ns: int
    """When the first message was received, as recorded; 0 without messages."""
    last_ns: int
    """When the last one was."""
    loses_more: bool
    """Whether whole streams, or lines of the log, are not copied."""
    cut: Intervals
    """What was cut from everything, in times as recorded."""
    skips: Intervals
    """Where messages are only state that what follows needs, in times from now on."""
    shift_ns: int = 0
    """How far times are moved beyond the shifts of `streams`: of sessions, logs and clocks."""

    def connect(self) -> ReadConnection:
        """Open the file to copy from it."""
        return _connect(self.path, self.whole)

    @property
    def bytes(self) -> int:
        """Payload of all streams, about."""
        return sum(stream.bytes for stream in self.streams)

    @property
    def count(self) -> int:
        """Messages of all streams."""
        return sum(stream.count for stream in self.streams)

    @property
    def changed(self) -> bool:
        """Whether any message, or what is said of it, is otherwise than in the file."""
        return self.loses_more or any(stream.changed for stream in self.streams)

    def shifted(self, by_ns: int) -> FilePlan:
        """All of it at other times."""
        streams = tuple(
            replace(one, edits=replace(one.edits, shift_ns=one.edits.shift_ns + by_ns))
            for one in self.streams
        )
        return replace(
            self,
            streams=streams,
            skips=self.skips.shifted(by_ns),
            shift_ns=self.shift_ns + by_ns,
        )


@contextmanager
def files_of(reader: EditedReader) -> Iterator[list[Path]]:
    """The files of a recording, in order; what lives in memory is a temporary file meanwhile."""
    path = path_of(reader)
    if path is not None:
        yield getattr(reader.base, "files", [path])
        return
    with tempfile.TemporaryDirectory(prefix="dimos-record-") as folder:
        copy, memory = Path(folder, "memory.db"), cast(RecordingReader, reader.base)
        with closing(connect_for_editing(copy, create=True)) as to:
            memory.copy_into(to)
        yield [copy]


def size_of(files: Iterable[Path]) -> int:
    """Bytes of files, with their logs."""
    return sum(part.stat().st_size for file in files for part in recording_files(file))


def path_of(reader: EditedReader) -> Path | None:
    """The file or folder of a recording; None for one that lives in memory."""
    path = getattr(reader.base, "path", None)
    return path if isinstance(path, Path) else None


def plan_files(files: Sequence[Path], state: EditState, progress: Progress) -> list[FilePlan]:
    """Look up what of the files of a recording stays after its edits."""
    return [plan_file(path, state, progress, whole=not at) for at, path in enumerate(files)]


def _connect(path: Path, whole: bool) -> ReadConnection:
    connection = connect_for_reading(path)
    try:
        if not whole:
            with errors_about(path):
                hide(connection, load_carried(connection))
    except BaseException:
        connection.close()
        raise
    return connection


def plan_file(path: Path, state: EditState, progress: Progress, *, whole: bool = True) -> FilePlan:
    """Look up what of one file stays after the edits of its recording.

    Args:
        whole: copy also what it carries from the segments before it.
    """
    with (
        closing(_connect(path, whole)) as connection,
        errors_about(path),
        progress.during(connection),
    ):
        version = schema.check(connection, path)
        tables = {table.info.name: table for table in catalog.load_tables(connection)}
        ends = [table.ends(connection) for table in tables.values()]
        planned = tuple(
            _plan_stream(connection, edits, tables[edits.source])
            for edits in state.streams.values()
            if edits.source in tables
        )
        cut = state.cut_sections
        return FilePlan(
            path=path,
            whole=whole,
            streams=planned,
            sessions=tuple(load_sessions(connection)) if version else (),
            configs=_configs(connection),
            meta=dict(connection.execute("SELECT key, value FROM _dr_meta")) if version else {},
            first_ns=min((first for first, _ in ends if first is not None), default=0),
            last_ns=max((last for _, last in ends if last is not None), default=0),
            loses_more=len(planned) < len(tables) or _cuts_log(connection, cut),
            cut=cut,
            skips=state.skips,
        )


def _cuts_log(connection: sqlite3.Connection, cut: Intervals) -> bool:
    if not has_table(connection, "_dr_log"):
        return False
    query = "SELECT 1 FROM _dr_log WHERE ts_ns >= ? AND ts_ns < ? LIMIT 1"
    return any(connection.execute(query, section).fetchone() for section in cut)


def _configs(connection: sqlite3.Connection) -> dict[str, str]:
    if not has_table(connection, "_streams"):
        return {}
    rows = connection.execute("SELECT name, config FROM _streams")
    return {str(name): str(config) for name, config in rows}


def _plan_stream(
    connection: sqlite3.Connection, edits: StreamEdits, table: StreamTable
) -> StreamPlan:
    table = without_empty_spool(connection, table)
    count, first = connection.execute(f"SELECT count(*), min(id) FROM {table.source}").fetchone()
    runs = tuple(_joined(_runs(connection, table, edits.pieces))) if count else ()
    kept = sum(run.size for run in runs)
    plan = StreamPlan(edits, table, runs, first or 1, kept == count, 0)
    return replace(plan, bytes=_estimated_bytes(connection, plan))


def without_empty_spool(connection: sqlite3.Connection, table: StreamTable) -> StreamTable:
    """The table without its part in the spool, where nothing is; that is read much faster."""
    query = "SELECT 1 FROM _dr_spool WHERE topic = ? LIMIT 1"
    if table.topic is None or connection.execute(query, (table.topic,)).fetchone():
        return table
    return table._replace(topic=None)


def _runs(
    connection: sqlite3.Connection, table: StreamTable, pieces: Iterable[Piece]
) -> Iterator[Run]:
    for piece in pieces:
        if piece.ids is None:
            yield from _runs_between(connection, table, piece)
        else:
            query = f"SELECT 1 FROM {table.source} WHERE id = ?"
            for number in piece.ids:
                if connection.execute(query, (number,)).fetchone():
                    yield Run(number, number)


def _runs_between(
    connection: sqlite3.Connection, table: StreamTable, piece: Piece
) -> Iterator[Run]:
    """The messages between two times: one run, where numbers are dense and follow time."""
    within = f"FROM {table.source} WHERE ts_ns >= ? AND ts_ns < ?"
    limits = (piece.low_ns, piece.high_ns)
    if table.in_order:
        within = f"FROM {table.source} WHERE id >= ? AND id < ?"
        limits = table.within(connection, Span.between(*limits))
    count, first, last = connection.execute(
        f"SELECT count(*), min(id), max(id) {within}", limits
    ).fetchone()
    if not count:
        return
    if last - first + 1 == count:
        yield Run(first, last)
        return
    islands = connection.execute(
        f"SELECT min(id), max(id) FROM "
        f"(SELECT id, id - row_number() OVER (ORDER BY id) AS island {within}) GROUP BY island",
        limits,
    )
    yield from (Run(*ends) for ends in islands)


def _joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs in order, those that touch as one."""
    pending: Run | None = None
    for run in sorted(runs):
        if pending is not None and run.first == pending.last + 1:
            pending = Run(pending.first, run.last)
            continue
        if pending is not None:
            yield pending
        pending = run
    if pending is not None:
        yield pending


def samples(runs: Iterable[Run], count: int, at_most: int) -> list[int]:
    """Numbers of some messages out of `count`, evenly over all runs."""
    step = max(1, count // at_most)
    numbers = (number for run in runs for number in range(run.first, run.last + 1))
    if step == 1:
        return list(islice(numbers, at_most))
    chosen: list[int] = []
    offset = 0
    for run in runs:
        chosen += range(run.first + -offset % step, run.last + 1, step)
        offset += run.size
    return chosen


def _estimated_bytes(connection: sqlite3.Connection, plan: StreamPlan) -> int:
    sampled = samples(plan.runs, plan.count, _SAMPLES)
    if not sampled:
        return 0
    sizes = plan.table.sizes(connection, sampled)
    return plan.count * sum(sizes) // len(sizes)


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a file has a table, ordinary or virtual."""
    query = "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND lower(name) = lower(?)"
    return connection.execute(query, (name,)).fetchone() is not None

"""Export of a view of a recording into a file of another tool, completely or not at all.

A format is a class that meets `ExportWriter`; `formats.py` lists them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dimos_record.errors import EditError
from dimos_record.interop.files import NewExport, new_export, writing
from dimos_record.store.base import Marker, Row, SessionInfo, StreamInfo
from dimos_record.store.meta import Where
from dimos_record.store.observation import Meta

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

_EVERY = 500
_EVERY_BYTES = 4_000_000
_HAS_META = Where(
    "(pose_x IS NOT NULL OR value IS NOT NULL OR (tags IS NOT NULL AND tags IS NOT x'0C'))"
)

OnProgress = Callable[[int, int], None]
"""Called with (messages written, messages in all); an exception that it raises cancels."""


@dataclass(frozen=True, order=True)
class Loss:
    """What a format could not carry, and how often."""

    topic: str
    what: str
    """`times below a microsecond`, `header.seq`: what is not in the file, for people."""
    count: int
    """Messages concerned."""


@dataclass(frozen=True)
class ExportedTopic:
    """What was exported of one topic."""

    topic: str
    type_name: str | None
    count: int


@dataclass(frozen=True)
class ExportReport:
    """What an export has done."""

    path: Path
    """The file or folder that was written."""
    format: str
    """`mcap`, `lcm` ..."""
    topics: tuple[ExportedTopic, ...]
    messages: int
    bytes: int
    """Size of what was written, on the disk."""
    losses: tuple[Loss, ...]
    """What the format could not carry."""


@dataclass(frozen=True)
class About:
    """What a writer may say of a recording besides its messages. Times are UNIX, in ns."""

    name: str
    """What the recording is called: its path, or `memory`."""
    streams: Sequence[StreamInfo]
    """The selected streams, whether or not they have a message in the section."""
    origin_ns: int
    """Position 0 of the recording."""
    span_ns: tuple[int, int] | None
    """Receive times of the first and the last message of the whole recording."""
    skips: Sequence[tuple[int, int]]
    """Sections ``[a, b)`` of which everything was cut; what is in there is state."""
    markers: Sequence[Marker]
    """Those that touch the section, in the order of time."""
    sessions: Sequence[SessionInfo]


class ExportWriter(Protocol):
    """Writes one file, or one folder of files, of a format.

    The class is called with the path to write to, which does not exist yet; keyword-only arguments
    of its `__init__` are the options of the format. Nothing is opened before `begin`.
    """

    def begin(self, about: About) -> None:
        """Create the file (or folder). Called once, before everything else."""

    def write(self, row: Row, meta: Meta | None) -> bool:
        """Write one message; they come in the order of time.

        Args:
            row: the message; `data` is its bytes as they came off the wire.
            meta: pose, tags and value that are stored with it; None where there is nothing.

        Returns:
            Whether it was written. If not, the writer has noted a loss.
        """

    def finish(self) -> None:
        """Make the file complete. Called once, when every message was written."""

    def close(self) -> None:
        """Release everything, also of a file that is not complete. Harmless after `finish`."""

    @property
    def losses(self) -> list[Loss]:
        """What could not be carried so far, by topic; see `Losses`."""


class Losses:
    """Counts what a writer could not carry."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, topic: str, what: str, count: int = 1) -> None:
        """So many more messages of a topic lack something."""
        self._counts[topic, what] += count

    def listed(self) -> list[Loss]:
        """All of it, by topic."""
        return sorted(Loss(*key, count) for key, count in self._counts.items())


def export(
    view: ReplayView,
    name: str | os.PathLike[str],
    make_writer: Callable[[Path], ExportWriter],
    *,
    format: str,
    suffix: str = "",
    with_state: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportReport:
    """Write the messages of a view into a file of another format.

    If anything goes wrong, or `on_progress` raises, then nothing is left behind, and what was
    there before stays as it was.

    Args:
        view: what is exported.
        name: the file or folder to write, a path as any other program takes it.
        make_writer: makes the writer for a path.
        format: what the report calls the format.
        suffix: that of the files in a folder that may be replaced: `.csv`.
        with_state: whether maps, camera infos and static transforms from before the section are
            written at its start, as a player needs them.
        overwrite: replace what is there; never a recording, nor a folder with other things in it.
        on_progress: called now and then, and at the end.

    Raises:
        RecordingExists: there is something of that name that is not to be replaced.
        EditError: the view has no message in its section.
        StorageError, DiskFull: it cannot be written.
        Others: those of the recording, of its operators, and of the writer.
    """
    with new_export(Path(name).expanduser(), suffix or f".{format}", overwrite) as target:
        writer = make_writer(target.unfinished)
        exporting = _Exporting(view, writer, target, on_progress)
        try:
            exporting.run(with_state)
        except BaseException:
            with suppress(OSError):  # the disk is still full; what led here says so
                writer.close()
            raise
        with writing(target.path):
            writer.close()
            size = target.put()
    topics = tuple(ExportedTopic(*key, count) for key, count in exporting.counts.items())
    return ExportReport(
        target.path, format, topics, sum(one.count for one in topics), size, tuple(writer.losses)
    )


class _Exporting:
    """Moves the messages of one view into one writer."""

    def __init__(
        self,
        view: ReplayView,
        writer: ExportWriter,
        target: NewExport,
        on_progress: OnProgress | None,
    ) -> None:
        self._view, self._writer, self._target = view, writer, target
        self._on_progress = on_progress or ignore
        self.counts: dict[tuple[str, str | None], int] = {}

    def run(self, with_state: bool) -> None:
        """Write everything; with the state before the section, where that is wanted."""
        view = self._view
        total = replace(view, operators=()).count()  # operators that drop some end earlier
        with writing(self._target.path):
            self._writer.begin(about(view))
            self._target.hold()
        for row, meta in _state(view) if with_state else ():
            self._write(row, meta)
        done = size = 0
        for row, meta in rows_with_meta(view):
            self._write(row, meta)
            done += 1
            size += len(row.data)
            if size >= _EVERY_BYTES or done % _EVERY == 0:
                self._on_progress(done, max(done, total))
                size = 0
        if not done and (view.start_s is not None or view.end_s is not None):
            raise EditError(f"{view.name} has no message in the section; nothing was written")
        self._on_progress(done, done)
        with writing(self._target.path):
            self._writer.finish()
            self._target.hold()

    def _write(self, row: Row, meta: Meta | None) -> None:
        try:
            written = self._writer.write(row, meta)
        except OSError:
            with writing(self._target.path):
                raise
        key = (row.stream.topic, row.stream.type_name)
        self.counts[key] = self.counts.get(key, 0) + written


def _state(view: ReplayView) -> Iterator[tuple[Row, Meta | None]]:
    """What latched topics said before the section, as if it had been said at its start."""
    start_ns, _ = _section(view)
    if start_ns is None:
        return
    reader = view.recording.reader
    for row in view.latched_before(start_ns):
        stored = None
        if not view.operators:  # what those make of a message has nothing stored beside it
            where = _HAS_META.also(Where("id = ?", (row.id,)))
            stored = next(reader.meta_rows(row.stream.name, where), None)
        yield row._replace(ts_ns=start_ns), stored.meta if stored is not None else None


def _section(view: ReplayView) -> tuple[int | None, int | None]:
    """The section of a view in receive times."""
    if view.start_s is None and view.end_s is None:
        return None, None
    origin_ns = view.origin_ns()
    return (
        None if view.start_s is None else origin_ns + round(view.start_s * 1e9),
        None if view.end_s is None else origin_ns + round(view.end_s * 1e9),
    )


def about(view: ReplayView) -> About:
    """What a writer may say of the recording of a view."""
    reader = view.recording.reader
    return About(
        name=view.name,
        streams=view.streams,
        origin_ns=view.origin_ns(),
        span_ns=view.span_ns(),
        skips=view.skips(),
        markers=touching(reader.markers(), *_section(view)),
        sessions=reader.sessions(),
    )


def touching(markers: Sequence[Marker], start_ns: int | None, end_ns: int | None) -> list[Marker]:
    """The markers that touch a section ``[start_ns, end_ns)`` of receive times."""
    return [
        one
        for one in markers
        if (end_ns is None or one.at_ns < end_ns)
        and (start_ns is None or (one.until_ns or one.at_ns) >= start_ns)
    ]


def rows_with_meta(view: ReplayView) -> Iterator[tuple[Row, Meta | None]]:
    """The messages of a view with what is stored beside them, if anything is."""
    if view.operators:
        for observation in view:
            yield observation.to_row(), _or_none(observation.meta)
        return
    reader = view.recording.reader
    start_ns, _ = _section(view)
    where = _HAS_META
    if start_ns is not None:
        where = where.also(Where("ts_ns >= ?", (start_ns,), low_ns=start_ns))
    stored = {
        info.name: _MetaAhead((row.id, row.meta) for row in reader.meta_rows(info.name, where))
        for info in view.streams
        if next(reader.meta_rows(info.name, where), None) is not None
    }
    for row in view.rows():
        ahead = stored.get(row.stream.name)
        yield row, ahead.of(row.id) if ahead is not None else None


class _MetaAhead:
    """What is stored beside the payloads of a stream, read in the order of their numbers.

    Rows come in the order of time, which is nearly that of numbers: what was passed is kept.
    """

    def __init__(self, rows: Iterator[tuple[int, Meta]]) -> None:
        self._rows = rows
        self._passed: dict[int, Meta] = {}
        self._read_until = 0

    def of(self, number: int) -> Meta | None:
        """What belongs to a message; None where there is nothing."""
        while self._read_until < number:
            read = next(self._rows, None)
            if read is None:
                break
            self._read_until, meta = read
            self._passed[self._read_until] = meta
        return self._passed.pop(number, None)


def _or_none(meta: Meta) -> Meta | None:
    return meta if meta.pose is not None or meta.tags or meta.value is not None else None


def ignore(done: int, total: int) -> None:
    """Progress that nobody asked for."""

"""A recording that is a folder of files: its segments, opened as one."""

from __future__ import annotations

import heapq
import re
import threading
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

from dimos_record.errors import NotARecording, RecordingNotFound, StorageError
from dimos_record.store.base import (
    LogLine,
    Marker,
    Row,
    SessionInfo,
    StreamInfo,
    StreamStats,
    add_accounts,
)
from dimos_record.store.connection import connect_for_reading, errors_about
from dimos_record.store.edits import Edit, load_edits
from dimos_record.store.intervals import Intervals
from dimos_record.store.meta import MetaRow, Where
from dimos_record.store.reader import RecordingReader, find_stream, span_between_skips

_SUFFIX = ".db"
_SEGMENT = re.compile(r"segment-([0-9]+)\.db")


def next_segment_path(folder: Path) -> Path:
    """Where the next segment of a recording is to lie: `segment-00001.db` and so on."""
    matches = (_SEGMENT.fullmatch(path.name) for path in segments_of(folder))
    last = max((int(match[1]) for match in matches if match), default=0)
    return folder / f"segment-{last + 1:05d}{_SUFFIX}"


def edits_file(folder: Path) -> Path:
    """Where the edits of a folder of segments are kept."""
    return folder / "edits.sqlite"


def segments_of(folder: Path) -> list[Path]:
    """The segment files of a folder, in order.

    Raises:
        StorageError: the folder cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == _SUFFIX and p.is_file())
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}") from None


class SegmentedReader:
    """A folder of segments as one recording. Safe to use from several threads.

    Segments that appear while it is open (the folder is being recorded into) are picked up.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._readers: dict[Path, RecordingReader] = {}
        self._lock = threading.Lock()
        try:
            self._refresh()
        except BaseException:
            self.close()
            raise
        if not self._readers:
            raise NotARecording(f"{folder} is a folder without any recording in it")

    def _refresh(self) -> list[RecordingReader]:
        with self._lock:
            self._open_new_segments()
            return [self._readers[path] for path in sorted(self._readers)]

    def _open_new_segments(self) -> None:
        present = segments_of(self.path)
        for path in present:
            if path in self._readers:
                continue
            try:
                self._readers[path] = RecordingReader.open(path)
            except RecordingNotFound:
                continue  # deleted a moment ago
            except NotARecording:
                # the last one may be in the making: its tables are not there yet
                if path != present[-1] or not self._readers:
                    raise
        for gone in self._readers.keys() - set(present):
            self._readers.pop(gone).close()

    @property
    def segments(self) -> list[RecordingReader]:
        """The readers of the segments, in order."""
        return self._refresh()

    @property
    def name(self) -> str:
        """What messages call this recording."""
        return str(self.path)

    @property
    def schema_version(self) -> int:
        """The oldest schema among the segments."""
        return min(segment.schema_version for segment in self.segments)

    @property
    def self_contained(self) -> bool:
        """Whether every segment is one file without a log beside it."""
        return all(segment.self_contained for segment in self.segments)

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name, of all segments."""
        found: dict[str, StreamInfo] = {}
        for segment in self.segments:
            for name, info in segment.streams.items():
                found.setdefault(name, info)
        return found

    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """
        return find_stream(self.streams, topic_or_stream, self.name)

    def _holding(self, stream: str) -> tuple[str, list[RecordingReader]]:
        name = self.find(stream).name
        return name, [segment for segment in self.segments if name in segment.streams]

    def stats(self, stream: str) -> StreamStats:
        """Count, bytes and extent of a stream over all segments."""
        name, holding = self._holding(stream)
        parts = [segment.stats(name) for segment in holding]
        firsts = [part.first_ns for part in parts if part.first_ns is not None]
        lasts = [part.last_ns for part in parts if part.last_ns is not None]
        return StreamStats(
            count=sum(part.count for part in parts),
            bytes=sum(part.bytes for part in parts),
            first_ns=min(firsts, default=None),
            last_ns=max(lasts, default=None),
        )

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message; None when there is no message.

        Messages inside skips do not count.
        """
        return span_between_skips(self)

    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        """Times of the first and the last message with ``start_ns <= ts_ns < end_ns``."""
        name, holding = self._holding(stream)
        parts = [found for part in holding if (found := part.ends(name, start_ns, end_ns))]
        return (min(p[0] for p in parts), max(p[1] for p in parts)) if parts else None

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        """How many messages of a stream lie before each of these times, which ascend."""
        name, holding = self._holding(stream)
        parts = [segment.ranks(name, times_ns) for segment in holding]
        return [sum(ranks) for ranks in zip(*parts, strict=True)]

    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages, without loading them; 0 where there is none."""
        name, holding = self._holding(stream)
        parts = [segment.sizes(name, numbers) for segment in holding]
        return [max(sizes) for sizes in zip(*parts, strict=True)]

    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """Bytes of all stored payloads with ``start_ns <= ts_ns < end_ns``; O(n)."""
        name, holding = self._holding(stream)
        return sum(segment.bytes_between(name, start_ns, end_ns) for segment in holding)

    def origin_ns(self) -> int:
        """Position 0: when the first message was received, as recorded; 0 without messages."""
        origins = [origin for segment in self.segments if (origin := segment.origin_ns())]
        return min(origins, default=0)

    def skips(self) -> list[tuple[int, int]]:
        """Sections ``[a, b)`` that were cut before the segments were saved, in order."""
        skips = Intervals.of(skip for segment in self.segments for skip in segment.skips())
        return list(skips.items)

    def markers(self) -> list[Marker]:
        """Labelled instants and intervals, in the order of time."""
        found: dict[int, Marker] = {}
        for marker in (marker for segment in self.segments for marker in segment.markers()):
            number = marker.id if marker.id not in found else max(found) + 1
            found[number] = marker._replace(id=number)
        return sorted(found.values(), key=lambda marker: (marker.at_ns, marker.id))

    def edits(self) -> list[Edit]:
        """The edits that are not saved, and those that were undone, oldest first."""
        path = edits_file(self.path)
        if not path.exists():
            return []
        connection = connect_for_reading(path)
        try:
            with errors_about(path):
                return load_edits(connection)
        finally:
            connection.close()

    def sessions(self) -> list[SessionInfo]:
        """The sessions, each put together from its parts in the segments."""
        merged: dict[str, SessionInfo] = {}
        for segment in self.segments:
            for part in segment.sessions():
                key = str(part.meta.get("session", f"{segment.name}:{part.id}"))
                whole = merged.get(key)
                merged[key] = part if whole is None else _joined(whole, part)
        return sorted(merged.values(), key=lambda session: session.start_ns)

    def log_lines(self) -> Iterator[LogLine]:
        """What the recorded program has logged, segment after segment, lazily."""
        return chain.from_iterable(segment.log_lines() for segment in self.segments)

    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""
        name, holding = self._holding(stream)
        return sum(segment.count_between(name, start_ns, end_ns) for segment in holding)

    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Messages of one stream in order of (ts_ns, id), lazily, segment after segment."""
        name, holding = self._holding(stream)
        ends = ((segment, segment.ends(name)) for segment in holding)
        within = [(s, span) for s, span in ends if span and _overlaps(span, start_ns, end_ns)]
        parts = [
            segment.rows(name, start_ns=start_ns, end_ns=end_ns, reverse=reverse)
            for segment, _ in (reversed(within) if reverse else within)
        ]
        if all(earlier[1] <= later[0] for (_, earlier), (_, later) in pairwise(within)):
            return chain.from_iterable(parts)
        return heapq.merge(*parts, key=_time_and_arrival, reverse=reverse)

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time."""
        name, holding = self._holding(stream)
        found = [row for row in (s.last_at(name, ts_ns) for s in holding) if row is not None]
        return max(found, key=_time_and_arrival, default=None)

    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily."""
        name, holding = self._holding(stream)
        parts = [segment.meta_rows(name, where, order, descending) for segment in holding]
        if order in ("id", "seq", "ts"):  # segments follow each other in these
            return chain.from_iterable(reversed(parts) if descending else parts)
        return heapq.merge(*parts, key=lambda row: row.sort_key(order), reverse=descending)

    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""
        name, holding = self._holding(stream)
        return sum(segment.count_where(name, where) for segment in holding)

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message; numbers go on from segment to segment.

        Raises:
            LookupError: the stream has no message of that number.
        """
        name, holding = self._holding(stream)
        for segment in holding:
            try:
                return segment.payload(name, number)
            except LookupError:
                continue
        raise LookupError(f"{self.name}: stream {stream} has no message {number}")

    def close(self) -> None:
        """Release the files. Closing twice is harmless."""
        with self._lock:
            for reader in self._readers.values():
                reader.close()

    def __enter__(self) -> SegmentedReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _time_and_arrival(row: Row) -> tuple[int, int]:
    return row.ts_ns, row.seq


def _overlaps(span: tuple[int, int], start_ns: int | None, end_ns: int | None) -> bool:
    return (end_ns is None or span[0] < end_ns) and (start_ns is None or span[1] >= start_ns)


def _joined(whole: SessionInfo, part: SessionInfo) -> SessionInfo:
    """A session that goes on in another segment."""
    whole.stop_ns, whole.state, whole.reason = part.stop_ns, part.state, part.reason
    if part.lost_before_reception is not None:
        whole.lost_before_reception = (
            whole.lost_before_reception or 0
        ) + part.lost_before_reception
    whole.clock_jumps += part.clock_jumps
    whole.accounts = add_accounts(whole.accounts, part.accounts)
    return whole

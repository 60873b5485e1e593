"""A recording that is a folder of files: its segments, opened as one."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TypeVar

from dimos_record.errors import NotARecording, RecordingNotFound
from dimos_record.store.base import (
    LogLine,
    Marker,
    Row,
    SessionInfo,
    StreamInfo,
    StreamStats,
    add_accounts,
)
from dimos_record.store.connection import (
    connect_for_reading,
    errors_about,
    is_wal,
    read_header,
)
from dimos_record.store.edits import Edit, load_edits
from dimos_record.store.intervals import Intervals
from dimos_record.store.meta import MetaRow, Where
from dimos_record.store.open_segments import SUFFIX, Folder, OpenSegments, Segment, names_in
from dimos_record.store.open_segments import segments_of as segments_of
from dimos_record.store.reader import (
    Known,
    RecordingReader,
    find_stream,
    in_pages,
    span_between_skips,
)
from dimos_record.store.senders import joined_meta
from dimos_record.store.table import Page, Span

_SEGMENT = re.compile(r"segment-([0-9]+)\.db")
_NOTHING = Page([], True)
Answer = TypeVar("Answer")


def next_segment_path(folder: Path) -> Path:
    """Where the next segment of a recording is to lie: `segment-00001.db` and so on.

    No number is given again of which anything is left: a log, or a damaged file under another name.
    """
    matches = map(_SEGMENT.match, names_in(folder))
    last = max((int(match[1]) for match in matches if match), default=0)
    return folder / f"segment-{last + 1:05d}{SUFFIX}"


def edits_file(folder: Path) -> Path:
    """Where the edits of a folder of segments are kept."""
    return folder / "edits.sqlite"


class SegmentedReader:
    """A folder of segments as one recording. Safe to use from several threads.

    Segments that appear while it is open (the folder is being recorded into) are picked up, and
    those that are deleted are gone: what is being read goes on behind them. Few of them are open at
    a time.

    Args:
        folder: the folder.
        only: the segments to look at, and no others.
    """

    def __init__(self, folder: Path, only: list[Path] | None = None) -> None:
        self.path = folder
        self._folder = Folder(folder, only)
        self._open = OpenSegments()
        self._version = 0
        try:
            present = self._known()
        except BaseException:
            self.close()
            raise
        if not present:
            raise NotARecording(f"{folder} is a folder without any recording in it")

    def _segments(self) -> list[Segment]:
        segments = self._folder.segments()
        if self._version != self._folder.version:
            self._version = self._folder.version
            self._open.forget(segments)
        return segments

    def _ask(
        self, segments: Iterable[Segment], question: Callable[[Segment], Answer]
    ) -> list[tuple[Segment, Answer]]:
        """Ask segments; those that were deleted a moment ago have no answer."""
        present = list(segments)
        answers = []
        for segment in present:
            try:
                answers.append((segment, question(segment)))
            except RecordingNotFound:
                continue
            except NotARecording:
                # the last one may be in the making: its tables are not there yet
                if segment is not present[-1] or not answers:
                    raise
        return answers

    def _known(self) -> list[tuple[Segment, Known]]:
        return self._ask(self._segments(), self._known_of)

    def _known_of(self, segment: Segment) -> Known:
        known = segment.known
        if known is None or not segment.finished:
            with self._open.reading(segment) as reader:
                if known is None or not reader.is_as_of(known):
                    known = segment.known = reader.known()
        return known

    def _answer(self, segment: Segment, question: str, *about: str) -> Any:
        """What the reader of a segment answers, remembered if it cannot change."""
        key = question, *about
        if key in segment.answers:
            return segment.answers[key]
        with self._open.reading(segment) as reader:
            answer = getattr(reader, question)(*about)
        if segment.finished:
            segment.answers[key] = answer
        return answer

    @property
    def files(self) -> list[Path]:
        """The segments, in order."""
        return [segment.path for segment in self._segments()]

    def files_between(self, start_ns: int | None, end_ns: int | None) -> list[Path]:
        """The segments from the first to the last with messages in ``[start_ns, end_ns)``."""
        known = self._known()
        wanted = [
            any(_overlaps(ends, start_ns, end_ns) for ends in one.ends.values()) for _, one in known
        ]
        within = [index for index, is_wanted in enumerate(wanted) if is_wanted]
        found = known[within[0] : within[-1] + 1] if within else []
        return [segment.path for segment, _ in found]

    def each(self) -> Iterator[RecordingReader]:
        """The reader of each segment, in order, to be used before the next is asked for.

        Those that were deleted a moment ago are passed over.
        """
        for segment, _ in self._known():
            with suppress(RecordingNotFound), self._open.reading(segment) as reader:
                yield reader

    @property
    def name(self) -> str:
        """What messages call this recording."""
        return str(self.path)

    @property
    def schema_version(self) -> int:
        """The oldest schema among the segments."""
        return min((known.schema_version for _, known in self._known()), default=0)

    @property
    def self_contained(self) -> bool:
        """Whether every segment is one file without a log beside it."""
        headers = self._ask(self._segments(), lambda one: read_header(one.path))
        return not any(is_wal(header) for _, header in headers)

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name, of all segments."""
        return _streams(self._known())

    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """
        return find_stream(self.streams, topic_or_stream, self.name)

    def _holding(self, stream: str) -> tuple[str, list[tuple[Segment, Known]]]:
        """The name of a stream, and the segments that have it."""
        known = self._known()
        holding = [one for one in known if stream in one[1].streams]
        if holding:
            return stream, holding
        name = find_stream(_streams(known), stream, self.name).name
        return name, [one for one in known if name in one[1].streams]

    def _each(
        self, stream: str, question: Callable[[RecordingReader, str], Answer]
    ) -> list[Answer]:
        """Ask the reader of every segment that has a stream."""
        name, holding = self._holding(stream)

        def ask(segment: Segment) -> Answer:
            with self._open.reading(segment) as reader:
                return question(reader, name)

        return [answer for _, answer in self._ask((one for one, _ in holding), ask)]

    def _each_within(
        self,
        stream: str,
        start_ns: int | None,
        end_ns: int | None,
        question: Callable[[RecordingReader, str], Answer],
    ) -> list[Answer]:
        """Ask the reader of every segment that has messages of a stream between two times."""
        name, within = self._within(stream, start_ns, end_ns)

        def ask(segment: Segment) -> Answer:
            with self._open.reading(segment) as reader:
                return question(reader, name)

        return [answer for _, answer in self._ask((one for one, _ in within), ask)]

    def _within(
        self, stream: str, start_ns: int | None, end_ns: int | None
    ) -> tuple[str, list[tuple[Segment, tuple[int, int]]]]:
        """The name of a stream, and the segments with messages between two times, and theirs."""
        name, holding = self._holding(stream)
        ends = [(one, known.ends[name]) for one, known in holding if name in known.ends]
        return name, [one for one in ends if _overlaps(one[1], start_ns, end_ns)]

    def stats(self, stream: str) -> StreamStats:
        """Count, bytes and extent of a stream over all segments."""
        name, holding = self._holding(stream)
        segments = (segment for segment, _ in holding)
        answers = self._ask(segments, lambda one: self._answer(one, "stats", name))
        parts: list[StreamStats] = [answer for _, answer in answers]
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
        name, within = self._within(stream, start_ns, end_ns)
        parts = [ends for _, ends in within if _contains((start_ns, end_ns), ends)]
        cut = [segment for segment, ends in within if not _contains((start_ns, end_ns), ends)]

        def ask(segment: Segment) -> tuple[int, int] | None:
            with self._open.reading(segment) as reader:
                return reader.ends(name, start_ns, end_ns)

        parts += [found for _, found in self._ask(cut, ask) if found is not None]
        return (min(p[0] for p in parts), max(p[1] for p in parts)) if parts else None

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        """How many messages of a stream lie before each of these times, which ascend."""
        parts = self._each(stream, lambda reader, name: reader.ranks(name, times_ns))
        return [sum(ranks) for ranks in zip(*parts, strict=True)] or [0] * len(times_ns)

    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages, without loading them; 0 where there is none."""
        name, holding = self._holding(stream)
        wanted = (min(numbers, default=0), max(numbers, default=0) + 1)
        segments = [one for one, known in holding if _overlaps(known.numbers.get(name), *wanted)]

        def ask(segment: Segment) -> list[int]:
            with self._open.reading(segment) as reader:
                return reader.sizes(name, numbers)

        parts = [answer for _, answer in self._ask(segments, ask)]
        return [max(sizes) for sizes in zip(*parts, strict=True)] or [0] * len(numbers)

    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """Bytes of all stored payloads with ``start_ns <= ts_ns < end_ns``; O(n)."""
        return sum(
            self._each_within(
                stream,
                start_ns,
                end_ns,
                lambda one, name: one.bytes_between(name, start_ns, end_ns),
            )
        )

    def origin_ns(self) -> int:
        """Position 0: when the first message was received, as recorded; 0 without messages."""
        return min((known.origin_ns for _, known in self._known() if known.origin_ns), default=0)

    def skips(self) -> list[tuple[int, int]]:
        """Sections ``[a, b)`` that were cut before the segments were saved, in order."""
        skips = Intervals.of(skip for _, known in self._known() for skip in known.skips)
        return list(skips.items)

    def markers(self) -> list[Marker]:
        """Labelled instants and intervals, in the order of time."""
        found: dict[int, Marker] = {}
        for marker in (marker for _, known in self._known() for marker in known.markers):
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
        for segment, known in self._known():
            for part in self._sessions_of(segment, known):
                key = str(part.meta.get("session", f"{segment.path}:{part.id}"))
                whole = merged.get(key)
                merged[key] = replace(part) if whole is None else _joined(whole, part)
        return sorted(merged.values(), key=lambda session: session.start_ns)

    def _sessions_of(self, segment: Segment, known: Known) -> list[SessionInfo]:
        """The parts of sessions in a segment; whether one still runs, no file tells."""
        if segment.finished:
            return known.sessions
        answers = self._ask([segment], lambda one: self._answer(one, "sessions"))
        return answers[0][1] if answers else []

    def log_lines(self) -> Iterator[LogLine]:
        """What the recorded program has logged, segment after segment, lazily."""
        for reader in self.each():
            with suppress(RecordingNotFound):
                yield from reader.log_lines()

    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""
        return sum(
            self._each_within(
                stream,
                start_ns,
                end_ns,
                lambda one, name: one.count_between(name, start_ns, end_ns),
            )
        )

    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Messages of one stream in order of (ts_ns, id), lazily, segment after segment.

        Segments that are deleted before their turn are passed over.
        """
        name, within = self._within(stream, start_ns, end_ns)
        span = Span.between(start_ns, end_ns, reverse)
        parts = [
            self._rows_of(segment, name, span)
            for segment, _ in (reversed(within) if reverse else within)
        ]
        if all(earlier[1] <= later[0] for (_, earlier), (_, later) in pairwise(within)):
            return chain.from_iterable(parts)
        return heapq.merge(*parts, key=_time_and_arrival, reverse=reverse)

    def _rows_of(self, segment: Segment, name: str, span: Span) -> Iterator[Row]:
        def page(left: Span, limit: int) -> Page:
            try:
                with self._open.reading(segment) as reader:
                    return reader.page(name, left, limit)
            except RecordingNotFound:
                return _NOTHING

        return in_pages(page, span)

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time."""
        name, within = self._within(stream, None, ts_ns + 1)
        latest = max((min(ends[1], ts_ns) for _, ends in within), default=None)
        likely = [one for one, ends in within if latest is not None and ends[1] >= latest]
        found = self._last_of(likely, name, ts_ns)
        if found is None or found.ts_ns < (latest or ts_ns):  # the likely ones begin later
            found = self._last_of([segment for segment, _ in within], name, ts_ns)
        return found

    def _last_of(self, segments: list[Segment], name: str, ts_ns: int) -> Row | None:
        def ask(segment: Segment) -> Row | None:
            with self._open.reading(segment) as reader:
                return reader.last_at(name, ts_ns)

        found = [row for _, row in self._ask(segments, ask) if row is not None]
        return max(found, key=_time_and_arrival, default=None)

    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily."""
        name, holding = self._holding(stream)
        segments = [segment for segment, _ in holding]
        parts = [self._meta_rows_of(one, name, where, order, descending) for one in segments]
        if order in ("id", "seq", "ts"):  # segments follow each other in these
            return chain.from_iterable(reversed(parts) if descending else parts)
        read = [list(part) for part in parts]  # not all of them open at once
        return heapq.merge(*read, key=lambda row: row.sort_key(order), reverse=descending)

    def _meta_rows_of(
        self, segment: Segment, name: str, where: Where, order: str, descending: bool
    ) -> Iterator[MetaRow]:
        try:
            with self._open.reading(segment) as reader:
                yield from reader.meta_rows(name, where, order, descending)
        except RecordingNotFound:
            return

    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""
        return sum(self._each(stream, lambda reader, name: reader.count_where(name, where)))

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message; numbers go on from segment to segment.

        Raises:
            LookupError: the stream has no message of that number.
        """
        name, holding = self._holding(stream)
        wanted = (number, number + 1)
        segments = [one for one, known in holding if _overlaps(known.numbers.get(name), *wanted)]
        for segment in segments:
            try:
                with self._open.reading(segment) as reader:
                    return reader.payload(name, number)
            except (LookupError, RecordingNotFound):
                continue
        raise LookupError(f"{self.name}: stream {stream} has no message {number}")

    def release(self) -> None:
        """Let go of the files for now: they are opened again when something is asked for next."""
        self._open.forget([])

    def close(self) -> None:
        """Release the files. Closing twice is harmless."""
        self._open.close()

    def __enter__(self) -> SegmentedReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _streams(known: Iterable[tuple[Segment, Known]]) -> dict[str, StreamInfo]:
    found: dict[str, StreamInfo] = {}
    for _, one in known:
        for name, info in one.streams.items():
            found.setdefault(name, info)
    return found


def _time_and_arrival(row: Row) -> tuple[int, int]:
    return row.ts_ns, row.seq


def _overlaps(span: tuple[int, int] | None, start: int | None, end: int | None) -> bool:
    """Whether anything from the first to the last of a span is in ``[start, end)``."""
    if span is None:
        return False
    return (end is None or span[0] < end) and (start is None or span[1] >= start)


def _contains(section: tuple[int | None, int | None], span: tuple[int, int]) -> bool:
    """Whether all from the first to the last of a span is in a section ``[start, end)``."""
    start, end = section
    return (start is None or start <= span[0]) and (end is None or span[1] < end)


def _joined(whole: SessionInfo, part: SessionInfo) -> SessionInfo:
    """A session that goes on in another segment."""
    whole.stop_ns, whole.state, whole.reason = part.stop_ns, part.state, part.reason
    if part.lost_before_reception is not None:
        whole.lost_before_reception = (
            whole.lost_before_reception or 0
        ) + part.lost_before_reception
    whole.clock_jumps += part.clock_jumps
    whole.meta = joined_meta(whole.meta, part.meta)
    whole.accounts = add_accounts(whole.accounts, part.accounts)
    return whole

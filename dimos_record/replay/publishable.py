"""Leaving out what no bus can carry: the numbers that dimos stores without wire bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError
from dimos_record.replay.source import NOTHING, Source
from dimos_record.store.base import Row, StreamInfo


def is_publishable(stream: StreamInfo) -> bool:
    """Whether the messages of a stream have wire bytes."""
    return stream.codec != "scalar"


def check_publishable(streams: Iterable[StreamInfo], selection: Selection, recording: str) -> None:
    """Check that no pattern asks for nothing but streams that cannot be published.

    Raises:
        OptionError: one does; the message names it.
    """
    streams = tuple(streams)
    for pattern in selection.include:
        wanted = Selection.of((pattern,))
        matched = [stream for stream in streams if wanted.matches(stream.channel)]
        if matched and not any(map(is_publishable, matched)):
            raise OptionError(
                f"{recording}: {pattern!r} holds plain numbers, which have no bytes to publish; "
                "read them with echo or info instead"
            )


class Publishable:
    """The rows of a source that can be published, and are played.

    Operators of a view may turn numbers into messages: rows are judged as they come out.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._skips = tuple(source.skips())

    @property
    def name(self) -> str:
        """What messages to people call the source."""
        return self._source.name

    @property
    def streams(self) -> Sequence[StreamInfo]:
        """The streams that can be published."""
        return [stream for stream in self._source.streams if is_publishable(stream)]

    @property
    def left_out(self) -> list[str]:
        """The topics that cannot be published."""
        return [stream.topic for stream in self._source.streams if not is_publishable(stream)]

    def origin_ns(self) -> int:
        """The time of position 0."""
        return self._source.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message, published or not."""
        return self._source.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections that are jumped over."""
        return self._skips

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """The rows to publish when their time comes: those in skips, which are state, are not."""
        rows = self._source.rows(start_ns, end_ns, reverse=reverse, only=only)
        crossed = [
            (a_ns, b_ns)
            for a_ns, b_ns in self._skips
            if (start_ns is None or b_ns > start_ns) and (end_ns is None or a_ns < end_ns)
        ]
        if crossed:
            rows = _outside(rows, crossed)
        return _publishable(rows) if self.left_out else rows

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time."""
        return list(_publishable(self._source.latched_before(ts_ns, also)))


def _publishable(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if is_publishable(row.stream))


def _outside(rows: Iterable[Row], skips: Sequence[tuple[int, int]]) -> Iterator[Row]:
    starts = [a_ns for a_ns, _ in skips]
    for row in rows:
        index = bisect_right(starts, row.ts_ns) - 1
        if index < 0 or row.ts_ns >= skips[index][1]:
            yield row

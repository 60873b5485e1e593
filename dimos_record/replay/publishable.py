"""Leaving out what no bus can carry: the numbers that dimos stores without wire bytes."""

from __future__ import annotations

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
    """The rows of a source that can be published.

    Operators of a view may turn numbers into messages: rows are judged as they come out.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

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

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message, published or not."""
        return self._source.span_ns()

    def rows(
        self, start_ns: int | None = None, end_ns: int | None = None, *, reverse: bool = False
    ) -> Iterator[Row]:
        """The rows that can be published, in the order of their time."""
        rows = self._source.rows(start_ns, end_ns, reverse=reverse)
        return _publishable(rows) if self.left_out else rows

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time."""
        return list(_publishable(self._source.latched_before(ts_ns, also)))


def _publishable(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if is_publishable(row.stream))

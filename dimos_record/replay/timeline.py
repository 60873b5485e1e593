"""The selected streams of a recording, merged into one sequence of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import merge
from operator import itemgetter

from dimos_record.bus.base import Selection
from dimos_record.errors import UnknownTopic
from dimos_record.replay.latched import LatchedState
from dimos_record.replay.source import NOTHING
from dimos_record.store.base import Row, StoreReader, StreamInfo

_BY_TIME_AND_ARRIVAL = itemgetter(Row._fields.index("ts_ns"), Row._fields.index("seq"))


class Timeline:
    """The rows of a recording's selected streams, in order of receive time and arrival.

    A stream that is deleted or renamed later has no rows any more; make another timeline then.

    Args:
        reader: the recording; it stays open and belongs to the caller.
        selection: which topics are wanted.
        strict: whether a pattern that matches no topic is an error.

    Raises:
        UnknownTopic: a pattern of `selection.include` matches no topic of the recording.
    """

    def __init__(
        self, reader: StoreReader, selection: Selection | None = None, *, strict: bool = True
    ) -> None:
        self._reader = reader
        self._streams = _selected(reader, selection or Selection(), strict)
        self._latched = LatchedState(reader, self._streams)

    @property
    def name(self) -> str:
        """What messages to people call the recording."""
        return self._reader.name

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The selected streams, in the order of the recording."""
        return self._streams

    def origin_ns(self) -> int:
        """The time of position 0: when the first message was received, as recorded."""
        return self._reader.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and last message of the whole recording, selected or not."""
        return self._reader.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections of which everything was cut."""
        return self._reader.skips()

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """Rows with ``start_ns <= ts_ns < end_ns`` in order of (ts_ns, seq), lazily."""
        cursors = []
        for stream in self._streams:
            if only is None or only.matches(stream.channel):
                with suppress(UnknownTopic):  # it was deleted or renamed just now
                    cursors.append(
                        self._reader.rows(
                            stream.name, start_ns=start_ns, end_ns=end_ns, reverse=reverse
                        )
                    )
        if len(cursors) == 1:
            return cursors[0]
        if reverse:  # so that rows that tie come out in exactly the opposite order
            cursors.reverse()
        return merge(*cursors, key=_BY_TIME_AND_ARRIVAL, reverse=reverse)

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state of every latched stream just before a time, in order."""
        return self._latched.before(ts_ns, also)


def _selected(reader: StoreReader, selection: Selection, strict: bool) -> tuple[StreamInfo, ...]:
    """The streams of a selection; a pattern that has gone stale must not hide a topic silently."""
    streams = list(reader.streams.values())
    for pattern in selection.include if strict else ():
        wanted = Selection.of((pattern,))
        if pattern not in ("*", "**") and not any(wanted.matches(s.channel) for s in streams):
            topics = ", ".join(sorted(stream.topic for stream in streams)) or "no topics"
            raise UnknownTopic(f"{reader.name}: no topic matches {pattern!r}; it has {topics}")
    return tuple(stream for stream in streams if selection.matches(stream.channel))

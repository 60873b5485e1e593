"""The state that streams had at a moment, for subscribers that join in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from dimos_record.bus.base import Selection
from dimos_record.errors import UnknownTopic
from dimos_record.store.base import Row, StoreReader, StreamInfo
from dimos_record.store.latched import StreamState


class LatchedState:
    """Finds the rows that restore the latched streams of a recording; see `StreamState`."""

    def __init__(self, reader: StoreReader, streams: Iterable[StreamInfo]) -> None:
        self._reader = reader
        self._streams = tuple(streams)
        self._states: dict[str, StreamState] = {}

    def before(self, ts_ns: int, also: Selection) -> list[Row]:
        """The rows with the state just before a time, in order of (ts_ns, seq)."""
        rows: list[Row] = []
        for stream in self._streams:
            if stream.latched or also.matches(stream.channel):
                if stream.name not in self._states:
                    self._states[stream.name] = StreamState(self._reader, stream)
                with suppress(UnknownTopic):  # it was deleted or renamed just now
                    rows += self._states[stream.name].before(ts_ns)
        return sorted(rows, key=lambda row: (row.ts_ns, row.seq))

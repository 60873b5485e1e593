"""The state that a latched stream had at a moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from threading import Lock

from dimos_record.messages import child_frames
from dimos_record.store.base import Row, StoreReader, StreamInfo
from dimos_record.store.intervals import NEVER, Intervals

TRANSFORMS = "tf2_msgs.TFMessage"
_NOTHING = Intervals()


class StreamState:
    """Finds the rows that restore one stream.

    The last message is the state, except for transforms: each message there holds some frames only,
    so the state is the last transform of every child frame.
    """

    def __init__(self, reader: StoreReader, stream: StreamInfo) -> None:
        self._reader = reader
        self._stream = stream
        self._frames = _FrameIndex(reader, stream) if stream.type_name == TRANSFORMS else None

    def before(self, ts_ns: int, gone: Intervals = _NOTHING) -> list[Row]:
        """The fewest rows with the state just before a time, in order.

        Args:
            gone: receive times of messages that do not count.
        """
        if self._frames is not None:
            return self._frames.rows_before(ts_ns, gone)
        while ts_ns > NEVER:
            row = self._reader.last_at(self._stream.name, ts_ns - 1)
            if row is None:
                break
            hole = gone.around(row.ts_ns)
            if hole is None:
                return [row]
            ts_ns = hole[0]
        return []


class _FrameIndex:
    """When each child frame of a stream of transforms was sent.

    The stream is read once, as far as it has been asked about, so that every later look is cheap.
    """

    def __init__(self, reader: StoreReader, stream: StreamInfo) -> None:
        self._reader = reader
        self._stream = stream
        self._sent: dict[str, list[tuple[int, int]]] = {}
        """Per child frame: (ts_ns, id) of the rows that hold it, in order."""
        self._read_until_ns: int | None = None
        self._lock = Lock()

    def rows_before(self, ts_ns: int, gone: Intervals) -> list[Row]:
        """The fewest rows that hold the last transform of every child frame before a time."""
        with self._lock:
            self._read_until(ts_ns)
            wanted = {at for sent in self._sent.values() if (at := _last_before(sent, ts_ns, gone))}
        return [row for at in sorted(wanted) if (row := self._row(*at)) is not None]

    def _read_until(self, ts_ns: int) -> None:
        if self._read_until_ns is not None and ts_ns <= self._read_until_ns:
            return
        new = self._reader.rows(self._stream.name, start_ns=self._read_until_ns, end_ns=ts_ns)
        for row in new:
            for frame in parts(row.stream.type_name, row.data):
                self._sent.setdefault(frame, []).append((row.ts_ns, row.id))
        self._read_until_ns = ts_ns

    def _row(self, ts_ns: int, row_id: int) -> Row | None:
        rows = self._reader.rows(self._stream.name, start_ns=ts_ns, end_ns=ts_ns + 1)
        return next((row for row in rows if row.id == row_id), None)


def _last_before(
    sent: list[tuple[int, int]], ts_ns: int, gone: Intervals
) -> tuple[int, int] | None:
    while count := bisect_left(sent, (ts_ns, 0)):
        hole = gone.around(sent[count - 1][0])
        if hole is None:
            return sent[count - 1]
        ts_ns = hole[0]
    return None


def parts(type_name: str | None, data: bytes) -> Sequence[str]:
    """What a message of a latched stream is the state of: child frames, or one without a name."""
    return child_frames(type_name, data) or [""]

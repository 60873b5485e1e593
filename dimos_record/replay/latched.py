"""The state that streams had at a moment, for subscribers that join in the middle."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock

from dimos_record.bus.base import Selection
from dimos_record.messages import child_frames
from dimos_record.store.base import Row, StoreReader, StreamInfo

_TRANSFORMS = "tf2_msgs.TFMessage"


class LatchedState:
    """Finds the rows that restore the latched streams of a recording.

    The last message of a latched stream is its state, except for transforms: each message there
    holds some frames only, so the state is the last transform of every child frame.
    """

    def __init__(self, reader: StoreReader, streams: Iterable[StreamInfo]) -> None:
        self._reader = reader
        self._streams = tuple(streams)
        self._frames: dict[str, _FrameIndex] = {}

    def before(self, ts_ns: int, also: Selection) -> list[Row]:
        """The rows with the state just before a time, in order of (ts_ns, seq)."""
        rows: list[Row] = []
        for stream in self._streams:
            if not (stream.latched or also.matches(stream.channel)):
                continue
            if stream.type_name == _TRANSFORMS:
                frames = self._frames.setdefault(stream.name, _FrameIndex(self._reader, stream))
                rows += frames.rows_before(ts_ns)
            elif (last := self._reader.last_at(stream.name, ts_ns - 1)) is not None:
                rows.append(last)
        return sorted(rows, key=lambda row: (row.ts_ns, row.seq))


class _FrameIndex:
    """When each child frame of a stream of transforms was sent.

    The stream is read once, as far as it has been asked about, so that every later seek is cheap.
    """

    def __init__(self, reader: StoreReader, stream: StreamInfo) -> None:
        self._reader = reader
        self._stream = stream
        self._sent: dict[str, list[tuple[int, int]]] = {}
        """Per child frame: (ts_ns, id) of the rows that hold it, in order."""
        self._read_until_ns: int | None = None
        self._lock = Lock()

    def rows_before(self, ts_ns: int) -> list[Row]:
        """The fewest rows that hold the last transform of every child frame before a time."""
        with self._lock:
            self._read_until(ts_ns)
            wanted = set()
            for sent in self._sent.values():
                count = bisect_left(sent, (ts_ns, 0))
                if count:
                    wanted.add(sent[count - 1])
        return [row for at in sorted(wanted) if (row := self._row(*at)) is not None]

    def _read_until(self, ts_ns: int) -> None:
        if self._read_until_ns is not None and ts_ns <= self._read_until_ns:
            return
        new = self._reader.rows(self._stream.name, start_ns=self._read_until_ns, end_ns=ts_ns)
        for row in new:
            for frame in _child_frames(row):
                self._sent.setdefault(frame, []).append((row.ts_ns, row.id))
        self._read_until_ns = ts_ns

    def _row(self, ts_ns: int, row_id: int) -> Row | None:
        rows = self._reader.rows(self._stream.name, start_ns=ts_ns, end_ns=ts_ns + 1)
        return next((row for row in rows if row.id == row_id), None)


def _child_frames(row: Row) -> Sequence[str]:
    """The child frames in a row; one without a name when its bytes cannot be read."""
    return child_frames(row.stream.type_name, row.data) or [""]

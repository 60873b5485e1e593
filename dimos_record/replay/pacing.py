"""Playing at the times in the headers of messages instead of the times of their reception."""

from __future__ import annotations

import heapq
import logging
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from statistics import median_low

from dimos_record.bus.base import Selection
from dimos_record.replay.source import NOTHING, Source
from dimos_record.store.base import Row, StreamInfo

_LOG = logging.getLogger(__name__)

_ABSURD_NS = 10_000_000_000
"""A stamp further than this from the receive time is not believed."""
_MAX_SHIFT_NS = 2_000_000_000
"""How far a stamp moves a message at most. It bounds what has to be held back to be in order."""
_FOREVER_NS = 2**62
_SAMPLE_ROWS = 200
_SAMPLE_BYTES = 32_000_000


class StampPaced:
    """A source whose rows are placed, and ordered, by the stamps in their headers.

    The ``ts_ns`` of a row is its time on this timeline. It is the stamp where there is one, moved
    by the offset between the stream's clock and the recorder's where that is more than 10 s
    (simulated time, a robot whose clock was not set). Rows whose stamp then still lies more than
    10 s from their receive time stay at their receive time and are counted in `skipped_stamps`.
    Nothing is moved by more than 2 s, into a skip, or beyond the ends of the recording.
    """

    def __init__(self, source: Source, skipped_stamps: int = 0) -> None:
        self._source = source
        self._offsets: dict[str, int] | None = None
        self._borders: list[int] | None = None
        self._warned: set[str] = set()
        self.skipped_stamps = skipped_stamps

    @property
    def name(self) -> str:
        """What messages to people call the source."""
        return self._source.name

    @property
    def streams(self) -> Sequence[StreamInfo]:
        """The streams that rows come from."""
        return self._source.streams

    def origin_ns(self) -> int:
        """The time of position 0."""
        return self._source.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message."""
        return self._source.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections that are jumped over."""
        return self._source.skips()

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time, placed like all others."""
        earlier = [
            row._replace(ts_ns=placed_ns)
            for row in self._source.rows(ts_ns, ts_ns + _MAX_SHIFT_NS)
            if (row.stream.latched or also.matches(row.stream.channel))
            and (placed_ns := self._placed_ns(row)) < ts_ns
        ]
        return self._source.latched_before(ts_ns, also) + earlier

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """Rows with ``start_ns <= ts_ns < end_ns``, in order of their time on this timeline."""
        received = self._source.rows(
            None if start_ns is None else start_ns - _MAX_SHIFT_NS,
            None if end_ns is None else end_ns + _MAX_SHIFT_NS,
            reverse=reverse,
            only=only,
        )
        for row in self._reordered(received, reverse):
            if (start_ns is None or start_ns <= row.ts_ns) and (
                end_ns is None or row.ts_ns < end_ns
            ):
                yield row

    def _reordered(self, received: Iterator[Row], reverse: bool) -> Iterator[Row]:
        """Sort rows that are out of order by `_MAX_SHIFT_NS` at most, holding back that much."""
        sign = -1 if reverse else 1
        held: list[tuple[int, int, Row]] = []
        for order, row in enumerate(received):
            placed_ns = self._placed_ns(row)
            heapq.heappush(held, (sign * placed_ns, order, row._replace(ts_ns=placed_ns)))
            while held and held[0][0] < sign * row.ts_ns - _MAX_SHIFT_NS:
                yield heapq.heappop(held)[2]
        while held:
            yield heapq.heappop(held)[2]

    def _placed_ns(self, row: Row) -> int:
        if row.stamp_ns is None:
            return row.ts_ns
        shift_ns = row.stamp_ns - self._offset_ns(row.stream.name) - row.ts_ns
        if abs(shift_ns) > _ABSURD_NS:
            self._skip_stamp(row)
            return row.ts_ns
        placed_ns = row.ts_ns + min(max(shift_ns, -_MAX_SHIFT_NS), _MAX_SHIFT_NS)
        borders = self._borders = self._borders or _borders(self._source)
        section = bisect_right(borders, row.ts_ns)
        return min(max(placed_ns, borders[section - 1]), borders[section] - 1)

    def _skip_stamp(self, row: Row) -> None:
        self.skipped_stamps += 1
        if row.stream.name not in self._warned:
            self._warned.add(row.stream.name)
            _LOG.warning(
                "%s: message %d of %s has a stamp far from its receive time; such messages are "
                "played at their receive time",
                self.name,
                row.id,
                row.stream.topic,
            )

    def _offset_ns(self, stream: str) -> int:
        if self._offsets is None:
            self._offsets = _clock_offsets(self._source)
        return self._offsets.get(stream, self._offsets[""])


def _borders(source: Source) -> list[int]:
    """Where the sections that are played begin and end, by turns, between the ends of time."""
    first_ns, last_ns = source.span_ns() or (0, 0)
    skipped = [skip for skip in source.skips() if first_ns < skip[1] and skip[0] <= last_ns]
    return [-_FOREVER_NS, first_ns, *chain(*skipped), last_ns + 1, _FOREVER_NS]


def _clock_offsets(source: Source) -> dict[str, int]:
    """How far the clock behind each stream's stamps is from the recorder's (ns).

    It is 0 for clocks that agree within 10 s: the rest is latency, which playback is to restore.
    Streams with the same clock get the same offset, so that they stay aligned. The entry "" is for
    streams that are not in the sample, the beginning of the recording.
    """
    samples: dict[str, list[int]] = {}
    size = 0
    for count, row in enumerate(source.rows()):
        size += len(row.data)
        if row.stamp_ns is not None:
            samples.setdefault(row.stream.name, []).append(row.stamp_ns - row.ts_ns)
        if count >= _SAMPLE_ROWS or size >= _SAMPLE_BYTES:
            break
    medians = {name: median_low(shifts) for name, shifts in samples.items()}
    common = median_low(medians.values()) if medians else 0
    known = (0, common)
    offsets = {
        name: next((clock for clock in known if abs(offset - clock) <= _ABSURD_NS), offset)
        for name, offset in medians.items()
    }
    offsets[""] = 0 if abs(common) <= _ABSURD_NS else common
    return offsets

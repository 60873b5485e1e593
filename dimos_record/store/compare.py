"""Whether two recordings hold the same messages, and by how much their times differ."""

from __future__ import annotations

from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from dimos_record.store.base import Row, StoreReader, StreamInfo

LOOK_AHEAD = 10_000
"""Messages within which the partner of a message is looked for ..."""
LOOK_AHEAD_BYTES = 32_000_000
"""... and payload bytes; what is displaced further counts as missing."""
SAMPLES = 65_536
"""Time differences kept per stream for the percentiles."""


@dataclass(frozen=True)
class Difference:
    """The first place where two streams are not the same. Messages are numbered from 1."""

    number_a: int | None
    """Number of the message in A; None where A has no message in this place."""
    number_b: int | None
    what: str
    """`B has no such message`, ..."""


@dataclass(frozen=True)
class Timing:
    """How far receive times are apart, after the constant offset between the recordings is gone."""

    p50_ns: int
    p99_ns: int
    max_ns: int


@dataclass(frozen=True)
class StreamComparison:
    """One topic in both recordings."""

    topic: str
    type_name: str | None
    count_a: int
    count_b: int
    bytes_a: int
    """Payload bytes as they were on the wire."""
    bytes_b: int
    only_a: int
    """Messages without a partner of the same bytes, in the same order, in B."""
    only_b: int
    reordered: bool
    """Whether both have the same messages, in another order."""
    first_difference: Difference | None
    timing: Timing | None
    """None where no message has a partner."""

    @property
    def equal(self) -> bool:
        """Whether both have the same bytes in the same order."""
        return self.first_difference is None


@dataclass(frozen=True)
class Comparison:
    """Two recordings, stream by stream. Streams without a message do not count."""

    name_a: str
    name_b: str
    streams: tuple[StreamComparison, ...]
    offset_ns: int
    """B's receive times minus A's, in the middle: what `Timing` leaves out."""
    duration_a_s: float
    """From the first to the last message of the compared topics."""
    duration_b_s: float

    @property
    def equal(self) -> bool:
        """Whether both hold the same streams with the same bytes in the same order.

        Times do not matter, and neither does the order of messages of different streams.
        """
        return all(stream.equal for stream in self.streams)


def compare(a: StoreReader, b: StoreReader, wanted: Callable[[str], bool]) -> Comparison:
    """Compare two recordings, reading both sides once, in step, a few messages at a time.

    Streams belong together when topic and type are the same. A message's partner is the one with
    the same bytes in the same place; where one side misses messages, the next place from which
    both agree again. Timing errors are ``|t_B - t_A - offset|`` over all partners, with the
    receive times t and one offset for the whole recording: the median of ``t_B - t_A``. So a
    replay that runs late now and then shows how late, whenever it was started. The maximum is of
    all messages, p50 and p99 of at most 65,536 per stream, evenly spread.

    Args:
        wanted: tells whether a channel is to be compared.
    """
    in_a, in_b = _by_topic(a, wanted), _by_topic(b, wanted)
    walks = []
    for key in [*in_a, *(key for key in in_b if key not in in_a)]:
        walk = _Walk(key, _rows(a, in_a.get(key)), _rows(b, in_b.get(key)))
        if walk.run():
            walks.append(walk)
    samples = [sample for walk in walks for sample in walk.delays.samples]
    offset_ns = round(median(samples)) if samples else 0
    return Comparison(
        name_a=a.name,
        name_b=b.name,
        streams=tuple(walk.result(offset_ns) for walk in walks),
        offset_ns=offset_ns,
        duration_a_s=_duration_s([walk.a for walk in walks]),
        duration_b_s=_duration_s([walk.b for walk in walks]),
    )


_Key = tuple[str, "str | None"]


def _by_topic(reader: StoreReader, wanted: Callable[[str], bool]) -> dict[_Key, StreamInfo]:
    return {
        (info.topic, info.type_name): info
        for info in reader.streams.values()
        if wanted(info.channel)
    }


def _rows(reader: StoreReader, info: StreamInfo | None) -> Iterator[Row]:
    return iter(()) if info is None else reader.rows(info.name)


def _duration_s(sides: list[_Side]) -> float:
    firsts = [side.first_ns for side in sides if side.first_ns is not None]
    lasts = [side.last_ns for side in sides if side.last_ns is not None]
    return (max(lasts) - min(firsts)) / 1e9 if firsts else 0.0


class _Side:
    """One stream, read forward, with a bounded look ahead. Rows are numbered from 0."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._ahead: deque[Row] = deque()
        self._ahead_bytes = 0
        self._places: dict[int, deque[int]] | None = None
        self.count = self.bytes = 0
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def peek(self) -> Row | None:
        """The next row, which stays."""
        if not self._ahead:
            self._fetch(1)
        return self._ahead[0] if self._ahead else None

    def pop(self) -> Row:
        """Take the next row, which `peek` has shown."""
        row = self._ahead.popleft()
        self._ahead_bytes -= len(row.data)
        if self._places is not None:
            places = self._places[hash(row.data)]
            places.popleft()
            if not places:
                del self._places[hash(row.data)]
        if self.first_ns is None:
            self.first_ns = row.ts_ns
        self.last_ns = row.ts_ns
        self.count += 1
        self.bytes += len(row.data)
        return row

    def distance_to(self, data: bytes) -> int | None:
        """How many rows come before the next one with these bytes; None: not within reach."""
        if self._places is None:
            self._places = defaultdict(deque)
            for place, row in enumerate(self._ahead, self.count):
                self._places[hash(row.data)].append(place)
        self._fetch(LOOK_AHEAD)
        places = self._places.get(hash(data))
        return places[0] - self.count if places else None

    def _fetch(self, wanted: int) -> None:
        while len(self._ahead) < wanted and self._ahead_bytes < LOOK_AHEAD_BYTES:
            row = next(self._rows, None)
            if row is None:
                return
            if self._places is not None:
                self._places[hash(row.data)].append(self.count + len(self._ahead))
            self._ahead.append(row)
            self._ahead_bytes += len(row.data)


class _Delays:
    """Differences in receive time: the extremes of all, and an even sample that stays small."""

    def __init__(self) -> None:
        self.samples: array[int] = array("q")
        self._every, self._seen = 1, 0
        self._low, self._high = 0, 0

    def add(self, delay_ns: int) -> None:
        if not self._seen:
            self._low = self._high = delay_ns
        elif delay_ns < self._low:
            self._low = delay_ns
        elif delay_ns > self._high:
            self._high = delay_ns
        if self._seen % self._every == 0:
            self.samples.append(delay_ns)
            if len(self.samples) == SAMPLES:
                self.samples = self.samples[::2]
                self._every *= 2
        self._seen += 1

    def around(self, offset_ns: int) -> Timing | None:
        """The errors against an offset."""
        if not self._seen:
            return None
        errors = sorted(abs(sample - offset_ns) for sample in self.samples)
        return Timing(
            p50_ns=errors[(len(errors) - 1) * 50 // 100],
            p99_ns=errors[(len(errors) - 1) * 99 // 100],
            max_ns=max(abs(self._low - offset_ns), abs(self._high - offset_ns)),
        )


class _Walk:
    """Both sides of one stream, walked in step."""

    def __init__(self, key: _Key, a: Iterator[Row], b: Iterator[Row]) -> None:
        self._key = key
        self.a, self.b = _Side(a), _Side(b)
        self.delays = _Delays()
        self._only_a = self._only_b = 0
        self._content = 0  # sum of hashes: 0 when both sides hold the same messages in any order
        self._first: Difference | None = None

    def run(self) -> bool:
        """Walk to the end; whether there was any message."""
        while True:
            mine, other = self.a.peek(), self.b.peek()
            if mine is None and other is None:
                return bool(self.a.count or self.b.count)
            if mine is not None and other is not None and mine.data == other.data:
                self.delays.add(self.b.pop().ts_ns - self.a.pop().ts_ns)
            else:
                self._skip(mine, other)

    def _skip(self, mine: Row | None, other: Row | None) -> None:
        """Go on to where both sides agree again."""
        skip_a, skip_b = self._how_far(mine, other)
        if self._first is None:
            self._first = self._difference(skip_a, skip_b)
        for _ in range(skip_a):
            self._content += hash(self.a.pop().data)
            self._only_a += 1
        for _ in range(skip_b):
            self._content -= hash(self.b.pop().data)
            self._only_b += 1

    def _how_far(self, mine: Row | None, other: Row | None) -> tuple[int, int]:
        """How many rows of A and of B have no partner here."""
        if mine is None or other is None:
            return (int(mine is not None), int(other is not None))
        in_a, in_b = self.a.distance_to(other.data), self.b.distance_to(mine.data)
        if in_a is None and in_b is None:
            return 1, 1
        if in_b is None or (in_a is not None and in_a <= in_b):
            return in_a or 0, 0
        return 0, in_b

    def _difference(self, skip_a: int, skip_b: int) -> Difference:
        number_a, number_b = self.a.count + 1, self.b.count + 1
        if skip_a and skip_b:
            return Difference(number_a, number_b, "the bytes differ")
        if skip_a:
            return Difference(number_a, None, "B does not have it there")
        return Difference(None, number_b, "A does not have it there")

    def result(self, offset_ns: int) -> StreamComparison:
        """What was found."""
        return StreamComparison(
            topic=self._key[0],
            type_name=self._key[1],
            count_a=self.a.count,
            count_b=self.b.count,
            bytes_a=self.a.bytes,
            bytes_b=self.b.bytes,
            only_a=self._only_a,
            only_b=self._only_b,
            reordered=bool(self._only_a) and self._only_a == self._only_b and not self._content,
            first_difference=self._first,
            timing=self.delays.around(offset_ns),
        )

"""Queries over one stream, with the names and meanings of dimos's memory streams."""

from __future__ import annotations

import itertools
import math
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dimos_record.errors import OptionError
from dimos_record.store.base import LogLine, Row, StoreReader, StreamInfo
from dimos_record.store.meta import POSE_COLUMNS, MetaRow, Where, comparable
from dimos_record.store.observation import UNKNOWN, Observation, to_pose
from dimos_record.store.payloads import Payloads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from reactivex import Observable

    from dimos_record.store.arrays import Pixels

_ORDERS = ("id", "ts", "seq", "stamp_ns", "value", *POSE_COLUMNS)
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ROUNDING_NS = 1000
"""A float of today's date steps by 238 ns: bounds in nanoseconds are widened by this."""
_FOREVER_NS = 2**62
"""Beyond every time, and small enough for SQLite."""

Transform = Callable[[Iterator[Observation]], Iterable[Observation]]


class QueryableReader(StoreReader, Protocol):
    """A reader that can also select by what is stored beside payloads."""

    @property
    def schema_version(self) -> int:
        """Version of our tables; 0 for a file that dimos wrote."""

    @property
    def self_contained(self) -> bool:
        """Whether the file is all there is."""

    def count_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """How many messages of a stream have ``start_ns <= ts_ns < end_ns``."""

    def meta_rows(
        self, stream: str, where: Where, order: str = "id", descending: bool = False
    ) -> Iterator[MetaRow]:
        """Messages that meet a condition, without their payloads, lazily."""

    def count_where(self, stream: str, where: Where) -> int:
        """How many messages of a stream meet a condition."""

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message."""

    def log_lines(self) -> Iterator[LogLine]:
        """What the recorded program has logged, in the order of writing, lazily."""


class Filter(NamedTuple):
    """A condition, in SQL where SQL can express it, and in Python."""

    matches: Callable[[Observation], bool]
    where: Where | None


@dataclass(frozen=True)
class StreamQuery:
    """A lazy query over one stream; every method returns a new one and reads nothing.

    Iterate it, or ask for `first()`, `last()`, `count()`, `exists()`, `to_list()`. Times are UNIX
    seconds of reception, like `Observation.ts`. Whatever the order in which they are called,
    filters come first, then the order, then `offset`, then `limit`; `map` and `transform` begin
    anew with what comes out.
    """

    reader: QueryableReader
    info: StreamInfo
    filters: tuple[Filter, ...] = ()
    order: str = "id"
    descending: bool = False
    limit_to: int | None = None
    skip: int = 0
    upstream: Callable[[], Iterator[Observation]] | None = None
    """Where observations come from after a `transform`; None for the recording itself."""

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self.info.name

    # --- narrowing

    def after(self, t: float) -> StreamQuery:
        """Observations with ``ts > t``."""
        bound = _ns(t) - _ROUNDING_NS
        where = Where("(ts_ns > ? AND ts > ?)", (bound, t), low_ns=bound)
        return self._with(Filter(lambda o: o.ts > t, where))

    def before(self, t: float) -> StreamQuery:
        """Observations with ``ts < t``."""
        bound = _ns(t) + _ROUNDING_NS
        where = Where("(ts_ns < ? AND ts < ?)", (bound, t), high_ns=bound)
        return self._with(Filter(lambda o: o.ts < t, where))

    def time_range(self, t1: float, t2: float) -> StreamQuery:
        """Observations with ``t1 <= ts <= t2``."""
        low, high = _ns(t1) - _ROUNDING_NS, _ns(t2) + _ROUNDING_NS
        sql = "(ts_ns BETWEEN ? AND ? AND ts BETWEEN ? AND ?)"
        where = Where(sql, (low, high, t1, t2), low_ns=low, high_ns=high)
        return self._with(Filter(lambda o: t1 <= o.ts <= t2, where))

    def at(self, t: float, tolerance: float = 1.0) -> StreamQuery:
        """Observations within `tolerance` seconds of a time."""
        low, high = _ns(t - tolerance) - _ROUNDING_NS, _ns(t + tolerance) + _ROUNDING_NS
        sql = "(ts_ns BETWEEN ? AND ? AND abs(ts - ?) <= ?)"
        where = Where(sql, (low, high, t, tolerance), low_ns=low, high_ns=high)
        return self._with(Filter(lambda o: abs(o.ts - t) <= tolerance, where))

    def near(self, pose: Any, radius: float) -> StreamQuery:
        """Observations whose pose is within `radius` metres of a place.

        Args:
            pose: x, y, z, or a message with a position. Poses are filled in by `fill_poses`.

        Raises:
            OptionError: it is no place.
        """
        return self._with(near(pose, radius))

    def tags(self, **tags: Any) -> StreamQuery:
        """Observations with these tags; None finds those without it, too.

        Raises:
            OptionError: a tag's name is not an identifier, or its value is not JSON.
        """
        return self._with(*(tagged(key, value) for key, value in tags.items()))

    def filter(self, predicate: Callable[[Observation], bool]) -> StreamQuery:
        """Observations for which a function says yes."""
        return self._with(Filter(predicate, None))

    def order_by(self, field: str, desc: bool = False) -> StreamQuery:
        """In another order than that of recording.

        Args:
            field: `id`, `ts`, `seq`, `stamp_ns`, `value`, `pose_x` ... `pose_qw`.
        """
        if field not in _ORDERS:
            raise OptionError(f"cannot order by {field!r}; use one of {', '.join(_ORDERS)}")
        return replace(self, order=field, descending=desc)

    def limit(self, n: int) -> StreamQuery:
        """At most `n`."""
        if n < 0:
            raise OptionError(f"limit must not be negative, not {n}")
        return replace(self, limit_to=n)

    def offset(self, n: int) -> StreamQuery:
        """Without the first `n`."""
        if n < 0:
            raise OptionError(f"offset must not be negative, not {n}")
        return replace(self, skip=n)

    def _with(self, *added: Filter) -> StreamQuery:
        return replace(self, filters=(*self.filters, *added))

    # --- changing

    def map(self, fn: Callable[[Observation], Observation | None]) -> StreamQuery:
        """Each observation replaced by what a function makes of it; None drops it."""

        def mapped(upstream: Iterator[Observation]) -> Iterator[Observation]:
            return (made for made in map(fn, upstream) if made is not None)

        return self.transform(mapped)

    def map_data(self, fn: Callable[[Observation], Any]) -> StreamQuery:
        """Each observation with other data."""
        return self.map(lambda observation: observation.derive(data=fn(observation)))

    def transform(self, fn: Transform) -> StreamQuery:
        """What a function makes of the whole sequence: an iterable of observations to another."""
        return StreamQuery(self.reader, self.info, upstream=lambda: iter(fn(iter(self))))

    def align(self, other: StreamQuery, *, tolerance: float) -> StreamQuery:
        """Each observation paired with the nearest in time of another query.

        `data` is then a named tuple of both observations, named after their streams (`primary` and
        `secondary` where these are the same). What has no partner within `tolerance` seconds is
        left out. Both sides must come in the order of time.
        """
        names = [self.name, other.name]
        names = ["primary", "secondary"] if names[0] == names[1] else names
        pair = namedtuple("AlignedPair", names, rename=True)  # type: ignore[misc]
        return self.transform(lambda mine: _aligned(mine, iter(other), tolerance, pair))

    # --- results

    def __iter__(self) -> Iterator[Observation]:
        end = None if self.limit_to is None else self.skip + self.limit_to
        return itertools.islice(self._matching(), self.skip, end)

    def _matching(self) -> Iterator[Observation]:
        if self.upstream is not None:
            found = self._in_python(self.upstream(), self.filters)
            if self.order == "id" and not self.descending:
                return found
            return iter(sorted(found, key=self._sort_key, reverse=self.descending))
        remaining = tuple(one for one in self.filters if one.where is None)
        where = self._sql()
        if self.limit_to is not None and not remaining:
            where = where._replace(at_most=self.skip + self.limit_to)
        rows = self.reader.meta_rows(self.name, where, self.order, self.descending)
        payloads = Payloads(self.reader, self.name)
        return self._in_python((self._observation(row, payloads) for row in rows), remaining)

    @staticmethod
    def _in_python(
        found: Iterator[Observation], filters: tuple[Filter, ...]
    ) -> Iterator[Observation]:
        return (one for one in found if all(f.matches(one) for f in filters))

    def _sort_key(self, observation: Observation) -> tuple[float, int]:
        row = MetaRow(
            observation.id,
            observation.seq,
            observation.ts,
            observation.ts_ns,
            observation.stamp_ns,
            observation.meta,
        )
        return row.sort_key(self.order)

    def _sql(self) -> Where:
        where = Where()
        for one in self.filters:
            where = where.also(one.where) if one.where else where
        return where

    def _observation(self, row: MetaRow, payloads: Payloads) -> Observation:
        return Observation(
            self.info,
            row.id,
            row.seq,
            row.ts_ns,
            # where dimos wrote the file, nobody has looked into the header yet
            UNKNOWN if row.stamp_ns is None else row.stamp_ns,
            ts=row.ts,
            raw=lambda: payloads.load(row.id, row.ts_ns),
            meta=row.meta,
        )

    def to_list(self) -> list[Observation]:
        """All of them."""
        return list(self)

    def rows(self) -> Iterator[Row]:
        """The messages as they came off the wire: `ts_ns`, `data` (the bytes), `id`, `seq` ...

        The fastest way through all of a stream, in the order of time.
        """
        if self == StreamQuery(self.reader, self.info):
            return self.reader.rows(self.name)
        return (one.to_row() for one in self)

    def to_numpy(self, *fields: str) -> dict[str, NDArray[Any]]:
        """Numbers of all messages as arrays, by the names that were asked for, and `ts_ns`.

        Nothing is decoded one by one, so that a million messages take about a second.

        Args:
            fields: `pose.position.x` gives shape (n,); `pose.position`, which has several numbers,
                (n, 3); a list, as `ranges`, (n, longest), filled up with NaN; its first item,
                `ranges.0`, (n,). Without any, all numbers that are not in lists.

        Raises:
            OptionError: there is no such field, or nobody knows the type.
            DecodeError: the bytes of a message are not of the stream's type.
        """
        from dimos_record.store.arrays import to_arrays

        return to_arrays(self.info, self.rows(), fields)

    def images(self) -> Iterator[Pixels]:
        """The pictures of a stream of `sensor_msgs.Image`: `ts_ns`, `encoding`, and `array`.

        The array has the shape (height, width, channels) and is a view of the message's bytes.

        Raises:
            OptionError: the stream holds something else.
            DecodeError: a message is no image, or of an encoding whose pixels are no numbers.
        """
        from dimos_record.store.arrays import images

        return images(self.info, self.rows())

    def first(self) -> Observation:
        """The first one.

        Raises:
            LookupError: there is none.
        """
        found = self._first()
        if found is None:
            raise LookupError(f"{self.reader.name}: no observation of {self.info.topic} matches")
        return found

    def last(self) -> Observation:
        """The last one by time, of all that match: a limit does not count.

        Raises:
            LookupError: there is none.
        """
        return self.order_by("ts", desc=True).first()

    def count(self) -> int:
        """How many there are."""
        in_sql = self.upstream is None and all(one.where for one in self.filters)
        if not in_sql:
            return sum(1 for _ in self)
        found = max(0, self.reader.count_where(self.name, self._sql()) - self.skip)
        return found if self.limit_to is None else min(found, self.limit_to)

    def exists(self) -> bool:
        """Whether there is any."""
        return self._first() is not None

    def _first(self) -> Observation | None:
        return next(iter(self if self.limit_to == 0 else self.limit(1)), None)

    def observable(self) -> Observable[Observation]:
        """All of them as a `reactivex` observable; reading happens on a thread of its own."""
        return observable(self)


def observable(items: Iterable[Observation]) -> Observable[Observation]:
    """Observations as a `reactivex` observable; each subscription reads on a thread of its own."""
    import reactivex
    from reactivex import operators
    from reactivex.scheduler import NewThreadScheduler

    return reactivex.from_iterable(items).pipe(operators.subscribe_on(NewThreadScheduler()))


def _aligned(
    mine: Iterator[Observation], others: Iterator[Observation], tolerance_s: float, pair: Any
) -> Iterator[Observation]:
    """Walk both sides once, holding only the two others around each of mine."""
    earlier: Observation | None = None
    later = next(others, None)
    for one in mine:
        while later is not None and later.ts_ns < one.ts_ns:
            earlier, later = later, next(others, None)
        around = [other for other in (earlier, later) if other is not None]
        nearest = min(around, key=lambda other: abs(other.ts_ns - one.ts_ns), default=None)
        if nearest is not None and abs(nearest.ts_ns - one.ts_ns) <= tolerance_s * 1e9:
            yield one.derive(data=pair(one, nearest))


def near(pose: Any, radius: float) -> Filter:
    """The condition that a pose is within `radius` metres of a place.

    Raises:
        OptionError: it is no place.
    """
    place = to_pose(pose)
    if place is None:
        raise OptionError("near() needs a place: x, y, z, or a message with a position")
    centre = place[:3]

    def matches(observation: Observation) -> bool:
        there = observation.pose
        return there is not None and math.dist(there[:3], centre) <= radius

    box = " AND ".join(f"{axis} BETWEEN ? AND ?" for axis in POSE_COLUMNS[:3])
    distance = " + ".join(f"({axis} - ?) * ({axis} - ?)" for axis in POSE_COLUMNS[:3])
    edges = [edge for at in centre for edge in (at - radius, at + radius)]
    twice = [at for at in centre for _ in range(2)]
    parameters = (*edges, *twice, radius * radius)
    return Filter(matches, Where(f"({box} AND {distance} <= ?)", parameters))


def tagged(key: str, value: Any) -> Filter:
    """The condition that a tag has a value.

    Raises:
        OptionError: the tag's name is not an identifier, or its value is not JSON.
    """
    if not _TAG.match(key):
        raise OptionError(f"tag {key!r} is not a name of letters, digits and underscores")
    try:
        wanted = comparable(value)
    except (TypeError, ValueError) as error:
        raise OptionError(f"tag {key} cannot be {value!r}: {error}") from None

    def matches(observation: Observation) -> bool:
        return comparable(observation.tags.get(key)) == wanted

    # that there are no tags is told without looking into them
    without = f"WHEN tags IS NULL OR tags IS x'0C' THEN {int(wanted == 'null')}"
    return Filter(matches, Where(f"CASE {without} ELSE dr_tag(tags, ?) IS ? END", (key, wanted)))


def _ns(t: float) -> int:
    if math.isnan(t):
        raise OptionError("a time that is not a number finds nothing; give UNIX seconds")
    return round(min(max(t * 1e9, -_FOREVER_NS), _FOREVER_NS))

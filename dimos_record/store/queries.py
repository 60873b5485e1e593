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
from dimos_record.store.base import StoreReader, StreamInfo
from dimos_record.store.meta import POSE_COLUMNS, MetaRow, Where
from dimos_record.store.observation import Observation, to_pose

if TYPE_CHECKING:
    from reactivex import Observable

_ORDERS = ("id", "ts", "seq", "stamp_ns", "value", *POSE_COLUMNS)
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ROUNDING_NS = 1000
"""A float of today's date steps by 238 ns: bounds in nanoseconds are widened by this."""

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


class Filter(NamedTuple):
    """A condition, in SQL where SQL can express it, and in Python."""

    matches: Callable[[Observation], bool]
    where: Where | None


@dataclass(frozen=True)
class StreamQuery:
    """A lazy query over one stream; every method returns a new one and reads nothing.

    Iterate it, or ask for `first()`, `last()`, `count()`, `exists()`, `to_list()`. Times are UNIX
    seconds of reception, like `Observation.ts`.
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
        return self._where(lambda o: o.ts > t, "ts_ns > ? AND ts > ?", bound, t)

    def before(self, t: float) -> StreamQuery:
        """Observations with ``ts < t``."""
        bound = _ns(t) + _ROUNDING_NS
        return self._where(lambda o: o.ts < t, "ts_ns < ? AND ts < ?", bound, t)

    def time_range(self, t1: float, t2: float) -> StreamQuery:
        """Observations with ``t1 <= ts <= t2``."""
        low, high = _ns(t1) - _ROUNDING_NS, _ns(t2) + _ROUNDING_NS
        sql = "ts_ns BETWEEN ? AND ? AND ts BETWEEN ? AND ?"
        return self._where(lambda o: t1 <= o.ts <= t2, sql, low, high, t1, t2)

    def at(self, t: float, tolerance: float = 1.0) -> StreamQuery:
        """Observations within `tolerance` seconds of a time."""
        return self.time_range(t - tolerance, t + tolerance)

    def near(self, pose: Any, radius: float) -> StreamQuery:
        """Observations whose pose is within `radius` metres of a place.

        Args:
            pose: x, y, z, or a message with a position. Poses are filled in by `fill_poses`.
        """
        place = to_pose(pose)
        if place is None:
            raise OptionError("near() needs a place: x, y, z, or a message with a position")
        x, y, z = place[:3]

        def matches(observation: Observation) -> bool:
            there = observation.pose
            return there is not None and math.dist(there[:3], (x, y, z)) <= radius

        box = " AND ".join(f"{axis} BETWEEN ? AND ?" for axis in POSE_COLUMNS[:3])
        distance = " + ".join(f"({axis} - ?) * ({axis} - ?)" for axis in POSE_COLUMNS[:3])
        edges = [edge for centre in (x, y, z) for edge in (centre - radius, centre + radius)]
        sql = f"{box} AND {distance} <= ?"
        return self._where(matches, sql, *edges, x, x, y, y, z, z, radius * radius)

    def tags(self, **tags: Any) -> StreamQuery:
        """Observations with these tags."""
        query = self
        for key, value in tags.items():
            query = query._where(_has_tag(key, value), f"dr_tag(tags, '{_tag(key)}') IS ?", value)
        return query

    def filter(self, predicate: Callable[[Observation], bool]) -> StreamQuery:
        """Observations for which a function says yes."""
        return replace(self._closed(), filters=(*self._closed().filters, Filter(predicate, None)))

    def order_by(self, field: str, desc: bool = False) -> StreamQuery:
        """In another order than that of recording.

        Args:
            field: `id`, `ts`, `seq`, `stamp_ns`, `value`, `pose_x` ... `pose_qw`.
        """
        if field not in _ORDERS:
            raise OptionError(f"cannot order by {field!r}; use one of {', '.join(_ORDERS)}")
        return replace(self, order=field, descending=desc)

    def limit(self, n: int) -> StreamQuery:
        """The first `n` only."""
        if n < 0:
            raise OptionError(f"limit must not be negative, not {n}")
        return replace(self, limit_to=n)

    def offset(self, n: int) -> StreamQuery:
        """Without the first `n`."""
        if n < 0:
            raise OptionError(f"offset must not be negative, not {n}")
        return replace(self, skip=n)

    def _closed(self) -> StreamQuery:
        """This query, with a limit that it has already applied before what comes next."""
        if self.limit_to is None and not self.skip:
            return self
        return StreamQuery(self.reader, self.info, upstream=lambda: iter(self))

    def _where(
        self, matches: Callable[[Observation], bool], sql: str, *parameters: Any
    ) -> StreamQuery:
        added = Filter(matches, Where(f"({sql})", parameters))
        return replace(self, filters=(*self.filters, added))

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
        rows = self.reader.meta_rows(self.name, self._sql(), self.order, self.descending)
        remaining = tuple(one for one in self.filters if one.where is None)
        return self._in_python(map(self._observation, rows), remaining)

    @staticmethod
    def _in_python(
        found: Iterator[Observation], filters: tuple[Filter, ...]
    ) -> Iterator[Observation]:
        return (one for one in found if all(f.matches(one) for f in filters))

    def _sort_key(self, observation: Observation) -> float:
        row = MetaRow(
            observation.id,
            observation.seq,
            observation.ts_ns,
            observation.stamp_ns,
            observation.meta,
        )
        return row.ts_ns if self.order == "ts" else row.sort_key(self.order)

    def _sql(self) -> Where:
        where = Where()
        for one in self.filters:
            where = where.also(one.where) if one.where else where
        return where

    def _observation(self, row: MetaRow) -> Observation:
        return Observation(
            self.info,
            row.id,
            row.seq,
            row.ts_ns,
            row.stamp_ns,
            raw=lambda: self.reader.payload(self.name, row.id),
            meta=row.meta,
        )

    def to_list(self) -> list[Observation]:
        """All of them."""
        return list(self)

    def first(self) -> Observation:
        """The first one.

        Raises:
            LookupError: there is none.
        """
        found = next(iter(self), None)
        if found is None:
            raise LookupError(f"{self.reader.name}: no observation of {self.info.topic} matches")
        return found

    def last(self) -> Observation:
        """The last one by time.

        Raises:
            LookupError: there is none.
        """
        return self._closed().order_by("ts", desc=True).first()

    def count(self) -> int:
        """How many there are."""
        in_sql = self.upstream is None and all(one.where for one in self.filters)
        if not in_sql:
            return sum(1 for _ in self)
        found = max(0, self.reader.count_where(self.name, self._sql()) - self.skip)
        return found if self.limit_to is None else min(found, self.limit_to)

    def exists(self) -> bool:
        """Whether there is any."""
        return next(iter(self), None) is not None

    def observable(self) -> Observable[Observation]:
        """All of them as a `reactivex` observable; reading happens on a thread of its own."""
        return observable(self)

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True


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


def _has_tag(key: str, value: Any) -> Callable[[Observation], bool]:
    return lambda observation: bool(observation.tags.get(key) == value)


def _tag(key: str) -> str:
    if not _TAG.match(key):
        raise OptionError(f"tag {key!r} is not a name of letters, digits and underscores")
    return key


def _ns(t: float) -> int:
    return round(t * 1e9)

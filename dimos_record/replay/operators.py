"""What a view does to the rows of a recording on their way to the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError
from dimos_record.store.base import Row
from dimos_record.store.observation import Observation

Observe = Callable[[Row], Observation]
"""Turns a row into an observation whose pose and tags can be loaded."""

Operator = Callable[[Iterator[Row], Observe], Iterator[Row]]


class Transform(Protocol):
    """A function from a sequence of observations to another one."""

    def __call__(self, upstream: Iterator[Observation], /) -> Iterable[Observation]: ...


def every(n: int, topics: Selection) -> Operator:
    """Every `n`-th message of each selected stream; the first one is kept.

    Raises:
        OptionError: `n` is below 1.
    """
    if n < 1:
        raise OptionError(f"every({n}) makes no sense; use 1 or more")

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        seen: dict[str, int] = {}
        for row in rows:
            channel = row.stream.channel
            if topics.matches(channel):
                seen[channel] = number = seen.get(channel, -1) + 1
                if number % n:
                    continue
            yield row

    return apply


def throttle(rate_hz: float, topics: Selection) -> Operator:
    """At most so many messages per recorded second of each selected stream.

    Raises:
        OptionError: the rate is not above 0.
    """
    if not rate_hz > 0:
        raise OptionError(f"throttle({rate_hz}) makes no sense; use a rate above 0 Hz")
    # a tenth of slack, so that a 10 Hz stream with jitter passes throttle(10) unchanged
    interval_ns = round(0.9e9 / rate_hz)
    period_ns = round(1e9 / rate_hz)

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        due: dict[str, int] = {}
        for row in rows:
            channel = row.stream.channel
            if topics.matches(channel):
                next_ns = due.get(channel)
                if next_ns is not None and row.ts_ns < next_ns - (period_ns - interval_ns):
                    continue
                base = row.ts_ns if next_ns is None else max(next_ns, row.ts_ns - period_ns)
                due[channel] = base + period_ns
            yield row

    return apply


def mapped(fn: Callable[[Observation], Observation | None]) -> Operator:
    """Each message replaced by what a function makes of it; None drops it."""

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        for row in rows:
            made = fn(observe(row))
            if made is not None:
                yield made.to_row()

    return apply


def filtered(predicate: Callable[[Observation], bool]) -> Operator:
    """The messages for which a function says yes."""

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        return (row for row in rows if predicate(observe(row)))

    return apply


def transformed(fn: Transform) -> Operator:
    """What a function makes of the whole sequence."""

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        return (made.to_row() for made in fn(observe(row) for row in rows))

    return apply


def numbered(numbers: Callable[[], dict[str, set[int]]]) -> Operator:
    """The messages with certain numbers, per stream name, found out when it is first needed."""

    def apply(rows: Iterator[Row], observe: Observe) -> Iterator[Row]:
        wanted = numbers()
        return (row for row in rows if row.id in wanted.get(row.stream.name, ()))

    return apply

"""What a view does to the observations of a recording on their way to the bus.

An operator is a function from a sequence of observations to another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError
from dimos_record.store.observation import Observation

Operator = Callable[[Iterator[Observation]], Iterable[Observation]]


def every(n: int, topics: Selection) -> Operator:
    """Every `n`-th message of each selected stream; the first one is kept.

    Raises:
        OptionError: `n` is below 1.
    """
    if n < 1:
        raise OptionError(f"every({n}) makes no sense; use 1 or more")

    def operator(upstream: Iterator[Observation]) -> Iterator[Observation]:
        seen: dict[str, int] = {}
        for observation in upstream:
            channel = observation.stream.channel
            if topics.matches(channel):
                seen[channel] = number = seen.get(channel, -1) + 1
                if number % n:
                    continue
            yield observation

    return operator


def throttle(rate_hz: float, topics: Selection) -> Operator:
    """At most so many messages per recorded second of each selected stream.

    Raises:
        OptionError: the rate is not above 0.
    """
    if not rate_hz > 0:
        raise OptionError(f"throttle({rate_hz}) makes no sense; use a rate above 0 Hz")
    # a tenth of slack, so that a 10 Hz stream with jitter passes throttle(10) unchanged
    interval_ns = round(0.9e9 / rate_hz)

    def operator(upstream: Iterator[Observation]) -> Iterator[Observation]:
        kept: dict[str, int] = {}
        for observation in upstream:
            channel = observation.stream.channel
            if topics.matches(channel):
                if channel in kept and observation.ts_ns - kept[channel] < interval_ns:
                    continue
                kept[channel] = observation.ts_ns
            yield observation

    return operator


def mapped(fn: Callable[[Observation], Observation | None]) -> Operator:
    """Each observation replaced by what a function makes of it; None drops it.

    A function may also change the decoded message in place and return its observation.
    """

    def operator(upstream: Iterator[Observation]) -> Iterator[Observation]:
        for observation in upstream:
            made = fn(observation)
            if made is not None:
                yield made.unchanged_or_derived() if made is observation else made

    return operator


def filtered(predicate: Callable[[Observation], bool]) -> Operator:
    """The observations for which a function says yes."""
    return lambda upstream: filter(predicate, upstream)


def numbered(numbers: Callable[[], dict[str, set[int]]]) -> Operator:
    """The observations with certain numbers, per stream name; these are found out when needed."""

    def operator(upstream: Iterator[Observation]) -> Iterator[Observation]:
        wanted = numbers()
        return (one for one in upstream if one.id in wanted.get(one.stream.name, ()))

    return operator

"""The highest rates that are recorded without loss."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.chapter_record import in_turn
from benchmarks.measuring import Bench, Chapter, Column, Measurement
from benchmarks.processes import Program, Usage, module_env, python_module
from benchmarks.publisher import channel_names
from benchmarks.recorders import Recorder, recorders

SMALL, LARGE = "100 B", "0.92 MB"
_ON_TIME = 0.95
"""A source that sends less than this share of the rate was too slow for a try to count."""
_STEPS_DOWN = 4


class _Search(NamedTuple):
    """Which rates are tried."""

    case: str
    kind: str
    rates_hz: Sequence[int]
    try_s: float
    sustained_s: float


class _Try(NamedTuple):
    """What came of a rate."""

    published: int
    published_hz: float
    lost: int
    usage: Usage
    payload_bytes: int

    def was_sent(self, rate_hz: int) -> bool:
        """Whether the source reached the rate."""
        return self.published_hz >= _ON_TIME * rate_hz

    def passes(self, rate_hz: int) -> bool:
        """Whether it was sent, and all of it recorded."""
        return self.lost == 0 and self.was_sent(rate_hz)


def _searches(bench: Bench) -> list[_Search]:
    small = (2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90, 110, 130, 150, 175, 200, 225, 250, 275, 300)
    large = (15, 30, 60, 90, 120, 160, 200, 240, 280, 330, 380, 430, 480, 540, 600)
    step = bench.pick(1, 2)
    hz = [1000 * rate for rate in small][::step]
    try_s = bench.pick(3, 1)
    return [
        _Search(SMALL, "pose", hz, try_s, bench.pick(20, 3)),
        _Search(LARGE, "image", large[::step], try_s, bench.pick(8, 2)),
    ]


def _run(bench: Bench) -> Iterator[Measurement]:
    for round_ in bench.rounds_of(1):
        for search in filter(lambda search: bench.wants(search.case), _searches(bench)):
            # without the compiled part only what small messages cost differs
            found = recorders(bench.subjects, python_only=search.case == SMALL)
            for recorder in in_turn(found, round_):
                bench.say(f"rate: {search.case}, {recorder.name}, round {round_ + 1}")
                figures = _highest(bench, recorder, search)
                yield Measurement(search.case, recorder.name, round_, figures)


def _highest(bench: Bench, recorder: Recorder, search: _Search) -> dict[str, float | None]:
    """Bisect for the highest rate of a short try, and step down to one that can be sustained."""
    rates, good, bad = search.rates_hz, -1, len(search.rates_hz)
    unsent_hz: float | None = None
    while bad - good > 1:
        middle = (good + bad) // 2
        one = _twice(bench, recorder, search, rates[middle])
        if one.lost == 0 and not one.was_sent(rates[middle]):
            unsent_hz = rates[middle]
        good, bad = (middle, bad) if one.passes(rates[middle]) else (good, middle)
    figures: dict[str, float | None] = {"short_hz": rates[good] if good >= 0 else 0.0}
    figures["unsent_hz"] = unsent_hz if bad < len(rates) and unsent_hz == rates[bad] else None
    for rate_hz in reversed(rates[max(0, good + 1 - _STEPS_DOWN) : good + 1]):
        one = _attempt(bench, recorder, search, rate_hz, search.sustained_s)
        if one.passes(rate_hz):
            return figures | {
                "rate_hz": rate_hz,
                "mb_s": one.payload_bytes / one.published * rate_hz / 1e6,
                "sustained_s": search.sustained_s,
                "cpu_us_per_message": one.usage.cpu_s / one.published * 1e6,
                "peak_mb": one.usage.peak_bytes / 1e6,
            }
    return figures | {"rate_hz": 0.0, "mb_s": 0.0}


def _twice(bench: Bench, recorder: Recorder, search: _Search, rate_hz: int) -> _Try:
    """A short try, and another one if it fails: something else may have kept the machine busy."""
    one = _attempt(bench, recorder, search, rate_hz, search.try_s)
    return one if one.passes(rate_hz) else _attempt(bench, recorder, search, rate_hz, search.try_s)


def _attempt(
    bench: Bench, recorder: Recorder, search: _Search, rate_hz: int, duration_s: float
) -> _Try:
    url = bench.lcm_url()
    publish = python_module("publisher", "bursts", url, search.kind, rate_hz, duration_s)
    channels = channel_names(search.kind, 1)
    with bench.scratch() as folder, recorder.start(url, folder, channels) as program:
        with Program(publish, folder / "publisher.log", env=module_env()) as publisher:
            publisher.wait(duration_s * 5 + 20)
            sent = json.loads(publisher.output.strip().splitlines()[-1])
        program.wait_until_idle()
        usage = program.finish()
        lost = sent["published"] - recorder.count(folder)
    published_hz = sent["published"] / (sent["elapsed_ns"] / 1e9)
    bench.say(f"  at {rate_hz:,}/s for {duration_s:g} s: {published_hz:,.0f}/s sent, {lost:,} lost")
    return _Try(sent["published"], published_hz, lost, usage, sent["published_bytes"])


RATE = Chapter(
    "rate",
    "Highest rate recorded without loss",
    "A publisher with a compiled loop sends at a rate, what is due every millisecond at once; the "
    "rates are bisected in short tries (one that fails is repeated once), and the highest is the "
    "first, from there downwards, at which nothing is lost in a longer one: 20 s for small "
    "messages, 8 s for images (3 s and 2 s in a quick run). Publisher and recorder share two "
    "cores; where the publisher could not send fast enough to find out more, the rate at which "
    "that was so is shown. CPU and memory are those of the longer try.",
    (
        Column("rate_hz", "messages/s", "{:,.0f}", ratio=True),
        Column("mb_s", "MB/s", "{:,.1f}"),
        Column("short_hz", "in short tries", "{:,.0f}"),
        Column("unsent_hz", "not sent", "{:,.0f}"),
        Column("cpu_us_per_message", "CPU us/message", "{:.3g}"),
        Column("peak_mb", "memory MB", "{:.0f}"),
    ),
    _run,
)

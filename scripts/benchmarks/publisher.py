"""Publishes numbered messages at a steady rate, as a program of its own.

Usage: python -m benchmarks.publisher one_by_one URL KIND RATE_HZ DURATION_S STREAMS
       python -m benchmarks.publisher bursts URL KIND RATE_HZ DURATION_S
       python -m benchmarks.publisher full_stack URL DURATION_S

`one_by_one` sends with the Python package lcm and notes the time before each message. `bursts`
sends what is due every millisecond with our bus, which has a compiled loop for that: for rates
beyond what Python can send. `full_stack` is a robot with four cameras.

It says what it really published, as JSON on stdout.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

from benchmarks.messages import FULL_STACK, encoder, schedule
from benchmarks.prctl import ask_for_exact_wakeups

_TICK_NS = 1_000_000
_LARGEST_BURST_NS = 10_000_000
"""A publisher that was kept from running does not make up for more than this at once."""

Publish = Callable[[range], None]
"""Sends the messages of these numbers."""


def one_by_one(url: str, kind: str, rate_hz: str, duration_s: str, streams: str) -> dict[str, int]:
    """Publish on some channels in turn, each at `rate_hz`."""
    import lcm

    bus, now = lcm.LCM(url), time.monotonic_ns
    encode, channels = encoder(kind), channel_names(kind, int(streams))

    def publish(numbers: range) -> None:
        for number in numbers:
            bus.publish(channels[number % len(channels)], encode(number, now()))

    size_bytes = len(encode(0, 0))
    return _publish_steadily(publish, float(rate_hz) * len(channels), float(duration_s), size_bytes)


def bursts(url: str, kind: str, rate_hz: str, duration_s: str) -> dict[str, int]:
    """Publish on one channel what is due, all at once."""
    from dimos_record.bus.lcm import LcmBus

    encode, (channel,) = encoder(kind), channel_names(kind, 1)
    with LcmBus(url) as bus:

        def publish(numbers: range) -> None:
            at_ns = time.monotonic_ns()
            bus.publish_all([(channel, encode(number, at_ns)) for number in numbers])

        return _publish_steadily(publish, float(rate_hz), float(duration_s), len(encode(0, 0)))


def _publish_steadily(
    publish: Publish, rate_hz: float, duration_s: float, size_bytes: int
) -> dict[str, int]:
    """Every millisecond what has become due."""
    total, now = int(rate_hz * duration_s), time.monotonic_ns
    began = start = now()
    sent = 0
    while sent < total:
        late_ns = now() - start - sent / rate_hz * 1e9
        start += max(0, int(late_ns) - _LARGEST_BURST_NS)
        due = min(total, int((now() - start) * rate_hz / 1e9) + 1)
        publish(range(sent, due))
        sent = due
        until_ns = max(start + sent / rate_hz * 1e9, now() // _TICK_NS * _TICK_NS + _TICK_NS)
        time.sleep(max(0.0, until_ns - now()) / 1e9)
    elapsed_ns = now() - began
    return {"published": sent, "elapsed_ns": elapsed_ns, "published_bytes": sent * size_bytes}


def full_stack(url: str, duration_s: str) -> dict[str, int]:
    """Publish what a robot does, each message when it is due."""
    from dimos_record.bus.lcm import LcmBus

    encoders = [encoder(stream.kind) for stream in FULL_STACK]
    due, now = schedule(FULL_STACK, float(duration_s)), time.monotonic_ns
    published = 0
    with LcmBus(url) as bus:
        began = now()
        for number, (at_ns, index) in enumerate(due):
            time.sleep(max(0, began + at_ns - now()) / 1e9)
            data = encoders[index](number, now())
            bus.publish(FULL_STACK[index].channel, data)
            published += len(data)
        return {"published": len(due), "elapsed_ns": now() - began, "published_bytes": published}


def channel_names(kind: str, streams: int) -> list[str]:
    """The channels that are published on."""
    type_name = {"pose": "geometry_msgs.PoseStamped", "image": "sensor_msgs.Image"}[kind]
    return [f"/{kind}{i}#{type_name}" for i in range(streams)]


_WAYS: dict[str, Callable[..., dict[str, int]]] = {
    "one_by_one": one_by_one,
    "bursts": bursts,
    "full_stack": full_stack,
}

if __name__ == "__main__":
    gc.disable()
    ask_for_exact_wakeups()
    print(json.dumps(_WAYS[sys.argv[1]](*sys.argv[2:])))

"""Publishes numbered messages at a steady rate, as a program of its own.

Usage: python -m benchmarks.publisher URL KIND RATE_HZ DURATION_S STREAMS

It says what it really published, as JSON on stdout.
"""

from __future__ import annotations

import gc
import json
import sys
import time

import lcm

from benchmarks.messages import encoder
from benchmarks.prctl import ask_for_exact_wakeups

_TICK_NS = 1_000_000
_LARGEST_BURST_NS = 10_000_000
"""A publisher that was kept from running does not make up for more than this at once."""


def publish(url: str, kind: str, rate_hz: float, duration_s: float, streams: int) -> dict[str, int]:
    """Publish on `streams` channels in turn, each at `rate_hz`; every ms what has become due."""
    bus = lcm.LCM(url)
    encode, channels = encoder(kind), channel_names(kind, streams)
    total_hz = rate_hz * streams
    total = int(total_hz * duration_s)
    send, now = bus.publish, time.monotonic_ns
    began = start = now()
    sent = 0
    while sent < total:
        late_ns = now() - start - sent / total_hz * 1e9
        start += max(0, int(late_ns) - _LARGEST_BURST_NS)
        due = min(total, int((now() - start) * total_hz / 1e9) + 1)
        for number in range(sent, due):
            send(channels[number % streams], encode(number, now()))
        sent = due
        until_ns = max(start + sent / total_hz * 1e9, now() // _TICK_NS * _TICK_NS + _TICK_NS)
        time.sleep(max(0.0, until_ns - now()) / 1e9)
    return {"published": sent, "elapsed_ns": now() - began}


def channel_names(kind: str, streams: int) -> list[str]:
    """The channels that are published on."""
    type_name = {"pose": "geometry_msgs.PoseStamped", "image": "sensor_msgs.Image"}[kind]
    return [f"/{kind}{i}#{type_name}" for i in range(streams)]


if __name__ == "__main__":
    gc.disable()
    ask_for_exact_wakeups()
    url, kind, rate, duration, streams = sys.argv[1:]
    print(json.dumps(publish(url, kind, float(rate), float(duration), int(streams))))

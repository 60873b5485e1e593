"""The robot with four cameras (68 MB/s), in a process of its own, also several times as fast.

Usage: python -m soaking.robot URL FACTOR:SECONDS...

Every message bears its number within its stream and the monotonic time of its sending, in its last
16 bytes. At the end of each phase it prints, as a line of JSON, how many messages of each stream it
has published by then, and the time.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from benchmarks.messages import FULL_STACK, encoder

from dimos_record.bus.lcm import LcmBus

_LARGEST_BURST_S = 0.05
"""What cannot be sent in time, since there is no processor, is not made up for beyond this."""

STREAMS = tuple(stream.channel.partition("#")[0].strip("/") for stream in FULL_STACK)


def publish(url: str, phases: list[tuple[float, float]]) -> None:
    """Publish through phases of (times as fast, seconds)."""
    encoders = [encoder(stream.kind) for stream in FULL_STACK]
    counts = [0] * len(FULL_STACK)
    with LcmBus(url) as bus:
        for factor, seconds in phases:
            end_s = time.monotonic() + seconds
            periods_s = [1 / stream.rate_hz / factor for stream in FULL_STACK]
            due_s = [end_s - seconds + period_s * i / 8 for i, period_s in enumerate(periods_s)]
            while (now_s := time.monotonic()) < end_s:
                index = min(range(len(due_s)), key=due_s.__getitem__)
                time.sleep(max(0.0, min(due_s[index], end_s) - now_s))
                data = encoders[index](counts[index], time.monotonic_ns())
                bus.publish(FULL_STACK[index].channel, data)
                counts[index] += 1
                due_s[index] = max(due_s[index] + periods_s[index], now_s - _LARGEST_BURST_S)
            ended = {
                "at_ns": time.monotonic_ns(),
                "counts": dict(zip(STREAMS, counts, strict=True)),
            }
            print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    gc.disable()
    publish(sys.argv[1], [(float(f), float(s)) for f, s in (a.split(":") for a in sys.argv[2:])])

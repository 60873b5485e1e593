"""Finding out who publishes a topic before a replay does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from dimos_record.bus.base import Bus, Selection, literal, split_channel
from dimos_record.errors import PublisherConflict


def find_publishers(
    bus: Bus,
    channels: Iterable[str],
    listen_s: float = 1.0,
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, int]:
    """Listen on the topics of some channels and count what arrives from others.

    Topics are compared without their type: `/odom` of another type is the same topic.

    Args:
        bus: where to listen; an own subscription is opened and closed.
        channels: wire names.
        listen_s: how long to listen.
        wait: waits for that many seconds, or less to give up early.

    Returns:
        Messages per channel, for the channels on which any arrived.
    """
    topics = {split_channel(channel)[0] for channel in channels}
    heard: Counter[str] = Counter()

    def count(channel: str, _data: bytes) -> None:
        if split_channel(channel)[0] in topics:
            heard[channel] += 1

    subscription = bus.subscribe(Selection.of(map(literal, sorted(topics))), count)
    try:
        wait(listen_s)
    finally:
        subscription.close()
    return dict(heard)


def refuse_conflicts(
    bus: Bus,
    channels: Iterable[str],
    listen_s: float,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Raise if somebody publishes one of the topics right now.

    Raises:
        PublisherConflict: it names the topics with their rates, and what to do about them.
    """
    heard = find_publishers(bus, channels, listen_s, wait)
    if heard:
        topics = ", ".join(
            f"{split_channel(channel)[0]} ({count / max(listen_s, 0.001):.3g} messages/s)"
            for channel, count in sorted(heard.items())
        )
        raise PublisherConflict(
            f"somebody is publishing {topics} on {bus.reach}: stop the module that publishes them, "
            "leave them out with --exclude, send the replay elsewhere with --remap or --bus, or "
            "override with --force"
        )

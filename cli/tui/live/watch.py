"""Counting what arrives on a bus; nothing is decoded."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dimos_record.bus import Bus, Selection, split_channel
from dimos_record.cli.topics import Traffic

_NOTHING = Selection(())
_LEAST_SPAN_S = 0.5
"""A single message would make a high rate of a shorter time."""
HISTORY = 120
"""How many rates are kept of each topic, one per look."""


class TopicNow(NamedTuple):
    """How a topic stands."""

    channel: str
    rate_hz: float
    bytes_s: float
    last_bytes: int
    """Size of its last message."""
    age_s: float
    """How long ago that was."""
    messages: int
    """How many came since the watch began."""
    history: tuple[float, ...] = ()
    """Messages per second between one look and the next, the newest last."""

    @property
    def topic(self) -> str:
        """Its name."""
        return split_channel(self.channel)[0]

    @property
    def type_name(self) -> str | None:
        """The type of its messages, if its channel tells."""
        return split_channel(self.channel)[1]


class _Counts(Traffic):
    """What `dimos-record topics` counts, and the size of the last message."""

    def __init__(self) -> None:
        super().__init__()
        self.last_bytes: dict[str, int] = {}

    def on_message(self, channel: str, data: bytes) -> None:
        """Count one message; called on the bus's own thread."""
        self.last_bytes[channel] = len(data)
        super().on_message(channel, data)

    def forget_rates(self) -> None:
        """Count rates from now on."""
        self._history.clear()
        self.look()


class BusWatch:
    """Counts everything that arrives on a bus, as long as it is open.

    Raises:
        BusError: the bus cannot be subscribed to.
    """

    def __init__(self, bus: Bus) -> None:
        self._counts = _Counts()
        self._subscription = bus.subscribe(Selection(), self._counts.on_message)
        self._earlier: dict[str, int] = {}
        self._looked_s = self._counts.start_s
        self._histories: dict[str, deque[float]] = {}

    def look(self) -> list[TopicNow]:
        """How all topics stand, by name; rates are over the last five looks. Call it regularly."""
        counts = self._counts
        counts.look()
        rates = counts.rates(recent=True)
        span_s = counts.end_s - self._looked_s
        is_due = span_s > _LEAST_SPAN_S
        found = []
        for channel, (rate_hz, bytes_s) in sorted(rates.items()):
            heard = counts.heard[channel]
            count = heard.count
            history = self._histories.setdefault(channel, deque(maxlen=HISTORY))
            if is_due:
                history.append((count - self._earlier.get(channel, 0)) / span_s)
                self._earlier[channel] = count
            age_s = max(0.0, counts.end_s - heard.last_s)
            size = counts.last_bytes[channel]
            found.append(TopicNow(channel, rate_hz, bytes_s, size, age_s, count, tuple(history)))
        if is_due:
            self._looked_s = counts.end_s
        return found

    def forget_rates(self) -> None:
        """Count rates from now on, after a rest."""
        self._counts.forget_rates()
        self._looked_s = self._counts.end_s

    @property
    def failure(self) -> Exception | None:
        """Why nothing arrives any more; None as long as the bus works."""
        return self._subscription.failure

    def rest(self) -> None:
        """Receive nothing, as long as nobody looks."""
        self._subscription.reselect(_NOTHING)

    def wake(self) -> None:
        """Receive everything again."""
        self._subscription.reselect(Selection())

    def close(self) -> None:
        """End it."""
        self._subscription.close()

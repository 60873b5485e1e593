"""What a player publishes, in the viewer too: not a second reading of the recording."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dimos_record.bus.base import Bus, OnArrivals, OnMessage, Selection, Sender, Subscription
from dimos_record.viewer.live import Inbox, LiveLogger

Position = Callable[[], "int | None"]
"""Where playback is, in ns from the start of the recording; None while that is not known."""


class ShownBus:
    """A bus that also gives what is published on it to the viewer.

    Args:
        bus: where to publish; it stays open.
        inbox: that of the viewer.
    """

    def __init__(self, bus: Bus, inbox: Inbox) -> None:
        self._bus, self._inbox = bus, inbox
        self.position_ns: Position = lambda: None
        """Asked at each message."""

    @property
    def url(self) -> str:
        """See `Bus`."""
        return self._bus.url

    @property
    def is_local(self) -> bool:
        """See `Bus`."""
        return self._bus.is_local

    @property
    def reach(self) -> str:
        """See `Bus`."""
        return self._bus.reach

    def publish(self, channel: str, data: bytes) -> None:
        """Send raw bytes, and show them; the bus comes first."""
        self._bus.publish(channel, data)
        self._inbox.put(channel, data, self.position_ns())

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send many messages, and show them; the bus comes first."""
        for channel, data in messages:
            self.publish(channel, data)

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """See `Bus`."""
        return self._bus.subscribe(selection, on_message)

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """See `Bus`."""
        return self._bus.subscribe_arrivals(selection, on_arrivals)

    def lost_before_reception(self) -> int | None:
        """See `Bus`."""
        return self._bus.lost_before_reception()

    def senders(self) -> list[Sender]:
        """See `Bus`."""
        return self._bus.senders()

    def check_channel(self, channel: str) -> None:
        """See `Bus`."""
        self._bus.check_channel(channel)

    def close(self) -> None:
        """The bus belongs to who opened it."""

    def __enter__(self) -> ShownBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextmanager
def logging_while(live: LiveLogger) -> Iterator[None]:
    """Log what comes into the inbox, on a thread of its own, for the length of a ``with`` block."""
    over = threading.Event()
    thread = threading.Thread(target=live.run, args=(over.is_set,), name="viewer")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

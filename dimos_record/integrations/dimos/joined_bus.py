"""Several buses as one, for recording: each channel is received from the bus that carries it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from dimos_record.bus.base import (
    Bus,
    OnArrivals,
    OnMessage,
    Selection,
    Sender,
    Subscription,
    literal,
)
from dimos_record.errors import BusError

_NOTHING = Selection(())

_Subscribe = Callable[[Bus, Selection], Subscription]
"""Makes the subscription on one of the buses."""


class JoinedBus:
    """Receives from the buses of a blueprint. It is a `Bus` for a recorder.

    Channels and their buses are added at any time; a running subscription receives them from its
    next `reselect` on. It owns the buses.
    """

    def __init__(self) -> None:
        self._buses: dict[str, Bus] = {}
        self._of_channel: dict[str, str] = {}
        self._subscriptions: list[JoinedSubscription] = []

    def add(self, channel: str, key: str, open_it: Callable[[], Bus]) -> Bus:
        """Receive a channel from a bus.

        Args:
            key: what tells the bus from the others.
            open_it: opens it, if it is a new one.

        Raises:
            BusError: it cannot be opened.
        """
        if key not in self._buses:
            self._buses[key] = open_it()
        self._of_channel[channel] = key
        return self._buses[key]

    def selection(self, selection: Selection, key: str) -> Selection:
        """What a selection selects of the channels of one bus: exactly those."""
        wanted = [
            channel
            for channel, bus in list(self._of_channel.items())
            if bus == key and selection.matches(channel)
        ]
        return Selection(tuple(map(literal, wanted)))

    @property
    def buses(self) -> dict[str, Bus]:
        """The buses by key, as of now: more may be added by another thread."""
        return dict(self._buses)

    @property
    def url(self) -> str:
        """The URLs of all of them."""
        return " ".join(bus.url for bus in self.buses.values())

    @property
    def is_local(self) -> bool:
        """Whether none of them reaches beyond this machine."""
        return all(bus.is_local for bus in self.buses.values())

    @property
    def reach(self) -> str:
        """Where messages come from, for people."""
        return " and ".join(bus.reach for bus in self.buses.values())

    def publish(self, channel: str, data: bytes) -> None:
        """Nothing is published here."""
        raise BusError(f"cannot publish {channel}: a recorder only receives here")

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Nothing is published here."""
        for channel, data in messages:
            self.publish(channel, data)

    def check_channel(self, channel: str) -> None:
        """Every channel that is received exists already."""

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """Receive the selected channels from the buses that they were added with."""
        return self._subscribe(selection, lambda bus, wanted: bus.subscribe(wanted, on_message))

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """The same in batches, each message with the time at which it arrived on its bus."""
        return self._subscribe(
            selection, lambda bus, wanted: bus.subscribe_arrivals(wanted, on_arrivals)
        )

    def _subscribe(self, selection: Selection, subscribe: _Subscribe) -> Subscription:
        subscription = JoinedSubscription(self, selection, subscribe)
        self._subscriptions.append(subscription)
        return subscription

    def lost_before_reception(self) -> int | None:
        """Packets the kernel dropped, as far as the buses know; None where none of them does."""
        known = [bus.lost_before_reception() for bus in self.buses.values()]
        counts = [count for count in known if count is not None]
        return sum(counts) if counts else None

    def senders(self) -> list[Sender]:
        """Who was heard, on any of the buses."""
        return [sender for bus in self.buses.values() for sender in bus.senders()]

    def close(self) -> None:
        """Close every bus. Closing twice is harmless."""
        with ExitStack() as every:
            for bus in self.buses.values():
                every.callback(bus.close)
            for subscription in self._subscriptions:
                every.callback(subscription.close)

    def __enter__(self) -> JoinedBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class JoinedSubscription:
    """A subscription on each bus; see `dimos_record.bus.base.Subscription`."""

    def __init__(self, bus: JoinedBus, selection: Selection, subscribe: _Subscribe) -> None:
        self.selection = selection
        self._bus, self._subscribe = bus, subscribe
        self._parts: dict[str, Subscription] = {}
        try:
            self.reselect(selection)
        except BaseException:
            self.close()
            raise

    def reselect(self, selection: Selection) -> None:
        """Change what is received; channels that were added since are received, too."""
        for key, bus in self._bus.buses.items():
            wanted = self._bus.selection(selection, key)
            if key in self._parts:
                self._parts[key].reselect(wanted)
            elif wanted != _NOTHING:
                self._parts[key] = self._subscribe(bus, wanted)
        self.selection = selection

    @property
    def failure(self) -> BusError | None:
        """Why one of them receives nothing any more; None as long as all work."""
        failures = [part.failure for part in list(self._parts.values())]
        return next((failure for failure in failures if failure is not None), None)

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until what had arrived before the call is delivered, on each bus in turn."""
        in_time = [part.catch_up(timeout_s) for part in list(self._parts.values())]
        return all(in_time)

    def close(self) -> None:
        """End the subscription. Closing twice is harmless."""
        with ExitStack() as every:
            for part in self._parts.values():
                every.callback(part.close)

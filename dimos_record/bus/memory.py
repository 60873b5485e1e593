"""A bus within this process, without sockets: for tests, and for tools that talk to themselves."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

from dimos_record.bus.base import OnArrivals, OnMessage, Selection, Sender, Subscription
from dimos_record.bus.receiver import Receiver, one_by_one
from dimos_record.errors import BusError, ChannelTooLong

_MAX_CHANNEL_BYTES = 1024


class _Room:
    """What the buses of one name share."""

    def __init__(self) -> None:
        self.buses: set[MemoryBus] = set()
        self.subscriptions: tuple[MemorySubscription, ...] = ()
        self.idle = threading.Condition()
        """Guards the attributes and the counts of running callbacks."""
        self.here = threading.local()
        """`here.depth`: how many callbacks of this room the current thread is in."""


_ROOMS: dict[str, _Room] = {}
_ROOMS_LOCK = threading.Lock()


class MemorySubscription(Receiver):
    """A subscription on a memory bus; see `dimos_record.bus.base.Subscription`."""

    def __init__(
        self, bus: MemoryBus, room: _Room, selection: Selection, on_message: OnMessage
    ) -> None:
        super().__init__(selection, on_message)
        self.bus = bus
        self._room = room
        self._running = 0

    def reselect(self, selection: Selection) -> None:
        """Change what is received.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the subscription or its bus is closed.
        """
        _ = selection.compiled
        if not self.open:
            raise BusError("this subscription is closed; subscribe anew instead of reselecting")
        self.selection = selection

    @property
    def failure(self) -> BusError | None:
        """Nothing can fail here."""
        return None

    def catch_up(self, timeout_s: float) -> bool:
        """Nothing is ever on its way here: `publish` delivers before it returns."""
        return True

    def close(self) -> None:
        """End the subscription. Closing twice is harmless."""
        room = self._room
        with room.idle:
            self.silence()
            room.subscriptions = tuple(s for s in room.subscriptions if s is not self)
            # A callback that waited here for another one could wait for itself.
            if not getattr(room.here, "depth", 0):
                room.idle.wait_for(lambda: not self._running)

    def receive(self, channel: str, data: bytes) -> None:
        """Call the callback, in the publisher's thread."""
        room = self._room
        with room.idle:
            if not self.open:
                return
            self._running += 1
        room.here.depth = getattr(room.here, "depth", 0) + 1
        try:
            self.on_message(channel, data)
        except Exception:  # noqa: BLE001 - raised by anyone's code; it is logged, and the rest is served
            self.failed(channel)
        finally:
            room.here.depth -= 1
            with room.idle:
                self._running -= 1
                room.idle.notify_all()


class MemoryBus:
    """Every `MemoryBus` of one name in this process carries the same messages.

    `publish` calls the callbacks of the matching subscriptions before it returns, in the thread
    that publishes: with several publishers, callbacks run in several threads.

    Args:
        url: ``memory://NAME``.

    Raises:
        BusError: the URL has no name, or more than a name.
    """

    def __init__(self, url: str) -> None:
        match = re.fullmatch(r"memory://([\w./-]+)", url)
        if not match:
            raise BusError(f"bus URL {url!r} is not of the form memory://NAME")
        self._name = match[1]
        with _ROOMS_LOCK:
            self._room = _ROOMS.setdefault(self._name, _Room())
            self._room.buses.add(self)

    @property
    def url(self) -> str:
        """The URL that the bus was opened with."""
        return f"memory://{self._name}"

    @property
    def is_local(self) -> bool:
        """What is published does not even leave this process."""
        return True

    @property
    def reach(self) -> str:
        """Where published messages go: 'memory NAME (this process only)'."""
        return f"memory {self._name} (this process only)"

    def publish(self, channel: str, data: bytes) -> None:
        """Call every matching subscription, of this bus and of others of its name.

        Raises:
            ChannelTooLong: the name is longer than 1024 bytes.
            BusError: the bus is closed.
        """
        self._require_open(f"cannot publish {channel}")
        self.check_channel(channel)
        for subscription in self._room.subscriptions:
            if subscription.selection.matches(channel):
                subscription.receive(channel, data)

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send many messages, (channel, data), in order.

        Raises:
            ChannelTooLong, BusError: as `publish`; those before the one at fault are sent.
        """
        for channel, data in messages:
            self.publish(channel, data)

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """Receive every message on the selected channels that is published after this returns.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the bus is closed.
        """
        subscription = MemorySubscription(self, self._room, selection, on_message)
        with self._room.idle:
            self._require_open("cannot subscribe")
            self._room.subscriptions += (subscription,)
        return subscription

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """Like `subscribe`, each message with the time of its delivery."""
        return self.subscribe(selection, one_by_one(on_arrivals))

    def lost_before_reception(self) -> int:
        """Nothing is lost here: 0."""
        return 0

    def senders(self) -> list[Sender]:
        """Nobody: nothing can be lost here."""
        return []

    def check_channel(self, channel: str) -> None:
        """Raise if the name is empty or absurdly long.

        Raises:
            ChannelTooLong: the name is longer than 1024 bytes.
            BusError: it is empty.
        """
        size = len(channel.encode(errors="replace"))
        if size > _MAX_CHANNEL_BYTES:
            raise ChannelTooLong(
                f"memory channel {channel[:40]!r}... has {size} bytes, and at most "
                f"{_MAX_CHANNEL_BYTES} are allowed; use a shorter topic name"
            )
        if not size:
            raise BusError(f"{channel!r} cannot be the name of a channel")

    def close(self) -> None:
        """End every subscription made through this bus. Closing twice is harmless."""
        with _ROOMS_LOCK, self._room.idle:
            self._room.buses.discard(self)
            mine = [s for s in self._room.subscriptions if s.bus is self]
            if not self._room.buses and _ROOMS.get(self._name) is self._room:
                del _ROOMS[self._name]
        for subscription in mine:
            subscription.close()

    def __enter__(self) -> MemoryBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _require_open(self, purpose: str) -> None:
        if self not in self._room.buses:
            raise BusError(f"{purpose}: the bus {self.url} is closed")

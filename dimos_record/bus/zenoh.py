"""Zenoh (https://zenoh.io), the bus that dimos uses unless told otherwise."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dimos_record.bus.base import OnArrivals, OnMessage, Selection, Sender, Subscription
from dimos_record.bus.receiver import one_by_one
from dimos_record.bus.zenoh_names import key_of
from dimos_record.bus.zenoh_session import links_beyond, may_close, open_session
from dimos_record.bus.zenoh_subscription import ZenohSubscription
from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.errors import BusError

if TYPE_CHECKING:
    import zenoh


class ZenohBus:
    """A session on a Zenoh network, with dimos's keys and settings.

    Opening takes a quarter of a second, or half a second where nobody else is there: then every
    peer that scouting finds is linked, and gets the first message. Publishing works from any
    thread. Callbacks run on threads of their subscription, one at a time; one that raises is logged
    once.

    Args:
        url: ``zenoh://DOMAIN?connect=tcp/HOST:PORT&...``; see `parse_zenoh_url`.

    Raises:
        MissingExtra: Zenoh is not installed.
        BusError: the URL is not one, or the network cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._network = parse_zenoh_url(url)
        self._lock = threading.Lock()
        self._publishers: dict[str, zenoh.Publisher] = {}
        self._subscriptions: list[ZenohSubscription] = []
        self._session: zenoh.Session | None = open_session(self._network)
        # Zenoh's threads must not meet an interpreter that is gone.
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """The URL with every option written out."""
        return self._network.url

    @property
    def reach(self) -> str:
        """Where published messages go: 'Zenoh (this machine only)'."""
        beyond = self._links_beyond() if self._network.is_local else []
        return f"{self._network.name} via {', '.join(beyond)}" if beyond else self._network.reach

    @property
    def is_local(self) -> bool:
        """Whether nothing that is published leaves this machine.

        That takes a network on loopback, and no link elsewhere now: a peer here that has one makes
        Zenoh link this session there, too.
        """
        return self._network.is_local and not self._links_beyond()

    def _links_beyond(self) -> list[str]:
        session = self._session
        return links_beyond(session) if session is not None else []

    def publish(self, channel: str, data: bytes) -> None:
        """Send raw bytes, reliably: where a subscriber is slow it waits, for up to 5 s.

        Raises:
            ChannelTooLong: the key is longer than 4096 bytes.
            BusError: the bus is closed, Zenoh has no key for the channel, or sending failed.
        """
        import zenoh

        publisher = self._publishers.get(channel) or self._declare_publisher(channel)
        try:
            publisher.put(data)
        except zenoh.ZError as error:
            if self._session is None:
                raise self._closed(f"cannot publish {channel}") from None
            raise BusError(f"cannot publish {channel} on {self.reach}: {error}") from None

    def _declare_publisher(self, channel: str) -> zenoh.Publisher:
        import zenoh

        with self._lock:
            if self._session is None:
                raise self._closed(f"cannot publish {channel}")
            if channel not in self._publishers:
                self._publishers[channel] = self._session.declare_publisher(
                    key_of(channel, self._network.prefix),
                    congestion_control=zenoh.CongestionControl.BLOCK,
                    reliability=zenoh.Reliability.RELIABLE,
                )
            return self._publishers[channel]

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
        session = self._session
        if session is None:
            raise self._closed("cannot subscribe")
        subscription = ZenohSubscription(session, self._network.prefix, selection, on_message)
        with self._lock:
            self._subscriptions = [s for s in (*self._subscriptions, subscription) if s.open]
            if self._session is not None:
                return subscription
        subscription.close()
        raise self._closed("cannot subscribe")

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """Like `subscribe`, each message with the time of its delivery."""
        return self.subscribe(selection, one_by_one(on_arrivals))

    def lost_before_reception(self) -> None:
        """Zenoh does not tell what a publisher dropped because it could not send: None."""
        return None

    def senders(self) -> list[Sender]:
        """Nobody: Zenoh does not tell what a publisher dropped."""
        return []

    def check_channel(self, channel: str) -> None:
        """Raise if Zenoh cannot carry a channel of this name.

        Raises:
            ChannelTooLong: the key is longer than 4096 bytes.
            BusError: Zenoh has no key for it.
        """
        key_of(channel, self._network.prefix)

    def close(self) -> None:
        """End every subscription and the session. Closing twice is harmless."""
        if not may_close():  # in a forked process even letting go of it would hang
            return
        with self._lock:
            session, self._session = self._session, None
            subscriptions, self._subscriptions = self._subscriptions, []
            self._publishers = {}
        if session is not None:
            for subscription in subscriptions:
                subscription.fail(self._closed("nothing is received any more"))
            _close(session)
            atexit.unregister(self.close)

    def __enter__(self) -> ZenohBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _closed(self, purpose: str) -> BusError:
        return BusError(f"{purpose}: the bus {self.url} is closed")


def _close(session: zenoh.Session) -> None:
    import zenoh

    try:
        session.close()  # type: ignore[no-untyped-call]
    except zenoh.ZError:  # it gives up on a peer that no longer answers; all is let go of anyway
        pass

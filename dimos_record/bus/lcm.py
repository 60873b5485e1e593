"""LCM over UDP multicast (https://lcm-proj.github.io), the bus most robots here use."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from dimos_record.bus import receive_buffer
from dimos_record.bus.base import OnArrivals, OnMessage, Selection, Sender, Subscription
from dimos_record.bus.lcm_dispatcher import Dispatcher, LcmSubscription
from dimos_record.bus.lcm_url import LcmNetwork, parse_lcm_url
from dimos_record.bus.receiver import one_by_one
from dimos_record.errors import BusError, ChannelTooLong

_MAX_CHANNEL_BYTES = 63  # LCM_MAX_CHANNEL_NAME_LENGTH
_MAX_MESSAGE_BYTES = 2**28  # LCM_MAX_MESSAGE_SIZE: receivers drop anything larger


class LcmBus:
    """A connection to an LCM network.

    Publishing works from any thread. Callbacks run on one thread of the bus, which lives from the
    first subscription to the end of the last one; a callback that raises is logged once.

    Args:
        url: ``udpm://ADDRESS:PORT?ttl=N&recv_buf_size=BYTES``; see `parse_lcm_url`.

    Raises:
        BusError: the URL is not one, or the network cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._network = parse_lcm_url(url)
        self._lock = threading.Lock()
        self._dispatcher: Dispatcher | None = None
        self._lost_earlier: int | None = None
        """Packets lost to dispatchers that have ended."""
        self._lcm: Any = _open(self._network)
        """For publishing alone: an instance that receives gets what it publishes, too."""

    @property
    def url(self) -> str:
        """The URL with every option written out."""
        return self._network.url

    @property
    def is_local(self) -> bool:
        """Whether what is published cannot leave this machine: the URL says ``ttl=0``."""
        return self._network.is_local

    @property
    def reach(self) -> str:
        """Where published messages go: 'LCM 239.255.76.67:7667 (this machine only)'."""
        return self._network.reach

    def publish(self, channel: str, data: bytes) -> None:
        """Send raw bytes.

        LCM does not report the failure of a message that it had to split (beyond 64 KB).

        Raises:
            ChannelTooLong: the name is longer than 63 bytes.
            BusError: the bus is closed, the message is too large, or sending failed.
        """
        lcm = self._lcm
        if lcm is None:
            raise BusError(f"cannot publish {channel}: the bus {self.url} is closed")
        self.check_channel(channel)
        if len(data) > _MAX_MESSAGE_BYTES:
            raise BusError(
                f"cannot publish {channel}: {len(data)} bytes are more than the "
                f"{_MAX_MESSAGE_BYTES} that LCM can carry in one message"
            )
        try:
            lcm.publish(channel, data)
        except OSError as error:
            raise BusError(f"cannot publish {channel} on {self.reach}: {error}") from None

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send many messages, (channel, data), in order.

        Raises:
            ChannelTooLong, BusError: as `publish`; those before the one at fault are sent.
        """
        for channel, data in messages:
            self.publish(channel, data)

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """Receive every message on the selected channels that is published after this returns.

        In a callback, reception starts when the callback returns.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the bus is closed, or the network does not deliver.
        """
        while True:
            dispatcher = self._running_dispatcher()
            subscription = LcmSubscription(dispatcher, selection, on_message)
            if dispatcher.add(subscription):
                return subscription
            self._forget(dispatcher)

    def _running_dispatcher(self) -> Dispatcher:
        with self._lock:
            if self._lcm is None:
                raise BusError(f"cannot subscribe: the bus {self.url} is closed")
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self._network, lambda: _open(self._network))
            return self._dispatcher

    def _forget(self, ended: Dispatcher) -> None:
        with self._lock:
            if self._dispatcher is ended and self._lcm is not None:
                self._lost_earlier = _sum(self._lost_earlier, ended.count_drops())
                self._dispatcher = None

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """Like `subscribe`, each message with the time of its delivery."""
        return self.subscribe(selection, one_by_one(on_arrivals))

    def lost_before_reception(self) -> int | None:
        """Packets the kernel dropped since the first subscription; None where that is not known.

        A large message is many packets, and is lost if one of them is. After `close` it is the
        count at that time.
        """
        with self._lock:
            now = self._dispatcher.count_drops() if self._dispatcher else None
            return _sum(self._lost_earlier, now)

    def senders(self) -> list[Sender]:
        """Nobody: the package lcm does not tell who sent a message."""
        return []

    def check_channel(self, channel: str) -> None:
        """Raise if LCM cannot carry a channel of this name.

        Raises:
            ChannelTooLong: the name is longer than 63 bytes.
            BusError: it is empty, or has characters that cannot be sent.
        """
        try:
            size = len(channel.encode())
        except UnicodeEncodeError:
            size = 0
        if size > _MAX_CHANNEL_BYTES:
            raise ChannelTooLong(
                f"LCM channel {channel!r} has {size} bytes, and LCM carries at most "
                f"{_MAX_CHANNEL_BYTES}; use a shorter topic name"
            )
        if not size or "\0" in channel:
            raise BusError(f"{channel!r} cannot be the name of an LCM channel")

    def close(self) -> None:
        """End every subscription and release threads and sockets. Closing twice is harmless."""
        with self._lock:
            self._lcm = None
            dispatcher = self._dispatcher
        if dispatcher:
            dispatcher.close()

    def __enter__(self) -> LcmBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _open(network: LcmNetwork) -> Any:
    try:
        from lcm import LCM
    except ImportError as error:
        raise BusError(
            f"cannot open {network.reach}: the Python package lcm does not load ({error}); "
            "install it with: pip install lcm"
        ) from None
    # LCM prints a warning when it is granted less than it asks for; what is beyond the limit is
    # asked for later, with privileges, or warned about once.
    asked = min(network.recv_buf_size, receive_buffer.largest_size() or network.recv_buf_size)
    try:
        return LCM(network._replace(recv_buf_size=asked).url)
    except RuntimeError:
        raise BusError(
            f"cannot open {network.reach}: this machine has no multicast route; add one with: "
            "ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo"
        ) from None

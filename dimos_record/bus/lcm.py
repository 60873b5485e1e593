"""LCM over UDP multicast (https://lcm-proj.github.io), the bus most robots here use."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

from dimos_record.bus.base import OnArrivals, OnMessage, Selection, Sender, Subscription
from dimos_record.bus.lcm_dispatcher import Dispatcher, LcmSubscription, Transport
from dimos_record.bus.lcm_limits import check_channel, check_message
from dimos_record.bus.lcm_url import LcmNetwork, parse_lcm_url
from dimos_record.bus.receiver import one_by_one
from dimos_record.errors import BusError


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
        self._senders_earlier: list[Sender] = []
        """Who was heard by dispatchers that have ended."""
        self._transport: Transport | None = _open_transport(self._network)

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

        Raises:
            ChannelTooLong: the name is longer than 63 bytes.
            BusError: the bus is closed, the message is too large, or sending failed. Without the
                compiled part, LCM does not report that of a message beyond 64 KB.
        """
        try:
            self._open_transport(channel).send(channel, data)
        except ValueError:  # it is not one that LCM can carry
            check_message(channel, data)
            raise
        except OSError as error:
            raise BusError(f"cannot publish {channel} on {self.reach}: {error}") from None

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send many messages, (channel, data), in order and without a pause between them.

        Raises:
            ChannelTooLong, BusError: as `publish`; those before the one at fault may be sent.
        """
        taken = list(messages)
        try:
            self._open_transport("messages").send_all(taken)
        except ValueError:
            for channel, data in taken:
                check_message(channel, data)
            raise
        except OSError as error:
            raise BusError(f"cannot publish on {self.reach}: {error}") from None

    def _open_transport(self, what: str) -> Transport:
        transport = self._transport
        if transport is None:
            raise BusError(f"cannot publish {what}: the bus {self.url} is closed")
        return transport

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        """Receive every message on the selected channels that is published after this returns.

        In a callback, reception starts when the callback returns.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the bus is closed, or the network does not deliver.
        """
        return self._subscribe(selection, on_message)

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        """Like `subscribe`, but in batches, each message with the time at which it arrived.

        The compiled part takes the time from the kernel; without it, it is that of the delivery.
        """
        return self._subscribe(selection, one_by_one(on_arrivals), on_arrivals)

    def _subscribe(
        self, selection: Selection, on_message: OnMessage, on_arrivals: OnArrivals | None = None
    ) -> Subscription:
        while True:
            dispatcher = self._running_dispatcher()
            subscription = LcmSubscription(dispatcher, selection, on_message, on_arrivals)
            if dispatcher.add(subscription):
                return subscription
            self._forget(dispatcher)

    def _running_dispatcher(self) -> Dispatcher:
        with self._lock:
            if self._transport is None:
                raise BusError(f"cannot subscribe: the bus {self.url} is closed")
            if self._dispatcher is None:
                self._dispatcher = self._transport.dispatcher()
            return self._dispatcher

    def _forget(self, ended: Dispatcher) -> None:
        with self._lock:
            if self._dispatcher is ended and self._transport is not None:
                self._lost_earlier = _sum(self._lost_earlier, ended.count_drops())
                self._senders_earlier = _joined([*self._senders_earlier, *ended.senders()])
                self._dispatcher = None

    def lost_before_reception(self) -> int | None:
        """Packets the kernel dropped since the first subscription; None where that is not known.

        A large message is many packets, and is lost if one of them is. After `close` it is the
        count at that time.
        """
        with self._lock:
            now = self._dispatcher.count_drops() if self._dispatcher else None
            return _sum(self._lost_earlier, now)

    def senders(self) -> list[Sender]:
        """Who was heard since the first subscription, and what of theirs was lost.

        Those heard last come last; senders beyond a thousand are summed up as '0.0.0.0:0'. Empty
        without the compiled part.
        """
        with self._lock:
            now = self._dispatcher.senders() if self._dispatcher else []
            return _joined([*self._senders_earlier, *now])

    def check_channel(self, channel: str) -> None:
        """Raise if LCM cannot carry a channel of this name.

        Raises:
            ChannelTooLong: the name is longer than 63 bytes.
            BusError: it is empty, or has characters that cannot be sent.
        """
        check_channel(channel)

    def close(self) -> None:
        """End every subscription and release threads and sockets. Closing twice is harmless."""
        with self._lock:
            transport, self._transport = self._transport, None
            dispatcher = self._dispatcher
        if dispatcher:
            dispatcher.close()
        if transport:
            transport.close()

    def __enter__(self) -> LcmBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _joined(senders: list[Sender]) -> list[Sender]:
    """Senders that were heard by several dispatchers, as one each."""
    joined: dict[str, Sender] = {}
    for one in senders:
        before = joined.get(one.address, Sender(one.address, 0, 0, {}))
        joined[one.address] = Sender(
            one.address,
            before.received + one.received,
            before.lost + one.lost,
            dict(Counter(before.lost_channels) + Counter(one.lost_channels)),
            dict(Counter(before.dropped_channels) + Counter(one.dropped_channels)),
        )
    return list(joined.values())


def _open_transport(network: LcmNetwork) -> Transport:
    native = _native_transport() if os.environ.get("DIMOS_RECORD_NATIVE") != "0" else None
    if native is not None:
        return native(network)
    from dimos_record.bus.lcm_package import PackageTransport

    return PackageTransport(network)


@lru_cache(maxsize=1)
def _native_transport() -> Callable[[LcmNetwork], Transport] | None:
    """The compiled part; None where it could not be built. Python keeps no note of that itself."""
    try:
        from dimos_record.bus.lcm_native import NativeTransport
    except ImportError:
        return None
    return NativeTransport

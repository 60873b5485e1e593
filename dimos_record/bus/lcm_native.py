"""LCM through the compiled part: no interpreter between the network and a batch of messages."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence

from dimos_record.bus import _lcm_native, receive_buffer
from dimos_record.bus.base import Arrival, Sender
from dimos_record.bus.lcm_dispatcher import Dispatcher, LcmSubscription
from dimos_record.bus.lcm_url import LcmNetwork
from dimos_record.bus.receiver import Routes
from dimos_record.errors import BusError

_BATCH_MESSAGES = 4096
_BATCH_BYTES = 16 * 2**20
_FOREVER_MS = 2**31 - 1

_BYTES_PER_SECOND = 4 * 2**30
"""Nobody sends faster: so long a receive buffer is not full, and packets may gather in it."""
_LONGEST_PATIENCE_NS = 5_000_000

_SELF_TEST_CHANNEL = "LCM_SELF_TEST"
_SELF_TEST_S = 10.0
_SELF_TEST_AGAIN_S = 0.1


class NativeTransport:
    """Sends, and makes dispatchers that receive.

    Raises:
        BusError: the network cannot be reached.
    """

    def __init__(self, network: LcmNetwork) -> None:
        self._network = network
        try:
            publisher = _lcm_native.Publisher(network.address, network.port, network.ttl)
        except OSError:
            raise network.without_route() from None
        self.send: Callable[[str, bytes], None] = publisher.send
        """Send a message; `OSError`: it could not be sent."""
        self.send_all: Callable[[Sequence[tuple[str, bytes]]], None] = publisher.send_all
        """Send messages without a pause between them; `OSError`: one could not be sent."""
        self.close: Callable[[], None] = publisher.close
        """Release the socket."""

    def dispatcher(self) -> Dispatcher:
        """What receives."""
        return NativeDispatcher(self._network, self.send)


class NativeDispatcher(Dispatcher):
    """Takes messages from the compiled receiver in batches; see `Dispatcher`.

    Args:
        network: what is received from.
        send: sends a message, to find out whether it comes back.
    """

    def __init__(self, network: LcmNetwork, send: Callable[[str, bytes], None]) -> None:
        super().__init__(network)
        self._send = send
        self._receiver: _lcm_native.Receiver | None = None
        self._followed: tuple[LcmSubscription, ...] = ()
        self._routes: Routes[LcmSubscription] = Routes()
        self._patience_ns = 0

    def _prepare(self) -> None:
        network = self._network
        try:
            self._receiver = _lcm_native.Receiver(
                network.address, network.port, network.recv_buf_size
            )
        except OSError as error:
            raise BusError(f"cannot receive from {network.reach}: {error}") from None

    def count_drops(self) -> int | None:
        """Packets that the kernel dropped before they could be read.

        None before it receives, and in a process that was forked: the receiver is its parent's.
        """
        try:
            return self._receiver.drops() if self._receiver is not None else None
        except OSError:
            return None

    def senders(self) -> list[Sender]:
        """Who was heard, and what of theirs was lost; nobody where `count_drops` is None."""
        if self._receiver is None:
            return []
        try:
            dropped = dict(self._receiver.dropped())
            return [Sender(*row, dropped.get(row[0], {})) for row in self._receiver.senders()]
        except OSError:
            return []

    def _wake(self) -> None:
        if self._receiver is not None:
            self._receiver.interrupt()

    def _let_go(self) -> None:
        if self._receiver is not None:
            self._receiver.close()

    def _receive(self) -> None:
        receiver = self._opened()
        self._patience_ns = _enlarge_buffer(receiver, self._network.recv_buf_size)
        self._self_test(receiver)
        marked, mark = 0, 0
        while not self._stopping:
            if self._changes:
                self._apply_changes()
            if self._catch_ups and not marked:
                marked, mark = len(self._catch_ups), receiver.mark()
            messages, new_channels = receiver.take(_BATCH_MESSAGES, _BATCH_BYTES, _FOREVER_MS)
            if messages:
                self._deliver(messages, new_channels)
            if marked and receiver.reached() >= mark:
                self._finish_catch_ups(marked)
                marked = 0

    def _opened(self) -> _lcm_native.Receiver:
        if self._receiver is None:
            raise self._closed()
        return self._receiver

    def _self_test(self, receiver: _lcm_native.Receiver) -> None:
        """Find out whether the network delivers, as LCM does: by a message to itself."""
        give_up_s = time.monotonic() + _SELF_TEST_S
        send_again_s = 0.0
        while not self._stopping and (now_s := time.monotonic()) < give_up_s:
            if now_s >= send_again_s:
                self._send_self_test()
                send_again_s = now_s + _SELF_TEST_AGAIN_S
            if receiver.take(_BATCH_MESSAGES, _BATCH_BYTES, round(1000 * _SELF_TEST_AGAIN_S))[0]:
                return
        if not self._stopping:
            raise self._network.not_delivering()

    def _send_self_test(self) -> None:
        self._send(_SELF_TEST_CHANNEL, b"self test")

    def _follow(self, subscriptions: tuple[LcmSubscription, ...]) -> None:
        self._followed = subscriptions
        self._routes.serve(subscriptions)
        receiver = self._opened()
        receiver.listen()
        # Batches tell when each message arrived; who gets messages one by one wants them now.
        are_patient = all(one.on_arrivals is not None for one in subscriptions)
        receiver.be_patient(self._patience_ns if are_patient else 0)

    def _deliver(self, messages: list[Arrival], new_channels: list[str]) -> None:
        unwanted = [channel for channel in new_channels if not self._routes[channel]]
        for channel in unwanted:
            self._opened().ignore(channel)
        if not unwanted and len(self._followed) == 1 and self._followed[0].on_arrivals is not None:
            _deliver_batch(self._followed[0], messages)
        else:
            self._deliver_each(messages)

    def _deliver_each(self, messages: list[Arrival]) -> None:
        batches: dict[LcmSubscription, list[Arrival]] = {}
        for message in messages:
            _, channel, data = message
            for subscription in self._routes[channel]:
                if subscription.on_arrivals is not None:
                    batches.setdefault(subscription, []).append(message)
                    continue
                try:
                    subscription.on_message(channel, data)
                except Exception:  # noqa: BLE001 - raised by anyone's code; it is logged, and the rest is served
                    subscription.failed(channel)
            if self._stopping:
                return
            if self._changes:
                self._apply_changes()
        for subscription, arrivals in batches.items():
            _deliver_batch(subscription, arrivals)


def _deliver_batch(subscription: LcmSubscription, arrivals: list[Arrival]) -> None:
    on_arrivals = subscription.on_arrivals
    try:
        if on_arrivals is not None:
            on_arrivals(arrivals)
    except Exception:  # noqa: BLE001 - raised by anyone's code; it is logged, and the rest is served
        subscription.failed(arrivals[0][1])


def _enlarge_buffer(receiver: _lcm_native.Receiver, wanted_bytes: int) -> int:
    """Get a buffer of the size asked for; returns for how many ns packets may gather in it."""
    with socket.socket(fileno=os.dup(receiver.fileno())) as udp:
        receive_buffer.enlarge(udp, wanted_bytes)
        granted_bytes = receive_buffer.granted(udp)
    return min(granted_bytes * 10**9 // _BYTES_PER_SECOND, _LONGEST_PATIENCE_NS)

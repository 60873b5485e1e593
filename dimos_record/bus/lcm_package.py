"""LCM through the Python package `lcm`, which is LCM's own C library.

LCM's C subscriptions must not be changed while another thread is inside ``handle_timeout`` (the
process can crash): the dispatcher's thread makes every change between two polls.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from dimos_record.bus import receive_buffer
from dimos_record.bus.base import Sender
from dimos_record.bus.lcm_dispatcher import Dispatcher, LcmSubscription
from dimos_record.bus.lcm_limits import check_message
from dimos_record.bus.lcm_reception import Reception
from dimos_record.bus.lcm_url import LcmNetwork
from dimos_record.errors import BusError

_PATIENCE_MS = 5  # after this long without a message the thread sleeps until it is woken

_QUEUEING_S = 0.001  # LCM's own thread has queued by then what it read from the kernel

_OPENING = threading.Lock()  # so that a socket that appears is the one that was just asked for


class PackageTransport:
    """Sends with an LCM instance, and makes dispatchers that receive with others.

    Raises:
        BusError: the package does not load, or the network cannot be reached.
    """

    def __init__(self, network: LcmNetwork) -> None:
        self._network = network
        self._lcm: Any = _open(network)
        """For publishing alone: an instance that receives gets what it publishes, too."""

    def send(self, channel: str, data: bytes) -> None:
        """Send a message; LCM does not report the failure of one that it splits (beyond 64 KB).

        Raises:
            BusError: LCM cannot carry it.
            OSError: it could not be sent.
        """
        check_message(channel, data)
        lcm = self._lcm
        if lcm is None:  # another thread has just closed it
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lcm.publish(channel, data)

    def send_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send messages one after the other.

        Raises:
            BusError, OSError: as `send`.
        """
        for channel, data in messages:
            self.send(channel, data)

    def dispatcher(self) -> Dispatcher:
        """What receives."""
        return PackageDispatcher(self._network)

    def close(self) -> None:
        """Release the socket."""
        self._lcm = None


class PackageDispatcher(Dispatcher):
    """Receives with an LCM instance of its own; see `Dispatcher`."""

    def __init__(self, network: LcmNetwork) -> None:
        super().__init__(network)
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._lcm: Any = None
        self._reception: Reception | None = None
        self._udp: socket.socket | None = None
        self._dropped: int | None = None

    def _prepare(self) -> None:
        self._lcm = _open(self._network)

    def count_drops(self) -> int | None:
        """Packets that the kernel dropped before LCM could read them; None if unknown."""
        with self._lock:
            if self._udp:
                self._dropped = receive_buffer.count_drops(self._udp)
            return self._dropped

    def senders(self) -> list[Sender]:
        """Nobody: the package does not tell who sent a message."""
        return []

    def _wake(self) -> None:
        try:
            self._wake_sender.send(b"!")
        except BlockingIOError:  # it has been woken often enough
            pass

    def _open_socket(self) -> int:
        """Make LCM open its receiving socket, with a buffer of the size asked for."""
        with _OPENING:
            before = receive_buffer.open_sockets()
            descriptor: int = self._lcm.fileno()
            if descriptor < 0:
                raise self._network.not_delivering()
            address = self._network.address, self._network.port
            udp = receive_buffer.find_new_socket(before, *address)
        with self._lock:
            self._udp = udp
        if udp:
            receive_buffer.enlarge(udp, self._network.recv_buf_size)
        return descriptor

    def _receive(self) -> None:
        reception = self._reception = Reception(self._lcm, lambda: self._stopping)
        descriptor = self._open_socket()
        handle = self._lcm.handle_timeout
        changes = self._changes
        wake = self._wake_receiver.fileno()
        while not self._stopping:
            if changes:
                self._apply_changes()
            patience_ms = _PATIENCE_MS if reception.settled and not self._catch_ups else 0
            # Under load the thread stays in this line: one call into C per message.
            while not changes and handle(patience_ms) and not self._stopping:
                pass
            if changes:
                continue
            if self._catch_ups:
                self._look_once_more(handle)
                continue
            timeout_s = reception.settle()
            if wake in select.select([descriptor, wake], [], [], timeout_s)[0]:
                self._wake_receiver.recv(4096)

    def _follow(self, subscriptions: tuple[LcmSubscription, ...]) -> None:
        if self._reception is not None:
            self._reception.follow(subscriptions)

    def _look_once_more(self, handle: Callable[[int], int]) -> None:
        """LCM's queue was just found empty: look whether more is on its way into it."""
        asked = len(self._catch_ups)  # whoever asks from now on has to wait for another look
        if receive_buffer.has_pending(self._udp):
            return
        time.sleep(_QUEUEING_S)
        while handle(0) and not self._changes and not self._stopping:
            pass
        if not self._changes:
            self._finish_catch_ups(asked)

    def _let_go(self) -> None:
        if self._reception is not None:
            self._reception.close()
            self._reception = None
        self._lcm = None  # which closes its sockets
        self._wake_receiver.close()
        self._wake_sender.close()
        if self._udp:
            self._dropped = receive_buffer.count_drops(self._udp)
            self._udp.close()
            self._udp = None


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
        raise network.without_route() from None

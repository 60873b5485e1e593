"""The thread that receives from one LCM instance and calls the subscriptions.

LCM's C subscriptions must not be changed while another thread is inside ``handle_timeout`` (the
process can crash), so every change is handed to this thread, which makes it between two polls.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from dimos_record.bus import receive_buffer
from dimos_record.bus.base import OnMessage, Selection
from dimos_record.bus.lcm_reception import Reception
from dimos_record.bus.lcm_url import LcmNetwork
from dimos_record.bus.receiver import Receiver
from dimos_record.errors import BusError

_PATIENCE_MS = 5  # after this long without a message the thread sleeps until it is woken

_QUEUEING_S = 0.001  # LCM's own thread has queued by then what it read from the kernel

_OPENING = threading.Lock()  # so that a socket that appears is the one that was just asked for


class LcmSubscription(Receiver):
    """A subscription on an LCM bus; see `dimos_record.bus.base.Subscription`."""

    def __init__(self, dispatcher: Dispatcher, selection: Selection, on_message: OnMessage) -> None:
        super().__init__(selection, on_message)
        self._dispatcher = dispatcher

    def reselect(self, selection: Selection) -> None:
        """Change what is received; from a callback, it takes effect when the callback returns.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the subscription or its bus is closed.
        """
        _ = selection.compiled
        if not self.open:
            raise BusError("this subscription is closed; subscribe anew instead of reselecting")
        before, self.selection = self.selection, selection
        try:
            self._dispatcher.update()
        except BusError:
            self.selection = before
            raise

    @property
    def failure(self) -> BusError | None:
        """Why nothing is received any more; None as long as the bus works."""
        return self._dispatcher.failure

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until what had arrived before the call is delivered; not possible in a callback.

        Returns:
            False if that took longer, or the bus was closed meanwhile.
        """
        return self._dispatcher.catch_up(timeout_s)

    def close(self) -> None:
        """End the subscription. Closing twice is harmless."""
        self.silence()
        self._dispatcher.remove(self)


class Dispatcher:
    """Receives on a thread of its own, from the first subscription to the end of the last one.

    It does not receive longer than somebody listens, for receiving costs as much as publishing.

    Args:
        network: what is received from.
        open_lcm: makes an `lcm.LCM` that nobody else uses.
    """

    def __init__(self, network: LcmNetwork, open_lcm: Callable[[], Any]) -> None:
        self.failure: BusError | None = None
        """Why the thread ended while somebody was still listening."""
        self._network = network
        self._open_lcm = open_lcm
        self._lock = threading.Lock()
        self._subscriptions: tuple[LcmSubscription, ...] = ()
        self._changes: deque[Future[None]] = deque()
        self._catch_ups: deque[Future[bool]] = deque()
        self._stopping = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._udp: socket.socket | None = None
        self._dropped: int | None = None
        self._thread: threading.Thread | None = None

    def add(self, subscription: LcmSubscription) -> bool:
        """Serve a subscription from now on; it receives what is published after this returns.

        Returns:
            False if the thread has ended, or is about to: another dispatcher has to serve it.

        Raises:
            BusError: the network cannot be received from, or the bus is closed.
        """
        with self._lock:
            if self._stopping:
                return False
            if self._thread is None:
                self._thread = self._start()
            self._subscriptions += (subscription,)
            change = self._request_change()
        try:
            self._wait_for(change)
        except BusError:
            self.remove(subscription)
            raise
        return True

    def _start(self) -> threading.Thread:
        # Only the thread holds on to the LCM instance, so that its end releases the sockets.
        thread = threading.Thread(
            target=self._run,
            args=(self._open_lcm(),),
            name=f"lcm {self._network.port}",
            daemon=True,
        )
        thread.start()
        return thread

    def remove(self, subscription: LcmSubscription) -> None:
        """Stop serving a subscription; once this returns its callback is not running either."""
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
            if not self._subscriptions:
                self._request_stop()
            last = self._stopping
            if not last:
                change = self._request_change()
        if last:
            self.close()
        else:
            try:
                self._wait_for(change)
            except BusError:
                self.close()

    def update(self) -> None:
        """Make what is received match the subscriptions; wait for it unless in a callback.

        Raises:
            BusError: LCM cannot do it, or the bus is closed.
        """
        with self._lock:
            if self._stopping:
                raise self._closed()
            change = self._request_change()
        self._wait_for(change)

    def _request_change(self) -> Future[None]:
        change: Future[None] = Future()
        self._changes.append(change)
        self._wake()
        return change

    def _wait_for(self, change: Future[None]) -> None:
        if threading.current_thread() is not self._thread:
            change.result()

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until everything that has arrived is delivered; False if that took too long."""
        if threading.current_thread() is self._thread:
            return False
        caught_up: Future[bool] = Future()
        with self._lock:
            if self._stopping or self._thread is None:
                return False
            self._catch_ups.append(caught_up)
            self._request_change()  # it brings the thread out of its waits
        try:
            return caught_up.result(timeout_s)
        except FutureTimeoutError:
            return False

    def count_drops(self) -> int | None:
        """Packets that the kernel dropped before LCM could read them; None if unknown."""
        with self._lock:
            if self._udp:
                self._dropped = receive_buffer.count_drops(self._udp)
            return self._dropped

    def close(self) -> None:
        """Stop receiving. In a callback the thread ends when the callback returns."""
        with self._lock:
            self._request_stop()
        if self._thread is None:
            self._release(self._closed())
        elif threading.current_thread() is not self._thread:
            self._thread.join()

    def _closed(self) -> BusError:
        return BusError(f"the bus {self._network.url} is closed")

    def _request_stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._wake()

    def _wake(self) -> None:
        try:
            self._wake_sender.send(b"!")
        except BlockingIOError:  # it has been woken often enough
            pass

    def _run(self, lcm: Any) -> None:
        outcome = self._closed()
        reception = Reception(lcm, lambda: self._stopping)
        try:
            self._receive(lcm, self._open(lcm), reception)
        except BusError as error:
            outcome = error
        except OSError as error:
            outcome = BusError(f"receiving from {self._network.reach} stopped: {error}")
            logging.getLogger("dimos_record").warning("%s", outcome)  # nobody may be waiting
        finally:
            reception.close()
            self._release(outcome)

    def _open(self, lcm: Any) -> int:
        """Make LCM open its receiving socket, with a buffer of the size asked for."""
        with _OPENING:
            before = receive_buffer.open_sockets()
            descriptor: int = lcm.fileno()
            if descriptor < 0:
                raise BusError(
                    f"{self._network.reach} does not deliver what is sent to it; check the firewall"
                    " and the multicast route: ip link set lo multicast on; "
                    "ip route add 224.0.0.0/4 dev lo"
                )
            address = self._network.address, self._network.port
            udp = receive_buffer.find_new_socket(before, *address)
        with self._lock:
            self._udp = udp
        if udp:
            receive_buffer.enlarge(udp, self._network.recv_buf_size)
        return descriptor

    def _receive(self, lcm: Any, descriptor: int, reception: Reception) -> None:
        handle = lcm.handle_timeout
        changes = self._changes
        wake = self._wake_receiver.fileno()
        while not self._stopping:
            if changes:
                self._apply_changes(reception)
            patience_ms = _PATIENCE_MS if reception.settled and not self._catch_ups else 0
            # Under load the thread stays in this line: one call into C per message.
            while not changes and handle(patience_ms) and not self._stopping:
                pass
            if changes:
                continue
            if self._catch_ups:
                self._finish_catch_ups(handle)
                continue
            timeout_s = reception.settle()
            if wake in select.select([descriptor, wake], [], [], timeout_s)[0]:
                self._wake_receiver.recv(4096)

    def _finish_catch_ups(self, handle: Callable[[int], int]) -> None:
        """LCM's queue was just found empty: look whether more is on its way into it."""
        asked = len(self._catch_ups)  # whoever asks from now on has to wait for another look
        if receive_buffer.has_pending(self._udp):
            return
        time.sleep(_QUEUEING_S)
        while handle(0) and not self._changes and not self._stopping:
            pass
        if not self._changes:
            for _ in range(asked):
                self._catch_ups.popleft().set_result(True)

    def _apply_changes(self, reception: Reception) -> None:
        applied = [self._changes.popleft() for _ in range(len(self._changes))]
        try:
            reception.follow(self._subscriptions)
        except BusError as error:
            for change in applied:
                change.set_exception(error)
        else:
            for change in applied:
                change.set_result(None)

    def _release(self, outcome: BusError) -> None:
        """Let go of everything, and tell those who wait why their change was not made."""
        self.count_drops()
        with self._lock:
            self._stopping = True
            for change in self._changes:
                change.set_exception(outcome)
            self._changes.clear()
            for caught_up in self._catch_ups:
                caught_up.set_result(False)
            self._catch_ups.clear()
            self._wake_receiver.close()
            self._wake_sender.close()
            if self._udp:
                self._udp.close()
                self._udp = None
            if self._subscriptions:
                self.failure = outcome
            for subscription in self._subscriptions:
                subscription.silence()
            self._subscriptions = ()

"""The thread of an LCM bus that receives and calls the subscriptions, however it receives.

What is received is changed by this thread alone, between two messages or batches; who wants a
change hands it over, and waits until it is made.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Protocol

from dimos_record.bus.base import Arrival, OnArrivals, OnMessage, Selection, Sender
from dimos_record.bus.lcm_url import LcmNetwork
from dimos_record.bus.receiver import Receiver
from dimos_record.errors import BusError


class LcmSubscription(Receiver):
    """A subscription on an LCM bus; see `dimos_record.bus.base.Subscription`.

    Args:
        dispatcher: receives for it.
        selection: what is wanted.
        on_message: called with each message.
        on_arrivals: called with batches instead, by a dispatcher that receives in batches.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        selection: Selection,
        on_message: OnMessage,
        on_arrivals: OnArrivals | None = None,
    ) -> None:
        super().__init__(selection, on_message)
        self.on_arrivals = on_arrivals
        self._dispatcher = dispatcher

    def silence(self) -> None:
        """From now on nobody is told anything."""
        super().silence()
        if self.on_arrivals is not None:
            self.on_arrivals = _ignore

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


def _ignore(arrivals: list[Arrival]) -> None:
    """The callback of a closed subscription."""


class Transport(Protocol):
    """One way to take part in an LCM network: through the compiled part, or the package lcm."""

    @property
    def send(self) -> Callable[[str, bytes], None]:
        """Sends a message.

        Raises:
            ValueError, BusError: LCM cannot carry it.
            OSError: it could not be sent.
        """

    @property
    def send_all(self) -> Callable[[Sequence[tuple[str, bytes]]], None]:
        """Sends messages in order. Raises what `send` raises."""

    @property
    def close(self) -> Callable[[], None]:
        """Releases what is needed for sending."""

    def dispatcher(self) -> Dispatcher:
        """What receives; it is independent of this."""


class Dispatcher(ABC):
    """Receives on a thread of its own, from the first subscription to the end of the last one.

    It does not receive longer than somebody listens, for receiving costs as much as publishing.

    Args:
        network: what is received from.
    """

    def __init__(self, network: LcmNetwork) -> None:
        self.failure: BusError | None = None
        """Why the thread ended while somebody was still listening."""
        self._network = network
        self._lock = threading.Lock()
        self._subscriptions: tuple[LcmSubscription, ...] = ()
        self._changes: deque[Future[None]] = deque()
        self._catch_ups: deque[Future[bool]] = deque()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _prepare(self) -> None:
        """Get what is needed to receive, before the thread starts.

        Raises:
            BusError: the network cannot be received from.
        """

    @abstractmethod
    def _receive(self) -> None:
        """Receive until `_stopping`, in the thread: make the `_changes`, serve the `_catch_ups`.

        Raises:
            BusError, OSError: nothing can be received (any more).
        """

    @abstractmethod
    def _follow(self, subscriptions: tuple[LcmSubscription, ...]) -> None:
        """Deliver to these from now on, each what its selection says; in the thread.

        Raises:
            BusError: that is not possible.
        """

    @abstractmethod
    def _wake(self) -> None:
        """Bring the thread out of its waits, now or when it begins the next one."""

    @abstractmethod
    def _let_go(self) -> None:
        """Release everything, at the end of the thread."""

    @abstractmethod
    def count_drops(self) -> int | None:
        """Packets that the kernel dropped before they were read; None if unknown."""

    @abstractmethod
    def senders(self) -> list[Sender]:
        """Who was heard, and what of theirs was lost."""

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
        self._prepare()
        thread = threading.Thread(target=self._run, name=f"lcm {self._network.port}", daemon=True)
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
        if threading.current_thread() is self._thread:
            return
        if self._thread and not self._thread.is_alive() and not change.done():
            raise BusError(
                f"the bus {self._network.url} receives in the process that this one was forked "
                "from; open another bus to receive here"
            )
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
            self._wake()
        try:
            return caught_up.result(timeout_s)
        except FutureTimeoutError:
            return False

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

    def _run(self) -> None:
        outcome = self._closed()
        try:
            self._receive()
        except BusError as error:
            outcome = error
        except OSError as error:
            outcome = BusError(f"receiving from {self._network.reach} stopped: {error}")
            logging.getLogger("dimos_record").warning("%s", outcome)  # nobody may be waiting
        finally:
            self._release(outcome)

    def _apply_changes(self) -> None:
        applied = [self._changes.popleft() for _ in range(len(self._changes))]
        try:
            self._follow(self._subscriptions)
        except BusError as error:
            for change in applied:
                change.set_exception(error)
        else:
            for change in applied:
                change.set_result(None)

    def _finish_catch_ups(self, count: int) -> None:
        for _ in range(count):
            self._catch_ups.popleft().set_result(True)

    def _release(self, outcome: BusError) -> None:
        """Let go of everything, and tell those who wait why their change was not made."""
        with self._lock:
            self._stopping = True
            for change in self._changes:
                change.set_exception(outcome)
            self._changes.clear()
            for caught_up in self._catch_ups:
                caught_up.set_result(False)
            self._catch_ups.clear()
            self._let_go()
            if self._subscriptions:
                self.failure = outcome
            for subscription in self._subscriptions:
                subscription.silence()
            self._subscriptions = ()

"""Receiving from Zenoh: which subscribers are declared for a selection, and who delivers what.

A selection becomes one or more key expressions. Each has a *feed*: a declared subscriber, a queue
on Zenoh's side that takes messages in without Python, and a thread that empties it. Expressions may
overlap; a key belongs to the feed that was declared first among those whose expression includes
it, and the others drop it. So a selection changes without losing or doubling what stays selected:
feeds are added behind the others, and one ends only when nothing selected can be in it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic, sleep
from typing import TYPE_CHECKING

from dimos_record.bus.base import OnMessage, Selection
from dimos_record.bus.receiver import Receiver
from dimos_record.bus.zenoh_names import channel_of, is_internal, key_expressions
from dimos_record.bus.zenoh_session import has_pending, let_declarations_spread
from dimos_record.errors import BusError

if TYPE_CHECKING:
    import zenoh

_QUEUE_MESSAGES = 10_000_000
"""In effect no limit: a full queue would hold back all that the session receives, and publishers
drop what they cannot send. Bounding is the receiver's business."""

_QUEUEING_S = 0.002  # Zenoh's own threads have queued by then what they read from the kernel
_CATCH_UP = "_dimos_record_catch_up_"


class ZenohSubscription(Receiver):
    """A subscription on a Zenoh bus; see `dimos_record.bus.base.Subscription`.

    The callback is called by one thread at a time.
    """

    def __init__(
        self, session: zenoh.Session, prefix: str, selection: Selection, on_message: OnMessage
    ) -> None:
        super().__init__(selection, on_message)
        self._session = session
        self._prefix = prefix
        self._feeds: tuple[_Feed, ...] = ()
        self._failure: BusError | None = None
        self.delivering = threading.RLock()
        """Held while the callback runs, and while what it is called for changes."""
        self._follow(selection)

    def reselect(self, selection: Selection) -> None:
        """Change what is received.

        Raises:
            PatternError: the selection cannot be read.
            BusError: the subscription or its bus is closed.
        """
        _ = selection.compiled
        self._follow(selection)

    def _follow(self, selection: Selection) -> None:
        with self.delivering:
            if not self.open:
                raise BusError("this subscription is closed; subscribe anew instead of reselecting")
            wanted, added = self._add_feeds(selection)
            kept = tuple(f for f in self._feeds if any(map(f.expression.intersects, wanted)))
            ended = [feed for feed in self._feeds if feed not in kept]
            self._feeds = kept + added
            self.selection = selection
            for feed in self._feeds:
                feed.routes.clear()
        for feed in ended:
            feed.close()
        if added and not _in_a_callback():
            let_declarations_spread(self._session)

    def _add_feeds(self, selection: Selection) -> tuple[list[zenoh.KeyExpr], tuple[_Feed, ...]]:
        """Declare what no feed includes yet; returns it with all expressions that are needed."""
        import zenoh

        texts = key_expressions(selection, self._prefix)
        every = [zenoh.KeyExpr(text) for text in texts]
        wanted = [e for e in every if not any(o.includes(e) for o in every if o is not e)]
        missing = [e for e in wanted if not any(f.expression.includes(e) for f in self._feeds)]
        added: list[_Feed] = []
        with ExitStack() as undo:
            for expression in missing:
                added.append(_Feed(self, self._session, expression))
                undo.callback(added[-1].undeclare)  # no waiting: its thread may wait for us
            undo.pop_all()
        return wanted, tuple(added)

    def route(self, key: str, feed: _Feed) -> str | None:
        """The channel to deliver a key's messages on, None if that feed is not to deliver them."""
        channel = channel_of(key, self._prefix)
        if channel is None or is_internal(key) or not self.selection.matches(channel):
            return None
        owner = next(f for f in (*self._feeds, feed) if f.expression.includes(key))
        return channel if owner is feed else None

    @property
    def failure(self) -> BusError | None:
        """Why nothing is received any more; None as long as the bus works."""
        return self._failure

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until what had arrived before the call is delivered; not possible in a callback.

        Returns:
            False if that took longer, or the bus was closed meanwhile.
        """
        if _in_a_callback() or not self.open:
            return False
        deadline_s = monotonic() + timeout_s
        while has_pending(self._session):
            if monotonic() > deadline_s:
                return False
            sleep(_QUEUEING_S)
        sleep(_QUEUEING_S)
        marks = [feed.mark() for feed in self._feeds]
        return all(mark.wait(max(0.0, deadline_s - monotonic())) for mark in marks) and self.open

    def close(self) -> None:
        """End the subscription. Closing twice is harmless."""
        self.silence()
        with self.delivering:
            feeds, self._feeds = self._feeds, ()
        for feed in feeds:
            feed.close()

    def fail(self, why: BusError) -> None:
        """End the subscription because the bus ends."""
        if self.open:
            self._failure = why
        self.close()


class _Routes(dict[str, "str | None"]):
    """The channels of one feed's keys, worked out when a key is first seen."""

    def __init__(self, feed: _Feed) -> None:
        super().__init__()
        self._feed = feed

    def __missing__(self, key: str) -> str | None:
        if _CATCH_UP in key:
            self._feed.reached(key)
            return None
        route = self[key] = self._feed.subscription.route(key, self._feed)
        return route


class _Feed:
    """One declared subscriber, its queue and the thread that empties it."""

    def __init__(
        self, subscription: ZenohSubscription, session: zenoh.Session, expression: zenoh.KeyExpr
    ) -> None:
        import zenoh

        self.subscription = subscription
        self.expression = expression
        self.routes = _Routes(self)
        self._session = session
        self._marks: dict[str, threading.Event] = {}
        queue = zenoh.handlers.FifoChannel(_QUEUE_MESSAGES)
        try:
            self._subscriber = session.declare_subscriber(expression, queue)
        except zenoh.ZError as error:
            raise BusError(f"cannot subscribe to {expression}: {error}") from None
        self._thread = _FeedThread(
            target=self._run,
            args=(self._subscriber.handler,),
            name=f"zenoh {expression}",
            daemon=True,
        )
        self._thread.start()

    def mark(self) -> threading.Event:
        """Put a mark behind what is in the queue now; the event is set when it is reached."""
        import zenoh

        chunk = _CATCH_UP + uuid.uuid4().hex
        key = str(self.expression).replace("$*", "x").replace("**", chunk).replace("*", "x")
        reached = self._marks[key] = threading.Event()
        try:
            self._session.put(key, b"", allowed_destination=zenoh.Locality.SESSION_LOCAL)
        except zenoh.ZError:  # the session is being closed: it will not be reached
            pass
        return reached

    def reached(self, key: str) -> None:
        """A mark of this feed, or of another one, came out of the queue."""
        mark = self._marks.pop(key, None)
        if mark:
            mark.set()

    def undeclare(self) -> None:
        """Receive nothing more; the thread ends when the queue is empty."""
        import zenoh

        try:
            self._subscriber.undeclare()  # type: ignore[no-untyped-call]
        except zenoh.ZError:  # the session was closed before
            pass

    def close(self) -> None:
        """End it, unless in a callback only when its own callback has returned."""
        self.undeclare()
        if not _in_a_callback():
            self._thread.join()

    def _run(self, queue: zenoh.handlers.Handler[zenoh.Sample]) -> None:
        import zenoh

        deliver = _make_deliver(self)
        take_next = queue.try_recv
        try:
            while True:
                deliver(queue.recv())
                # Under load the thread stays in this line, without giving the interpreter away.
                while (sample := take_next()) is not None:
                    deliver(sample)
        except zenoh.ZError:  # undeclared, and the queue is empty
            pass


def _make_deliver(feed: _Feed) -> Callable[[zenoh.Sample], None]:
    """The hot path: everything that Python does per received message."""
    import zenoh

    deletion = zenoh.SampleKind.DELETE
    subscription, routes = feed.subscription, feed.routes
    delivering = subscription.delivering

    def deliver(sample: zenoh.Sample) -> None:
        key = str(sample.key_expr)
        with delivering:
            channel = routes[key]
            if channel is None:
                return
            data = sample.payload.to_bytes()
            if not data and sample.kind == deletion:
                return
            try:
                subscription.on_message(channel, data)
            except Exception:  # noqa: BLE001 - raised by anyone's code; it is logged, and the rest is served
                subscription.failed(channel)

    return deliver


class _FeedThread(threading.Thread):
    """A thread that runs callbacks, and that never waits for another one of its kind."""


def _in_a_callback() -> bool:
    return isinstance(threading.current_thread(), _FeedThread)

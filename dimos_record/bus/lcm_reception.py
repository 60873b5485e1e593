"""Which C-level subscriptions an LCM instance holds, so that each message is delivered once.

LCM counts, per subscription, how many queued messages are meant for it, and calls it for the next
matching message in the queue while that count is above zero. It does not remember *which*
messages they were. From that (``lcm_try_enqueue_message`` and ``lcm_dispatch_handlers`` in LCM's
``lcm.c``) follow the rules kept here:

* A message that matches two subscriptions is delivered twice. So the *parts* in use never
  overlap: a part that is added covers only what the others do not.
* A subscription made while messages that match it are in the queue is called for some of those
  and misses as many later ones. So a part that is to take over from others is first made mute,
  and takes over at a moment when the queue is empty: then its count is right.
* The count is raised a moment before the message is in the queue. So "empty" only counts
  `_SETTLE_S` after the subscription was made.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from dimos_record.bus.base import Selection
from dimos_record.bus.receiver import Receiver, Routes
from dimos_record.errors import BusError

_SETTLE_S = 0.1
_MAX_REGEX_CHARS = 12_000  # PCRE compiles to 64 KiB at most, 2 bytes a character; we join two

Wanted = frozenset[tuple[str, tuple[str, ...]]]
"""Topic patterns, each with the patterns that are excluded from it."""

_NOTHING: Wanted = frozenset()
_EVERYTHING: Wanted = frozenset({("*", ())})


class _Part:
    """One C-level subscription: what it `covers`, less what others cover, and whom it serves."""

    def __init__(
        self, lcm: Any, covers: Wanted, others: Wanted, receivers: tuple[Receiver, ...]
    ) -> None:
        self._lcm = lcm
        self.covers = covers
        regex = _regex_of(covers)
        if others:
            regex = f"(?!(?:{_regex_of(others)})$)(?:{regex})"
        self.routes: Routes[Receiver] = Routes(receivers)
        self._subscription = lcm.subscribe(regex, _make_handler(self.routes))
        if self._subscription is None:
            raise BusError(f"LCM cannot subscribe to {regex[:200]!r}; use simpler topic patterns")
        self._subscription.set_queue_capacity(0)  # no limit: bounding is the receiver's business

    def close(self) -> None:
        self._lcm.unsubscribe(self._subscription)


def _make_handler(routes: Routes[Receiver]) -> Callable[[str, bytes], None]:
    """The hot path: everything that Python does per received message."""

    def deliver(channel: str, data: bytes) -> None:
        for receiver in routes[channel]:
            try:
                receiver.on_message(channel, data)
            except Exception:  # noqa: BLE001 - raised by anyone's code; it is logged, and the rest is served
                receiver.failed(channel)

    return deliver


class Reception:
    """What one LCM instance is subscribed to; used on its dispatch thread only, between polls.

    Args:
        lcm: the `lcm.LCM`.
        is_stopping: asked while waiting, to give up when the bus is being closed.
    """

    def __init__(self, lcm: Any, is_stopping: Callable[[], bool]) -> None:
        self._lcm = lcm
        self._is_stopping = is_stopping
        self._receivers: tuple[Receiver, ...] = ()
        self._parts: list[_Part] = []
        self._successor: _Part | None = None
        self._target = _NOTHING
        self._target_since_s = 0.0
        self._retired_at_s = float("-inf")

    @property
    def settled(self) -> bool:
        """Whether exactly what is wanted is subscribed to, with one C-level subscription."""
        return [part.covers for part in self._parts] == ([self._target] if self._target else [])

    def follow(self, receivers: tuple[Receiver, ...]) -> None:
        """Deliver to these receivers from now on, each what its selection says.

        Raises:
            BusError: LCM refuses the regular expression.
        """
        target = _wanted_by(receivers)
        if target != self._target:
            self._cover(target, receivers)
            self._target = target
            self._target_since_s = monotonic()
            self._drop_successor()
        self._receivers = receivers
        for part in self._parts:
            part.routes.serve(receivers)

    def settle(self) -> float | None:
        """Replace the parts by one, if the queue, which is empty now, has been so long enough.

        Returns:
            Seconds after which to ask again, None when nothing is left to be done.
        """
        if self.settled:
            return None
        if self._successor is None and self._target:
            self._successor = _Part(self._lcm, self._target, _NOTHING, ())
            self._target_since_s = monotonic()
        left_s = self._target_since_s + _SETTLE_S - monotonic()
        if left_s > 0:
            return left_s
        for part in self._parts:
            part.close()
        self._parts = [self._successor] if self._successor else []
        self._successor = None
        self._retired_at_s = monotonic()
        for part in self._parts:
            part.routes.serve(self._receivers)
        return None

    def close(self) -> None:
        """Give up every C-level subscription."""
        self._drop_successor()
        for part in self._parts:
            part.close()
        self._parts.clear()

    def _cover(self, target: Wanted, receivers: tuple[Receiver, ...]) -> None:
        """Add a part for what no part covers yet."""
        if len(_regex_of(self._covered())) > _MAX_REGEX_CHARS:
            self._wait_until_settled()
        covered = self._covered()
        missing = target - covered
        if missing and not covered >= _EVERYTHING:
            self._let_retired_messages_pass()
            self._parts.append(_Part(self._lcm, missing, covered, receivers))

    def _covered(self) -> Wanted:
        return _NOTHING.union(*(part.covers for part in self._parts))

    def _let_retired_messages_pass(self) -> None:
        """Messages queued for a part that is gone would be taken for the new part's."""
        while monotonic() < self._retired_at_s + _SETTLE_S and not self._is_stopping():
            self._lcm.handle_timeout(1)

    def _wait_until_settled(self) -> None:
        while not self._is_stopping():
            if not self._lcm.handle_timeout(1) and self.settle() is None:
                break

    def _drop_successor(self) -> None:
        # Nothing is lost by it: whatever it matches, a part matches too.
        if self._successor:
            self._successor.close()
            self._successor = None


def _wanted_by(receivers: tuple[Receiver, ...]) -> Wanted:
    """Everything that some receiver selects, or all there is if that is too much to express.

    The routes still deliver to each receiver only what it selected.
    """
    selections = [receiver.selection for receiver in receivers]
    wanted = frozenset((topic, s.exclude) for s in selections for topic in s.include)
    return wanted if len(_regex_of(wanted)) <= _MAX_REGEX_CHARS else _EVERYTHING


def _regex_of(wanted: Wanted) -> str:
    topics: dict[tuple[str, ...], list[str]] = {}
    for topic, exclude in sorted(wanted):
        topics.setdefault(exclude, []).append(topic)
    selections = (Selection(tuple(include), exclude) for exclude, include in topics.items())
    return "|".join(f"(?:{selection.regex})" for selection in selections)

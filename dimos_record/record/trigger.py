"""A message on a certain topic keeps the past of a ring."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from queue import SimpleQueue

from dimos_record.bus.base import Bus, Selection, Subscription
from dimos_record.errors import DimosRecordError
from dimos_record.record.keeper import ClockWatch

log = logging.getLogger("dimos_record")


class KeepTrigger:
    """Listens to a topic while a ring is recorded, and keeps the past when something is said there.

    What comes sooner after that than the time that is kept is in the next one's past, or is part of
    the same event, and starts nothing.

    Args:
        bus: what to listen to.
        folder: the ring.
        topic: which messages keep; patterns allowed.
        last_s: how many seconds are kept.
        clock: gives receive times.
    """

    def __init__(
        self, bus: Bus, folder: Path, topic: str, last_s: float, clock: ClockWatch
    ) -> None:
        self._bus, self._folder, self._clock = bus, folder, clock
        self._topics, self._last_s = Selection.of((topic,)), last_s
        self._subscription: Subscription | None = None
        self._noticing = threading.Lock()  # an in-memory bus calls from every publisher's thread
        self._next_ns: int | None = None
        """Before then a message starts nothing; None before the first one."""
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        """The moments up to which the past is to be kept; None is the end."""
        self.kept: list[Path] = []
        """What was written, oldest first."""
        self._thread = threading.Thread(target=self._run, name="dimos-record-trigger")

    def start(self) -> None:
        """Begin to listen.

        Raises:
            BusError: the bus cannot be subscribed to.
        """
        self._subscription = self._bus.subscribe(self._topics, self._notice)
        self._thread.start()

    def reselect(self) -> None:
        """Listen on buses that were added, too."""
        subscription = self._subscription  # the end of the session takes it away any time
        if subscription is not None:
            subscription.reselect(self._topics)

    def end(self) -> None:
        """Stop listening; what was asked for is still kept. May be repeated."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
            self._asked.put(None)

    def close(self) -> None:
        """Stop listening, and finish what is being kept. May be repeated."""
        self.end()
        if self._thread.ident is not None:
            self._thread.join()

    def _notice(self, channel: str, data: bytes) -> None:
        """A message has come; called on the bus's own thread."""
        at_ns = self._clock.now_ns()
        with self._noticing:
            if self._next_ns is None or at_ns >= self._next_ns:
                self._next_ns = at_ns + round(self._last_s * 1e9)
                self._asked.put(at_ns)

    def _run(self) -> None:
        while (at_ns := self._asked.get()) is not None:
            self._keep(at_ns)

    def _keep(self, at_ns: int) -> None:
        from dimos_record.edit.keep import keep  # of editing, recording needs nothing else

        try:
            report = keep(self._folder, last_s=self._last_s, at_ns=at_ns)
        except DimosRecordError as error:
            log.warning("the past was not kept: %s", error)
        except Exception:  # on a thread of its own: not in silence
            log.exception("the past was not kept")
        else:
            self.kept.append(report.path)
            log.info("%s: kept %d messages", report.path, report.messages)

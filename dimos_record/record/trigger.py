"""A message on a certain topic keeps the past of a ring."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

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
        self._event = threading.Event()
        self._closing = False
        self._asked_ns: int | None = None
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
        if self._subscription is not None:
            self._subscription.reselect(self._topics)

    def close(self) -> None:
        """Stop listening, and finish what is being kept. May be repeated."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
        self._closing = True
        self._event.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _notice(self, channel: str, data: bytes) -> None:
        """A message has come; called on the bus's own thread."""
        if not self._event.is_set():
            self._asked_ns = self._clock.now_ns()
            self._event.set()

    def _run(self) -> None:
        kept_ns: int | None = None
        while True:
            self._event.wait()
            at_ns, self._asked_ns = self._asked_ns, None
            if at_ns is not None and (kept_ns is None or at_ns - kept_ns >= self._last_s * 1e9):
                kept_ns = at_ns
                self._keep(at_ns)
            if self._closing:
                return
            self._event.clear()

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

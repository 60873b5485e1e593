"""How far writing is, for whoever watches."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all, about), many times a second; what it raises cancels."""

_INTERVAL_S = 0.03
_INSTRUCTIONS = 100_000
"""Of SQLite's machine: what it does in about a millisecond."""


class Progress:
    """Counts payload bytes, and passes them on now and then.

    Args:
        on_progress: gets them; None for nobody.
        total: how many there may be.
    """

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._total = max(1, total)
        self._done = 0
        self._next = 0.0

    def expect(self, total: int) -> None:
        """There will be so many, about."""
        self._total = max(1, total)

    def add(self, size: int = 0) -> None:
        """So many bytes more are done."""
        self._done += size
        if self._on_progress is not None and time.monotonic() >= self._next:
            self._on_progress(min(self._done, self._total), self._total)
            self._next = time.monotonic() + _INTERVAL_S

    def finish(self) -> None:
        """All is done; the last chance to cancel."""
        if self._on_progress is not None:
            self._on_progress(self._total, self._total)

    @contextmanager
    def during(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Pass on how far it is, and cancel, also while a query takes long."""
        raised: list[BaseException] = []

        def look() -> int:
            try:
                self.add()
            except BaseException as error:  # noqa: BLE001 - SQLite would swallow it
                raised.append(error)
            return len(raised)

        connection.set_progress_handler(look, _INSTRUCTIONS)
        try:
            yield
        except sqlite3.OperationalError:
            if raised:
                raise raised[0] from None
            raise
        finally:
            connection.set_progress_handler(None, 0)

"""How far writing is, for whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all, about), many times a second; what it raises cancels."""

_INTERVAL_S = 0.03


class Progress:
    """Counts payload bytes, and passes them on now and then.

    Args:
        on_progress: gets them; None for nobody.
        total: how many there will be, about.
    """

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._total = max(1, total)
        self.done = 0
        """Bytes of payload so far."""
        self._next = 0.0

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        self.done += size
        if self._on_progress is not None and time.monotonic() >= self._next:
            self._on_progress(min(self.done, self._total), self._total)
            self._next = time.monotonic() + _INTERVAL_S

    def finish(self) -> None:
        """All is done; the last chance to cancel."""
        if self._on_progress is not None:
            self._on_progress(self._total, self._total)

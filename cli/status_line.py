"""A line on the terminal that is drawn again and again; nothing where there is no terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading

from dimos_record.cli.running import say

_USUAL_WIDTH = 80
_PLAIN = str.maketrans("━╸─", "=>-")
"""For terminals that are not of this century."""


class StatusLine:
    """One line on stderr that is redrawn in place, and gone when its ``with`` block ends.

    Where stderr is no terminal nothing is drawn. Warnings that are logged meanwhile appear above.
    """

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown and sys.stderr.isatty()
        self._length = 0
        self._lock = threading.RLock()

    def __enter__(self) -> StatusLine:
        if self.shown:
            for handler in logging.getLogger().handlers:
                handler.addFilter(self._make_room)
        return self

    def __exit__(self, *exc: object) -> None:
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self._make_room)
        self.show("")

    @property
    def width(self) -> int:
        """Columns that can be used: the last stays free, since some terminals wrap behind it."""
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:
            columns = 0
        return (columns or _USUAL_WIDTH) - 1

    def show(self, text: str) -> None:
        """Draw a line in place of the last; an empty one leaves nothing."""
        if not self.shown:
            return
        with self._lock:
            text = text[: self.width]
            if not (sys.stderr.encoding or "").lower().startswith("utf"):
                text = text.translate(_PLAIN)
            blank = " " * (min(self._length, self.width) - len(text))
            try:
                sys.stderr.write(f"\r{text}{blank}" if text else f"\r{blank}\r")
                sys.stderr.flush()
            except OSError:  # the terminal was closed
                self.shown = False
            self._length = len(text)

    def say(self, text: str) -> None:
        """Write something that stays, above the line."""
        with self._lock:
            self.show("")
            say(text)

    def _make_room(self, record: logging.LogRecord) -> bool:
        self.show("")
        return True

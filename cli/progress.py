"""Progress in the terminal while something goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dimos_record.cli import text
from dimos_record.cli.status_line import StatusLine
from dimos_record.cli.times import clock

if TYPE_CHECKING:
    from dimos_record.record_replay import RecordReplay

_EVERY_S = 0.25
_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"


class RecordingLine:
    """How a recording is going, in one line on stderr; nothing where that is no terminal."""

    def __init__(self, rec: RecordReplay, *, buffer_bytes: int, shown: bool = True) -> None:
        self._rec, self._buffer_bytes = rec, buffer_bytes
        self._line = StatusLine(shown)
        self._before = (0.0, 0, 0)
        self._rates = (0.0, 0.0)
        self._next_s = 0.0

    def __enter__(self) -> RecordingLine:
        self._line.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._line.__exit__(*exc)

    def update(self) -> None:
        """Draw the line, at most four times per second."""
        if not self._line.shown or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _EVERY_S
        progress = self._rec.progress
        if progress is None:
            return
        total = progress.total
        rate_hz, bytes_s = self._measure(progress.elapsed_s, total.received, total.bytes)
        full = progress.waiting_bytes / self._buffer_bytes if self._buffer_bytes else 0.0
        line = (
            f"{clock(progress.elapsed_s)}  {total.received:,} messages  {rate_hz:,.0f}/s  "
            f"{text.size(total.bytes)}  {text.size(bytes_s)}/s  buffer {full:.0%}"
        )
        line = f"PAUSED  {line}" if progress.paused else line
        lost = f"  LOST {progress.lost:,}" if progress.lost else ""
        fits = len(line + lost + _RED + _PLAIN) <= self._line.width
        self._line.show(line + (f"{_RED}{lost}{_PLAIN}" if lost and fits else lost))

    def _measure(self, elapsed_s: float, messages: int, size: int) -> tuple[float, float]:
        """Messages and bytes per second over about the last second."""
        before_s, messages_before, size_before = self._before
        if elapsed_s - before_s >= 1:
            span_s = elapsed_s - before_s
            self._rates = (messages - messages_before) / span_s, (size - size_before) / span_s
            self._before = (elapsed_s, messages, size)
        return self._rates


class ReadingLine:
    """How far a file has been read, in one line on stderr; nothing where that is no terminal."""

    def __init__(self, what: str, *, shown: bool = True) -> None:
        self._what = what
        self._line = StatusLine(shown)
        self._start_s = time.monotonic()
        self._next_s = 0.0

    def __enter__(self) -> ReadingLine:
        self._line.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._line.__exit__(*exc)

    def update(self, done: int, total: int) -> None:
        """Draw the line, at most four times per second."""
        now_s = time.monotonic()
        if now_s < self._next_s or not total or not done:
            return
        self._next_s = now_s + _EVERY_S
        elapsed_s = now_s - self._start_s
        left_s = elapsed_s / done * max(total - done, 0)
        share = min(done / total, 1.0)
        self._line.show(
            f"{self._what}  {share:.0%}  {self._figures(done, total, elapsed_s)}  "
            f"{text.seconds(left_s)} left"
        )

    def _figures(self, done: int, total: int, elapsed_s: float) -> str:
        return f"{done:,} of {total:,} messages"


class CopyingLine(ReadingLine):
    """How far a file has been written, counted in bytes."""

    def _figures(self, done: int, total: int, elapsed_s: float) -> str:
        speed = done / elapsed_s if elapsed_s else 0.0
        return f"{text.size(done)} of {text.size(total)}  {text.size(speed)}/s"

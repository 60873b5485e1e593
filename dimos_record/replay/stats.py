"""What a player has done so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_BUCKET_NS = 50_000_000
_WINDOW_NS = 1_000_000_000


@dataclass(frozen=True)
class PlayStats:
    """A snapshot of a playback."""

    state: str
    """`playing`, `paused`, `finished` or `stopped`."""
    position_s: float
    """Seconds from the start of the recording."""
    duration_s: float
    """Position of its last message."""
    rate: float
    """Recorded seconds per second; infinity is as fast as possible."""
    published: int
    """Everything the player has published: messages, republished state and clock."""
    bytes: int
    """Payload bytes of those."""
    topics: Mapping[str, int]
    """Messages by the topic they were published on."""
    messages_per_s: float
    """Over the last second of real time."""
    next_due_s: float | None
    """Real time until the next message at the current rate; None when none is known."""
    late: int
    """Messages published more than `PlayOptions.late_after_s` after their time."""
    max_late_s: float
    """How late the latest of them was."""
    mean_late_s: float
    """How late they were on average."""
    skipped_stamps: int
    """Messages played at their receive time since their stamp made no sense (`pace='stamp'`)."""
    unshifted: int
    """Messages whose stamps could not be shifted since their bytes are not of their type."""


class Meter:
    """Counts what is published: how much lately, and how late."""

    def __init__(self, late_after_s: float) -> None:
        self._late_after_ns = int(late_after_s * 1e9)
        self._bucket = -1
        self._history: deque[tuple[int, int]] = deque(maxlen=_WINDOW_NS // _BUCKET_NS + 1)
        """(monotonic time, published before it) at the start of each bucket with messages."""
        self.published = 0
        self.late = 0
        self.late_ns = 0
        self.max_late_ns = 0

    def count(self, now_ns: int, late_ns: int = 0) -> bool:
        """Count one message, published `late_ns` after its time; True if that is late."""
        bucket = now_ns // _BUCKET_NS
        if bucket != self._bucket:
            self._bucket = bucket
            self._history.append((now_ns, self.published))
        self.published += 1
        if late_ns <= self._late_after_ns:
            return False
        self.late += 1
        self.late_ns += late_ns
        self.max_late_ns = max(self.max_late_ns, late_ns)
        return True

    def mark(self) -> tuple[int, int, int, int]:
        """How the counts stand, for `go_back`."""
        return self.published, self.late, self.late_ns, self.max_late_ns

    def go_back(self, mark: tuple[int, int, int, int]) -> None:
        """Take back what was counted since a mark: it was not published."""
        self.published, self.late, self.late_ns, self.max_late_ns = mark
        while self._history and self._history[-1][1] > self.published:
            self._history.pop()

    def messages_per_s(self, now_ns: int) -> float:
        """Messages per second over the last second, or since the first message if that is less."""
        recent = [entry for entry in self._history if now_ns - entry[0] <= _WINDOW_NS]
        if not recent:
            return 0.0
        since_ns, before = recent[0]
        whole_window = len(recent) < len(self._history)
        elapsed_ns = _WINDOW_NS if whole_window else max(now_ns - since_ns, _BUCKET_NS)
        return (self.published - before) * 1e9 / elapsed_ns

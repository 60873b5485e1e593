"""The bounded buffer between the bus's thread and the writer's."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable

_OVERHEAD_BYTES = 200
"""Roughly what Python needs per buffered message besides its payload."""

Tapped = tuple[int, str, bytes]
"""(monotonic time in ns, channel, data)"""


class TapBuffer:
    """Takes messages from the bus's thread: stamps the time and appends, nothing more.

    When `max_bytes` are waiting, messages are counted per channel and dropped.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.dropped: dict[str, int] = {}
        self._lock = threading.Lock()
        self._items: deque[Tapped] = deque()
        self._bytes_in = 0
        self._bytes_out = 0  # changed by the taker alone

    def tap(self, channel: str, data: bytes) -> None:
        """Take in one message; called on the bus's own thread."""
        cost = len(data) + _OVERHEAD_BYTES
        with self._lock:  # an in-memory bus calls from every publisher's thread
            if self._bytes_in - self._bytes_out + cost > self.max_bytes:
                self.dropped[channel] = self.dropped.get(channel, 0) + 1
                return
            self._bytes_in += cost
            self._items.append((time.monotonic_ns(), channel, data))

    def drop(self, messages: Iterable[Tapped]) -> None:
        """Count messages that were taken and could not be written."""
        with self._lock:
            for _, channel, _ in messages:
                self.dropped[channel] = self.dropped.get(channel, 0) + 1

    def count_into(self, counts: dict[str, int]) -> None:
        """Count drops in another dictionary; whoever has the old one keeps it as it is."""
        with self._lock:
            self.dropped = counts

    def take(self, max_messages: int, max_bytes: int) -> list[Tapped]:
        """Remove up to so many messages and payload bytes, oldest first; at least one if any."""
        batch: list[Tapped] = []
        total = 0
        popleft = self._items.popleft
        while len(batch) < max_messages and total < max_bytes:
            try:
                item = popleft()
            except IndexError:
                break
            batch.append(item)
            total += len(item[2])
        self._bytes_out += total + _OVERHEAD_BYTES * len(batch)
        return batch

    def holds(self, messages: int, max_bytes: int) -> bool:
        """Whether so many messages, or messages of so many bytes, are waiting."""
        return len(self._items) >= messages or self.waiting_bytes >= max_bytes

    @property
    def oldest_ns(self) -> int | None:
        """Monotonic time of the oldest message that waits; None if none does."""
        with self._lock:  # so that none is between its time and its place in here
            return self._items[0][0] if self._items else None

    @property
    def waiting_bytes(self) -> int:
        """Memory that buffered messages take."""
        return self._bytes_in - self._bytes_out

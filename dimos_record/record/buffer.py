"""The bounded buffer between the bus's thread and the writer's."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping

from dimos_record.bus.base import Arrival

_OVERHEAD_BYTES = 200
"""Roughly what Python needs per buffered message besides its payload."""


_Batch = tuple[list[Arrival], int]
"""(messages that arrived together, what they take in memory in bytes)"""


class TapBuffer:
    """Takes messages from the bus's thread, batch by batch, and does nothing more there.

    When `max_bytes` are waiting, messages are counted per channel and dropped. A message that is
    larger is taken while nothing else waits.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.dropped: dict[str, int] = {}
        self.not_written = 0
        """Messages for which there was no room here, over all counts of `dropped`."""
        self.not_taken = 0
        """Messages that the bus could not hand over, over all counts of `dropped`."""
        self.newest_ns = 0
        """Monotonic time at which the newest message arrived of those that have come here."""
        self._lock = threading.Lock()
        self._batches: deque[_Batch] = deque()
        self._bytes_in = self._messages_in = 0
        self._bytes_out = self._messages_out = 0  # changed by the taker alone

    def tap(self, arrivals: list[Arrival]) -> None:
        """Take in messages; called on the bus's own thread. The list is not changed."""
        cost = _cost(arrivals)
        with self._lock:  # several buses, and an in-memory bus's publishers, call at once
            if self._bytes_in - self._bytes_out + cost > self.max_bytes:
                arrivals, cost = self._what_fits(arrivals)
            if arrivals:
                self._bytes_in += cost
                self._messages_in += len(arrivals)
                self._batches.append((arrivals, cost))
                newest_ns = arrivals[-1][0]
                if newest_ns > self.newest_ns:
                    self.newest_ns = newest_ns

    def _what_fits(self, arrivals: list[Arrival]) -> tuple[list[Arrival], int]:
        """The messages for which there is room, and what they take; the others are counted."""
        waiting = self.waiting_bytes
        room = self.max_bytes - waiting
        fitting: list[Arrival] = []
        cost = 0
        for arrival in arrivals:
            one = len(arrival[2]) + _OVERHEAD_BYTES
            if cost + one > room and (waiting or fitting):
                self.dropped[arrival[1]] = self.dropped.get(arrival[1], 0) + 1
                self.not_written += 1
            else:
                fitting.append(arrival)
                cost += one
        return fitting, cost

    def drop(self, messages: Iterable[Arrival]) -> None:
        """Count messages that were taken and could not be written."""
        with self._lock:
            for _, channel, _ in messages:
                self.dropped[channel] = self.dropped.get(channel, 0) + 1

    def count_dropped(self, counts: Mapping[str, int]) -> None:
        """Count messages per channel that the bus received and could not hand over."""
        with self._lock:
            self.not_taken += sum(counts.values())
            self._add(counts)

    def count_into(self, counts: dict[str, int]) -> None:
        """Count drops in another dictionary; whoever has the old one keeps it as it is."""
        with self._lock:
            self.dropped = counts

    def count_again_into(self, counts: dict[str, int]) -> None:
        """Go back to an earlier dictionary, to which is added what was counted since."""
        with self._lock:
            since, self.dropped = self.dropped, counts
            self._add(since)

    def _add(self, counts: Mapping[str, int]) -> None:
        for channel, count in counts.items():
            self.dropped[channel] = self.dropped.get(channel, 0) + count

    def take(self, max_messages: int, max_bytes: int) -> list[Arrival]:
        """Remove up to so many messages, oldest first, that take about so much memory.

        At least one if any.
        """
        taken: list[Arrival] = []
        total = 0
        while self._batches and len(taken) < max_messages and total < max_bytes:
            arrivals, cost = self._batches.popleft()
            room = max_messages - len(taken)
            if len(arrivals) > room or total + cost > max_bytes:
                fits = _fitting(arrivals[:room], max_bytes - total)
                if rest := arrivals[fits:]:
                    left = _cost(rest)
                    self._batches.appendleft((rest, left))
                    arrivals, cost = arrivals[:fits], cost - left
            taken += arrivals
            total += cost
        self._messages_out += len(taken)
        self._bytes_out += total
        return taken

    def holds(self, messages: int, max_bytes: int) -> bool:
        """Whether so many messages, or messages of so many bytes, are waiting."""
        return self._messages_in - self._messages_out >= messages or self.waiting_bytes >= max_bytes

    @property
    def oldest_ns(self) -> int | None:
        """Monotonic time of the oldest message that waits; None if none does."""
        with self._lock:
            return self._batches[0][0][0][0] if self._batches else None

    @property
    def waiting_bytes(self) -> int:
        """Memory that buffered messages take."""
        return self._bytes_in - self._bytes_out


def _cost(arrivals: list[Arrival]) -> int:
    if len(arrivals) == 1:
        return len(arrivals[0][2]) + _OVERHEAD_BYTES
    return sum([len(data) for _, _, data in arrivals]) + _OVERHEAD_BYTES * len(arrivals)


def _fitting(arrivals: list[Arrival], max_bytes: int) -> int:
    """How many messages, from the first, take about so much memory: at least one."""
    total = 0
    for count, (_, _, data) in enumerate(arrivals, 1):
        total += len(data) + _OVERHEAD_BYTES
        if total >= max_bytes:
            return count
    return len(arrivals)

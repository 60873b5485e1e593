"""What came from each sender of a bus since a session, or a segment of it, began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dimos_record.bus.base import Bus, Selection, Sender
from dimos_record.store.senders import SenderAccount

Counts = Mapping[str, Sender]
"""What a bus says of its senders, by address."""


class SenderWatch:
    """Compares what a bus says of its senders with what it said before."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._at_start: Counts = {}
        self._at_end: Counts | None = None

    def start(self) -> Counts:
        """Count from now on; returns how the counts stand."""
        self._at_start = self.now()
        return self._at_start

    def end(self) -> None:
        """Count no further."""
        self._at_end = self.now()

    def now(self) -> Counts:
        """The counts as they stand."""
        if self._at_end is not None:
            return self._at_end
        return {sender.address: sender for sender in self._bus.senders()}

    def accounts(self) -> tuple[SenderAccount, ...]:
        """What came from each since the start."""
        return between(self._at_start, self.now())


def between(earlier: Counts, later: Counts) -> tuple[SenderAccount, ...]:
    """What came from each sender of which anything came, or was lost, meanwhile; by address."""
    found = (_since(earlier.get(address), sender) for address, sender in sorted(later.items()))
    return tuple(one for one in found if one.received or one.lost)


def dropped_between(
    earlier: Counts, later: Counts, selections: Sequence[Selection]
) -> dict[str, int]:
    """Messages per channel that came meanwhile and found no room: these are not lost before.

    Args:
        selections: of channels that were received meanwhile; others are left out.
    """
    total: dict[str, int] = {}
    for address, sender in later.items():
        for channel, count in _dropped_since(earlier.get(address), sender).items():
            if any(one.matches(channel) for one in selections):
                total[channel] = total.get(channel, 0) + count
    return total


def _dropped_since(earlier: Sender | None, later: Sender) -> dict[str, int]:
    return _less(later.dropped_channels, earlier.dropped_channels if earlier else {})


def _since(earlier: Sender | None, later: Sender) -> SenderAccount:
    earlier = earlier or Sender(later.address, 0, 0, {})
    dropped = _dropped_since(earlier, later)
    return SenderAccount(
        later.address,
        later.received - earlier.received + sum(dropped.values()),
        later.lost - earlier.lost - sum(dropped.values()),
        _less(_less(later.lost_channels, earlier.lost_channels), dropped),
    )


def _less(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    """The differences of counts, where there is one."""
    found = {channel: count - others.get(channel, 0) for channel, count in counts.items()}
    return {channel: count for channel, count in found.items() if count}

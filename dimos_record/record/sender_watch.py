"""What came from each sender of a bus since a session, or a segment of it, began."""

from __future__ import annotations

from collections.abc import Mapping

from dimos_record.bus.base import Bus, Sender
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
    """What came from each sender of which anything came, or was lost, meanwhile."""
    found = (_since(earlier.get(address), sender) for address, sender in later.items())
    return tuple(one for one in found if one.received or one.lost)


def _since(earlier: Sender | None, later: Sender) -> SenderAccount:
    if earlier is None:
        earlier = Sender(later.address, 0, 0, {})
    channels = {
        channel: count - earlier.lost_channels.get(channel, 0)
        for channel, count in later.lost_channels.items()
    }
    return SenderAccount(
        later.address,
        later.received - earlier.received,
        later.lost - earlier.lost,
        {channel: count for channel, count in channels.items() if count},
    )

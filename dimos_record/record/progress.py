"""Where a recording session stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from dimos_record.store.base import StreamAccount
from dimos_record.store.senders import SenderAccount


@dataclass(frozen=True)
class Progress:
    """Where a session stands, or how it ended."""

    elapsed_s: float
    waiting_bytes: int
    """Memory of the messages that wait for the writer."""
    lost_before_reception: int | None
    """Packets that the kernel dropped; None where that is not known."""
    clock_jumps: int
    segments: int
    paused: bool
    reason: str | None
    """Why it ended; None while it runs."""
    self_contained: bool
    kept: tuple[str, ...] = ()
    """What was written of the past, since a message came that keeps it."""
    accounts: dict[str, StreamAccount] = field(default_factory=dict)
    """Per stream name."""
    senders: tuple[SenderAccount, ...] = ()
    """What came from each sender, and what was lost; empty where the bus does not tell."""

    @property
    def total(self) -> StreamAccount:
        """The accounts of all streams together."""
        return sum(self.accounts.values(), StreamAccount())

    @property
    def lost_on_the_way(self) -> int | None:
        """Messages lost before reception where senders tell, else packets; None if not known."""
        return sum(one.lost for one in self.senders) or self.lost_before_reception

    @property
    def lost(self) -> int:
        """Everything that is known to be missing, nothing of it twice."""
        return self.total.dropped + (self.lost_on_the_way or 0)

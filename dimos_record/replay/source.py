"""What a player plays: streams, their extent, and rows in the order of their time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from dimos_record.bus.base import Selection
from dimos_record.store.base import Row, StreamInfo

NOTHING = Selection(include=())
"""A selection that selects no topic."""


class Source(Protocol):
    """Rows on one timeline: a recording, or a view of one. Safe to use from several threads.

    When the recording is edited, every method tells of it as the edits have left it.
    """

    @property
    def name(self) -> str:
        """What messages to people call it: the path of the recording."""

    @property
    def streams(self) -> Sequence[StreamInfo]:
        """The streams that rows come from."""

    def origin_ns(self) -> int:
        """The time of position 0: when the first message was received, as recorded."""

    def span_ns(self) -> tuple[int, int] | None:
        """Times of the first and the last message of the recording outside of skips, or None."""

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections ``[a, b)`` to jump over, in order; rows in there are state for what follows."""

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """Rows with ``start_ns <= ts_ns < end_ns`` in the order of ``ts_ns``, lazily.

        The order of rows with the same time is always the same, and reversed with `reverse`.

        Args:
            only: the topics to read; all if None.
        """

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time, in order; those in skips, too.

        Args:
            ts_ns: the playhead; rows at that time are not included.
            also: topics to treat as latched although the recording does not say that they are.
        """

"""What was saved of a damaged recording, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Gap(NamedTuple):
    """Messages of a stream that follow each other and are missing."""

    first: int
    """Number of the first one."""
    last: int
    after_ns: int | None
    """When the last one before them was received; None if none is left."""
    before_ns: int | None
    """When the first one behind them was received; None if none is left."""

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class StreamSalvage:
    """What was saved of one stream."""

    stream: str
    topic: str
    type_name: str | None
    saved: int
    unproven: int
    """Messages without a checksum: their bytes are a message of the type, as far as can be told."""
    gaps: tuple[Gap, ...]
    """Which messages are missing, by their numbers."""
    in_account: int | None
    """How many there should be, as the account of the recording says; None where that is lost."""
    first_ns: int | None
    """When the first one that was saved was received."""
    guessed: bool
    """Whether the topic is only derived from the name of the stream's table."""

    @property
    def missing(self) -> int:
        """How many messages are missing, as far as is known."""
        return sum(gap.size for gap in self.gaps)


@dataclass(frozen=True)
class SalvageReport:
    """What became of a damaged recording."""

    source: Path
    path: Path
    """The new recording."""
    streams: tuple[StreamSalvage, ...]
    lost_parts: tuple[str, ...]
    """What else is lost, in sentences: `not all of its markers can be read`."""

    @property
    def saved(self) -> int:
        """Messages of all streams that are in the new recording."""
        return sum(stream.saved for stream in self.streams)

    @property
    def missing(self) -> int:
        """Messages of all streams that are not, as far as is known."""
        return sum(stream.missing for stream in self.streams)

    @property
    def unproven(self) -> int:
        """Messages in the new recording that have no checksum."""
        return sum(stream.unproven for stream in self.streams)

    @property
    def complete(self) -> bool:
        """Whether everything was saved."""
        return not self.missing and not self.lost_parts and not any(s.guessed for s in self.streams)


def gaps(
    saved: Mapping[int, int], seen: Mapping[int, int | None], first: int, last: int
) -> tuple[Gap, ...]:
    """Which of the numbers from `first` to `last` are missing.

    Args:
        saved: number and receive time of each message that is there.
        seen: number of each message of which a part was found, with its receive time if known.
    """
    last = max(last, *saved, *seen) if saved or seen else last
    times = {number: time for number, time in seen.items() if time is not None}
    found, before = [], first - 1
    for number in (*sorted(number for number in saved if number >= first), last + 1):
        if number > before + 1:
            found.append(_gap(before + 1, number - 1, saved, times))
        before = number
    return tuple(found)


def _gap(first: int, last: int, saved: Mapping[int, int], times: Mapping[int, int]) -> Gap:
    """With the times of the missing ones where their rows are left, else of their neighbours."""
    after, before = times.get(first, saved.get(first - 1)), times.get(last, saved.get(last + 1))
    return Gap(first, last, after, before)

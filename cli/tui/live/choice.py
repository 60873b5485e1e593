"""Which topics are chosen for recording."""

from __future__ import annotations

from collections.abc import Iterable

from dimos_record.bus import Selection, split_channel
from dimos_record.bus.base import literal


class Choice:
    """Topics that are chosen, with the meaning that `RecordReplay.add_topic` and `remove_topic`
    give to what they are told, so that it can be told to a recording that runs.
    """

    def __init__(self) -> None:
        self.include: tuple[str, ...] = ()
        """Patterns that are chosen."""
        self.exclude: tuple[str, ...] = ()
        """Patterns that are not, nevertheless."""
        self._selection = Selection(())

    def has(self, channel: str) -> bool:
        """Whether a channel is chosen."""
        return self._selection.matches(channel)

    def add(self, *patterns: str) -> None:
        """Choose topics.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(patterns)
        self.include += tuple(one for one in patterns if one not in self.include)
        self.exclude = tuple(one for one in self.exclude if one not in patterns)
        self._selection = Selection.of(self.include, self.exclude)

    def remove(self, *patterns: str) -> None:
        """Do not choose topics.

        Raises:
            PatternError: a pattern cannot be read.
        """
        Selection.of(patterns)
        self.include = tuple(one for one in self.include if one not in patterns)
        self.exclude += tuple(one for one in patterns if one not in self.exclude)
        self._selection = Selection.of(self.include, self.exclude)

    def clear(self) -> None:
        """Choose nothing."""
        self.include, self.exclude, self._selection = (), (), Selection(())

    def to_add(self, pattern: str, heard: Iterable[str]) -> list[str]:
        """What to `add` so that a pattern is chosen, also where topics of it were removed."""
        wanted = Selection.of((pattern,))
        return [pattern, *self._names(one for one in heard if wanted.matches(one))]

    def _names(self, channels: Iterable[str]) -> list[str]:
        return [name for name in map(name_of, channels) if name in self.exclude]


def name_of(channel: str) -> str:
    """The pattern of one topic."""
    return literal(split_channel(channel)[0])

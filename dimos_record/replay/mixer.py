"""Which topics are heard: some are muted, or some are played alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dimos_record.bus.base import Selection
from dimos_record.errors import UnknownTopic


@dataclass(frozen=True)
class Mixer:
    """Topics by the names that they were recorded under."""

    topics: frozenset[str]
    """Those there are."""
    muted: frozenset[str] = frozenset()
    soloed: frozenset[str] = frozenset()
    """While any of these is there, nothing else is heard."""

    def among(self, topics: Iterable[str]) -> Mixer:
        """The same where there are other topics."""
        return replace(self, topics=frozenset(topics))

    def hears(self, topic: str) -> bool:
        """Whether a topic is heard."""
        alone = self.soloed & self.topics
        return topic not in self.muted and (not alone or topic in alone)

    @property
    def silent(self) -> frozenset[str]:
        """The topics that are not heard."""
        return frozenset(topic for topic in self.topics if not self.hears(topic))

    def find(self, patterns: Iterable[str], recording: str) -> frozenset[str]:
        """The topics that patterns mean.

        Raises:
            UnknownTopic: a pattern matches none.
            PatternError: one cannot be read.
        """
        known = self.topics | self.muted | self.soloed
        found: set[str] = set()
        for pattern in patterns:
            wanted = {pattern} & known or set(filter(Selection.of((pattern,)).matches, known))
            if not wanted:
                names = ", ".join(sorted(self.topics)) or "no topics"
                raise UnknownTopic(f"no topic matches {pattern!r}; {recording} plays {names}")
            found |= wanted
        return frozenset(found)

"""Counts what an import could not take over."""

from __future__ import annotations

from collections import Counter

from dimos_record.interop.importing import Problem


class Problems:
    """What could not be taken over so far."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, bool]] = Counter()

    def note(self, topic: str, schema: str, reason: str, *, imported: bool) -> None:
        """One more message of a topic; `imported`: it only lacks a field."""
        self._counts[topic, schema, reason, imported] += 1

    def clear(self) -> None:
        """Begin again."""
        self._counts.clear()

    def listed(self) -> list[Problem]:
        """All of it, by topic."""
        return sorted(
            Problem(topic, schema, reason, count, imported)
            for (topic, schema, reason, imported), count in self._counts.items()
        )

"""Things that go by themselves: markers with a lifetime."""

from __future__ import annotations

from typing import NamedTuple


class Gone(NamedTuple):
    """An entity whose time is over."""

    path: str
    at_ns: int
    """When it ended, since the epoch; log a `rr.Clear` there."""


class Lifetimes:
    """When the entities of one Rerun recording end. What is shown again before, lives longer."""

    def __init__(self) -> None:
        self._ends_ns: dict[str, int] = {}

    def note(self, path: str, ts_ns: int, lifetime_ns: int) -> None:
        """Something is logged on an entity, and stays so long; 0: until something else comes."""
        if lifetime_ns:
            self._ends_ns[path] = ts_ns + lifetime_ns
        else:
            self._ends_ns.pop(path, None)

    def gone(self, now_ns: int) -> list[Gone]:
        """What has ended by now, in the order in which it did; each is told once."""
        over = [Gone(path, end) for path, end in self._ends_ns.items() if end <= now_ns]
        for path, _end in over:
            del self._ends_ns[path]
        return sorted(over, key=lambda one: one.at_ns)

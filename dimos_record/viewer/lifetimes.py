"""Things that go by themselves: markers with a lifetime."""

from __future__ import annotations

from typing import NamedTuple

from dimos_record.viewer.times import Moment


class Gone(NamedTuple):
    """An entity whose time is over."""

    path: str
    at: Moment
    """When it ended; log a `rr.Clear` there."""


class _Living(NamedTuple):
    since: Moment
    lifetime_ns: int

    @property
    def end_ns(self) -> int:
        return self.since.ts_ns + self.lifetime_ns


class Lifetimes:
    """When the entities of one Rerun recording end. What is shown again before, lives longer."""

    def __init__(self) -> None:
        self._living: dict[str, _Living] = {}

    def note(self, path: str, at: Moment, lifetime_ns: int) -> None:
        """Something is logged on an entity, and stays so long; 0: until something else comes."""
        if lifetime_ns:
            self._living[path] = _Living(at, lifetime_ns)
        else:
            self._living.pop(path, None)

    def gone(self, now: Moment) -> list[Gone]:
        """What has ended by now, in the order in which it did; each is told once."""
        over = {path: one for path, one in self._living.items() if one.end_ns <= now.ts_ns}
        for path in over:
            del self._living[path]
        return [
            Gone(path, one.since.later(one.lifetime_ns, now.number))
            for path, one in sorted(over.items(), key=lambda item: item[1].end_ns)
        ]

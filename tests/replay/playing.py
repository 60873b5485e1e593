"""Playing a recording in a list on a bus into a list, for the tests of the player."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dimos_record.bus.base import Selection
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.replay.source import NOTHING, Source
from dimos_record.store.base import Row, StreamInfo
from tests.replay.fakes import ListBus, ListReader


def player_of(source: ListReader | Source, bus: ListBus, **options: Any) -> Player:
    options.setdefault("check_conflicts", False)
    what = Timeline(source) if isinstance(source, ListReader) else source
    return Player(what, bus, PlayOptions(**options), time=bus.time)


def play(source: ListReader | Source, bus: ListBus, **options: Any) -> Player:
    """Play to the end."""
    with player_of(source, bus, **options) as player:
        player.start()
        assert player.wait(30)
    return player


def text(bus: ListBus) -> str:
    return b"".join(bus.data).decode()


class Edited:
    """A source that is another recording after an edit."""

    def __init__(self, reader: ListReader) -> None:
        self.reader = reader

    @property
    def _now(self) -> Timeline:
        return Timeline(self.reader)

    @property
    def name(self) -> str:
        return self._now.name

    @property
    def streams(self) -> Sequence[StreamInfo]:
        return self._now.streams

    def origin_ns(self) -> int:
        return self._now.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        return self._now.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        return self._now.skips()

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        return self._now.rows(start_ns, end_ns, reverse=reverse, only=only)

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        return self._now.latched_before(ts_ns, also)

"""Those messages of a view that a replay module publishes: the plan may leave some out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dimos_record.bus.base import Selection, literal
from dimos_record.replay.source import NOTHING
from dimos_record.replay.view import ReplayView
from dimos_record.store.base import Row, StreamInfo


class Planned:
    """A view less the streams that are not to be published. It is a `Source` for a player.

    Operators see what they see in the view: one may need odometry to make something of the lidar.

    Args:
        view: the view; its recording stays open.
        channels: the recorded channels to publish.
    """

    def __init__(self, view: ReplayView, channels: Iterable[str]) -> None:
        self._channels = frozenset(channels)
        if not view.operators:  # then what is left out need not be read
            view = replace(view, selection=Selection.of(map(literal, sorted(self._channels))))
        self._view = view
        self._topics = {stream.topic for stream in self.streams}

    @property
    def name(self) -> str:
        """The name of the recording."""
        return self._view.name

    @property
    def streams(self) -> Sequence[StreamInfo]:
        """The streams to publish."""
        return [stream for stream in self._view.streams if stream.channel in self._channels]

    def origin_ns(self) -> int:
        """The time of position 0."""
        return self._view.origin_ns()

    def span_ns(self) -> tuple[int, int] | None:
        """Times of the first and the last message of the whole recording, outside of skips."""
        return self._view.span_ns()

    def skips(self) -> Sequence[tuple[int, int]]:
        """Sections of the recording of which everything was cut."""
        return self._view.skips()

    def rows(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        reverse: bool = False,
        only: Selection | None = None,
    ) -> Iterator[Row]:
        """The rows to publish, in the order of time."""
        return self._planned(self._view.rows(start_ns, end_ns, reverse=reverse, only=only))

    def latched_before(self, ts_ns: int, also: Selection = NOTHING) -> list[Row]:
        """The rows that restore the state just before a time."""
        return list(self._planned(self._view.latched_before(ts_ns, also)))

    def _planned(self, rows: Iterable[Row]) -> Iterator[Row]:
        topics = self._topics  # an operator may have changed the type, which the bus then refuses
        return (row for row in rows if row.stream.topic in topics)

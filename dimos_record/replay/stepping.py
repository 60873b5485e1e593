"""Single steps of a player: to the next message and to the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dimos_record.bus.base import Selection, several
from dimos_record.errors import OptionError
from dimos_record.replay.playback import Playback
from dimos_record.store.base import Row

Topics = str | Iterable[str]
"""A topic as recorded, a pattern, or any number of them."""


class Stepping(Playback):
    """The commands of `Player` that go by messages instead of by time."""

    def play_next(self, n: int = 1, topics: Topics | None = None) -> int:
        """Publish the next messages at once and stay paused behind them.

        A step over a skip publishes what latched state has changed in it, too.

        Args:
            n: how many.
            topics: step to the messages of these topics, and publish nothing of what lies between;
                when playing goes on, the latched state is restored first. Messages of topics that
                are muted are stepped to and not published.

        Returns:
            How many there were: fewer than `n` at the end.

        Raises:
            UnknownTopic: a pattern matches no topic.
        """
        with self._stepping(n, topics) as only:
            count = 0
            for row, before in self._head.rows_after(self._source, self._stop_ns(), only):
                if topics is None:
                    self._pass_skips(row.ts_ns)
                self._head.move_behind(row, before)
                count += self._step(row, named=topics is not None)
                if count == n or self._closed:
                    break
            return count

    def play_previous(self, n: int = 1, topics: Topics | None = None) -> int:
        """Publish the messages before the playhead, going backwards, and stay paused before them.

        Args:
            n: how many.
            topics: only those of these topics; see `play_next`.

        Returns:
            How many there were: fewer than `n` at the start of the recording.

        Raises:
            UnknownTopic: a pattern matches no topic.
        """
        with self._stepping(n, topics) as only:
            count = 0
            for row, before in self._head.rows_before(self._source, only):
                self._head.move_before(row, before)
                count += self._step(row, named=topics is not None)
                if count == n or self._closed:
                    break
            return count

    def next_position(self, topics: Topics = "*") -> float | None:
        """Position of the first message behind the playhead, for showing it; None at the end.

        Args:
            topics: of these topics only, muted or not.

        Raises:
            UnknownTopic: a pattern matches no topic.
        """
        with self._condition:
            self._check_open()
            source, extent, at_ns = self._source, self._extent, self._clock.position_ns
        rows = source.rows(at_ns + 1, extent.end_ns, only=self._only(topics))
        return next((extent.seconds(row.ts_ns) for row in rows), None)

    def previous_position(self, topics: Topics = "*") -> float | None:
        """Position of the last message before the playhead; see `next_position`."""
        with self._condition:
            self._check_open()
            source, extent, at_ns = self._source, self._extent, self._clock.position_ns
        rows = source.rows(None, at_ns, reverse=True, only=self._only(topics))
        return next((extent.seconds(row.ts_ns) for row in rows), None)

    def _only(self, topics: Topics | None) -> Selection | None:
        """What to read in order to step to these topics, or to what is heard; None for all."""
        mixer = self._mixer.among(self._topics())
        if topics is None:
            return Selection().without(mixer.silent) if mixer.silent else None
        patterns = several(topics)
        mixer.find(patterns, self._source.name)
        return None if "*" in patterns else Selection.of(patterns)

    @contextmanager
    def _stepping(self, n: int, topics: Topics | None) -> Iterator[Selection | None]:
        """Pause, restore the state before the playhead if need be, and drop what was read."""
        if n < 1:
            raise OptionError(f"cannot play {n} messages; give a number above 0")
        with self._condition:
            self._check_started()
            only = self._only(topics)
            self._state = "paused"
            self._read_again()
            if self._restore and topics is None:
                self._restore = False
                for row in self._source.latched_before(self._head.ts_ns, self._also_latched):
                    self._publish_now(row)
            yield only
            self._publish_clock()

    def _pass_skips(self, ts_ns: int) -> None:
        """Publish what latched state has changed in the skips before a time."""
        skips = self._extent.skips_between(self._head.ts_ns, ts_ns)
        if skips:
            for row in self._changed_in(skips[0][0], skips[-1][1]):
                self._publish_now(row)

    def _step(self, row: Row, *, named: bool) -> bool:
        """Publish a row, if it is heard; whether it counts as a step."""
        self._clock.seek(row.ts_ns)
        self._restore |= named  # what lies between was not published
        return self._publish_now(row) or named

"""Publishing a recording on a bus with its original timing, and controlling it meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread

from dimos_record.errors import DimosRecordError, OptionError
from dimos_record.replay.conflicts import refuse_conflicts
from dimos_record.replay.options import check_loop
from dimos_record.replay.playback import Playback, State
from dimos_record.replay.stats import PlayStats
from dimos_record.store.base import Row, StreamInfo


class Player(Playback):
    """Plays a source on a bus.

    Every command takes effect before it returns: after `pause` nothing is published, after `seek`
    nothing from the old position. Positions are seconds from the start of the recording. All
    methods can be called from any thread, also from a callback of the bus. An error in one of the
    player's two threads stops playback and is raised by `wait`, `stop` or the end of the ``with``
    block, whichever comes first.

    Args:
        source: what to play; it stays open and belongs to the caller, like the bus.
        bus: where to publish.
        options: how to play.
        on_finished: called on the publishing thread whenever the end is reached.
        on_failed: called on the publishing thread with the error that has ended playback; it is
            raised by `wait` and `stop` all the same.
        time: where the time comes from; the operating system if None.

    Raises:
        OptionError: a position in the options lies beyond the end of the recording.
    """

    def start(self) -> None:
        """Check that nothing stands in the way, then begin to play (or wait, if `paused`).

        Raises:
            OptionError: the remapping does not fit the recording.
            ChannelTooLong: the bus cannot carry one of the names.
            CommandsRefused: commands would reach beyond this machine.
            PublisherConflict: somebody is publishing one of the topics right now.
            DimosRecordError: the player was started or closed before.
        """
        with self._condition:
            if self._closed or self._begun:
                raise DimosRecordError("a player is started once; make a new one to play again")
            self._begun = True
        channels = self._output.open(self._source.streams, self._source.name)
        if self._options.check_conflicts:
            refuse_conflicts(self._bus, channels, self._options.listen_s, self._wait_for_close)
        self._output.announce()
        with self._condition:
            closed = self._closed
            if not closed:
                self._begin()
        if closed:
            self._output.close()

    @property
    def state(self) -> State:
        """`playing`, `paused`, `finished` (the end was reached) or `stopped` (also not started)."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether it plays no more: it was stopped or closed, or something went wrong."""
        return self._closed

    @property
    def position(self) -> float:
        """Where the playhead is, in seconds from the start of the recording."""
        with self._condition:
            position_s = (self._clock.position_ns - self._first_ns) / 1e9
            return min(max(position_s, 0.0), self._duration_s)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last message of the recording."""
        return self._duration_s

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """What is played."""
        return tuple(self._source.streams)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Selected topics that are not played, since they hold numbers without wire bytes."""
        return self._left_out

    @property
    def rate(self) -> float:
        """Recorded seconds per second; infinity is as fast as possible."""
        return self._clock.rate

    def pause(self) -> None:
        """Hold playback where it is."""
        with self._condition:
            self._check_started()
            if self._state == "playing":
                self._state = "paused"
                self._clock.pause()
                self._publish_clock()

    def resume(self) -> None:
        """Go on from the playhead; from the beginning again when the end was reached."""
        with self._condition:
            self._check_started()
            if self._state == "finished":
                self._move(self._loop[0] if self._loop else self._begin_ns)
            self._state = "playing"
            if self._rolling == self._generation:
                self._clock.resume()
                self._publish_clock()
            self._condition.notify_all()

    def toggle(self) -> None:
        """Pause if playing, else resume."""
        with self._condition:
            if self._state == "playing":
                self.pause()
            else:
                self.resume()

    def seek(self, position_s: float) -> None:
        """Move the playhead, within the recording; the state before it is republished first.

        Playing goes on from there. After the end was reached, it waits there, paused. Before
        `start` it is where playback will begin.

        Raises:
            OptionError: the position is not a number.
        """
        if math.isnan(position_s):
            raise OptionError("cannot seek to a position that is not a number")
        with self._condition:
            self._check_open()
            last_s = (self._end_ns - self._first_ns) / 1e9
            self._move(self._ns(min(max(position_s, 0.0), last_s)))
            if self._state == "finished":
                self._state = "paused"
            if self._state != "stopped":
                self._publish_clock()

    def set_rate(self, rate: float) -> None:
        """Change the rate; infinity is as fast as possible.

        Raises:
            OptionError: the rate is zero, negative or not a number.
        """
        with self._condition:
            self._clock.set_rate(rate)
            self._condition.notify_all()

    def loop(self, a_s: float | None, b_s: float | None = None) -> None:
        """Play ``[a_s, b_s)`` again and again once its end is reached; ``loop(None)`` ends that.

        Args:
            a_s: where each pass begins.
            b_s: where it ends; the end of playback if None.

        Raises:
            OptionError: the section is empty or lies beyond the end of the recording.
        """
        if a_s is not None:
            check_loop(a_s, b_s)
        with self._condition:
            self._check_open()
            self._loop = None if a_s is None else self._section(a_s, b_s)
            self._read_again()

    def play_next(self, n: int = 1) -> int:
        """Publish the next messages at once and stay paused behind them.

        Returns:
            How many there were: fewer than `n` at the end.
        """
        with self._stepping(n):
            count = 0
            for row in self._head.rows_after(self._source, self._stop_ns()):
                self._head.passed(row)
                self._step(row)
                count += 1
                if count == n:
                    break
            return count

    def play_previous(self, n: int = 1) -> int:
        """Publish the messages before the playhead, going backwards, and stay paused before them.

        Returns:
            How many there were: fewer than `n` at the start of the recording.
        """
        with self._stepping(n):
            count = 0
            for row, before in self._head.rows_before(self._source):
                self._head.move(row.ts_ns, before)
                self._step(row)
                count += 1
                if count == n:
                    break
            return count

    @property
    def stats(self) -> PlayStats:
        """What has been published so far, how late, and what comes next."""
        with self._condition:
            now_ns = self._time.monotonic_ns()
            meter = self._meter
            return PlayStats(
                state=self._state,
                position_s=self.position,
                duration_s=self._duration_s,
                rate=self._clock.rate,
                published=meter.published,
                bytes=self._output.bytes,
                topics=self._output.topics(),
                messages_per_s=meter.messages_per_s(now_ns),
                next_due_s=self._next_due_s(),
                late=meter.late,
                max_late_s=meter.max_late_ns / 1e9,
                mean_late_s=meter.late_ns / 1e9 / max(1, meter.late),
                skipped_stamps=self._stamps.skipped_stamps if self._stamps else 0,
                unshifted=self._output.unshifted,
            )

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end is reached or the player is stopped.

        Returns:
            Whether it was, within `timeout_s`.

        Raises:
            Exception: what went wrong in one of the player's threads.
        """
        with self._condition:
            over = self._condition.wait_for(
                lambda: self._state in ("finished", "stopped"), timeout_s
            )
        self._raise_error()
        return over

    def stop(self) -> None:
        """End playback and the player's threads.

        Raises:
            Exception: what went wrong in one of them, unless it has been raised already.
        """
        self.close()
        self._raise_error()

    def close(self) -> None:
        """End the threads; nothing is published any more. Closing twice is harmless."""
        with self._condition:
            self._closed = True
            self._clock.pause()
            if self._state != "finished":
                self._state = "stopped"
            self._condition.notify_all()
        self._read_ahead.close()
        if current_thread() is not self._thread and self._thread.ident is not None:
            with self._condition:  # waiting here releases the lock, whoever of us holds it
                self._condition.wait_for(lambda: not self._running)
            self._thread.join()
        self._output.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, exc_type: object, *exc: object) -> None:
        if exc_type is None:
            self.stop()
        else:
            self.close()

    def _begin(self) -> None:
        self._state = "paused" if self._options.paused else "playing"
        self._not_before_ns = self._time.monotonic_ns() + int(self._options.delay_s * 1e9)
        self._read_ahead.start()
        self._running = True
        self._thread.start()

    @contextmanager
    def _stepping(self, n: int) -> Iterator[None]:
        """Pause, restore the state before the playhead if need be, and drop what was read."""
        if n < 1:
            raise OptionError(f"cannot play {n} messages; give a number above 0")
        with self._condition:
            self._check_started()
            self._state = "paused"
            self._read_again()
            if self._restore:
                self._restore = False
                for row in self._source.latched_before(self._head.ts_ns, self._also_latched):
                    self._publish_now(row)
            yield
            self._publish_clock()

    def _step(self, row: Row) -> None:
        self._clock.seek(row.ts_ns)
        self._publish_now(row)

    def _next_due_s(self) -> float | None:
        if self._next_ns is None:
            return None
        return max(0.0, (self._next_ns - self._clock.position_ns) / 1e9 / self._clock.rate)

    def _check_open(self) -> None:
        self._raise_error()
        if self._closed:
            raise DimosRecordError("the player was stopped; make a new one to play again")

    def _check_started(self) -> None:
        self._check_open()
        if self._state == "stopped":
            raise DimosRecordError("the player is not started; call start() first")

    def _wait_for_close(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._closed, seconds)

    def _raise_error(self) -> None:
        with self._condition:
            error, self._error = self._error, None
        if error is not None:
            raise error

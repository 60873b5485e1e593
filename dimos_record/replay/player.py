"""Publishing a recording on a bus with its original timing, and controlling it meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace
from threading import current_thread

from dimos_record.errors import DimosRecordError, OptionError
from dimos_record.replay.conflicts import refuse_conflicts
from dimos_record.replay.extent import Loop
from dimos_record.replay.options import check_loop
from dimos_record.replay.playback import State
from dimos_record.replay.stats import PlayStats
from dimos_record.replay.stepping import Stepping
from dimos_record.store.base import StreamInfo


class Player(Stepping):
    """Plays a source on a bus.

    Every command takes effect before it returns: after `pause` nothing is published, after `seek`
    nothing from the old position. Positions are seconds from the start of the recording as it was
    recorded; sections that were cut are jumped over, as soon as they are reached. All methods can
    be called from any thread, also from a callback of the bus. An error in one of the player's two
    threads stops playback and is raised by `wait`, `stop` or the end of the ``with`` block,
    whichever comes first.

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
        """Where the playhead is, in seconds from the start of the recording as recorded."""
        with self._condition:
            return self._extent.shown(self._clock.position_ns)

    @property
    def duration(self) -> float:
        """Position of the last message: seconds from the start of the recording as recorded.

        Something cut off at the start does not make it shorter.
        """
        return self._extent.duration_s

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
                self._move(self._loop[0] if self._loop else self._extent.begin_ns)
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

        In a section that was cut it goes to its end, or to its start where nothing follows.
        Playing goes on from there. After the end was reached, it waits there, paused. Before
        `start` it is where playback will begin.

        Raises:
            OptionError: the position is not a number.
        """
        if math.isnan(position_s):
            raise OptionError("cannot seek to a position that is not a number")
        with self._condition:
            self._check_open()
            self._move(self._extent.nearest(self._extent.ns(position_s)))
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
        wanted: Loop = False if a_s is None else (a_s, b_s)
        if a_s is not None:
            check_loop(a_s, b_s)
        with self._condition:
            self._check_open()
            self._extent.check_loop(wanted)
            self._loop_wanted, self._loop = wanted, self._extent.loop(wanted)
            self._read_again()

    def mute(self, *topics: str) -> None:
        """Publish topics no more, while time goes on; names as recorded, or patterns.

        Raises:
            UnknownTopic: one is not there.
        """
        with self._condition:
            self._hear(muted=self._mixer.muted | self._find(topics))

    def unmute(self, *topics: str) -> None:
        """Publish muted topics again; their latched state is republished at once.

        Raises:
            UnknownTopic: one is not there.
        """
        with self._condition:
            self._hear(muted=self._mixer.muted - self._find(topics))

    def solo(self, *topics: str) -> None:
        """Publish nothing but these topics and those that play alone already.

        Raises:
            UnknownTopic: one is not there.
        """
        with self._condition:
            self._hear(soloed=self._mixer.soloed | self._find(topics))

    def unsolo(self, *topics: str) -> None:
        """Let topics play alone no more; the last one brings the others back.

        Raises:
            UnknownTopic: one is not there.
        """
        with self._condition:
            self._hear(soloed=self._mixer.soloed - self._find(topics))

    @property
    def muted(self) -> frozenset[str]:
        """The topics that are muted, as recorded."""
        return self._mixer.muted

    @property
    def soloed(self) -> frozenset[str]:
        """The topics that play alone, as recorded; empty if all play."""
        return self._mixer.soloed

    def refresh(self) -> None:
        """Obey the edits of the recording, which have changed; does nothing once it is closed.

        Playback goes on from the playhead, in the same state. The playhead moves, as in `seek`,
        only where what it was in was cut; if nothing is left to play, the end is reached. Topics
        that are new are published, too, without listening for other publishers.

        Raises:
            OptionError, ChannelTooLong, CommandsRefused: one of these cannot be published (see
                `start`); playback has ended.
        """
        with self._condition:
            if self._closed:
                return
            begin_ns = self._extent.begin_ns
            self._look()
            self._loop = self._extent.loop(self._loop_wanted)
            self._mixer = self._mixer.among(self._topics())
            self._output.hear(self._mixer.hears)
            if self._begun:
                try:
                    self._output.open_more(self._source.streams)
                except DimosRecordError:
                    self.close()
                    raise
            self._find_place(begin_ns)

    @property
    def stats(self) -> PlayStats:
        """What has been published so far, how late, and what comes next."""
        with self._condition:
            now_ns = self._time.monotonic_ns()
            meter = self._meter
            return PlayStats(
                state=self._state,
                position_s=self.position,
                duration_s=self._extent.duration_s,
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

    def _next_due_s(self) -> float | None:
        if self._next_ns is None:
            return None
        return max(0.0, (self._next_ns - self._clock.position_ns) / 1e9 / self._clock.rate)

    def _wait_for_close(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._closed, seconds)

    def _find(self, topics: tuple[str, ...]) -> frozenset[str]:
        self._check_open()
        self._mixer = self._mixer.among(self._topics())
        return self._mixer.find(topics, self._source.name)

    def _hear(self, **changes: frozenset[str]) -> None:
        """Change what is heard; who comes back gets the state that was missed."""
        before, self._mixer = self._mixer, replace(self._mixer, **changes)
        self._output.hear(self._mixer.hears)
        back = [
            stream.topic
            for stream in self._source.streams
            if (stream.latched or self._also_latched.matches(stream.channel))
            and self._mixer.hears(stream.topic)
            and not before.hears(stream.topic)
        ]
        if back and self._state != "stopped" and not self._restore:
            passed_ns = self._head.ts_ns + bool(self._head.done)
            for row in self._source.latched_before(passed_ns, self._also_latched):
                if row.stream.topic in back:
                    self._publish_now(row)

    def _find_place(self, begin_ns: int) -> None:
        """Go on where playback is, if that is still there; `begin_ns` is where it would begin."""
        extent, at_ns = self._extent, self._clock.position_ns
        at_begin = self._state == "stopped" and at_ns == begin_ns
        target_ns = extent.begin_ns if at_begin else extent.nearest(at_ns)
        if target_ns != at_ns:
            self._move(target_ns)
            if self._state == "playing" and target_ns == extent.end_ns:
                self._restore = False  # nobody needs it: this is the end
            if self._state != "stopped":
                self._publish_clock()
        else:
            if at_ns > self._head.ts_ns and self._next_ns is not None and self._next_ns > at_ns:
                self._head.move(at_ns)  # nothing is late: what an edit brought back in between is
            else:
                self._head.count_again(self._source)
            self._read_again()

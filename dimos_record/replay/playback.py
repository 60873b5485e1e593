"""The thread that publishes rows when they are due, and the state that steers it."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Generator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Literal

from dimos_record.bus.base import Bus, Selection
from dimos_record.errors import BusError, DimosRecordError
from dimos_record.replay.clock import PlaybackClock
from dimos_record.replay.extent import Extent, Loop, Section
from dimos_record.replay.mixer import Mixer
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.output import Lane, Output
from dimos_record.replay.pacing import StampPaced
from dimos_record.replay.playhead import Playhead
from dimos_record.replay.publishable import Publishable
from dimos_record.replay.read_ahead import ReadAhead, Reading
from dimos_record.replay.source import Source
from dimos_record.replay.stats import Meter
from dimos_record.replay.timing import SystemTime, Time, ask_for_exact_wakeups, bring_near
from dimos_record.store.base import Row

_LOG = logging.getLogger(__name__)

State = Literal["playing", "paused", "finished", "stopped"]

_NEAR_NS = 2_000_000
"""A wait shorter than this is slept through exactly; a longer one ends at once on a command."""
_WARM_UP_NS = 200_000
"""In a wait longer than this there is time to bring near what is sent after it."""
_MIN_PASS_NS = 10_000_000
"""A loop over next to nothing must not flood the bus."""
_WARN_EVERY_NS = 5_000_000_000


class Playback:
    """What `Player` is built on: everything but the commands.

    One lock guards all of it. The rows of one *reading* are published in order; whatever makes
    them the wrong rows (a seek, a step, another end) raises the generation, at which the publishing
    thread drops them and begins a new reading at the playhead.
    """

    def __init__(
        self,
        source: Source,
        bus: Bus,
        options: PlayOptions | None = None,
        *,
        on_finished: Callable[[], object] | None = None,
        on_failed: Callable[[Exception], object] | None = None,
        time: Time | None = None,
    ) -> None:
        self._options = options = options or PlayOptions()
        self._given = source
        self._stamps: StampPaced | None = None
        self._bus = bus
        self._on_finished, self._on_failed = on_finished, on_failed
        self._time = time or SystemTime()
        self._output = Output(bus, options)
        self._meter = Meter(options.late_after_s)
        self._also_latched = Selection.of(options.latched)
        self._look()
        self._extent.check(options)
        self._loop_wanted: Loop = options.loop
        self._loop = self._extent.loop(options.loop)
        self._mixer = Mixer(frozenset(self._topics()))

        self._condition = threading.Condition(threading.RLock())
        self._state: State = "stopped"
        begin_ns = self._extent.begin_ns
        self._head = Playhead(begin_ns)
        self._clock = PlaybackClock(begin_ns, options.speed, self._time.monotonic_ns)
        self._restore = True
        """Whether the latched state before the playhead is still to be published."""
        self._generation = 0
        self._rolling: int | None = None
        """The generation whose rows are being published; the clock runs only for this one."""
        self._next_ns: int | None = None
        """Position of the row that the publishing thread waits for."""
        self._not_before_ns = 0
        self._wall_offset_ns = 0
        """UNIX time less monotonic time."""
        self._next_tick_ns: float = 0 if options.clock_topic else math.inf
        self._next_warning_ns = 0
        self._started_ns = 0
        self._begun = False
        self._running = False
        self._closed = False
        self._error: Exception | None = None
        self._read_ahead = ReadAhead(self._condition)
        self._thread = threading.Thread(target=self._run, name="replay-publisher", daemon=True)

    def _look(self) -> None:
        """Look at what there is to play."""
        publishable = Publishable(self._given)
        self._left_out = tuple(publishable.left_out)
        self._source: Source = publishable
        if self._options.pace == "stamp":
            skipped = self._stamps.skipped_stamps if self._stamps else 0
            self._source = self._stamps = StampPaced(publishable, skipped)
        self._extent = Extent.of(self._source, self._options)

    def _topics(self) -> set[str]:
        """The topics there are, as recorded, and those that operators have made of them so far."""
        return self._output.made | {stream.topic for stream in self._source.streams}

    def _stop_ns(self) -> int:
        """Where the rows to be played end: at B of a loop, unless the playhead is behind it."""
        if self._loop is not None and self._head.ts_ns < self._loop[1]:
            return self._loop[1]
        return self._extent.end_ns

    # Changes, called with the lock held.

    def _move(self, position_ns: int) -> None:
        self._head.move(position_ns)
        self._clock.seek(position_ns)
        self._restore = True
        self._read_again()

    def _read_again(self) -> None:
        """Drop the rows that were read and, when playing, read again from the playhead."""
        self._clock.pause()
        self._read_ahead.drop()
        self._generation += 1
        self._next_ns = None
        self._condition.notify_all()

    def _is_over(self, generation: int) -> bool:
        return self._generation != generation or self._closed

    # The publishing thread.

    def _run(self) -> None:
        ask_for_exact_wakeups()
        error: Exception | None = None
        try:
            while (generation := self._next_generation()) is not None:
                self._play(generation)
        except Exception as caught:  # noqa: BLE001 - kept for `wait` and `stop`, which raise it
            error = caught
        with self._condition:
            self._running = False
            if error is not None:
                self._error = error
                self._closed = True
                self._state = "stopped"
                self._clock.pause()
            self._condition.notify_all()
        if error is not None:
            self._output.close()
            if self._on_failed is not None:
                self._on_failed(error)

    def _next_generation(self) -> int | None:
        with self._condition:
            while self._state != "playing" and not self._closed:
                self._time.wait(self._condition, None)
            return None if self._closed else self._generation

    def _play(self, generation: int) -> None:
        """Publish from the playhead to the end, unless another generation begins meanwhile."""
        with self._condition:
            source, stop_ns = self._source, self._stop_ns()
            reading = self._read_ahead.begin(source, self._head.ts_ns, self._head.done, stop_ns)
            skips = deque(self._extent.skips_between(self._clock.position_ns, stop_ns))
            latched_before_ns = self._head.ts_ns if self._restore else None
        state: list[Row] = []
        if latched_before_ns is not None:
            state = source.latched_before(latched_before_ns, self._also_latched)
        if not self._roll(generation, reading, state):
            return
        while batch := self._next_batch(generation, reading):
            if not self._publish_batch(batch, skips, generation):
                return
        if not all(self._cross(skip, generation) for skip in skips):
            return
        if self._loop is not None:
            self._when_due(stop_ns, generation, self._loop_back)
        else:
            self._finish(generation)

    def _publish_batch(self, batch: deque[Row], skips: deque[Section], generation: int) -> bool:
        """Publish rows when they are due, after a jump over every skip that lies before them.

        Returns:
            False if another generation began before that.
        """
        while batch:
            position_ns = batch[0].ts_ns
            if skips and skips[0][0] <= position_ns:
                going_on = self._cross(skips.popleft(), generation)
            else:
                until_ns = skips[0][0] if skips else math.inf
                going_on = self._when_due(
                    position_ns, generation, self._publish, batch, until_ns, first=batch[0].data
                )
            if not going_on:
                return False
        return True

    def _cross(self, skip: Section, generation: int) -> bool:
        """Wait for the start of a skip, go on at its end, and publish what state changed in it.

        Returns:
            False if another generation began before that.
        """
        changed = self._changed_in(*skip)
        return self._when_due(skip[0], generation, self._jump, generation, skip, changed)

    def _changed_in(self, a_ns: int, b_ns: int) -> list[Row]:
        """The latched state at the end of a section, less what is from before the section."""
        state = self._source.latched_before(b_ns, self._also_latched)
        return [row for row in state if row.ts_ns >= a_ns]

    def _jump(
        self, due_ns: int, now_ns: int, generation: int, skip: Section, changed: list[Row]
    ) -> None:
        if self._clock.rate == math.inf or now_ns - due_ns > _NEAR_NS:
            self._clock.seek(skip[1])  # also when finding the state has taken long
            due_ns = now_ns
        else:
            self._clock.jump(*skip)
        self._head.move(skip[1])
        self._publish_state(changed, generation, due_ns + self._wall_offset_ns)
        if not self._is_over(generation):
            self._publish_clock()

    def _publish_state(self, rows: list[Row], generation: int, wall_ns: int) -> None:
        """Publish latched state, until a receiver of it gives another command."""
        if self._is_over(generation):
            return
        self._restore = False
        for left, row in zip(reversed(range(len(rows))), rows, strict=True):
            if self._is_over(generation):
                return
            self._restore = left > 0
            if self._output.publish(row, wall_ns):
                self._meter.count(self._time.monotonic_ns())

    def _roll(self, generation: int, reading: Reading, state: list[Row]) -> bool:
        """Wait until all is ready, restore the latched state, and start the clock."""
        with self._condition:
            while not self._is_over(generation):
                left_ns = self._not_before_ns - self._time.monotonic_ns()
                if self._state != "playing" or not reading.ready:
                    self._time.wait(self._condition, None)
                elif left_ns > 0:
                    self._time.wait(self._condition, left_ns)
                else:
                    break
            self._wall_offset_ns = self._time.wall_ns() - self._time.monotonic_ns()
            self._publish_state(state, generation, self._time.wall_ns())
            if self._is_over(generation):
                return False
            self._rolling = generation
            self._started_ns = self._time.monotonic_ns()
            if self._state == "playing":
                self._clock.resume()
            self._publish_clock()
            return True

    def _next_batch(self, generation: int, reading: Reading) -> deque[Row] | None:
        with self._condition:
            while not reading.ready and not self._is_over(generation):
                self._time.wait(self._condition, None)
            return None if self._is_over(generation) else self._read_ahead.take(reading)

    def _when_due(
        self,
        position_ns: int,
        generation: int,
        act: Callable[..., None],
        *args: object,
        first: bytes = b"",
    ) -> bool:
        """Call ``act(due_ns, now_ns, *args)`` with the lock held when a position is reached.

        Args:
            first: the bytes that it sends first.

        Returns:
            False if another generation began before that.
        """
        while True:
            with self._condition:
                if self._generation != generation or self._closed:
                    return False
                now_ns = self._time.monotonic_ns()
                due_ns = self._clock.due_ns(position_ns)
                if due_ns is not None and now_ns >= self._next_tick_ns:
                    self._tick(now_ns)
                    continue  # a receiver of the clock may have given a command
                if due_ns is not None and due_ns <= now_ns:
                    act(due_ns, now_ns, *args)
                    return True
                self._next_ns = position_ns
                if due_ns is None:
                    self._time.wait(self._condition, None)
                    continue
                wake_ns = min(due_ns - _NEAR_NS // 2, self._next_tick_ns)
                if due_ns - now_ns > _NEAR_NS:
                    self._time.wait(self._condition, int(wake_ns - now_ns))
                    continue
            if due_ns - now_ns > _WARM_UP_NS:
                bring_near(first)
            self._time.sleep_until(due_ns)

    def _publish(self, _due_ns: int, _now_ns: int, batch: deque[Row], until_ns: float) -> None:
        """Publish the rows of a batch that are due, before a position; at full speed all.

        A bus that takes them all before it sends one does not tell, when it fails, how many it has
        sent: none of them counts then.
        """
        counted: list[tuple[Lane, bytes]] = []
        mark, messages = self._meter.mark(), self._due_messages(batch, until_ns, counted)
        try:
            self._output.publish_all(messages)
        except BusError:
            if getgeneratorstate(messages) == GEN_CLOSED:  # else it took one after the other
                self._meter.go_back(mark)
                for lane, data in counted:
                    lane.take_back(data)
            raise

    def _due_messages(
        self, batch: deque[Row], until_ns: float, counted: list[tuple[Lane, bytes]]
    ) -> Generator[tuple[str, bytes], None, None]:
        """Take the rows that are due now from a batch, until a receiver of one gives a command.

        Nothing is due while the clock stands, as it does after every command that makes these the
        wrong rows.
        """
        head, clock, output, meter = self._head, self._clock, self._output, self._meter
        while batch:
            row, now_ns, due_ns = batch[0], self._time.monotonic_ns(), clock.due_ns(batch[0].ts_ns)
            if row.ts_ns >= until_ns or now_ns >= self._next_tick_ns:
                return
            if due_ns is None or due_ns > now_ns:
                return
            batch.popleft()
            head.passed(row)
            clock.reached(row.ts_ns)
            if clock.rate == math.inf:
                due_ns = now_ns
            lane = output.lane(row.stream)
            if lane.silent:
                continue
            data = lane.data(row, due_ns + self._wall_offset_ns)
            yield lane.channel, data
            lane.count(data)
            counted.append((lane, data))
            if meter.count(now_ns, now_ns - due_ns):
                self._warn(row, now_ns, now_ns - due_ns)

    def _warn(self, row: Row, now_ns: int, late_ns: int) -> None:
        """Tell now and then that messages are late."""
        if now_ns >= self._next_warning_ns:
            self._next_warning_ns = now_ns + _WARN_EVERY_NS
            _LOG.warning(
                "%s: messages are published late, %s by %.0f ms; the disk, the machine or a "
                "receiver does not keep up",
                self._source.name,
                row.stream.topic,
                late_ns / 1e6,
            )

    def _publish_now(self, row: Row) -> bool:
        """Publish a row out of its time, if it is heard: of the latched state, or a single step."""
        if self._closed:  # by a receiver of the row before
            return False
        heard = self._output.publish(row, self._time.wall_ns())
        if heard:
            self._meter.count(self._time.monotonic_ns())
        return heard

    def _tick(self, now_ns: int) -> None:
        period_ns = int(1e9 / self._options.clock_hz)
        next_ns = self._next_tick_ns + period_ns
        self._next_tick_ns = next_ns if next_ns > now_ns else now_ns + period_ns
        self._publish_clock()

    def _publish_clock(self) -> None:
        """Publish the time of playback, if that was asked for: restamped, it is the time now."""
        if self._options.clock_topic is not None and not self._closed:
            now_ns = self._time.wall_ns() if self._options.restamp else self._clock.position_ns
            self._output.publish_clock(now_ns)
            self._meter.count(self._time.monotonic_ns())

    def _loop_back(self, _due_ns: int, _now_ns: int) -> None:
        if self._loop is not None:
            self._not_before_ns = self._started_ns + _MIN_PASS_NS
            self._move(self._loop[0])

    def _finish(self, generation: int) -> None:
        with self._condition:
            if self._is_over(generation):
                return
            self._state = "finished"
            self._clock.seek(self._extent.end_ns)
            self._read_again()
        if self._on_finished is not None:
            self._on_finished()

    # Checks of commands.

    def _check_open(self) -> None:
        self._raise_error()
        if self._closed:
            raise DimosRecordError("the player was stopped; make a new one to play again")

    def _check_started(self) -> None:
        self._check_open()
        if self._state == "stopped":
            raise DimosRecordError("the player is not started; call start() first")

    def _raise_error(self) -> None:
        with self._condition:
            error, self._error = self._error, None
        if error is not None:
            raise error

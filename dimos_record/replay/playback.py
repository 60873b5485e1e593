"""The thread that publishes rows when they are due, and the state that steers it."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Literal

from dimos_record.bus.base import Bus, Selection
from dimos_record.errors import OptionError
from dimos_record.replay.clock import PlaybackClock
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.output import Output
from dimos_record.replay.pacing import StampPaced
from dimos_record.replay.playhead import Playhead
from dimos_record.replay.publishable import Publishable
from dimos_record.replay.read_ahead import ReadAhead, Reading
from dimos_record.replay.source import Source
from dimos_record.replay.stats import Meter
from dimos_record.replay.timing import SystemTime, Time, ask_for_exact_wakeups
from dimos_record.store.base import Row

_LOG = logging.getLogger(__name__)

State = Literal["playing", "paused", "finished", "stopped"]

_NEAR_NS = 2_000_000
"""A wait shorter than this is slept through exactly; a longer one ends at once on a command."""
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
        publishable = Publishable(source)
        self._left_out = tuple(publishable.left_out)
        self._stamps = StampPaced(publishable) if options.pace == "stamp" else None
        self._source: Source = self._stamps or publishable
        self._bus = bus
        self._on_finished, self._on_failed = on_finished, on_failed
        self._time = time or SystemTime()
        self._output = Output(bus, options)
        self._meter = Meter(options.late_after_s)
        self._also_latched = Selection.of(options.latched)
        self._set_extent()

        self._condition = threading.Condition(threading.RLock())
        self._state: State = "stopped"
        self._head = Playhead(self._begin_ns)
        self._clock = PlaybackClock(self._begin_ns, options.speed, self._time.monotonic_ns)
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
        self._read_ahead = ReadAhead(self._source, self._condition)
        self._thread = threading.Thread(target=self._run, name="replay-publisher", daemon=True)

    # The extent of playback, in ns on the recording's timeline.

    def _set_extent(self) -> None:
        options = self._options
        first_ns, last_ns = self._source.span_ns() or (0, 0)
        self._first_ns = first_ns
        self._duration_s = (last_ns - first_ns) / 1e9
        self._end_ns = last_ns + 1
        if options.end_s is not None:
            self._end_ns = min(self._end_ns, self._ns(options.end_s))
        self._begin_ns = self._ns(options.start_s or 0.0)
        self._check_inside("--start", self._begin_ns)
        self._loop: tuple[int, int] | None = None
        if isinstance(options.loop, tuple):
            a_s, b_s = options.loop
            self._loop = self._section(a_s, None if b_s == math.inf else b_s)
            if options.start_s is None:
                self._begin_ns = self._loop[0]
        elif options.loop:
            self._loop = (self._begin_ns, self._end_ns)

    def _ns(self, position_s: float) -> int:
        return self._first_ns + round(position_s * 1e9)

    def _section(self, a_s: float, b_s: float | None) -> tuple[int, int]:
        a_ns = self._ns(a_s)
        self._check_inside("the loop's start", a_ns)
        return a_ns, self._end_ns if b_s is None else min(self._ns(b_s), self._end_ns)

    def _check_inside(self, option: str, position_ns: int) -> None:
        if position_ns >= self._end_ns:
            raise OptionError(
                f"{option} ({(position_ns - self._first_ns) / 1e9:g} s) lies beyond the end of "
                f"{self._source.name} ({(self._end_ns - self._first_ns) / 1e9:.3f} s)"
            )

    def _stop_ns(self) -> int:
        """Where the rows to be played end: at B of a loop, unless the playhead is behind it."""
        if self._loop is not None and self._head.ts_ns < self._loop[1]:
            return self._loop[1]
        return self._end_ns

    # Changes, called with the lock held.

    def _move(self, position_ns: int) -> None:
        self._head.move(position_ns)
        self._clock.seek(position_ns)
        self._restore = True
        self._read_again()

    def _read_again(self) -> None:
        """Drop the rows that were read and, when playing, read again from the playhead."""
        self._clock.pause()
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
            stop_ns = self._stop_ns()
            reading = self._read_ahead.begin(self._head.ts_ns, self._head.done, stop_ns)
            latched_before_ns = self._head.ts_ns if self._restore else None
        state: list[Row] = []
        if latched_before_ns is not None:
            state = self._source.latched_before(latched_before_ns, self._also_latched)
        if not self._roll(generation, reading, state):
            return
        while batch := self._next_batch(generation, reading):
            for row in batch:
                if not self._when_due(row.ts_ns, generation, self._publish, row):
                    return
        if self._loop is not None:
            self._when_due(stop_ns, generation, self._loop_back)
        else:
            self._finish(generation)

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
            if not self._is_over(generation):
                self._restore = False
                for row in state:
                    self._publish_now(row)
            if self._is_over(generation):  # a receiver of the state may have given a command
                return False
            self._rolling = generation
            self._started_ns = self._time.monotonic_ns()
            if self._state == "playing":
                self._clock.resume()
            self._publish_clock()
            return True

    def _next_batch(self, generation: int, reading: Reading) -> list[Row] | None:
        with self._condition:
            while not reading.ready and not self._is_over(generation):
                self._time.wait(self._condition, None)
            return None if self._is_over(generation) else self._read_ahead.take(reading)

    def _when_due(
        self, position_ns: int, generation: int, act: Callable[..., None], *args: object
    ) -> bool:
        """Call ``act(due_ns, now_ns, *args)`` with the lock held when a position is reached.

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
            self._time.sleep_until(due_ns)

    def _publish(self, due_ns: int, now_ns: int, row: Row) -> None:
        self._head.passed(row)
        late_ns = 0
        if self._clock.rate == math.inf:
            self._clock.reached(row.ts_ns)
            due_ns = now_ns
        else:
            late_ns = now_ns - due_ns
        self._output.publish(row, due_ns + self._wall_offset_ns)
        if self._meter.count(now_ns, late_ns) and now_ns >= self._next_warning_ns:
            self._next_warning_ns = now_ns + _WARN_EVERY_NS
            _LOG.warning(
                "%s: messages are published late, %s by %.0f ms; the disk, the machine or a "
                "receiver does not keep up",
                self._source.name,
                row.stream.topic,
                late_ns / 1e6,
            )

    def _publish_now(self, row: Row) -> None:
        """Publish a row out of its time: the state before the playhead, or a single step."""
        if self._closed:  # by a receiver of the row before
            return
        self._output.publish(row, self._time.wall_ns())
        self._meter.count(self._time.monotonic_ns())

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
            self._clock.seek(self._end_ns)
            self._read_again()
        if self._on_finished is not None:
            self._on_finished()

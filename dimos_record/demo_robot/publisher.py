"""Publishing the demo robot on a bus, at a real robot's rates.

Every message has an absolute due time, so rates do not drift. A publisher that falls behind
catches up: nothing is left out, except pictures that have become too old, which are counted.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from dimos_record.bus.base import Selection
from dimos_record.demo_robot.robot import DemoRobot
from dimos_record.demo_robot.sensors import Sample, Sensor, Sensors
from dimos_record.demo_robot.topics import CAMERA_TOPIC, TOPICS, DemoTopic
from dimos_record.errors import DecodeError, OptionError

MAX_CAMERA_HZ = 30.0
MAX_RATE_HZ = 1000.0
SECOND_NS = 1_000_000_000
MAX_PICTURE_DELAY_NS = 200_000_000

log = logging.getLogger(__name__)


class Publishes(Protocol):
    """The one method of `dimos_record.bus.base.Bus` that is needed."""

    def publish(self, channel: str, data: bytes) -> None:
        """Send raw bytes."""


class Clock(Protocol):
    """Where the publisher gets its time from."""

    def time_ns(self) -> int:
        """Wall clock, since the UNIX epoch."""

    def monotonic_ns(self) -> int:
        """A clock that nobody sets."""

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> bool:
        """Wait for a time of the monotonic clock; False at once when `stop` is set."""


class SystemClock:
    """The computer's own clocks."""

    time_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> bool:
        """Wait for a time of the monotonic clock; False at once when `stop` is set."""
        return not stop.wait(max(0, deadline_ns - time.monotonic_ns()) / SECOND_NS)


class Progress(NamedTuple):
    """How far the publisher has come."""

    elapsed_s: float
    published: dict[str, int]
    """Messages per channel."""
    skipped: dict[str, int]
    """Pictures left out because the computer was too slow, per channel."""
    bytes: int
    """Payload bytes published."""


class _Stream:
    """One topic on its schedule."""

    def __init__(self, topic: DemoTopic, rate_hz: float, sensors: tuple[Sensor, ...]) -> None:
        self.channel = topic.channel
        self.rate_hz = rate_hz
        self.sensors = sensors
        self.may_skip = topic.topic == CAMERA_TOPIC
        self.turn = 0
        self.seq = 0

    @property
    def due_ns(self) -> int:
        """When the next messages are due, since the start."""
        return round(self.turn * SECOND_NS / self.rate_hz)

    def is_outdated(self, now_ns: int) -> bool:
        """Whether the messages that are due are so late that they should be left out."""
        return self.may_skip and now_ns - self.due_ns > MAX_PICTURE_DELAY_NS


def run(
    bus: Publishes,
    *,
    rates: Mapping[str, float] | None = None,
    duration_s: float | None = None,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    camera_hz: float = 15.0,
    selection: Selection | None = None,
    robot: DemoRobot | None = None,
    clock: Clock | None = None,
    verify: bool = False,
) -> dict[str, int]:
    """Publish a simulated robot in real time, until `duration_s` is over or `stop` is set.

    Header stamps are the wall clock of the sample; `header.seq` counts 0, 1, 2 ... per topic, so
    that a receiver can tell what is missing.

    Args:
        bus: where to publish.
        rates: messages per second of topics that are to differ from `topics()`.
        duration_s: None runs until `stop`. A message due exactly at the end is not published.
        on_progress: called once a second and at the end, from this thread.
        camera_hz: pictures per second, up to 30.
        selection: which of the topics to publish; all by default.
        robot: which robot to simulate; its clock must stand at 0. A new `DemoRobot()` by default.
        clock: the computer's own by default.
        verify: decode every message and encode it again before it is sent; costs some CPU.

    Returns:
        The number of messages published per channel.

    Raises:
        OptionError: a rate, the duration or the selection makes no sense.
        DecodeError: with `verify`, a message did not survive decoding.
        BusError: publishing failed.
    """
    robot = robot or DemoRobot()
    if robot.state.t_ns:
        raise OptionError("this DemoRobot has been driving already; give `run` a new one")
    if duration_s is not None and not duration_s > 0:
        raise OptionError(f"a duration of {duration_s} s publishes nothing; give more than 0")
    chosen = chosen_rates({CAMERA_TOPIC: camera_hz, **(rates or {})}, selection or Selection())
    sensors = Sensors(robot).by_topic
    streams = [_Stream(topic, rate_hz, sensors[topic.topic]) for topic, rate_hz in chosen]
    publisher = _Publisher(bus, robot, streams, clock or SystemClock(), on_progress, verify)
    publisher.run(duration_s, stop or threading.Event())
    return publisher.published


def chosen_rates(rates: Mapping[str, float], selection: Selection) -> list[tuple[DemoTopic, float]]:
    """The selected topics with the rate of each.

    Raises:
        OptionError: a topic is unknown, a rate is out of range, or nothing is selected.
    """
    names = {topic.topic for topic in TOPICS}
    for name, rate_hz in rates.items():
        if name not in names:
            known = ", ".join(sorted(names))
            raise OptionError(f"the demo robot has no topic {name!r}; it has {known}")
        limit_hz = MAX_CAMERA_HZ if name == CAMERA_TOPIC else MAX_RATE_HZ
        if not 0 < rate_hz <= limit_hz:
            raise OptionError(
                f"a rate of {rate_hz} Hz for {name} is out of range; give more than 0 and at most "
                f"{limit_hz:g} Hz, or exclude the topic"
            )
    chosen = [topic for topic in TOPICS if selection.matches(topic.channel)]
    if not chosen:
        raise OptionError("the selection leaves no topic of the demo robot; exclude fewer topics")
    return [(topic, rates.get(topic.topic, topic.rate_hz)) for topic in chosen]


class _Publisher:
    def __init__(
        self,
        bus: Publishes,
        robot: DemoRobot,
        streams: list[_Stream],
        clock: Clock,
        on_progress: Callable[[Progress], None] | None,
        verify: bool,
    ) -> None:
        self._bus = bus
        self._robot = robot
        self._streams = streams
        self._clock = clock
        self._on_progress = on_progress
        self._verify = verify
        self._bytes = 0
        self.published = {stream.channel: 0 for stream in streams}
        self.skipped = {stream.channel: 0 for stream in streams if stream.may_skip}

    def run(self, duration_s: float | None, stop: threading.Event) -> None:
        """Publish until the duration is over or `stop` is set."""
        start_ns, start_wall_ns = self._clock.monotonic_ns(), self._clock.time_ns()
        end_ns = None if duration_s is None else round(duration_s * SECOND_NS)
        queue = [(0, order) for order in range(len(self._streams))]
        next_report_ns = SECOND_NS
        while end_ns is None or queue[0][0] < end_ns:
            due_ns, order = queue[0]
            if not self._clock.wait_until_ns(start_ns + due_ns, stop):
                break
            stream, elapsed_ns = self._streams[order], self._clock.monotonic_ns() - start_ns
            if stream.is_outdated(elapsed_ns):
                self.skipped[stream.channel] += 1
            else:
                self._publish(stream, due_ns, start_wall_ns + due_ns)
            stream.turn += 1
            heapq.heapreplace(queue, (stream.due_ns, order))
            if elapsed_ns >= next_report_ns:
                self._report(elapsed_ns)
                next_report_ns = (elapsed_ns // SECOND_NS + 1) * SECOND_NS
        else:
            self._clock.wait_until_ns(start_ns + end_ns, stop)
        self._finish(self._clock.monotonic_ns() - start_ns)

    def _publish(self, stream: _Stream, due_ns: int, stamp_ns: int) -> None:
        state = self._robot.state_at(due_ns)
        for sensor in stream.sensors:
            message = sensor(Sample(state, stream.seq, stamp_ns))
            data = message.lcm_encode()
            if self._verify and type(message).lcm_decode(data).lcm_encode() != data:
                raise DecodeError(
                    f"message {stream.seq} on {stream.channel} changes when it is decoded and "
                    "encoded again; check the version of dimos-lcm"
                )
            self._bus.publish(stream.channel, data)
            stream.seq += 1
            self.published[stream.channel] += 1
            self._bytes += len(data)

    def _report(self, elapsed_ns: int) -> None:
        if self._on_progress is not None:
            progress = Progress(
                elapsed_ns / SECOND_NS, dict(self.published), dict(self.skipped), self._bytes
            )
            self._on_progress(progress)

    def _finish(self, elapsed_ns: int) -> None:
        self._report(elapsed_ns)
        for channel, count in self.skipped.items():
            if count:
                log.warning(
                    "the demo robot left out %d picture(s) on %s because this computer was "
                    "too slow; lower camera_hz",
                    count,
                    channel,
                )

"""The way of a row onto the bus: renamed, restamped, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from dimos_record.bus.base import Bus, split_channel
from dimos_record.bus.played import Playing
from dimos_record.errors import DecodeError
from dimos_record.messages import stamp_shifter
from dimos_record.replay.clock import clock_channel, clock_encoder
from dimos_record.replay.commands import refuse_commands
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.remap import Remap
from dimos_record.store.base import Row, StreamInfo


class Lane:
    """One recorded channel on its way to the channel that it is published on."""

    __slots__ = ("_shift", "bytes", "channel", "published", "silent", "topic", "unshifted")

    def __init__(
        self,
        channel: str,
        topic: str = "",
        shift: Callable[[bytes, int], bytes] | None = None,
        *,
        silent: bool = False,
    ) -> None:
        self.channel = channel
        self.topic = topic
        self.silent = silent
        """Whether its topic is not to be heard."""
        self.published = 0
        self.bytes = 0
        self.unshifted = 0
        self._shift = shift

    def data(self, row: Row, wall_ns: int) -> bytes:
        """The bytes to publish at a time in UNIX nanoseconds."""
        if self._shift is None:
            return row.data
        try:
            return self._shift(row.data, wall_ns - row.ts_ns)
        except DecodeError:
            self.unshifted += 1
            return row.data

    def count(self, data: bytes) -> None:
        """Count a message that was published."""
        self.published += 1
        self.bytes += len(data)

    def take_back(self, data: bytes) -> None:
        """Take back a count: the message was not published."""
        self.published -= 1
        self.bytes -= len(data)


class Output:
    """Publishes rows on a bus, under the names and with the stamps that the options ask for.

    Recorders of this process leave out what it publishes, from `announce` to `close`.

    Args:
        bus: where to publish; it stays open.
        options: remapping, restamping and the clock topic.
    """

    def __init__(self, bus: Bus, options: PlayOptions) -> None:
        self._bus = bus
        self._remap = Remap(options.remap)
        self._options = options
        self._recording = ""
        self._playing: Playing | None = None
        self._inside = 0
        """How many messages are being delivered now; a receiver may make the player publish."""
        self._closed = False
        self._lanes: dict[str, Lane] = {}
        """By channel as recorded."""
        self._opened: set[str] = set()
        """Topics, as recorded, that there are without any operator."""
        self._is_heard: Callable[[str], bool] = lambda topic: True
        self._clock: Lane | None = None
        if options.clock_topic is not None:
            self._clock = Lane(clock_channel(options.clock_topic))
            self._encode_clock = clock_encoder(self._clock.channel)

    def open(self, streams: Iterable[StreamInfo], recording: str) -> list[str]:
        """Check where streams will be published, before anything is.

        Returns:
            The channels, that of the clock included.

        Raises:
            OptionError: the remapping does not fit the streams.
            ChannelTooLong: the bus cannot carry one of the names.
            CommandsRefused: commands would reach beyond this machine.
        """
        self._recording = recording
        streams = tuple(streams)
        self._remap.check(streams, recording)
        return self._open(streams)

    def open_more(self, streams: Iterable[StreamInfo]) -> None:
        """Check where the streams will be published that there are since the recording was edited.

        Raises:
            OptionError, ChannelTooLong, CommandsRefused: see `open`.
        """
        streams = tuple(streams)
        self._remap.check_distinct(streams)
        more = [stream for stream in streams if stream.channel not in self._lanes]
        if more:
            self._open(more)
            if self._playing is not None:
                before = self._playing
                self.announce()
                before.close()

    def _open(self, streams: Iterable[StreamInfo]) -> list[str]:
        for stream in streams:
            self.lane(stream)
            self._opened.add(stream.topic)
        channels = [lane.channel for lane in self._all_lanes()]
        for channel in channels:
            self._bus.check_channel(channel)
        self._refuse_commands(channels)
        return channels

    def announce(self) -> None:
        """From now on this is being played; returns when recorders leave it out."""
        self._playing = Playing(self._bus, (lane.channel for lane in self._all_lanes()))

    def close(self) -> None:
        """Nothing more is published, except for what is being delivered. May be repeated."""
        self._closed = True
        if self._playing is not None and not self._inside:
            self._playing.close()

    def hear(self, is_heard: Callable[[str], bool]) -> None:
        """Publish only the topics (as recorded) for which a function says yes."""
        self._is_heard = is_heard
        for lane in self._lanes.values():
            lane.silent = not is_heard(lane.topic)

    @property
    def made(self) -> set[str]:
        """The topics, as recorded, that operators have made, as far as one came by."""
        return {lane.topic for lane in self._lanes.values()} - self._opened

    def lane(self, stream: StreamInfo) -> Lane:
        """The way of the rows of a stream."""
        return self._lanes.get(stream.channel) or self._new_lane(stream)

    def publish(self, row: Row, wall_ns: int) -> bool:
        """Publish a row whose time has come, at that time in UNIX nanoseconds.

        Returns:
            False if its topic is not to be heard.
        """
        lane = self.lane(row.stream)
        if not lane.silent:
            self._send(lane, lane.data(row, wall_ns))
        return not lane.silent

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish messages of lanes, (channel, data), which the caller counts; see `Bus`."""
        with self._delivering():
            self._bus.publish_all(messages)

    def publish_clock(self, time_ns: int) -> None:
        """Publish a time on the clock topic."""
        if self._clock is not None:
            self._send(self._clock, self._encode_clock(time_ns))

    def _send(self, lane: Lane, data: bytes) -> None:
        with self._delivering():
            self._bus.publish(lane.channel, data)
        lane.count(data)

    @contextmanager
    def _delivering(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._closed:  # by a receiver of this very message
                self.close()

    @property
    def unshifted(self) -> int:
        """Messages whose stamps could not be shifted."""
        return sum(lane.unshifted for lane in self._lanes.values())

    @property
    def bytes(self) -> int:
        """Payload bytes published."""
        return sum(lane.bytes for lane in self._all_lanes())

    def topics(self) -> dict[str, int]:
        """Messages by the topic they were published on."""
        topics: Counter[str] = Counter()
        for lane in self._all_lanes():
            topics[split_channel(lane.channel)[0]] += lane.published
        return dict(topics)

    def _all_lanes(self) -> list[Lane]:
        return [*self._lanes.values(), *([self._clock] if self._clock else [])]

    def _refuse_commands(self, channels: Iterable[str]) -> None:
        if not self._options.allow_commands:
            refuse_commands(self._bus, channels, self._recording, self._options.commands)

    def _new_lane(self, stream: StreamInfo) -> Lane:
        shift = None
        if self._options.restamp:
            shift = stamp_shifter(stream.type_name)
        silent = not self._is_heard(stream.topic)
        lane = Lane(self._remap.channel(stream.channel), stream.topic, shift, silent=silent)
        if self._playing is not None:  # an operator has made something of another name or type
            self._refuse_commands([lane.channel])
        return self._lanes.setdefault(stream.channel, lane)

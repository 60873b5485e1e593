"""The way of a row onto the bus: renamed, restamped, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from dimos_record.bus.base import Bus, split_channel
from dimos_record.bus.played import Playing
from dimos_record.errors import DecodeError
from dimos_record.messages import stamp_shifter
from dimos_record.replay.clock import clock_channel, clock_encoder
from dimos_record.replay.commands import refuse_commands
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.remap import Remap
from dimos_record.store.base import Row, StreamInfo


class _Lane:
    """One recorded channel on its way to the channel that it is published on."""

    __slots__ = ("bytes", "channel", "published", "shift", "silent", "topic")

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
        self.shift = shift
        self.silent = silent
        self.published = 0
        self.bytes = 0


class Output:
    """Publishes rows on a bus, under the names and with the stamps that the options ask for.

    Recorders of this process leave out what it publishes, from `announce` to `close`.

    Args:
        bus: where to publish; it stays open.
        options: remapping, restamping and the clock topic.
    """

    def __init__(self, bus: Bus, options: PlayOptions) -> None:
        self._publish = bus.publish
        self._bus = bus
        self._remap = Remap(options.remap)
        self._options = options
        self._recording = ""
        self._playing: Playing | None = None
        self._inside = 0
        """How many messages are being delivered now; a receiver may make the player publish."""
        self._closed = False
        self._lanes: dict[str, _Lane] = {}
        """By channel as recorded."""
        self._opened: set[str] = set()
        """Topics, as recorded, that there are without any operator."""
        self._is_heard: Callable[[str], bool] = lambda topic: True
        self._clock: _Lane | None = None
        if options.clock_topic is not None:
            self._clock = _Lane(clock_channel(options.clock_topic))
            self._encode_clock = clock_encoder(self._clock.channel)
        self.unshifted = 0

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
            self._lane(stream)
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

    def publish(self, row: Row, wall_ns: int) -> bool:
        """Publish a row whose time has come, at that time in UNIX nanoseconds.

        Returns:
            False if its topic is not to be heard.
        """
        lane = self._lanes.get(row.stream.channel) or self._lane(row.stream)
        if lane.silent:
            return False
        data = row.data
        if lane.shift is not None:
            try:
                data = lane.shift(data, wall_ns - row.ts_ns)
            except DecodeError:
                self.unshifted += 1
        self._send(lane, data)
        return True

    def publish_clock(self, time_ns: int) -> None:
        """Publish a time on the clock topic."""
        if self._clock is not None:
            self._send(self._clock, self._encode_clock(time_ns))

    def _send(self, lane: _Lane, data: bytes) -> None:
        self._inside += 1
        try:
            self._publish(lane.channel, data)
        finally:
            self._inside -= 1
            if self._closed:  # by a receiver of this very message
                self.close()
        lane.published += 1
        lane.bytes += len(data)

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

    def _all_lanes(self) -> list[_Lane]:
        return [*self._lanes.values(), *([self._clock] if self._clock else [])]

    def _refuse_commands(self, channels: Iterable[str]) -> None:
        if not self._options.allow_commands:
            refuse_commands(self._bus, channels, self._recording, self._options.commands)

    def _lane(self, stream: StreamInfo) -> _Lane:
        shift = None
        if self._options.restamp:
            shift = stamp_shifter(stream.type_name)
        silent = not self._is_heard(stream.topic)
        lane = _Lane(self._remap.channel(stream.channel), stream.topic, shift, silent=silent)
        if self._playing is not None:  # an operator has made something of another name or type
            self._refuse_commands([lane.channel])
        return self._lanes.setdefault(stream.channel, lane)

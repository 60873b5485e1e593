"""Messages into the viewer as they come: from a bus, or from a player that is playing."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from dimos_record.bus.base import split_channel
from dimos_record.messages import is_latched, stamp_ns
from dimos_record.store.base import Row, StreamInfo
from dimos_record.viewer.logger import RecordingLogger

_WAITING_BYTES = 64_000_000
_LAYOUT_EVERY_S = 2.0
_WAIT_S = 0.1
_TRANSFORMS = "#tf2_msgs.TFMessage"


class Arrival(NamedTuple):
    """One message on its way into the viewer."""

    ts_ns: int
    channel: str
    data: bytes
    position_ns: int | None = None
    """Where in a recording it comes from, if it is played."""


class Inbox:
    """Holds messages between the bus's thread and the one that logs, up to a size.

    When they come faster than they can be shown, the oldest are skipped: the view stays at what is
    now. Of latched state the newest message of each channel stays, and every static transform: each
    may be about other frames.
    """

    def __init__(self, max_bytes: int = _WAITING_BYTES) -> None:
        self.skipped = 0
        self._max_bytes = max_bytes
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._latched: dict[str, bool] = {}

    def put(self, channel: str, data: bytes, position_ns: int | None = None) -> None:
        """Take in a message that comes now; called on any thread.

        Args:
            channel: its wire name.
            data: its bytes.
            position_ns: where in a recording it comes from, if it is played.
        """
        arrival = Arrival(time.time_ns(), channel, data, position_ns)
        with self._changed:
            self._waiting.append(arrival)
            self._bytes += len(data)
            if self._bytes > self._max_bytes:
                self._make_room()
            self._changed.notify()

    def take(self, timeout_s: float) -> Arrival | None:
        """The oldest message, as soon as there is one; None if none comes in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._waiting), timeout_s):
                return None
            arrival = self._waiting.popleft()
            self._bytes -= len(arrival.data)
            return arrival

    def take_all(self) -> list[Arrival]:
        """What waits now."""
        with self._changed:
            arrivals = list(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return arrivals

    def is_latched(self, channel: str) -> bool:
        """Whether a channel's last message stays valid until the next."""
        if channel not in self._latched:
            self._latched[channel] = is_latched(*split_channel(channel))
        return self._latched[channel]

    def _make_room(self) -> None:
        """Skip the oldest messages until what waits fills half of the room."""
        newest = {arrival.channel: arrival for arrival in self._waiting}
        kept: deque[Arrival] = deque()
        while self._waiting and self._bytes > self._max_bytes // 2:
            arrival = self._waiting.popleft()
            if self.is_latched(arrival.channel) and (
                arrival is newest[arrival.channel] or arrival.channel.endswith(_TRANSFORMS)
            ):
                kept.append(arrival)
            else:
                self._bytes -= len(arrival.data)
                self.skipped += 1
        self._waiting.extendleft(reversed(kept))


class LiveLogger:
    """Logs what is put into its inbox, and keeps the layout fitting to what there is.

    Args:
        logger: where the messages go.
        preset: from where the 3D view looks.
    """

    def __init__(self, logger: RecordingLogger, preset: str = "follow") -> None:
        self.inbox = Inbox()
        self.received = 0
        self.logged = 0
        self._logger = logger
        self._preset = preset
        self._streams: dict[str, StreamInfo] = {}

    def run(self, is_over: Callable[[], bool]) -> None:
        """Log until something is over, and then what still waits."""
        next_layout_s = 0.0
        while not is_over():
            arrival = self.inbox.take(_WAIT_S)
            if arrival is not None:
                self._log(arrival)
            if self.received and time.monotonic() >= next_layout_s:
                self._logger.layout(self._preset, live=True)
                next_layout_s = time.monotonic() + _LAYOUT_EVERY_S
        for arrival in self.inbox.take_all():
            self._log(arrival)
        if self.received:
            self._logger.layout(self._preset, live=True)

    def _log(self, arrival: Arrival) -> None:
        stream = self._streams.get(arrival.channel) or self._stream(arrival.channel)
        self.received += 1
        row = Row(
            stream,
            self.received,
            self.received,
            arrival.ts_ns,
            stamp_ns(stream.type_name, arrival.data),
            arrival.data,
        )
        self.logged += self._logger.log(row, arrival.position_ns)

    def _stream(self, channel: str) -> StreamInfo:
        topic, type_name = split_channel(channel)
        latched = self.inbox.is_latched(channel)
        stream = StreamInfo(topic.strip("/"), topic, channel, type_name, latched=latched)
        return self._streams.setdefault(channel, stream)

"""Messages into a Rerun recording: converted, placed in space, on the timelines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dimos_record.errors import DecodeError, OptionError
from dimos_record.store.base import Marker, Row, StreamInfo
from dimos_record.viewer.converters import Shown, frame_of, position_of
from dimos_record.viewer.entities import MARKERS, below
from dimos_record.viewer.frames import Frames
from dimos_record.viewer.lanes import Lane
from dimos_record.viewer.layout import MESSAGE, POSITION, STAMP, TIME, Scene, blueprint
from dimos_record.viewer.presets import check_preset
from dimos_record.viewer.robot import Robot

_TRAIL_COLORS = ((255, 140, 0), (0, 190, 255), (200, 100, 255), (120, 220, 80))
"""Of the ways of the first topics that have one, the second, ..."""
_TRAIL_RADIUS_M = 0.03
_S = 1_000_000_000


@dataclass(frozen=True)
class Unshown:
    """Messages of one topic that the viewer does not get."""

    topic: str
    type_name: str | None
    reason: str
    """Why, of the first of them."""
    count: int


class RecordingLogger:
    """Logs recorded messages, as they come, into a Rerun recording.

    The timelines are `time` (when it was received), `stamp` (the time in the header), `message`
    (its number in the recording) and `position` (time from the start of the recording). Topics are
    entities below `world`. Call everything from one thread.

    Args:
        recording: a `rerun.RecordingStream`; it stays open and belongs to the caller.
        streams: what will be logged, as far as that is known. Others may come.
        origin_ns: UNIX time of position 0.
        max_rate_hz: at most so many messages per recorded second of each topic, transforms and
            latched topics excepted; all if None.

    Raises:
        OptionError: the rate is not above 0.
    """

    def __init__(
        self,
        recording: Any,
        streams: Iterable[StreamInfo] = (),
        origin_ns: int = 0,
        *,
        max_rate_hz: float | None = None,
    ) -> None:
        if max_rate_hz is not None and not 0 < max_rate_hz < math.inf:
            raise OptionError(f"a rate of {max_rate_hz:g} Hz makes no sense; give one above 0")
        self._recording = recording
        self._origin_ns = origin_ns
        self._min_gap_ns = 0 if max_rate_hz is None else round(_S / max_rate_hz)
        self._has_markers = False
        self._scene: Scene | None = None
        self._frames = Frames()
        self._robot = Robot()
        self._trails: dict[str, int] = {}
        """The ways that are drawn, and which of them each is."""
        self._lanes: dict[str, Lane] = {}
        for stream in streams:
            self._lane(stream)

    def log(self, row: Row, position_ns: int | None = None) -> bool:
        """Log one message.

        Args:
            row: the message.
            position_ns: where it is on the timeline `position`, if not at its receive time.

        Returns:
            False if it cannot be shown; `unshown` counts it then.
        """
        lane = self._lanes.get(row.stream.channel) or self._lane(row.stream)
        if lane.converter is None:
            lane.fail("nobody can show this type")
            return False
        if self._is_too_soon(lane, row):
            return True
        try:
            shown = lane.converter.convert(row.data)
            frame = frame_of(row.stream.type_name or "", row.data)
        except DecodeError as error:
            lane.fail(str(error))
            return False
        self._set_times(row, position_ns)
        for one in (*self._frames.before(frame, shown), *self._robot.by_frames(shown)):
            self._log_one(lane, one, None)
        for one in shown:
            self._log_one(lane, one, frame)
        if lane.trail is not None:
            self._log_way(lane, lane.trail, row, frame)
        return True

    def markers(self, markers: Iterable[Marker]) -> None:
        """Log markers as lines of a log: where they are, and where an interval ends."""
        for marker in markers:
            data = "" if marker.data is None else f" {json.dumps(marker.data)}"
            self._log_line(marker.at_ns, marker.label + data)
            if marker.until_ns is not None:
                self._log_line(marker.until_ns, f"{marker.label} ends")
            self._has_markers = True

    def layout(self, preset: str = "follow", *, live: bool = False) -> None:
        """Send the layout for what is there, if it is another than before.

        Args:
            preset: from where the 3D view looks; see `PRESETS`.
            live: whether the viewer stays at the newest message.

        Raises:
            OptionError: there is no such preset.
        """
        scene = Scene(
            topics=tuple(lane.shown for lane in self._lanes.values() if lane.shown is not None),
            preset=check_preset(preset),
            robot=self._robot.known,
            markers=self._has_markers,
            live=live,
        )
        if scene != self._scene:
            self._recording.send_blueprint(blueprint(scene), make_active=True, make_default=True)
            self._scene = scene

    @property
    def unshown(self) -> list[Unshown]:
        """What could not be shown, one entry per topic."""
        return [
            Unshown(lane.stream.topic, lane.stream.type_name, lane.reason, lane.unshown)
            for lane in self._lanes.values()
            if lane.unshown
        ]

    def _lane(self, stream: StreamInfo) -> Lane:
        return self._lanes.setdefault(stream.channel, Lane(stream))

    def _is_too_soon(self, lane: Lane, row: Row) -> bool:
        if not self._min_gap_ns or lane.is_state:
            return False
        if lane.last_ns is not None and 0 <= row.ts_ns - lane.last_ns < self._min_gap_ns:
            return True
        lane.last_ns = row.ts_ns
        return False

    def _set_times(self, row: Row, position_ns: int | None) -> None:
        self._set_time(row.ts_ns, position_ns)
        self._recording.set_time(MESSAGE, sequence=row.seq)
        if row.stamp_ns is None:
            self._recording.disable_timeline(STAMP)
        else:
            self._recording.set_time(STAMP, timestamp=_timestamp(row.stamp_ns))

    def _set_time(self, ts_ns: int, position_ns: int | None = None) -> None:
        position_ns = ts_ns - self._origin_ns if position_ns is None else position_ns
        self._recording.set_time(TIME, timestamp=_timestamp(ts_ns))
        self._recording.set_time(POSITION, duration=_duration(position_ns))

    def _log_one(self, lane: Lane, shown: Shown, frame: str | None) -> None:
        import rerun as rr

        path = below(lane.entity, shown.path)
        if shown.names and lane.names.get(path) != shown.names:
            lane.names[path] = shown.names
            self._recording.log(path, rr.SeriesLines(names=list(shown.names)), static=True)
        in_frame = None if shown.names or shown.parent else shown.frame or frame
        placed = [rr.CoordinateFrame(in_frame)] if in_frame else []
        static = shown.static or lane.is_static
        self._recording.log(path, shown.archetype, *placed, static=static)

    def _log_way(self, lane: Lane, trail: str, row: Row, frame: str | None) -> None:
        """The way of what a topic is about, and the robot if it is this."""
        import rerun as rr

        type_name = row.stream.type_name or ""
        for one in self._robot.by_pose(row.stream.topic, type_name, row.data, frame):
            self._log_one(lane, one, frame)
        point = position_of(type_name, row.data)
        piece = point and lane.trajectory.piece(frame, row.ts_ns, point)
        if piece:
            line = rr.LineStrips3D([piece], colors=self._trail_color(trail), radii=_TRAIL_RADIUS_M)
            self._log_one(lane, Shown(f"/{trail}", line), frame)

    def _trail_color(self, trail: str) -> tuple[int, int, int]:
        number = self._trails.setdefault(trail, len(self._trails))
        return _TRAIL_COLORS[number % len(_TRAIL_COLORS)]

    def _log_line(self, ts_ns: int, text: str) -> None:
        import rerun as rr

        self._recording.reset_time()
        self._set_time(ts_ns)
        self._recording.log(MARKERS, rr.TextLog(text, level=rr.TextLogLevel.INFO))


def _timestamp(time_ns: int) -> Any:
    import numpy as np

    return np.datetime64(time_ns, "ns")


def _duration(time_ns: int) -> Any:
    import numpy as np

    return np.timedelta64(time_ns, "ns")

"""Messages into a Rerun recording: converted, placed in space, on the timelines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dimos_record.errors import DecodeError, OptionError
from dimos_record.store.base import Marker, Row, StreamInfo
from dimos_record.viewer.cameras import Cameras
from dimos_record.viewer.converters import Shown, frame_of, position_of
from dimos_record.viewer.entities import MARKERS, below
from dimos_record.viewer.frames import Frames
from dimos_record.viewer.jpeg import as_jpeg
from dimos_record.viewer.lanes import Lane
from dimos_record.viewer.layout import Scene, ShownTopic, blueprint
from dimos_record.viewer.lifetimes import Lifetimes
from dimos_record.viewer.presets import check_preset
from dimos_record.viewer.robot import Robot
from dimos_record.viewer.times import Moment

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
        max_rate_hz: at most so many messages per recorded second of each topic, except those of
            which each counts: transforms, markers, texts and latched topics; all if None.
        jpeg: make JPEG of 8-bit colour and grey pictures, which takes a tenth of the room, and is
            not exactly the picture any more.

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
        jpeg: bool = False,
    ) -> None:
        check_max_rate(max_rate_hz)
        self._recording = recording
        self._origin_ns = origin_ns
        self._min_gap_ns = 0 if max_rate_hz is None else round(_S / max_rate_hz)
        self._jpeg = jpeg
        self._has_markers = False
        self._scene: Scene | None = None
        self._frames = Frames()
        self._cameras = Cameras()
        self._lifetimes = Lifetimes()
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
            Whether it was logged. Not if it comes too soon after the one before (`max_rate_hz`),
            and not if it cannot be shown: `unshown` counts those.
        """
        lane = self._lanes.get(row.stream.channel) or self._lane(row.stream)
        if lane.converter is None:
            lane.fail("nobody can show this type")
            return False
        if self._is_too_soon(lane, row):
            return False
        try:
            shown = lane.converter.convert(row.data)
            frame = frame_of(row.stream.type_name or "", row.data)
        except DecodeError as error:
            lane.fail(str(error))
            return False
        now = self._moment(row, position_ns)
        self._log_ends(now)
        now.set_in(self._recording)
        self._log_needed(lane, shown, frame)
        for one in shown:
            self._log_one(lane, one, frame)
            self._lifetimes.note(below(lane.entity, one.path), now, one.lifetime_ns)
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
            topics=tuple(shown for shown in map(self._shown_topic, self._lanes.values()) if shown),
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

    def _shown_topic(self, lane: Lane) -> ShownTopic | None:
        return lane.shown(has_camera=self._cameras.has_camera(lane.entity))

    def _moment(self, row: Row, position_ns: int | None) -> Moment:
        position_ns = row.ts_ns - self._origin_ns if position_ns is None else position_ns
        return Moment(row.ts_ns, position_ns, row.stamp_ns, row.seq)

    def _log_needed(self, lane: Lane, shown: Sequence[Shown], frame: str | None) -> None:
        """What has to be there before a message: its frames, its camera, the robot."""
        for one in (
            *self._frames.before(frame, shown),
            *self._cameras.before(lane.entity, shown),
            *self._robot.by_frames(shown),
        ):
            self._log_one(lane, one, None)

    def _log_one(self, lane: Lane, shown: Shown, frame: str | None) -> None:
        import rerun as rr

        path = below(lane.entity, shown.path)
        if shown.names and lane.names.get(path) != shown.names:
            lane.names[path] = shown.names
            self._recording.log(path, rr.SeriesLines(names=list(shown.names)), static=True)
        in_frame = None if shown.names or shown.parent else shown.frame or frame
        placed = [rr.CoordinateFrame(in_frame)] if in_frame else []
        archetype = as_jpeg(shown.archetype) if self._jpeg else shown.archetype
        static = shown.static or lane.is_static
        self._recording.log(path, archetype, *placed, static=static)

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

    def _log_ends(self, now: Moment) -> None:
        """What has lived its time is gone from then on."""
        import rerun as rr

        for gone in self._lifetimes.gone(now):
            gone.at.set_in(self._recording)
            self._recording.log(gone.path, rr.Clear(recursive=False))

    def _log_line(self, ts_ns: int, text: str) -> None:
        import rerun as rr

        Moment(ts_ns, ts_ns - self._origin_ns).set_in(self._recording)
        self._recording.log(MARKERS, rr.TextLog(text, level=rr.TextLogLevel.INFO))


def check_max_rate(rate_hz: float | None) -> None:
    """Check how many messages per second are wanted.

    Raises:
        OptionError: it is not above 0.
    """
    if rate_hz is not None and not 0 < rate_hz < math.inf:
        raise OptionError(f"a rate of {rate_hz:g} Hz makes no sense; give one above 0")

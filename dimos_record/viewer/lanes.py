"""What is known of each topic on its way into the viewer."""

from __future__ import annotations

import importlib.util

from dimos_record.store.base import StreamInfo
from dimos_record.viewer.converters import Converter, converter_for
from dimos_record.viewer.entities import below, entity_of
from dimos_record.viewer.layout import ShownTopic
from dimos_record.viewer.trajectory import Trajectory

_DRAW_TRAILS = (
    "nav_msgs.Odometry",
    "geometry_msgs.PoseStamped",
    "geometry_msgs.PoseWithCovarianceStamped",
)
_EACH_COUNTS = (
    "sensor_msgs.CameraInfo",
    "visualization_msgs.Marker",
    "visualization_msgs.MarkerArray",
)


class Lane:
    """One topic: how it is converted, where it is shown, and what of it could not be shown."""

    def __init__(self, stream: StreamInfo) -> None:
        type_name = stream.type_name or ""
        self.stream = stream
        self.converter = find_converter(type_name)
        self.entity = entity_of(stream.topic)
        self.trail = below(self.entity, "trail") if type_name in _DRAW_TRAILS else None
        self.trajectory = Trajectory()
        self.names: dict[str, tuple[str, ...]] = {}
        """Names of curves by entity, as they were logged last."""
        self.last_ns: int | None = None
        """When the last message was received that was logged."""
        self.unshown = 0
        """Messages that could not be shown."""
        self.reason = ""
        """Why the first of them could not."""

    def fail(self, reason: str) -> None:
        """Count a message that cannot be shown."""
        self.unshown += 1
        self.reason = self.reason or reason

    @property
    def is_transforms(self) -> bool:
        """Whether it holds transforms between frames."""
        return self.converter is not None and self.converter.kind == "transforms"

    @property
    def is_state(self) -> bool:
        """Whether each message counts, however fast they come.

        Transforms, markers and texts do, since each may say something else; and latched topics,
        such as maps and camera infos.
        """
        if self.converter is None:
            return False
        by_kind = self.converter.kind in ("transforms", "text")
        return by_kind or self.stream.latched or self.stream.type_name in _EACH_COUNTS

    @property
    def is_static(self) -> bool:
        """Whether what it says holds for the whole recording: static transforms."""
        return self.stream.latched and self.is_transforms

    def shown(self, *, has_camera: bool) -> ShownTopic | None:
        """What the layout needs to know; None if it cannot be shown."""
        if self.converter is None:
            return None
        return ShownTopic(
            self.stream.topic,
            self.entity,
            self.converter.kind,
            self.converter.curves,
            self.trail,
            has_camera,
        )


def find_converter(type_name: str) -> Converter | None:
    """How to show a type: our own converter, else dimos's where dimos is installed."""
    ours = converter_for(type_name)
    if ours is not None or importlib.util.find_spec("dimos") is None:
        return ours
    from dimos_record.integrations.dimos.to_rerun import dimos_converter_for

    return dimos_converter_for(type_name)

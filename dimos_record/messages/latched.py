"""Which topics are latched: their last message stays valid until the next one."""

from __future__ import annotations

_LATCHED_TYPES = frozenset(
    {
        "foxglove_msgs.CameraCalibration",
        "nav_msgs.MapMetaData",
        "nav_msgs.OccupancyGrid",
        "sensor_msgs.CameraInfo",
        "vision_msgs.LabelInfo",
        "vision_msgs.VisionInfo",
    }
)
_LATCHED_NAMES = frozenset(
    {"camera_info", "map_metadata", "robot_description", "robot_description_semantic", "tf_static"}
)


def is_latched(topic: str, type_name: str | None) -> bool:
    """Whether the last message of a topic stays valid until the next.

    A player that starts in the middle sends the last message of these topics first. The rule: the
    message describes the world or the robot (camera calibrations, occupancy grids and their
    metadata, labels of a detector), by its type; or the last part of the topic is `tf_static`,
    `robot_description`, `robot_description_semantic`, `camera_info` or `map_metadata`, in any
    namespace. Goals, paths and other commands are not: a robot would act on an old one.
    """
    return type_name in _LATCHED_TYPES or topic.rsplit("/", 1)[-1] in _LATCHED_NAMES

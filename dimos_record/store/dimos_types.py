"""Which class dimos decodes a stream's payload with.

dimos opens every stream that `_streams` lists by importing its payload class; one class that it
cannot import breaks its summary of the whole file. So only types it can open are listed there.
"""

from __future__ import annotations

from dimos_record.messages import fingerprint

_DIMOS_TYPES = frozenset(
    {
        "control_msgs.ControlValues",
        "foxglove_msgs.CompressedVideo",
        "geometry_msgs.Point",
        "geometry_msgs.PointStamped",
        "geometry_msgs.Pose",
        "geometry_msgs.PoseArray",
        "geometry_msgs.PoseStamped",
        "geometry_msgs.PoseWithCovariance",
        "geometry_msgs.PoseWithCovarianceStamped",
        "geometry_msgs.Quaternion",
        "geometry_msgs.Twist",
        "geometry_msgs.TwistStamped",
        "geometry_msgs.TwistWithCovariance",
        "geometry_msgs.TwistWithCovarianceStamped",
        "geometry_msgs.Vector3",
        "geometry_msgs.Wrench",
        "geometry_msgs.WrenchStamped",
        "nav_msgs.LineSegments3D",
        "nav_msgs.OccupancyGrid",
        "nav_msgs.Odometry",
        "nav_msgs.Path",
        "sensor_msgs.BatteryState",
        "sensor_msgs.CameraInfo",
        "sensor_msgs.CompressedImage",
        "sensor_msgs.Image",
        "sensor_msgs.Imu",
        "sensor_msgs.ImuInfo",
        "sensor_msgs.JointCommand",
        "sensor_msgs.JointState",
        "sensor_msgs.Joy",
        "sensor_msgs.MotorCommandArray",
        "sensor_msgs.PointCloud2",
        "sensor_msgs.RobotState",
        "shape_msgs.TriangleMesh",
        "sim_msgs.Contacts",
        "std_msgs.Bool",
        "std_msgs.Float32",
        "std_msgs.Int32",
        "std_msgs.Int8",
        "std_msgs.String",
        "std_msgs.UInt32",
        "tf2_msgs.TFMessage",
        "trajectory_msgs.JointTrajectory",
        "trajectory_msgs.TrajectoryPoint",
        "trajectory_msgs.TrajectoryStatus",
        "vision_msgs.Detection2D",
        "vision_msgs.Detection2DArray",
        "vision_msgs.Detection3D",
        "vision_msgs.Detection3DArray",
        "visualization_msgs.EntityMarkers",
    }
)
"""Types whose class in dimos 0.0.15 decodes what travels under the type's name.

A test compares them with the real ones. Missing are dimos's `Transform`, which reads a TFMessage,
and `Header` and the arrays of bounding boxes, which fail to decode; dimos_lcm's classes do it.
"""

_OWN_FINGERPRINTS = {"trajectory_msgs.JointTrajectory": 0x2B3C4D5E6F708192}
"""Types that dimos lays out otherwise than dimos_lcm's type of the same name."""

_WIRE_TYPES = {
    "dimos.msgs.geometry_msgs.Transform.Transform": "tf2_msgs.TFMessage",
    "dimos.robot.unitree.type.odometry.Odometry": "geometry_msgs.PoseStamped",
}
"""Classes of dimos whose messages travel under another name than theirs."""


def payload_class(type_name: str | None, mark: int | None = None) -> str | None:
    """The importable path of the class that dimos decodes a type with; None if it cannot.

    Args:
        type_name: the type, as its channel says.
        mark: fingerprint of its messages, where known; a channel may name the wrong type.

    >>> payload_class("geometry_msgs.PoseStamped")
    'dimos.msgs.geometry_msgs.PoseStamped.PoseStamped'
    """
    if not type_name or type_name.count(".") != 1:
        return None
    name = type_name.split(".")[1]
    generated = fingerprint(type_name)
    own = _OWN_FINGERPRINTS.get(type_name, generated)
    if type_name in _DIMOS_TYPES and (own is None or mark in (None, own)):
        return f"dimos.msgs.{type_name}.{name}"
    if generated is not None and mark in (None, generated):
        return f"dimos_lcm.{type_name}.{name}"
    return None


def type_of_payload(payload_class: str) -> str | None:
    """The type name that messages of a class travel under; None for builtins and the like.

    >>> type_of_payload("dimos.msgs.sensor_msgs.Image.Image")
    'sensor_msgs.Image'
    """
    if payload_class in _WIRE_TYPES:
        return _WIRE_TYPES[payload_class]
    parts = payload_class.split(".")
    if parts[:2] == ["dimos", "msgs"] and len(parts) >= 4:
        return f"{parts[2]}.{parts[-1]}"
    if parts[0] == "dimos_lcm" and len(parts) >= 3:
        return f"{parts[1]}.{parts[-1]}"
    return None


def payload_fingerprint(payload_class: str) -> int | None:
    """Fingerprint of the messages of a class, where known."""
    type_name = type_of_payload(payload_class)
    if type_name is None:
        return None
    if payload_class.startswith("dimos.msgs.") and type_name in _OWN_FINGERPRINTS:
        return _OWN_FINGERPRINTS[type_name]
    return fingerprint(type_name)

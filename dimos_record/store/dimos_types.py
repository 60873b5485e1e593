"""Which class dimos decodes a stream's payload with.

dimos opens every stream that `_streams` lists by importing its payload class; one class that it
cannot import breaks its summary of the whole file. So only types it can open are listed there.
"""

from __future__ import annotations

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
        "geometry_msgs.Transform",
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
        "std_msgs.Header",
        "std_msgs.Int32",
        "std_msgs.Int8",
        "std_msgs.String",
        "std_msgs.UInt32",
        "tf2_msgs.TFMessage",
        "trajectory_msgs.JointTrajectory",
        "trajectory_msgs.TrajectoryPoint",
        "trajectory_msgs.TrajectoryStatus",
        "vision_msgs.BoundingBox2DArray",
        "vision_msgs.BoundingBox3DArray",
        "vision_msgs.Detection2D",
        "vision_msgs.Detection2DArray",
        "vision_msgs.Detection3D",
        "vision_msgs.Detection3DArray",
        "visualization_msgs.EntityMarkers",
    }
)
"""Types of dimos 0.0.15 that encode themselves as LCM; a test compares them with the real ones."""


def payload_class(type_name: str | None) -> str | None:
    """The importable path of the class that dimos decodes a type with; None if it cannot.

    >>> payload_class("geometry_msgs.PoseStamped")
    'dimos.msgs.geometry_msgs.PoseStamped.PoseStamped'
    """
    from dimos_record.messages import message_class

    if not type_name or type_name.count(".") != 1:
        return None
    name = type_name.split(".")[1]
    if type_name in _DIMOS_TYPES:
        return f"dimos.msgs.{type_name}.{name}"
    if message_class(type_name) is not None:
        return f"dimos_lcm.{type_name}.{name}"
    return None


def type_of_payload(payload_class: str) -> str | None:
    """The type name of a payload class that dimos wrote down; None for builtins and the like.

    >>> type_of_payload("dimos.msgs.sensor_msgs.Image.Image")
    'sensor_msgs.Image'
    """
    parts = payload_class.split(".")
    if parts[:2] == ["dimos", "msgs"] and len(parts) >= 4:
        return f"{parts[2]}.{parts[-1]}"
    if parts[0] == "dimos_lcm" and len(parts) >= 3:
        return f"{parts[1]}.{parts[-1]}"
    return None

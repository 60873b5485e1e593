"""What the demo robot publishes, at which rates. Imports nothing heavy: the CLI's help uses it."""

from __future__ import annotations

from typing import NamedTuple

from dimos_record.bus.base import join_channel


class DemoTopic(NamedTuple):
    """One topic of the demo robot."""

    topic: str
    type_name: str
    rate_hz: float
    description: str

    @property
    def channel(self) -> str:
        """The wire name: `/odom#nav_msgs.Odometry`."""
        return join_channel(self.topic, self.type_name)


CAMERA_TOPIC = "/camera/image"
TOPICS = (
    DemoTopic(
        "/tf_static",
        "tf2_msgs.TFMessage",
        0.2,
        "where the sensors sit, in two messages: cameras; lidar, IMU and map",
    ),
    DemoTopic("/map", "nav_msgs.OccupancyGrid", 0.2, "floor plan, 5 cm cells"),
    DemoTopic("/camera/camera_info", "sensor_msgs.CameraInfo", 1.0, "intrinsics of the camera"),
    DemoTopic("/cmd_vel", "geometry_msgs.Twist", 20.0, "the command that moves the robot"),
    DemoTopic("/imu", "sensor_msgs.Imu", 200.0, "turn rate and acceleration with gravity"),
    DemoTopic("/odom", "nav_msgs.Odometry", 50.0, "pose and speed"),
    DemoTopic("/tf", "tf2_msgs.TFMessage", 50.0, "odom to base_link"),
    DemoTopic("/joint_states", "sensor_msgs.JointState", 50.0, "angles and speeds of both wheels"),
    DemoTopic("/lidar", "sensor_msgs.PointCloud2", 10.0, "16 rings of 600 points"),
    DemoTopic(CAMERA_TOPIC, "sensor_msgs.Image", 15.0, "640x480 rgb8"),
)


def topics() -> list[DemoTopic]:
    """Every topic of the demo robot with its default rate, in order of publishing."""
    return list(TOPICS)

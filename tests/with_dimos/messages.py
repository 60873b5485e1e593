"""Messages of dimos's own types, with values in every field that matters."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from dimos.msgs.geometry_msgs.Pose import Pose
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Quaternion import Quaternion
from dimos.msgs.geometry_msgs.Transform import Transform
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from dimos.msgs.nav_msgs.Odometry import Odometry
from dimos.msgs.nav_msgs.Path import Path
from dimos.msgs.sensor_msgs.CameraInfo import CameraInfo
from dimos.msgs.sensor_msgs.Image import Image, ImageFormat
from dimos.msgs.sensor_msgs.Imu import Imu
from dimos.msgs.sensor_msgs.JointCommand import JointCommand
from dimos.msgs.sensor_msgs.JointState import JointState
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.std_msgs.String import String
from dimos.msgs.tf2_msgs.TFMessage import TFMessage
from dimos.msgs.trajectory_msgs.JointTrajectory import JointTrajectory
from dimos.msgs.trajectory_msgs.TrajectoryPoint import TrajectoryPoint
from dimos_lcm.sensor_msgs import LaserScan
from dimos_lcm.std_msgs import Header, Time

START_S = 1_700_000_000
"""Header stamp of the first message, UNIX seconds."""
HEIGHT, WIDTH = 48, 64


def stamp_s(i: int) -> float:
    """Header stamp of the i-th message, in steps that floats and headers hold exactly."""
    return START_S + i * 0.125


def stamp_ns(i: int) -> int:
    """The same in nanoseconds."""
    return START_S * 10**9 + i * 125_000_000


def color(i: int) -> Image:
    """A smooth picture, which JPEG keeps nearly as it is."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([4 * x, 5 * y, np.full_like(x, 20 * i)], axis=-1).astype(np.uint8)
    return Image(data=pixels, format=ImageFormat.RGB, frame_id="camera", ts=stamp_s(i))


def depth(i: int) -> Image:
    """Metres, as 32-bit floats."""
    metres = np.linspace(0.3, 9.0 + i, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    return Image(data=metres, format=ImageFormat.DEPTH, frame_id="camera", ts=stamp_s(i))


def pose(i: int) -> PoseStamped:
    return PoseStamped(
        ts=stamp_s(i),
        frame_id="map",
        position=Vector3(i, 2.0 * i, 0.5),
        orientation=Quaternion(0.0, 0.0, 0.6, 0.8),
    )


def transform(i: int) -> Transform:
    return Transform(
        translation=Vector3(i, 0.25, -1.0),
        rotation=Quaternion(0.0, 0.6, 0.0, 0.8),
        frame_id="map",
        child_frame_id="base_link",
        ts=stamp_s(i),
    )


def cloud(i: int) -> PointCloud2:
    points = np.arange(300, dtype=np.float32).reshape(100, 3) / 7 + i
    return PointCloud2.from_numpy(points, frame_id="lidar", timestamp=stamp_s(i))


def grid(i: int) -> OccupancyGrid:
    cells = (np.arange(600, dtype=np.int64) % 101 - (i == 0)).astype(np.int8).reshape(20, 30)
    return OccupancyGrid(
        grid=cells, resolution=0.1, origin=Pose(1.0, 2.0, 0.0), frame_id="map", ts=stamp_s(i)
    )


def camera_info(i: int) -> CameraInfo:
    return CameraInfo(
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        D=[0.1, -0.2, 0.0, 0.001, 0.0],
        K=[50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0],
        P=[50.0, 0.0, 32.0, 0.0, 0.0, 50.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        frame_id="camera",
        ts=stamp_s(i),
    )


def imu(i: int) -> Imu:
    return Imu(
        angular_velocity=Vector3(0.1, 0.2, i),
        linear_acceleration=Vector3(0.0, i, 9.81),
        orientation=Quaternion(0.6, 0.0, 0.0, 0.8),
        frame_id="imu_link",
        ts=stamp_s(i),
    )


def odometry(i: int) -> Odometry:
    return Odometry(
        ts=stamp_s(i),
        frame_id="odom",
        child_frame_id="base_link",
        pose=Pose(1.5 * i, -1.0, 0.0),
        twist=twist(i),
    )


def twist(i: int) -> Twist:
    return Twist(Vector3(0.3 * i, 0.0, 0.0), Vector3(0.0, 0.0, -0.1 * i))


def joints(i: int) -> JointState:
    return JointState(
        ts=stamp_s(i),
        frame_id="base_link",
        name=["hip", "knee"],
        position=[0.1 * i, -0.2],
        velocity=[1.0, float(i)],
        effort=[0.0, 12.5],
    )


def trajectory(i: int) -> JointTrajectory:
    point = TrajectoryPoint(time_from_start=0.5, positions=[0.1 * i, 0.2], velocities=[1.0, 2.0])
    return JointTrajectory(points=[point], joint_names=["hip", "knee"], timestamp=stamp_s(i))


def status(i: int) -> String:
    return String(json.dumps({"battery": 90 - i, "text": "fährt"}))


def scan(i: int) -> LaserScan:
    """A type that dimos has no class of its own for."""
    ranges = [1.0 + 0.25 * i, 2.5, 7.0]
    return LaserScan(
        header=Header(stamp=Time(sec=int(stamp_s(i))), frame_id="laser"),
        angle_min=-0.5,
        angle_max=0.5,
        angle_increment=0.5,
        range_max=10.0,
        ranges_length=len(ranges),
        ranges=ranges,
    )


MAKERS: dict[str, Any] = {
    "/robot1/pose": pose,
    "/camera/color": color,
    "/camera/preview": color,
    "/camera/depth": depth,
    "/camera/camera_info": camera_info,
    "/lidar": cloud,
    "/scan": scan,
    "/imu": imu,
    "/odom": odometry,
    "/tf": lambda i: TFMessage(transform(i)),
    "/joint_states": joints,
    "/cmd_vel": twist,
    "/map": grid,
    "/plan": lambda i: Path(ts=stamp_s(i), frame_id="map", poses=[pose(i), pose(i + 1)]),
    "/status": status,
    "/joint_command": lambda i: JointCommand(positions=[0.1 * i, 0.2], timestamp=stamp_s(i)),
    "/trajectory": trajectory,
}
"""Topic to a function that makes its i-th message. Only dimos can decode the last two."""

CODECS = {"/camera/depth": "lz4+lcm", "/lidar": "lz4+lcm", "/camera/preview": "jpeg"}
"""How the topics are stored; the others as `lcm`."""


def channel_of(topic: str, message: Any) -> str:
    """The LCM channel on which dimos publishes a message."""
    return f"{topic}#{message.msg_name}"


def same_value(one: Any, other: Any) -> bool:
    """Whether two messages have one type and the same value in every field that is sent."""
    return type(one) is type(other) and one.lcm_encode() == other.lcm_encode()

"""What the demo robot's sensors say, as dimos's own messages."""

from __future__ import annotations

import math
from typing import NamedTuple

from dimos.msgs.geometry_msgs.Quaternion import Quaternion
from dimos.msgs.geometry_msgs.Transform import Transform
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.sensor_msgs.Image import ImageFormat
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from dimos_record.blueprints.numbered import (
    NumberedCameraInfo,
    NumberedImage,
    NumberedImu,
    NumberedPose,
)
from dimos_record.demo_robot import camera, lidar
from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.robot import RobotState
from dimos_record.demo_robot.sensors import IMU_HEIGHT_M, felt
from dimos_record.demo_robot.world import World

LIDAR_RINGS = 16


class Reading(NamedTuple):
    """One reading of one sensor: what is true, and how the message is numbered and stamped."""

    state: RobotState
    seq: int
    ts: float
    """UNIX time (s)."""


class DimosSensors:
    """Makes dimos's messages from states of the robot.

    Args:
        world: what the sensors see.
        seed: of their noise.
        picture_width: pixels, one of 640, 320, 160; a picture is 3/4 as high.
        lidar_azimuths: points of each of the lidar's 16 rings.
        prefix: goes before the names of the robot's own frames: ``robot1`` or nothing.
        odom_frame: in which frame the robot's pose is given.
    """

    def __init__(
        self,
        world: World,
        *,
        seed: int,
        picture_width: int,
        lidar_azimuths: int,
        prefix: str | None,
        odom_frame: str,
    ) -> None:
        self._noise = Noise(seed)
        self._camera = camera.Camera(world, self._noise)
        self._lidar = lidar.Lidar(world, self._noise, LIDAR_RINGS, lidar_azimuths)
        self._stride = camera.WIDTH // picture_width
        self._prefix = prefix
        self._odom_frame = odom_frame

    def odom(self, reading: Reading) -> NumberedPose:
        """Where the robot is."""
        x, y, yaw = reading.state.x, reading.state.y, reading.state.yaw
        pose = NumberedPose(
            ts=reading.ts,
            frame_id=self._odom_frame,
            position=Vector3(x, y, 0.0),
            orientation=_turned(yaw),
        )
        pose.seq = reading.seq
        return pose

    def tf(self, reading: Reading) -> TFMessage:
        """Where the robot is, and where its sensors sit on it."""
        state, optical = reading.state, Quaternion(-0.5, 0.5, -0.5, 0.5)
        camera_mount = Vector3(camera.FORWARD_M, 0.0, camera.HEIGHT_M)
        moved = Transform(
            translation=Vector3(state.x, state.y, 0.0),
            rotation=_turned(state.yaw),
            frame_id=self._odom_frame,
            child_frame_id=self._frame("base_link"),
            ts=reading.ts,
        )
        return TFMessage(
            moved,
            self._mount("base_link", "lidar_link", Vector3(0.0, 0.0, lidar.HEIGHT_M), reading.ts),
            self._mount("base_link", "imu_link", Vector3(0.0, 0.0, IMU_HEIGHT_M), reading.ts),
            self._mount("base_link", "camera_link", camera_mount, reading.ts),
            self._mount("camera_link", "camera_optical", Vector3(), reading.ts, optical),
        )

    def imu(self, reading: Reading) -> NumberedImu:
        """Turn rate, and acceleration with gravity."""
        turn_rate, acceleration = felt(reading.state, self._noise)
        imu = NumberedImu(
            angular_velocity=Vector3(*turn_rate),
            linear_acceleration=Vector3(*acceleration),
            orientation=_turned(reading.state.yaw),
            frame_id=self._frame("imu_link"),
            ts=reading.ts,
        )
        imu.seq = reading.seq
        return imu

    def lidar(self, reading: Reading) -> PointCloud2:
        """One turn of the lidar, in its own frame."""
        points = self._lidar.scan(reading.state)
        cloud = PointCloud2.from_numpy(
            points[:, :3], self._frame("lidar_link"), reading.ts, intensities=points[:, 3]
        )
        cloud.seq = reading.seq
        return cloud

    def color_image(self, reading: Reading) -> NumberedImage:
        """What the camera sees."""
        picture = self._camera.render(reading.state)[:: self._stride, :: self._stride]
        image = NumberedImage(picture, ImageFormat.RGB, self._frame("camera_optical"), reading.ts)
        image.seq = reading.seq
        return image

    def camera_info(self, reading: Reading) -> NumberedCameraInfo:
        """The camera's intrinsics: a pinhole without distortion."""
        info = NumberedCameraInfo.from_intrinsics(
            fx=camera.FOCAL_PX / self._stride,
            fy=camera.FOCAL_PX / self._stride,
            cx=camera.CENTRE_X / self._stride,
            cy=camera.CENTRE_Y / self._stride,
            width=camera.WIDTH // self._stride,
            height=camera.HEIGHT // self._stride,
            frame_id=self._frame("camera_optical"),
        )
        info.ts, info.seq = reading.ts, reading.seq
        return info

    def _mount(
        self, parent: str, child: str, offset: Vector3, ts: float, turn: Quaternion | None = None
    ) -> Transform:
        return Transform(
            translation=offset,
            rotation=turn or Quaternion(),
            frame_id=self._frame(parent),
            child_frame_id=self._frame(child),
            ts=ts,
        )

    def _frame(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _turned(yaw: float) -> Quaternion:
    return Quaternion(0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))

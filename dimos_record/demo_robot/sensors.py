"""Messages from states: what the demo robot's sensors say at one instant.

Messages are `dimos_lcm` classes. Their constructors share default arguments between instances, so
every nested object is passed explicitly. Frames follow ROS REP 103 and 105.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from dimos_lcm import geometry_msgs, nav_msgs, sensor_msgs, std_msgs, tf2_msgs

from dimos_record.demo_robot import camera, lidar
from dimos_record.demo_robot.noise import Noise
from dimos_record.demo_robot.robot import (
    WHEEL_RADIUS_M,
    WHEEL_SEPARATION_M,
    DemoRobot,
    RobotState,
)

GRAVITY = 9.80665
GYRO_NOISE = 0.002
"""Standard deviation, rad/s."""
ACCELEROMETER_NOISE = 0.03
"""Standard deviation, m/s²."""
IMU_HEIGHT_M = 0.2
FLOAT32 = 7
"""`sensor_msgs.PointField.FLOAT32`"""


class Sample(NamedTuple):
    """One reading of one sensor: what is true, and how the message is numbered and stamped."""

    state: RobotState
    seq: int
    stamp_ns: int
    """Since the UNIX epoch."""


Axes = tuple[float, float, float]
"""Of a vector: x, y, z."""
Sensor = Callable[[Sample], Any]
"""Gives the `dimos_lcm` message to publish."""


class Sensors:
    """The sensors of one demo robot. `by_topic` names them.

    Args:
        robot: whose world and seed to use.
        noise: False for perfect sensors.
    """

    def __init__(self, robot: DemoRobot, noise: bool = True) -> None:
        self._noise = Noise(robot.seed) if noise else None
        self._floor_plan = robot.world.floor_plan()
        self.camera = camera.Camera(robot.world, self._noise)
        self.lidar = lidar.Lidar(robot.world, self._noise)
        self.by_topic: dict[str, tuple[Sensor, ...]] = {
            "/tf_static": (self.camera_mounts, self.other_mounts),
            "/map": (self.map,),
            "/camera/camera_info": (self.camera_info,),
            "/cmd_vel": (self.cmd_vel,),
            "/imu": (self.imu,),
            "/odom": (self.odom,),
            "/tf": (self.tf,),
            "/joint_states": (self.joint_states,),
            "/lidar": (self.point_cloud,),
            "/camera/image": (self.image,),
        }
        """The functions that make each topic's messages, one message each."""

    def image(self, sample: Sample) -> sensor_msgs.Image:
        """The camera's picture: rgb8, 640 x 480."""
        picture = self.camera.render(sample.state)
        height, width, channels = picture.shape
        return sensor_msgs.Image(
            data_length=picture.nbytes,
            header=_header(sample, "camera_optical"),
            height=height,
            width=width,
            encoding="rgb8",
            step=width * channels,
            data=picture.tobytes(),
        )

    def camera_info(self, sample: Sample) -> sensor_msgs.CameraInfo:
        """The camera's intrinsics: a pinhole without distortion."""
        f, cx, cy = camera.FOCAL_PX, camera.CENTRE_X, camera.CENTRE_Y
        return sensor_msgs.CameraInfo(
            D_length=5,
            header=_header(sample, "camera_optical"),
            height=camera.HEIGHT,
            width=camera.WIDTH,
            distortion_model="plumb_bob",
            D=[0.0] * 5,
            K=[f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
            R=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            P=[f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            roi=sensor_msgs.RegionOfInterest(),
        )

    def point_cloud(self, sample: Sample) -> sensor_msgs.PointCloud2:
        """One turn of the lidar: x, y, z (m) and intensity as float32, little-endian."""
        points = self.lidar.scan(sample.state).astype("<f4", copy=False)
        names = ("x", "y", "z", "intensity")
        return sensor_msgs.PointCloud2(
            fields_length=len(names),
            data_length=points.nbytes,
            header=_header(sample, "lidar_link"),
            height=1,
            width=len(points),
            fields=[
                sensor_msgs.PointField(name=name, offset=4 * i, datatype=FLOAT32, count=1)
                for i, name in enumerate(names)
            ],
            point_step=16,
            row_step=points.nbytes,
            data=points.tobytes(),
            is_dense=True,
        )

    def imu(self, sample: Sample) -> sensor_msgs.Imu:
        """Turn rate, and acceleration as felt: along, centripetal, and against gravity."""
        turn_rate, acceleration = felt(sample.state, self._noise)
        return sensor_msgs.Imu(
            header=_header(sample, "imu_link"),
            orientation=_yaw_quaternion(sample.state.yaw),
            orientation_covariance=_diagonal([1e-6] * 3),
            angular_velocity=_vector(*turn_rate),
            angular_velocity_covariance=_diagonal([GYRO_NOISE**2] * 3),
            linear_acceleration=_vector(*acceleration),
            linear_acceleration_covariance=_diagonal([ACCELEROMETER_NOISE**2] * 3),
        )

    def odom(self, sample: Sample) -> nav_msgs.Odometry:
        """Pose in the odom frame, speed in the robot's own."""
        state = sample.state
        pose = geometry_msgs.Pose(
            position=geometry_msgs.Point(x=state.x, y=state.y, z=0.0),
            orientation=_yaw_quaternion(state.yaw),
        )
        return nav_msgs.Odometry(
            header=_header(sample, "odom"),
            child_frame_id="base_link",
            pose=geometry_msgs.PoseWithCovariance(
                pose=pose, covariance=_diagonal([1e-4, 1e-4, 1e-6, 1e-6, 1e-6, 1e-4])
            ),
            twist=geometry_msgs.TwistWithCovariance(
                twist=_twist(state.linear, state.angular),
                covariance=_diagonal([1e-4, 1e-6, 1e-6, 1e-6, 1e-6, 1e-4]),
            ),
        )

    def tf(self, sample: Sample) -> tf2_msgs.TFMessage:
        """Where the robot is: odom to base_link."""
        state = sample.state
        turn = _yaw_quaternion(state.yaw)
        header = _header(sample, "odom")
        return _tf(_transform(header, "base_link", (state.x, state.y, 0.0), turn))

    def camera_mounts(self, sample: Sample) -> tf2_msgs.TFMessage:
        """Where the camera sits.

        `/tf_static` comes from two publishers, as on many robots: whoever keeps only its last
        message loses half of the tree.
        """
        optical = geometry_msgs.Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
        mount_m = (camera.FORWARD_M, 0.0, camera.HEIGHT_M)
        return _tf(
            _transform(_header(sample, "base_link"), "camera_link", mount_m),
            _transform(_header(sample, "camera_link"), "camera_optical", turn=optical),
        )

    def other_mounts(self, sample: Sample) -> tf2_msgs.TFMessage:
        """Where lidar and IMU sit; and that odometry has not drifted off the map."""
        return _tf(
            _transform(_header(sample, "base_link"), "lidar_link", (0.0, 0.0, lidar.HEIGHT_M)),
            _transform(_header(sample, "base_link"), "imu_link", (0.0, 0.0, IMU_HEIGHT_M)),
            _transform(_header(sample, "map"), "odom"),
        )

    def joint_states(self, sample: Sample) -> sensor_msgs.JointState:
        """Angles (rad) and speeds (rad/s) of the wheels."""
        state = sample.state
        half_turn = 0.5 * WHEEL_SEPARATION_M * state.angular
        speeds = [
            (state.linear - half_turn) / WHEEL_RADIUS_M,
            (state.linear + half_turn) / WHEEL_RADIUS_M,
        ]
        return sensor_msgs.JointState(
            name_length=2,
            position_length=2,
            velocity_length=2,
            header=_header(sample, "base_link"),
            name=["left_wheel_joint", "right_wheel_joint"],
            position=[state.left_wheel, state.right_wheel],
            velocity=speeds,
            effort=[],
        )

    def cmd_vel(self, sample: Sample) -> geometry_msgs.Twist:
        """The command that the robot is following."""
        return _twist(sample.state.command.linear, sample.state.command.angular)

    def map(self, sample: Sample) -> nav_msgs.OccupancyGrid:
        """The floor plan: 0 free, 100 occupied, -1 unknown."""
        grid = self._floor_plan
        height, width = grid.cells.shape
        origin = geometry_msgs.Pose(
            position=geometry_msgs.Point(x=grid.origin[0], y=grid.origin[1], z=0.0),
            orientation=_yaw_quaternion(0.0),
        )
        return nav_msgs.OccupancyGrid(
            data_length=grid.cells.size,
            header=_header(sample, "map"),
            info=nav_msgs.MapMetaData(
                map_load_time=_time(sample.stamp_ns),
                resolution=grid.resolution_m,
                width=width,
                height=height,
                origin=origin,
            ),
            data=grid.cells.ravel().tolist(),
        )


def felt(state: RobotState, noise: Noise | None) -> tuple[Axes, Axes]:
    """What an IMU feels: turn rate (rad/s) and acceleration with gravity (m/s²), around and along
    the robot's x, y and z."""
    drawn = [0.0] * 6 if noise is None else noise.normal(state.t_ns, 6).tolist()
    wx, wy, wz = (GYRO_NOISE * error for error in drawn[:3])
    ax, ay, az = (ACCELEROMETER_NOISE * error for error in drawn[3:])
    acceleration = (ax + state.acceleration, ay + state.linear * state.angular, az + GRAVITY)
    return (wx, wy, wz + state.angular), acceleration


def _time(stamp_ns: int) -> std_msgs.Time:
    return std_msgs.Time(sec=stamp_ns // 1_000_000_000, nsec=stamp_ns % 1_000_000_000)


def _header(sample: Sample, frame_id: str) -> std_msgs.Header:
    return std_msgs.Header(seq=sample.seq, stamp=_time(sample.stamp_ns), frame_id=frame_id)


def _vector(x: float, y: float, z: float) -> geometry_msgs.Vector3:
    return geometry_msgs.Vector3(x=x, y=y, z=z)


def _twist(linear: float, angular: float) -> geometry_msgs.Twist:
    return geometry_msgs.Twist(linear=_vector(linear, 0.0, 0.0), angular=_vector(0.0, 0.0, angular))


def _yaw_quaternion(yaw: float) -> geometry_msgs.Quaternion:
    return geometry_msgs.Quaternion(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))


def _transform(
    header: std_msgs.Header,
    child: str,
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    turn: geometry_msgs.Quaternion | None = None,
) -> geometry_msgs.TransformStamped:
    return geometry_msgs.TransformStamped(
        header=header,
        child_frame_id=child,
        transform=geometry_msgs.Transform(
            translation=_vector(*offset_m), rotation=turn or _yaw_quaternion(0.0)
        ),
    )


def _tf(*transforms: geometry_msgs.TransformStamped) -> tf2_msgs.TFMessage:
    return tf2_msgs.TFMessage(transforms_length=len(transforms), transforms=list(transforms))


def _diagonal(variances: list[float]) -> list[float]:
    """A covariance matrix, row by row."""
    matrix = [0.0] * len(variances) ** 2
    matrix[:: len(variances) + 1] = variances
    return matrix

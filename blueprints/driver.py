"""The demo robot's hardware, as a dimos module: a simulated robot that obeys `cmd_vel`."""

import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import IO, In, Out
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.sensor_msgs.CameraInfo import CameraInfo
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.sensor_msgs.Imu import Imu
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage
from pydantic import Field, field_validator
from reactivex.disposable import Disposable

from dimos_record.blueprints.messages import DimosSensors, Reading
from dimos_record.demo_robot.robot import Command, DemoRobot, RobotState

SECOND_NS = 1_000_000_000
DEAD_MAN_S = 0.5
"""The robot stops when no command has come for so long."""
MAX_SPEED = 1.0
"""m/s"""
MAX_TURN_RATE = 1.5
"""rad/s"""
MAX_BEHIND_NS = SECOND_NS
"""A driver that was held up for longer goes on from there, instead of catching up."""
PICTURE_WIDTHS = (160, 320, 640)
BATTERY_S = 7200.0
"""How long a full battery lasts."""
JOIN_TIMEOUT_S = 2.0


class DemoDriverConfig(ModuleConfig):
    """What the demo robot's hardware is like."""

    odom_hz: float = Field(50.0, gt=0, le=200)
    """Of poses and of transforms."""
    imu_hz: float = Field(100.0, gt=0, le=400)
    lidar_hz: float = Field(10.0, gt=0, le=20)
    image_hz: float = Field(15.0, gt=0, le=30)
    camera_info_hz: float = Field(1.0, gt=0, le=30)
    picture_width: int = 320
    """Pixels: 160, 320 or 640; a picture is 3/4 as high."""
    lidar_azimuths: int = Field(360, ge=36, le=1800)
    """Points in each of the lidar's 16 rings."""
    seed: int = 0
    """Of the sensors' noise."""
    odom_frame_id: str = "world"
    """Not prefixed in a namespace, so that the robots of a fleet share it."""
    marker: str | None = None
    """A file that holds this process's id for as long as the driver runs."""

    @field_validator("picture_width")
    @classmethod
    def _check_picture_width(cls, width: int) -> int:
        if width not in PICTURE_WIDTHS:
            raise ValueError("a picture is 160, 320 or 640 pixels wide")
        return width


class DemoDriver(Module):
    """A simulated robot in two rooms. Every message of an `Out` is numbered from 1 in its header;
    the first one of each is published before `start` returns."""

    config: DemoDriverConfig

    cmd_vel: In[Twist]
    odom: Out[PoseStamped]
    imu: Out[Imu]
    lidar: Out[PointCloud2]
    color_image: Out[Image]
    camera_info: Out[CameraInfo]
    tf: IO[TFMessage]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._robot = DemoRobot(self.config.seed)
        self._robot.drive(Command())
        self._command = Command()
        self._commanded_at_s = -math.inf
        self._streams: list[_Scheduled] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-driver", daemon=True)

    @rpc
    def build(self) -> None:
        """Switch the sensors on, which takes a moment."""
        super().build()
        PointCloud2.lcm_warmup()
        self._streams = self._scheduled()

    @rpc
    def start(self) -> None:
        """Start to publish and to obey."""
        super().start()
        if self.config.marker is not None:
            Path(self.config.marker).write_text(str(os.getpid()))
        self.register_disposable(Disposable(self.cmd_vel.subscribe(self._obey)))
        self._start_clock()
        for stream in self._streams:
            self._publish(stream)
        self._start_clock()  # again: the first message of a transport takes a while
        self._thread.start()

    @rpc
    def stop(self) -> None:
        """Stop the robot and switch it off."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)
        if self.config.marker is not None:
            Path(self.config.marker).unlink(missing_ok=True)
        super().stop()

    @rpc
    def battery_level(self) -> float:
        """Share of the charge that is left, 0 to 1."""
        return max(0.0, 1.0 - self._robot.state.t_ns / SECOND_NS / BATTERY_S)

    @rpc
    async def minutes_left(self) -> float:
        """How long the battery will last."""
        return self.battery_level() * BATTERY_S / 60

    def _scheduled(self) -> list["_Scheduled"]:
        config = self.config
        sensors = DimosSensors(
            self._robot.world,
            seed=config.seed,
            picture_width=config.picture_width,
            lidar_azimuths=config.lidar_azimuths,
            prefix=config.frame_id_prefix,
            odom_frame=config.odom_frame_id,
        )
        return [
            _Scheduled(self.odom, sensors.odom, config.odom_hz),
            _Scheduled(self.tf, sensors.tf, config.odom_hz),
            _Scheduled(self.imu, sensors.imu, config.imu_hz),
            _Scheduled(self.lidar, sensors.lidar, config.lidar_hz),
            _Scheduled(self.color_image, sensors.color_image, config.image_hz),
            _Scheduled(self.camera_info, sensors.camera_info, config.camera_info_hz),
        ]

    def _start_clock(self) -> None:
        self._started_ns, self._started_wall_ns = time.monotonic_ns(), time.time_ns()

    def _run(self) -> None:
        while True:
            stream = min(self._streams, key=lambda stream: stream.due_ns)
            wait_ns = self._started_ns + stream.due_ns - time.monotonic_ns()
            if self._stopping.wait(max(0, wait_ns) / SECOND_NS):
                return
            if -wait_ns > MAX_BEHIND_NS:
                self._started_ns -= wait_ns
                self._started_wall_ns -= wait_ns
            self._publish(stream)

    def _publish(self, stream: "_Scheduled") -> None:
        self._apply_command()
        due_ns = stream.due_ns
        stream.publish(self._robot.state_at(due_ns), (self._started_wall_ns + due_ns) / SECOND_NS)

    def _obey(self, twist: Twist) -> None:
        self._command = Command(
            _limited(twist.linear.x, MAX_SPEED), _limited(twist.angular.z, MAX_TURN_RATE)
        )
        self._commanded_at_s = time.monotonic()

    def _apply_command(self) -> None:
        is_fresh = time.monotonic() - self._commanded_at_s < DEAD_MAN_S
        command = self._command if is_fresh else Command()
        if command != self._robot.state.command:
            self._robot.drive(command)


class _Scheduled:
    """One stream with its rate. Every message has an absolute due time, so rates do not drift."""

    def __init__(
        self, port: Out[Any] | IO[Any], make: Callable[[Reading], Any], rate_hz: float
    ) -> None:
        self._port, self._make, self._rate_hz = port, make, rate_hz
        self._published = 0

    @property
    def due_ns(self) -> int:
        """When the next message is due, since the start."""
        return round(self._published * SECOND_NS / self._rate_hz)

    def publish(self, state: RobotState, ts: float) -> None:
        """Publish the next message; the first has number 1."""
        self._published += 1
        self._port.publish(self._make(Reading(state, self._published, ts)))


def _limited(speed: float, limit: float) -> float:
    """A commanded speed within its limits; 0 for one that is not a number."""
    return 0.0 if math.isnan(speed) else max(-limit, min(limit, speed))

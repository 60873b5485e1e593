"""A robot with four cameras: dimos's profile of its own recorder, 65 MiB/s, as real modules.

Every message has a number, 1 to n per topic, from which all of it follows: whoever has the number
can make the bytes again, and compare. Used by the tests and by `scripts/bench`.
"""

import json
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dimos.core.coordination.blueprints import Blueprint, autoconnect
from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import IO, Out
from dimos.msgs.geometry_msgs.Pose import Pose
from dimos.msgs.geometry_msgs.Transform import Transform
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.nav_msgs.Odometry import Odometry
from dimos.msgs.sensor_msgs.Image import Image, ImageFormat
from dimos.msgs.sensor_msgs.Imu import Imu
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from dimos_record.integrations.dimos.record_module import RecordModule

START_S = 1_700_000_000
"""Header stamp of message number 0, UNIX seconds; later ones are a period apart."""
HEIGHT, WIDTH = 480, 640
POINTS = 23_750
"""A cloud of 380 kB."""
LARGEST_BURST_S = 0.01
"""A sensor that was kept from running does not make up for more than this at once."""


class Topic(NamedTuple):
    """One topic of the profile."""

    rate_hz: float
    make: Callable[[int, float], Any]
    """(number, stamp) to the message. It may share memory with the next one."""

    def stamp_s(self, number: int) -> float:
        """Header stamp of a message."""
        return START_S + number / self.rate_hz

    def number(self, stamp_s: float) -> int:
        """The message that has this stamp."""
        return round((stamp_s - START_S) * self.rate_hz)

    def message(self, number: int) -> Any:
        """A message, which is the same wherever it is made."""
        return self.make(number, self.stamp_s(number))

    def count(self, duration_s: float) -> int:
        """How many are published in so many seconds."""
        return round(self.rate_hz * duration_s)


@cache
def _pixels(seed: int, format: ImageFormat, dtype: type, channels: int) -> Any:
    """A picture as noisy as a camera's."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    smooth = np.stack([(rows + columns) // 5, 255 - rows // 2, columns // 3][:channels], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 3, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(dtype).squeeze()


def _camera(
    seed: int, format: ImageFormat, dtype: type = np.uint8, channels: int = 1
) -> Callable[[int, float], Image]:
    """Makes pictures; their first eight bytes are their number."""

    def make(number: int, stamp_s: float) -> Image:
        pixels = _pixels(seed, format, dtype, channels)
        pixels.reshape(-1).view(np.uint8)[:8] = np.frombuffer(number.to_bytes(8, "big"), np.uint8)
        return Image(data=pixels, format=format, frame_id=f"camera{seed}", ts=stamp_s)

    return make


def _imu(number: int, stamp_s: float) -> Imu:
    turn, push = Vector3(0.1, 0.2, number), Vector3(0.0, -number, 9.81)
    return Imu(turn, push, frame_id="imu_link", ts=stamp_s)


def _odometry(number: int, stamp_s: float) -> Odometry:
    return Odometry(
        ts=stamp_s, frame_id="odom", child_frame_id="base_link", pose=Pose(number, -1.0, 0.25)
    )


def _tf(number: int, stamp_s: float) -> TFMessage:
    links = ("base_link", "camera_link", "imu_link", "lidar_link")
    return TFMessage(
        *(
            Transform(Vector3(number, i, 0.5), frame_id="map", child_frame_id=link, ts=stamp_s)
            for i, link in enumerate(links)
        )
    )


@cache
def _points() -> Any:
    return np.random.default_rng(9).normal(0, 5, (POINTS, 3)).astype(np.float32)


def _lidar(number: int, stamp_s: float) -> PointCloud2:
    points = _points()
    points[0] = number
    return PointCloud2.from_numpy(points, frame_id="lidar_link", timestamp=stamp_s)


TOPICS = {
    "rgb": Topic(30, _camera(1, ImageFormat.RGB, channels=3)),
    "depth": Topic(30, _camera(2, ImageFormat.DEPTH16, np.uint16)),
    "grey_left": Topic(30, _camera(3, ImageFormat.GRAY)),
    "grey_right": Topic(30, _camera(4, ImageFormat.GRAY)),
    "imu": Topic(400, _imu),
    "odometry": Topic(200, _odometry),
    "tf": Topic(20, _tf),
    "lidar": Topic(10, _lidar),
}


class SensorConfig(ModuleConfig):
    duration_s: float
    notes: str
    """Folder of the files that say how many messages were published, by topic."""


class Sensor(Module):
    """Publishes its topics from the moment it starts, and writes down how many messages it were."""

    config: SensorConfig
    dedicated_worker = True

    @rpc
    def start(self) -> None:
        super().start()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="sensor")
        self._thread.start()

    @rpc
    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        super().stop()

    def _publish(self) -> None:
        topics = {name: TOPICS[name] for name in (*self.outputs, *self.ios)}
        due = sorted(
            (n / topic.rate_hz, name, n + 1)
            for name, topic in topics.items()
            for n in range(topic.count(self.config.duration_s))
        )
        published = dict.fromkeys(topics, 0)
        began_s = time.monotonic()
        for due_s, name, number in due:
            late_s = time.monotonic() - began_s - due_s
            began_s += max(0.0, late_s - LARGEST_BURST_S)
            if self._stopped.wait(max(0.0, -late_s)):
                return
            getattr(self, name).publish(topics[name].message(number))
            published[name] += 1
        path = Path(self.config.notes) / type(self).__name__
        path.with_suffix(".tmp").write_text(json.dumps(published))
        path.with_suffix(".tmp").rename(path.with_suffix(".json"))


class Head(Sensor):
    rgb: Out[Image]
    depth: Out[Image]


class Flanks(Sensor):
    grey_left: Out[Image]
    grey_right: Out[Image]


class Body(Sensor):
    imu: Out[Imu]
    odometry: Out[Odometry]
    tf: IO[TFMessage]


class Laser(Sensor):
    lidar: Out[PointCloud2]


SENSORS = (Head, Flanks, Body, Laser)


class StallingRecorder(RecordModule):
    """The recorder, whose writer can be made to stand still in the midst of a transaction."""

    @rpc
    def stall_writer(self, duration_s: float) -> None:
        """Let the next batch take so much longer; returns when it is over."""
        if self._session is not None:
            stall_next_call(self._session.writer, "_take", duration_s)


def stall_next_call(owner: Any, method: str, duration_s: float) -> None:
    """Let the next call of a method take so much longer; returns when it is over."""
    original, is_over = getattr(owner, method), threading.Event()

    def stalled(*args: Any, **kwargs: Any) -> Any:
        setattr(owner, method, original)
        time.sleep(duration_s)
        is_over.set()
        return original(*args, **kwargs)

    setattr(owner, method, stalled)
    is_over.wait()


def full_stack(duration_s: float, notes: Path) -> Blueprint:
    """The robot, which publishes for so long and then says how many messages it published."""
    return autoconnect(
        *(sensor.blueprint(duration_s=duration_s, notes=str(notes)) for sensor in SENSORS)
    )


def published(notes: Path) -> dict[str, int] | None:
    """How many messages were published, by topic; None as long as there are more to come."""
    counts = [json.loads(path.read_text()) for path in notes.glob("*.json")]
    if len(counts) < len(SENSORS):
        return None
    return {name: count for one in counts for name, count in one.items()}

"""The messages that are sent: real LCM messages that carry a number and the time of sending.

The last 16 bytes of every message are its number and the monotonic time at which it was sent (ns),
two big-endian 64-bit integers. In a pose they are two components of the quaternion (as denormal
floats, which survive decoding), in an image its last pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

_TRAILER = struct.Struct(">qq")

Encode = Callable[[int, int], bytes]
"""(number, time of sending) to the bytes of a message"""


def numbered(data: bytes) -> tuple[int, int]:
    """Number and time of sending of a message."""
    number, sent_ns = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    return number, sent_ns


class Stream(NamedTuple):
    """One stream of messages at a steady rate."""

    channel: str
    kind: str
    """`pose`, `image` ... (see `encoder`), or a number of bytes for raw ones."""
    rate_hz: float

    @property
    def size_bytes(self) -> int:
        """Size of each message."""
        return len(encoder(self.kind)(0, 0))


def encoder(kind: str) -> Encode:
    """How messages of a kind are made."""
    start = _MAKERS[kind]() if kind in _MAKERS else bytes(int(kind))
    head = start[: -_TRAILER.size]
    pack = _TRAILER.pack
    return lambda number, sent_ns: head + pack(number, sent_ns)


def _pose(size_bytes: int) -> bytes:
    """A PoseStamped of that size; the name of its frame fills it up."""
    from dimos_lcm.geometry_msgs import PoseStamped

    message = PoseStamped()
    message.header.frame_id = ""  # all messages share the header that they begin with
    message.header.frame_id = "f" * (size_bytes - len(message.lcm_encode()))
    data: bytes = message.lcm_encode()
    return data


def _image(encoding: str, channels: int, bytes_each: int = 1) -> bytes:
    """A picture of 640x480, as noisy as a camera's: 0.92 MB in colour."""
    import numpy as np
    from dimos_lcm.sensor_msgs import Image

    rows, columns = np.mgrid[0:480, 0:640]
    first = (rows + columns) // 5
    smooth = np.stack([first, 255 - first, (rows * columns) // 1300][:channels], axis=-1)
    noise = np.random.default_rng(1).normal(0, 3, smooth.shape)
    pixels = np.clip(smooth + noise, 0, 255).astype(f"u{bytes_each}")
    message = Image()
    message.header.frame_id = "camera"
    message.height, message.width, message.step = 480, 640, 640 * channels * bytes_each
    message.encoding = encoding
    message.data = pixels.tobytes()
    message.data_length = len(message.data)
    data: bytes = message.lcm_encode()
    return data


def _empty(package: str, type_name: str) -> bytes:
    """A message of a type without variable parts, all zero."""
    message = getattr(import_module(f"dimos_lcm.{package}"), type_name)()
    message.header.frame_id = "base_link"
    data: bytes = message.lcm_encode()
    return data


def _transforms() -> bytes:
    """Four transforms of the robot's parts."""
    from dimos_lcm.geometry_msgs import TransformStamped
    from dimos_lcm.tf2_msgs import TFMessage

    message = TFMessage()
    for part in ("base_link", "camera_link", "imu_link", "lidar_link"):
        transform = TransformStamped()
        transform.header.frame_id, transform.child_frame_id = "map", part
        message.transforms.append(transform)
    message.transforms_length = len(message.transforms)
    data: bytes = message.lcm_encode()
    return data


def _cloud() -> bytes:
    """23,750 points of 16 bytes: 380 kB."""
    import numpy as np
    from dimos_lcm.sensor_msgs import PointCloud2, PointField

    points = np.random.default_rng(9).normal(0, 5, (23_750, 4)).astype(np.float32)
    message = PointCloud2()
    message.header.frame_id = "lidar_link"
    message.height, message.width, message.point_step = 1, len(points), 16
    message.row_step = points.nbytes
    for index, name in enumerate(("x", "y", "z", "intensity")):
        field = PointField()
        field.name, field.offset, field.datatype, field.count = name, 4 * index, 7, 1
        message.fields.append(field)
    message.fields_length = len(message.fields)
    message.data, message.data_length = points.tobytes(), points.nbytes
    data: bytes = message.lcm_encode()
    return data


_MAKERS: dict[str, Callable[[], bytes]] = {
    "pose": lambda: _pose(100),
    "pose1k": lambda: _pose(1024),
    "image": lambda: _image("bgr8", 3),
    "depth": lambda: _image("16UC1", 1, 2),
    "grey": lambda: _image("mono8", 1),
    "imu": lambda: _empty("sensor_msgs", "Imu"),
    "odometry": lambda: _empty("nav_msgs", "Odometry"),
    "tf": _transforms,
    "cloud": _cloud,
}

FULL_STACK = (
    Stream("/rgb#sensor_msgs.Image", "image", 30),
    Stream("/depth#sensor_msgs.Image", "depth", 30),
    Stream("/grey_left#sensor_msgs.Image", "grey", 30),
    Stream("/grey_right#sensor_msgs.Image", "grey", 30),
    Stream("/imu#sensor_msgs.Imu", "imu", 400),
    Stream("/odometry#nav_msgs.Odometry", "odometry", 200),
    Stream("/tf#tf2_msgs.TFMessage", "tf", 20),
    Stream("/lidar#sensor_msgs.PointCloud2", "cloud", 10),
)
"""A robot with four cameras: dimos's profile of its own recorder, 68 MB/s."""


def schedule(streams: tuple[Stream, ...], duration_s: float) -> list[tuple[int, int]]:
    """When each message of some streams is due: (ns from the start, index of the stream), sorted.

    The phases differ, as those of sensors do.
    """
    due = []
    for index, stream in enumerate(streams):
        period_ns = 1e9 / stream.rate_hz
        phase_ns = period_ns * index / len(streams)
        count = max(1, int(duration_s * stream.rate_hz))
        due += [(int(phase_ns + n * period_ns), index) for n in range(count)]
    return sorted(due)

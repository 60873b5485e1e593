"""The messages that are sent: real LCM messages that carry a number and the time of sending.

The last 16 bytes of every message are its number and the monotonic time at which it was sent (ns),
two big-endian 64-bit integers. In a pose they are two components of the quaternion (as denormal
floats, which survive decoding), in an image its last pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
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
    """`pose`, `pose1k`, `image`, or a number of bytes for raw ones."""
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


def _image() -> bytes:
    """A colour image of 640x480, as noisy as a camera's: 0.92 MB."""
    import numpy as np
    from dimos_lcm.sensor_msgs import Image

    rows, columns = np.mgrid[0:480, 0:640]
    red = (rows + columns) // 5
    smooth = np.stack([red, 255 - red, (rows * columns) // 1300], axis=-1)
    noise = np.random.default_rng(1).normal(0, 3, smooth.shape)
    pixels = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    message = Image()
    message.header.frame_id = "camera"
    message.height, message.width, message.step = 480, 640, 1920
    message.encoding = "bgr8"
    message.data = pixels.tobytes()
    message.data_length = len(message.data)
    data: bytes = message.lcm_encode()
    return data


_MAKERS: dict[str, Callable[[], bytes]] = {
    "pose": lambda: _pose(100),
    "pose1k": lambda: _pose(1024),
    "image": _image,
}

FULL_STACK = (
    Stream("/rgb", str(640 * 480 * 3), 30),
    Stream("/depth", str(640 * 480 * 2), 30),
    Stream("/grey_left", str(640 * 480), 30),
    Stream("/grey_right", str(640 * 480), 30),
    Stream("/imu", "350", 400),
    Stream("/odometry", "720", 200),
    Stream("/tf", "400", 20),
    Stream("/lidar", "380000", 10),
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

"""dimos's messages with a number in their header, so that a receiver can tell what is missing.

dimos itself writes 0 there and does not read it; `PointCloud2` has a number of its own.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.sensor_msgs.CameraInfo import CameraInfo
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.sensor_msgs.Imu import Imu

from dimos_record.errors import DecodeError
from dimos_record.messages.layout import Path, Plan, marking

_NUMBER = struct.Struct(">i")


class _Numbered:
    """Writes `seq` where dimos writes 0; everything else is encoded by dimos."""

    msg_name: str
    seq: int = 0

    def lcm_encode(self, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = super().lcm_encode(*args, **kwargs)  # type: ignore[misc]
        at = _header_offset(self.msg_name, data)
        return b"".join((data[:at], _NUMBER.pack(self.seq), data[at + _NUMBER.size :]))


class NumberedPose(_Numbered, PoseStamped):
    """A PoseStamped with a number."""


class NumberedImage(_Numbered, Image):
    """An Image with a number."""


class NumberedCameraInfo(_Numbered, CameraInfo):
    """A CameraInfo with a number."""


class NumberedImu(_Numbered, Imu):
    """An Imu with a number."""


def message_number(type_name: str, data: bytes) -> int:
    """The number in the header of an encoded message.

    Raises:
        DecodeError: the type has no header, or the bytes are of another type.
    """
    number: int = _NUMBER.unpack_from(data, _header_offset(type_name, data))[0]
    return number


def _header_offset(type_name: str, data: bytes) -> int:
    plan = _header_plan(type_name)
    if plan is None:
        raise DecodeError(f"messages of type {type_name} have no header that could hold a number")
    return plan.locate(data, _NUMBER.size)[0]


@cache
def _header_plan(type_name: str) -> Plan | None:
    def is_own(path: Path, name: str) -> bool:
        return name == "std_msgs.Header" and len(path) == 1

    return marking(type_name, is_own, first_only=True)

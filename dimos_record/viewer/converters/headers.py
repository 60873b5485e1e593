"""Where a message stands: its frame and its position, read from its wire bytes."""

from __future__ import annotations

import struct
from functools import lru_cache

from dimos_record.errors import DecodeError
from dimos_record.messages import pose_of
from dimos_record.messages.layout import Path, Plan, marking
from dimos_record.messages.wire import clean_frame

Point = tuple[float, float, float]
"""x, y, z (m)."""

_FRAME_IN_HEADER = 12
_HEADER_BYTES = 16
"""Of a header, as far as the end of the length of its frame's name."""
_POINT = struct.Struct(">3d")


def frame_of(type_name: str, data: bytes) -> str | None:
    """The frame in a message's own header; None if it has no header, or the header names none.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """
    plan = _header_plan(type_name)
    if plan is None:
        return None
    position = plan.locate(data, _HEADER_BYTES)[0] + _FRAME_IN_HEADER
    length = int.from_bytes(data[position : position + 4], "big")
    name = bytes(data[position + 4 : position + 4 + length]).removesuffix(b"\0")
    return clean_frame(name.decode("utf-8", "replace")) or None


def position_of(type_name: str, data: bytes) -> Point | None:
    """Where the thing is that a message is about, in the message's frame.

    Returns:
        None if the type has no position of its own, or the bytes are truncated or of another type.
    """
    pose = pose_of(type_name, data)
    if pose is not None:
        return pose[:3]
    plan = _point_plan(type_name)
    if plan is None:
        return None
    try:
        (at,) = plan.locate(data, _POINT.size)
    except DecodeError:
        return None
    x, y, z = _POINT.unpack_from(data, at)
    return x, y, z


@lru_cache(maxsize=4096)
def _header_plan(type_name: str) -> Plan | None:
    def is_own(path: Path, name: str) -> bool:
        return name == "std_msgs.Header" and len(path) <= 1

    return marking(type_name, is_own, first_only=True)


@lru_cache(maxsize=4096)
def _point_plan(type_name: str) -> Plan | None:
    def is_the_point(path: Path, name: str) -> bool:
        return name == "geometry_msgs.Point" and path in ((), ("point",))

    return marking(type_name, is_the_point, first_only=True)

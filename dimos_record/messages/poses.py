"""Poses and frames, read from the wire bytes."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from dimos_record.errors import DecodeError
from dimos_record.messages.layout import Path, Plan, marking

PoseTuple = tuple[float, float, float, float, float, float, float]
"""Position and quaternion: x, y, z (m), qx, qy, qz, qw."""

_TF = "tf2_msgs.TFMessage"
_POSE = struct.Struct(">7d")
"""geometry_msgs.Pose and geometry_msgs.Transform are laid out alike."""
_STAMP = struct.Struct(">ii")
_LENGTH = struct.Struct(">I")


class FrameTransform(NamedTuple):
    """One transform of a TFMessage."""

    frame_id: str
    child_frame_id: str
    stamp_ns: int
    """Since the epoch; 0 if not set."""
    pose: PoseTuple


def pose_of(type_name: str | None, data: bytes) -> PoseTuple | None:
    """The pose that a message is about: x, y, z (m), qx, qy, qz, qw.

    It is the message itself (Pose, Transform), its ``pose`` or its ``transform`` (PoseStamped,
    TransformStamped, Marker), or the pose in those (Odometry, PoseWithCovarianceStamped). Poses in
    arrays and in other fields (the origin of a map) are not it.

    Returns:
        None if the type has no such pose, or the bytes are truncated or of another type.
    """
    plan = None if type_name is None else _pose_plan(type_name)
    if plan is None:
        return None
    try:
        (position,) = plan.locate(data, _POSE.size)
    except DecodeError:
        return None
    pose: PoseTuple = _POSE.unpack_from(data, position)
    return pose


def child_frames(type_name: str | None, data: bytes) -> list[str]:
    """The ``child_frame_id`` of every transform of a tf2_msgs.TFMessage, in order.

    Returns:
        An empty list for other types, and for bytes that are truncated or of another type.
    """
    if type_name != _TF:
        return []
    try:
        return [transform.child_frame_id for transform in transforms(data)]
    except DecodeError:
        return []


def transforms(data: bytes) -> list[FrameTransform]:
    """The transforms in the bytes of a tf2_msgs.TFMessage, in order.

    Raises:
        DecodeError: the bytes are of another type or version, or they end too early.
    """
    marks = _transforms_plan().locate(data, _POSE.size)
    return [_transform_at(data, *pair) for pair in zip(marks[::2], marks[1::2], strict=True)]


@lru_cache(maxsize=4096)
def _pose_plan(type_name: str) -> Plan | None:
    def is_the_pose(path: Path, name: str) -> bool:
        return name in ("geometry_msgs.Pose", "geometry_msgs.Transform") and all(
            field in ("pose", "transform") for field in path
        )

    return marking(type_name, is_the_pose, first_only=True)


@lru_cache(maxsize=1)
def _transforms_plan() -> Plan:
    """Marks each TransformStamped and the Transform in it, in turn."""
    marked = ("geometry_msgs.TransformStamped", "geometry_msgs.Transform")
    plan = marking(_TF, lambda _path, name: name in marked)
    if plan is None:
        raise DecodeError(f"dimos_lcm has no {_TF}; reinstall dimos-lcm.")
    return plan


def _transform_at(data: bytes, start: int, pose: int) -> FrameTransform:
    """The transform whose header is at ``start`` and whose seven doubles are at ``pose``."""
    sec, nsec = _STAMP.unpack_from(data, start + 4)
    frame_id, end = _string_at(data, start + 12)
    child_frame_id, _ = _string_at(data, end)
    return FrameTransform(
        frame_id, child_frame_id, sec * 1_000_000_000 + nsec, _POSE.unpack_from(data, pose)
    )


def _string_at(data: bytes, position: int) -> tuple[str, int]:
    """The string at a position, without its NUL, and the position behind it."""
    start = position + _LENGTH.size
    end = start + _LENGTH.unpack_from(data, position)[0]
    return bytes(data[start:end]).removesuffix(b"\0").decode("utf-8", "replace"), end

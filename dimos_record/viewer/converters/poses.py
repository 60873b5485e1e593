"""Poses as small axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages import pose_of
from dimos_record.viewer.converters import Shown

AXIS_M = 0.3
"""Length of the axes of a pose."""
AXIS_COLORS = ((230, 60, 60), (70, 190, 70), (70, 110, 240))
"""x, y and z."""


def pose_stamped(data: bytes) -> list[Shown]:
    """geometry_msgs.PoseStamped: axes at the pose."""
    return [_pose("geometry_msgs.PoseStamped", data)]


def _pose(type_name: str, data: bytes) -> Shown:
    pose = pose_of(type_name, data)
    if pose is None:
        raise DecodeError(f"The bytes are not a {type_name}, or they are truncated.")
    return Shown("", axes(pose))


def axes(pose: tuple[float, ...]) -> Any:
    """Three arrows along x, y and z of a pose: x, y, z (m), qx, qy, qz, qw."""
    import rerun as rr

    return rr.Arrows3D(
        vectors=rotations(np.array(pose[3:]))[0].T * AXIS_M,
        origins=[pose[:3]] * 3,
        colors=AXIS_COLORS,
    )


def rotations(quaternions: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rotation matrices, shape (n, 3, 3), of quaternions (x, y, z, w) of any length but 0.

    A quaternion of zeros, which a pose that was never set has, turns nothing.
    """
    q = np.asarray(quaternions, np.float64).reshape(-1, 4)
    square = np.einsum("ni,ni->n", q, q)
    s = np.divide(2.0, square, out=np.zeros_like(square), where=square > 0)
    x, y, z, w = q.T
    rows = np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )
    matrices: np.ndarray[Any, np.dtype[np.float64]] = rows.transpose(2, 0, 1)
    return matrices

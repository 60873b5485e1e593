"""Poses as small axes, points, and the arrays of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages import pose_of
from dimos_record.messages.layout import Path, Plan, marking
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Convert, Converter, Shown
from dimos_record.viewer.converters.curves import vector

Array = np.ndarray[Any, np.dtype[Any]]

AXIS_M = 0.3
"""Length of the axes of a pose."""
AXIS_COLORS = np.array([0xE63C3CFF, 0x46BE46FF, 0x466EF0FF], np.uint32)
"""x, y and z; packed, 0xRRGGBBAA."""
ARROW_M = 0.2
"""Length of an arrow that stands for one of many poses."""
POINT_RADIUS_M = 0.05
LINE_COLOR = (0, 200, 255)
SIGMAS = 2.0
"""Half the size of what stands for a covariance, in standard deviations."""
_LARGEST_M2 = 1e30
"""Covariances beyond mean nothing, and have no eigenvalues that could be found."""
_TURNS = np.linspace(0, 2 * np.pi, 33)
_CIRCLE = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)


def pose(type_name: str) -> Convert:
    """A converter for a type that is a pose: geometry_msgs.PoseStamped."""

    def convert(data: bytes) -> list[Shown]:
        return [Shown("", axes(_pose(type_name, data)))]

    return convert


def pose_2d(data: bytes) -> list[Shown]:
    """geometry_msgs.Pose2D: a pose on the floor."""
    x, y, theta = Wire("geometry_msgs.Pose2D", data).unpack("3d")
    return [
        Shown("", axes((x, y, 0.0, 0.0, 0.0, float(np.sin(theta / 2)), float(np.cos(theta / 2)))))
    ]


def pose_with_covariance(type_name: str) -> Convert:
    """A converter for a pose and where else it may be: ellipses of two standard deviations."""

    def convert(data: bytes) -> list[Shown]:
        wire = Wire(type_name, data)
        if type_name.endswith("Stamped"):
            wire.header()
        found = wire.unpack("7d")
        spread = _spread(found[:3], wire.array(">f8", 6, 6)[:3, :3].astype(float))
        return [Shown("", axes(found)), Shown("covariance", spread)]

    return convert


def odometry(data: bytes) -> list[Shown]:
    """nav_msgs.Odometry: the pose, and curves of the speeds (m/s, rad/s)."""
    wire = Wire("nav_msgs.Odometry", data)
    wire.header()
    wire.string()
    found = wire.unpack("7d")
    wire.array(">f8", 36)
    return [
        Shown("", axes(found)),
        vector("linear", wire.unpack("3d")),
        vector("angular", wire.unpack("3d")),
    ]


def pose_array(data: bytes) -> list[Shown]:
    """geometry_msgs.PoseArray: an arrow along x for each pose."""
    import rerun as rr

    wire = Wire("geometry_msgs.PoseArray", data)
    (count,) = wire.unpack("i")
    wire.header()
    poses = wire.array(">f8", count, 7).astype(float)
    forward = rotations(poses[:, 3:])[:, :, 0] * ARROW_M
    return [Shown("", rr.Arrows3D(origins=poses[:, :3], vectors=forward, colors=LINE_COLOR))]


def path(data: bytes) -> list[Shown]:
    """nav_msgs.Path: a line through the positions, which are taken to be in the path's frame."""
    import rerun as rr

    positions = _gathered(data, np.array(_path_plan().locate(data, 24), np.int64))
    strips = [positions] if len(positions) > 1 else []
    return [Shown("", rr.LineStrips3D(strips, colors=LINE_COLOR, radii=0.02))]


def point(type_name: str) -> Convert:
    """A converter for a single point."""

    def convert(data: bytes) -> list[Shown]:
        import rerun as rr

        wire = Wire(type_name, data)
        if type_name.endswith("Stamped"):
            wire.header()
        return [Shown("", rr.Points3D([wire.unpack("3d")], radii=POINT_RADIUS_M))]

    return convert


def polygon(type_name: str) -> Convert:
    """A converter for a polygon: a closed line."""

    def convert(data: bytes) -> list[Shown]:
        import rerun as rr

        wire = Wire(type_name, data)
        if type_name.endswith("Stamped"):
            wire.header()
        (count,) = wire.unpack("i")
        corners = wire.array(">f4", count, 3).astype(np.float32)
        strips = [np.concatenate([corners, corners[:1]])] if count > 1 else []
        return [Shown("", rr.LineStrips3D(strips, colors=LINE_COLOR, radii=0.01))]

    return convert


def axes(pose: Sequence[float]) -> Any:
    """Three arrows along x, y and z of a pose: x, y, z (m), qx, qy, qz, qw."""
    import rerun as rr

    vectors = np.array(_axis_vectors(*pose[3:]), np.float32) * AXIS_M
    origins = np.array([pose[:3]] * 3, np.float32)
    return rr.Arrows3D(vectors=vectors, origins=origins, colors=AXIS_COLORS)


def rotations(quaternions: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rotation matrices, shape (n, 3, 3), of quaternions (x, y, z, w), shape (n, 4) or (4,)."""
    quaternions = np.asarray(quaternions, np.float64).reshape(-1, 4)
    axes_first: np.ndarray[Any, np.dtype[np.float64]] = np.array(_axis_vectors(*quaternions.T))
    return np.transpose(axes_first, (2, 1, 0))


def _axis_vectors(x: Any, y: Any, z: Any, w: Any) -> tuple[tuple[Any, Any, Any], ...]:
    """Where a quaternion of any length turns x, y and z to; of numbers or of arrays of them.

    A quaternion of zeros, which a pose that was never set has, turns nothing.
    """
    square = x * x + y * y + z * z + w * w
    s = 2 / (square + (square == 0))
    return (
        (1 - s * (y * y + z * z), s * (x * y + z * w), s * (x * z - y * w)),
        (s * (x * y - z * w), 1 - s * (x * x + z * z), s * (y * z + x * w)),
        (s * (x * z + y * w), s * (y * z - x * w), 1 - s * (x * x + y * y)),
    )


def _pose(type_name: str, data: bytes) -> tuple[float, ...]:
    found = pose_of(type_name, data)
    if found is None:
        raise DecodeError(f"The bytes are not a {type_name}, or they are truncated.")
    return found


def _spread(center: tuple[float, ...], covariance: Array) -> Any:
    """Three ellipses around the positions within two standard deviations."""
    import rerun as rr

    if not np.abs(covariance).max() < _LARGEST_M2:  # which nan is not, either
        return rr.LineStrips3D([])
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    half_axes = directions * SIGMAS * np.sqrt(np.maximum(variances, 0))
    planes = [half_axes[:, [i, (i + 1) % 3]] for i in range(3)]
    strips = [np.add(center, _CIRCLE @ plane.T) for plane in planes]
    return rr.LineStrips3D(strips, colors=LINE_COLOR, radii=0.005)


def _gathered(data: bytes, positions: Array) -> Array:
    """Three doubles from each of some positions in the bytes, shape (n, 3)."""
    raw = np.frombuffer(data, np.uint8)
    found = raw[positions[:, None] + np.arange(24)]
    return found.view(">f8").astype(np.float32)


@lru_cache(maxsize=1)
def _path_plan() -> Plan:
    def is_of_item(path: Path, name: str) -> bool:
        return name == "geometry_msgs.Pose" and path[:2] == ("poses", "[]")

    plan = marking("nav_msgs.Path", is_of_item)
    if plan is None:
        raise DecodeError("dimos_lcm has no nav_msgs.Path; reinstall dimos-lcm.")
    return plan


CONVERTERS = {
    "geometry_msgs.Pose2D": Converter(pose_2d, "3d"),
    "geometry_msgs.PoseArray": Converter(pose_array, "3d"),
    "nav_msgs.Odometry": Converter(odometry, "3d", ("linear", "angular")),
    "nav_msgs.Path": Converter(path, "3d"),
    **{
        f"geometry_msgs.{name}": Converter(maker(f"geometry_msgs.{name}"), "3d")
        for maker, names in (
            (pose, ("Pose", "PoseStamped")),
            (pose_with_covariance, ("PoseWithCovariance", "PoseWithCovarianceStamped")),
            (point, ("Point", "PointStamped")),
            (polygon, ("Polygon", "PolygonStamped")),
        )
        for name in names
    },
}

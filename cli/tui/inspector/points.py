"""The points in messages: clouds, scans, paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dimos_record.errors import DecodeError

Numbers = NDArray[Any]

_LINE_POINTS = 4000
"""Dots along the line that joins the poses of a path."""
_FARTHEST_M = 1e9
"""Coordinates beyond it count as not finite."""
_ROS_TYPES = ("", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
_FOXGLOVE_TYPES = ("", "u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
"""What the numbers in the fields of clouds stand for, as numpy calls it."""


class Points(NamedTuple):
    """Finite points, at least one; coordinates in metres."""

    x: Numbers
    y: Numbers
    z: Numbers | None
    """None where it says nothing."""
    what: str
    """`9,600 points`"""


class _Layout(NamedTuple):
    """How points lie in the bytes of a message."""

    rows: int
    columns: int
    row_step: int
    point_step: int
    """Bytes."""
    order: str
    """`<` or `>`."""
    fields: dict[str, tuple[int, str]]
    """By name: the offset in a point, and the type."""


def scan_points(scan: Any) -> Points | None:
    """Where the echoes of a laser scan are, in its own frame: x ahead, y to the left."""
    ranges = np.asarray(scan.ranges, np.float64)
    if hasattr(scan, "angle_increment"):
        angles = scan.angle_min + np.arange(len(ranges)) * scan.angle_increment
        farthest = scan.range_max if scan.range_max > 0 else math.inf
        is_echo = (ranges >= scan.range_min) & (ranges <= farthest)
        ranges = np.where(is_echo, ranges, np.nan)
    else:
        angles = np.linspace(scan.start_angle, scan.end_angle, len(ranges))
    return _points(ranges * np.cos(angles), ranges * np.sin(angles), None, "echoes")


def path_points(path: Any) -> Points | None:
    """The poses of a path, and points on the straight lines that join them."""
    places = [getattr(pose, "pose", pose).position for pose in path.poses]
    x = np.array([place.x for place in places], np.float64)
    y = np.array([place.y for place in places], np.float64)
    found = _points(x, y, None, "poses")
    if found is None or len(found.x) == 1:
        return found
    steps = np.arange(len(found.x))
    at = np.linspace(0, steps[-1], max(_LINE_POINTS, len(steps)))
    return found._replace(x=np.interp(at, steps, found.x), y=np.interp(at, steps, found.y))


def listed_points(message: Any) -> Points | None:
    """The points of a message that holds them one by one."""
    found = np.array([(point.x, point.y, point.z) for point in message.points], np.float64)
    x, y, z = found.reshape(-1, 3).T
    return _points(x, y, z, "points")


def cloud_points(cloud: Any) -> Points | None:
    """The points of a sensor_msgs.PointCloud2.

    Raises:
        DecodeError: they have no x or y, or their data is shorter than the cloud says.
    """
    fields = {field.name: (field.offset, field.datatype) for field in cloud.fields}
    layout = _Layout(
        cloud.height,
        cloud.width,
        cloud.row_step or cloud.width * cloud.point_step,
        cloud.point_step,
        ">" if cloud.is_bigendian else "<",
        _typed(fields, _ROS_TYPES),
    )
    return _points_in(layout, cloud.data)


def foxglove_cloud_points(cloud: Any) -> Points | None:
    """The points of a foxglove_msgs.PointCloud; raises as `cloud_points`."""
    fields = {field.name: (field.offset, field.type) for field in cloud.fields}
    stride = cloud.point_stride
    count = len(cloud.data) // stride if stride > 0 else 0
    layout = _Layout(1, count, len(cloud.data), stride, "<", _typed(fields, _FOXGLOVE_TYPES))
    return _points_in(layout, cloud.data)


def _typed(fields: dict[str, tuple[int, int]], types: Sequence[str]) -> dict[str, tuple[int, str]]:
    return {
        name: (offset, types[number])
        for name, (offset, number) in fields.items()
        if 0 < number < len(types)
    }


def _points_in(layout: _Layout, data: bytes) -> Points | None:
    missing = [axis for axis in "xy" if axis not in layout.fields]
    if missing:
        raise DecodeError(f"The points have no field {missing[0]!r}, so they cannot be drawn.")
    x, y = _coordinates(layout, data, "x"), _coordinates(layout, data, "y")
    z = _coordinates(layout, data, "z") if "z" in layout.fields else None
    return _points(x, y, z, "points")


def _coordinates(layout: _Layout, data: bytes, axis: str) -> Numbers:
    """One coordinate of all points.

    Raises:
        DecodeError: the data is shorter than the layout says.
    """
    offset, kind = layout.fields[axis]
    dtype = np.dtype(layout.order + kind)
    rows, columns, row_step, point_step = layout[:4]
    if min(rows, columns) <= 0:
        return np.zeros(0)
    end = (rows - 1) * row_step + columns * point_step
    is_apart = offset + dtype.itemsize <= point_step and (
        rows == 1 or columns * point_step <= row_step
    )
    if offset < 0 or not is_apart or end > len(data):
        raise DecodeError(
            f"The cloud says that it has {rows} x {columns} points of {point_step} bytes, but its "
            f"data has {len(data):,} bytes."
        )
    steps = (row_step, point_step)
    numbers: Numbers = np.ndarray((rows, columns), dtype, data, offset, steps)
    return numbers.ravel()


def _points(x: Numbers, y: Numbers, z: Numbers | None, what: str) -> Points | None:
    """The finite ones of some points; None if there are none."""
    finite = (np.abs(x) < _FARTHEST_M) & (np.abs(y) < _FARTHEST_M)
    if z is not None:
        finite &= np.abs(z) < _FARTHEST_M
        z = z[finite].astype(np.float64)
    if not finite.any():
        return None
    x, y = x[finite].astype(np.float64), y[finite].astype(np.float64)
    return Points(x, y, z, f"{len(x):,} {what}")

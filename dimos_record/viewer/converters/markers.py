"""Markers: visualization_msgs.Marker and MarkerArray, as RViz draws them.

Each marker has an entity of its own, by its namespace and id. A marker whose id comes again in
another shape shows both until it is deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages import decode
from dimos_record.messages.wire import clean_frame
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.poses import rotations

Array = np.ndarray[Any, np.dtype[Any]]

_DELETE, _DELETE_ALL = 2, 3


def marker(data: bytes) -> list[Shown]:
    """visualization_msgs.Marker: one marker, added, changed or deleted."""
    return [_shown(decode("visualization_msgs.Marker", data))]


def marker_array(data: bytes) -> list[Shown]:
    """visualization_msgs.MarkerArray: several."""
    return [_shown(one) for one in decode("visualization_msgs.MarkerArray", data).markers]


def _shown(one: Any) -> Shown:
    import rerun as rr

    if one.action == _DELETE_ALL:
        return Shown("", rr.Clear(recursive=True))
    path = f"{rr.escape_entity_path_part(one.ns or 'markers')}/{one.id}"
    if one.action == _DELETE:
        return Shown(path, rr.Clear(recursive=False))
    draw = _SHAPES.get(one.type)
    if draw is None:
        raise DecodeError(f"The marker {path} is of type {one.type}, which no ROS has.")
    lifetime_ns = one.lifetime.sec * 1_000_000_000 + one.lifetime.nsec
    frame = clean_frame(one.header.frame_id) or None
    return Shown(path, draw(one), frame=frame, lifetime_ns=max(0, lifetime_ns))


def _rotation(one: Any) -> Array:
    q = one.pose.orientation
    matrix: Array = rotations([q.x, q.y, q.z, q.w])[0]
    return matrix


def _position(one: Any) -> Array:
    at = one.pose.position
    return np.array([at.x, at.y, at.z])


def _quaternion(one: Any) -> Any:
    import rerun as rr

    q = one.pose.orientation
    return rr.Quaternion(xyzw=(q.x, q.y, q.z, q.w) if q.x or q.y or q.z or q.w else (0, 0, 0, 1))


def _points(one: Any) -> Array:
    """The marker's points in its frame, shape (n, 3)."""
    raw = np.array([(p.x, p.y, p.z) for p in one.points], np.float64).reshape(-1, 3)
    points: Array = raw @ _rotation(one).T + _position(one)
    return points


def _color(one: Any) -> Array:
    color: Array = _rgba([one.color])[0]
    return color


def _colors(one: Any) -> Array:
    """A colour for each point where there are as many, else the marker's; shape (n or 1, 4)."""
    each = 0 < len(one.colors) == len(one.points)
    return _rgba(one.colors if each else [one.color])


def _rgba(colors: Any) -> Array:
    values = np.array([(c.r, c.g, c.b, c.a) for c in colors], np.float64)
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _scale(one: Any) -> Array:
    return np.array([one.scale.x, one.scale.y, one.scale.z])


def _arrow(one: Any) -> Any:
    """From one point to another (scale.x is the shaft's diameter), or along x, scale.x long."""
    import rerun as rr

    if len(one.points) >= 2:
        start, end = _points(one)[:2]
        radius = one.scale.x
    else:
        start = _position(one)
        end = start + _rotation(one)[:, 0] * one.scale.x
        radius = one.scale.y
    return rr.Arrows3D(origins=[start], vectors=[end - start], radii=radius, colors=_color(one))


def _cubes(one: Any) -> Any:
    import rerun as rr

    centers = _points(one) if one.type == _CUBE_LIST else [_position(one)]
    return rr.Boxes3D(
        centers=centers,
        half_sizes=[_scale(one) / 2] * len(centers),
        quaternions=[_quaternion(one)] * len(centers),
        colors=_colors(one),
        fill_mode="solid",
    )


def _spheres(one: Any) -> Any:
    import rerun as rr

    centers = _points(one) if one.type == _SPHERE_LIST else [_position(one)]
    return rr.Ellipsoids3D(
        centers=centers,
        half_sizes=[_scale(one) / 2] * len(centers),
        quaternions=[_quaternion(one)] * len(centers),
        colors=_colors(one),
        fill_mode="solid",
    )


def _cylinder(one: Any) -> Any:
    """Of a round cross-section: the mean of the two diameters."""
    import rerun as rr

    return rr.Cylinders3D(
        lengths=[one.scale.z],
        radii=[(one.scale.x + one.scale.y) / 4],
        centers=[_position(one)],
        quaternions=[_quaternion(one)],
        colors=_color(one),
        fill_mode="solid",
    )


def _lines(one: Any) -> Any:
    """One line through all points, or one from each first to each second point."""
    import rerun as rr

    points, colors = _points(one), _colors(one)
    if one.type == _LINE_STRIP and len(colors) == 1:
        strips: Any = [points] if len(points) else []
    elif one.type == _LINE_STRIP:
        strips, colors = np.stack([points[:-1], points[1:]], axis=1), colors[:-1]
    else:
        strips = points[: len(points) // 2 * 2].reshape(-1, 2, 3)
        colors = colors[::2][: len(strips)]
    return rr.LineStrips3D(strips, radii=one.scale.x / 2, colors=colors)


def _dots(one: Any) -> Any:
    import rerun as rr

    radius = max(one.scale.x, one.scale.y) / 2
    return rr.Points3D(_points(one), radii=radius, colors=_colors(one))


def _text(one: Any) -> Any:
    import rerun as rr

    return rr.Points3D(
        [_position(one)], radii=0.01, labels=[one.text], show_labels=True, colors=_color(one)
    )


def _mesh_file(one: Any) -> Any:
    """A box with the name of the file, which is on the robot: the recording has no mesh."""
    import rerun as rr

    return rr.Boxes3D(
        centers=[_position(one)],
        half_sizes=[_scale(one) / 2],
        quaternions=[_quaternion(one)],
        labels=[one.mesh_resource],
        colors=_color(one),
    )


def _triangles(one: Any) -> Any:
    import rerun as rr

    points = np.array([(p.x, p.y, p.z) for p in one.points], np.float64).reshape(-1, 3)
    whole = len(points) // 3 * 3
    corners = (points[:whole] * _scale(one)) @ _rotation(one).T + _position(one)
    colors = _colors(one)
    each = np.broadcast_to(colors, (len(points), 4))[:whole]
    return rr.Mesh3D(vertex_positions=corners, vertex_colors=each)


_LINE_STRIP, _CUBE_LIST, _SPHERE_LIST = 4, 6, 7
_SHAPES: dict[int, Callable[[Any], Any]] = {
    0: _arrow,
    1: _cubes,
    2: _spheres,
    3: _cylinder,
    _LINE_STRIP: _lines,
    5: _lines,
    _CUBE_LIST: _cubes,
    _SPHERE_LIST: _spheres,
    8: _dots,
    9: _text,
    10: _mesh_file,
    11: _triangles,
}
"""By the number of the type in visualization_msgs.Marker."""

CONVERTERS = {
    "visualization_msgs.Marker": Converter(marker, "3d"),
    "visualization_msgs.MarkerArray": Converter(marker_array, "3d"),
}

"""Point clouds: sensor_msgs.PointCloud2 and PointCloud."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dimos_record.errors import DecodeError
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown
from dimos_record.viewer.converters.colors import OPAQUE, by_value

Array = np.ndarray[Any, np.dtype[Any]]

_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""NumPy's types by the numbers of sensor_msgs.PointField."""
_INTENSITIES = ("intensity", "intensities", "reflectivity", "i")


class Field(NamedTuple):
    """A field of a point: where it is in the point's bytes, and its type."""

    offset: int
    dtype: str


class Cloud(NamedTuple):
    """The fields of a sensor_msgs.PointCloud2."""

    height: int
    width: int
    fields: dict[str, Field]
    is_bigendian: bool
    point_step: int
    row_step: int
    content: Array
    """Bytes, shape (n,)."""


def point_cloud2(data: bytes) -> list[Shown]:
    """sensor_msgs.PointCloud2: points in the colours of their rgb, intensity or height."""
    cloud = _read(data)
    colors = _rgb(cloud)
    intensity = None if colors is not None else _intensity(cloud)
    return [Shown("", _points(_positions(cloud), colors, intensity))]


def point_cloud(data: bytes) -> list[Shown]:
    """sensor_msgs.PointCloud: points in the colours of their rgb, intensity or height."""
    wire = Wire("sensor_msgs.PointCloud", data)
    point_count, channel_count = wire.unpack("2i")
    wire.header()
    positions = wire.array(">f4", point_count, 3).astype(np.float32)
    channels = {}
    for _ in range(channel_count):
        (count,) = wire.unpack("i")
        name = wire.string()
        values = wire.array(">f4", count).astype(np.float32)
        if count == point_count:
            channels[name] = values
    colors = None
    if "rgb" in channels:
        colors = channels["rgb"].view(np.uint32) << 8 | OPAQUE
    intensity = next((channels[name] for name in _INTENSITIES if name in channels), None)
    return [Shown("", _points(positions, colors, intensity))]


def _points(positions: Array, colors: Array | None, intensity: Array | None) -> Any:
    """Points without those that are nowhere, in their colours, or those of intensity or height."""
    import rerun as rr

    # Looking at all numbers at once is five times as fast as looking for the points.
    if not np.isfinite(positions).all():
        kept = np.isfinite(positions).all(axis=1)
        positions = positions[kept]
        colors = None if colors is None else colors[kept]
        intensity = None if intensity is None else intensity[kept]
    if colors is None:
        colors = by_value(positions[:, 2] if intensity is None else intensity)
    return rr.Points3D(positions, colors=colors)


def _read(data: bytes) -> Cloud:
    wire = Wire("sensor_msgs.PointCloud2", data)
    field_count, size = wire.unpack("ii")
    wire.header()
    height, width = wire.unpack("ii")
    fields = {}
    for _ in range(field_count):
        name = wire.string()
        offset, datatype, _count = wire.unpack("iBi")
        if datatype in _DTYPES:
            fields[name] = Field(offset, _DTYPES[datatype])
    is_bigendian, point_step, row_step = wire.unpack("?ii")
    content = wire.array("u1", size)
    cloud = Cloud(height, width, fields, is_bigendian, point_step, row_step, content)
    return cloud._replace(row_step=_checked_row_step(cloud))


def _checked_row_step(cloud: Cloud) -> int:
    """The bytes from row to row; publishers of clouds of one row may leave them 0."""
    row_bytes = cloud.width * cloud.point_step
    row_step = cloud.row_step if cloud.height > 1 and cloud.row_step else row_bytes
    ends = [field.offset + np.dtype(field.dtype).itemsize for field in cloud.fields.values()]
    starts = [field.offset for field in cloud.fields.values()]
    if (
        min(cloud.height, cloud.width, cloud.point_step, row_step - row_bytes, *starts, 0) < 0
        or max(ends, default=0) > cloud.point_step
        or max(0, cloud.height - 1) * row_step + row_bytes > len(cloud.content)
    ):
        raise DecodeError(
            f"The point cloud says {cloud.width} x {cloud.height} points of {cloud.point_step} "
            f"bytes in rows of {cloud.row_step}, which its {len(cloud.content)} bytes do not hold."
        )
    return row_step


def _values(cloud: Cloud, name: str, dtype: str | None = None, lanes: int = 1) -> Array:
    """A field of all points (``lanes``: and those behind it), shape (points, lanes)."""
    field = cloud.fields[name]
    order = ">" if cloud.is_bigendian else "<"
    found = np.dtype(order + (dtype or field.dtype))
    strided: Array = np.ndarray(
        (cloud.height, cloud.width, lanes),
        found,
        cloud.content,
        field.offset,
        (cloud.row_step, cloud.point_step, found.itemsize),
    )
    return strided.reshape(-1, lanes)


def _positions(cloud: Cloud) -> Array:
    """Shape (points, 3), float32; z is 0 in clouds without it."""
    missing = [name for name in ("x", "y") if name not in cloud.fields]
    if missing:
        raise DecodeError(
            f"The point cloud has no field {missing[0]!r}, only {sorted(cloud.fields)}."
        )
    names = [name for name in ("x", "y", "z") if name in cloud.fields]
    x = cloud.fields["x"]
    if [cloud.fields[name] for name in names] == [Field(x.offset + 4 * i, "f4") for i in range(3)]:
        return np.ascontiguousarray(_values(cloud, "x", lanes=3), np.float32)
    positions = np.zeros((cloud.height * cloud.width, 3), np.float32)
    for column, name in enumerate(names):
        positions[:, column] = _values(cloud, name)[:, 0]
    return positions


def _rgb(cloud: Cloud) -> Array | None:
    """Colours as Rerun packs them, 0xRRGGBBAA; None if the cloud has none."""
    if {"r", "g", "b"} <= cloud.fields.keys():
        r, g, b = (_values(cloud, name)[:, 0].astype(np.uint32) for name in "rgb")
        return r << 24 | g << 16 | b << 8 | OPAQUE
    name = next((name for name in ("rgb", "rgba") if name in cloud.fields), None)
    if name is None or cloud.fields[name].dtype not in ("f4", "u4", "i4"):
        return None
    return _values(cloud, name, "u4")[:, 0].astype(np.uint32) << 8 | OPAQUE


def _intensity(cloud: Cloud) -> Array | None:
    name = next((name for name in _INTENSITIES if name in cloud.fields), None)
    return None if name is None else _values(cloud, name)[:, 0]


CONVERTERS = {
    "sensor_msgs.PointCloud": Converter(point_cloud, "3d"),
    "sensor_msgs.PointCloud2": Converter(point_cloud2, "3d"),
}

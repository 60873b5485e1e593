"""Points: clouds of any layout, and scans."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters import converter_for
from dimos_record.viewer.converters.colors import by_value

from .made import HEADER, made, values

pytest.importorskip("rerun")

POINTS = [(1.0, 2.0, 0.0), (3.0, 4.0, 5.0), (-1.0, -2.0, -3.0), (0.5, 0.25, 0.125)]
TYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def cloud(points: np.ndarray[Any, Any], **changed: Any) -> bytes:
    """A PointCloud2 of a structured array, shape (n,) or (height, width)."""
    height, width = points.shape if points.ndim == 2 else (1, len(points))
    offsets = {name: points.dtype.fields[name] for name in points.dtype.names}  # type: ignore
    fields = [
        {"name": name, "offset": offset, "datatype": TYPES[kind.str[1:]], "count": 1}
        for name, (kind, offset) in offsets.items()
    ]
    step = points.dtype.itemsize
    defaults = {
        "height": height,
        "width": width,
        "fields": fields,
        "point_step": step,
        "row_step": step * width,
        "data": points.tobytes(),
    }
    return made("sensor_msgs.PointCloud2", header=HEADER, **(defaults | changed))


def array(dtype: Any, **columns: Any) -> np.ndarray[Any, Any]:
    found = np.zeros(len(POINTS), dtype)
    for axis, numbers in zip("xyz", zip(*POINTS, strict=True), strict=True):
        found[axis] = numbers
    for name, numbers in columns.items():
        found[name] = numbers
    return found


def shown(data: bytes, type_name: str = "sensor_msgs.PointCloud2") -> Any:
    converter = converter_for(type_name)
    assert converter is not None
    return converter.convert(data)[0].archetype


def positions(archetype: Any) -> list[tuple[float, ...]]:
    return [tuple(point) for point in values(archetype, "positions")]


@pytest.mark.parametrize(
    "dtype",
    [
        [("x", "<f4"), ("y", "<f4"), ("z", "<f4")],
        [("x", "<f8"), ("y", "<f8"), ("z", "<f8")],
        [("intensity", "<u2"), ("z", "<f4"), ("gap", "u1"), ("y", "<f4"), ("x", "<f8")],
        {"names": "xyz", "formats": ["<f4"] * 3, "offsets": [4, 8, 12], "itemsize": 32},
    ],
)
def test_points_are_found_in_any_layout(dtype: Any) -> None:
    assert positions(shown(cloud(array(dtype)))) == POINTS


def test_big_endian_clouds() -> None:
    points = array([("x", ">f4"), ("y", ">f4"), ("z", ">f4")])
    assert positions(shown(cloud(points, is_bigendian=True))) == POINTS


def test_rows_of_an_organised_cloud_may_be_padded() -> None:
    points = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4")]).reshape(2, 2)
    padded = b"".join(row.tobytes() + b"padding" for row in points)
    assert positions(shown(cloud(points, data=padded, row_step=2 * 12 + 7))) == POINTS


def test_integers_may_be_coordinates_and_a_flat_cloud_has_no_height() -> None:
    points = np.array([(100, 200)], [("x", "<i2"), ("y", "<i2")])
    assert positions(shown(cloud(points))) == [(100.0, 200.0, 0.0)]


def test_points_that_are_nowhere_are_dropped_with_their_colours() -> None:
    points = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")], rgb=[1, 2, 3, 4])
    points["y"][1] = np.nan
    points["x"][2] = np.inf
    archetype = shown(cloud(points, is_dense=True))
    assert positions(archetype) == [POINTS[0], POINTS[3]]
    assert values(archetype, "colors") == [0x000001FF, 0x000004FF]


@pytest.mark.parametrize("kind", ["<f4", "<u4"])
@pytest.mark.parametrize("name", ["rgb", "rgba"])
def test_packed_colours(kind: str, name: str) -> None:
    packed = np.array([0xFF102030, 0x00FFFFFF, 0xFF000000, 0xFFAABBCC], "<u4").view(kind)
    points = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), (name, kind)], **{name: packed})
    assert values(shown(cloud(points)), "colors") == [
        0x102030FF,
        0xFFFFFFFF,
        0x000000FF,
        0xAABBCCFF,
    ]


def test_colours_in_three_fields() -> None:
    dtype = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("r", "u1"), ("g", "u1"), ("b", "u1")]
    points = array(dtype, r=[255, 0, 0, 1], g=[0, 255, 0, 2], b=[0, 0, 255, 3])
    assert values(shown(cloud(points)), "colors") == [
        0xFF0000FF,
        0x00FF00FF,
        0x0000FFFF,
        0x010203FF,
    ]


def test_intensity_gives_the_colours_else_the_height() -> None:
    strong = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "u1")])
    strong["intensity"] = [0, 10, 20, 30]
    by_intensity = values(shown(cloud(strong)), "colors")
    assert by_intensity == list(by_value(np.array([0, 10, 20, 30])))
    heights = np.array([point[2] for point in POINTS])
    flat = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    assert values(shown(cloud(flat)), "colors") == list(by_value(heights))
    assert len(set(by_intensity)) == 4


def test_colours_go_from_blue_to_red() -> None:
    colors = by_value(np.arange(100.0))
    low, high = int(colors[10]).to_bytes(4, "big"), int(colors[90]).to_bytes(4, "big")
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert low[3] == high[3] == 255


def test_colours_of_few_values_or_none() -> None:
    assert by_value(np.array([])).tolist() == []
    assert len(set(by_value(np.array([5.0, 5.0, 5.0])).tolist())) == 1
    assert len(by_value(np.array([1.0, np.nan, np.inf]))) == 3


def test_an_outlier_leaves_the_others_distinct() -> None:
    colors = by_value(np.array([*np.arange(1000.0), 1e5]))
    assert len(set(colors[:1000].tolist())) > 10


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 5},
        {"height": 2},
        {"point_step": 8},
        {"width": -1},
        {"height": 2, "width": 2, "row_step": 5},
        {"fields": [{"name": "x", "offset": -4, "datatype": 7, "count": 1}]},
        {"data": b""},
    ],
)
def test_clouds_that_cannot_be_are_refused(changed: dict[str, Any]) -> None:
    points = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    with pytest.raises(DecodeError, match="point cloud"):
        shown(cloud(points, **changed))


def test_a_cloud_without_coordinates_is_refused() -> None:
    points = np.array([(1.0, 2.0)], [("range", "<f4"), ("azimuth", "<f4")])
    with pytest.raises(DecodeError, match="no field 'x', only"):
        shown(cloud(points))
    with pytest.raises(DecodeError, match="no field 'x', only"):
        shown(cloud(points, fields=[]))


def test_an_empty_cloud_is_shown_so_that_the_one_before_goes() -> None:
    points = array([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])[:0]
    assert positions(shown(cloud(points))) == []


def test_the_older_cloud_has_its_channels() -> None:
    points = [dict(zip("xyz", point, strict=True)) for point in POINTS]
    rgb = np.array([0x102030] * 4, "<u4").view("<f4")
    data = made(
        "sensor_msgs.PointCloud",
        header=HEADER,
        points=points,
        channels=[{"name": "rgb", "values": [float(value) for value in rgb]}],
    )
    archetype = shown(data, "sensor_msgs.PointCloud")
    assert positions(archetype) == POINTS
    assert values(archetype, "colors") == [0x102030FF] * 4


def test_a_scan_drops_what_is_out_of_range() -> None:
    ranges = [1.0, 2.0, math.inf, math.nan, 0.01, 99.0]
    data = made(
        "sensor_msgs.LaserScan",
        header=HEADER,
        angle_min=0.0,
        angle_increment=math.pi / 2,
        range_min=0.1,
        range_max=30.0,
        ranges=ranges,
        intensities=[1.0, 9.0, 0.0, 0.0, 0.0, 0.0],
    )
    archetype = shown(data, "sensor_msgs.LaserScan")
    first, second = positions(archetype)
    assert first == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)
    assert second == pytest.approx((0.0, 2.0, 0.0), abs=1e-6)
    assert len(set(values(archetype, "colors"))) == 2


def test_a_range_is_a_cone_and_a_curve() -> None:
    fields = {"field_of_view": 0.5, "min_range": 0.1, "max_range": 4.0}
    convert = converter_for("sensor_msgs.Range").convert  # type: ignore[union-attr]
    cone, curve = convert(made("sensor_msgs.Range", header=HEADER, range=2.0, **fields))
    (strip,) = values(cone.archetype, "strips")
    assert max(x for x, _, _ in strip) == pytest.approx(2.0, rel=0.01)
    assert values(curve.archetype, "scalars") == [2.0]
    (nothing,) = convert(made("sensor_msgs.Range", header=HEADER, range=math.inf, **fields))
    assert values(nothing.archetype, "strips") == []

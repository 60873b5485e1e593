"""Things in space: poses, paths, maps, detections and markers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dimos_record.errors import DecodeError
from dimos_record.viewer.converters import Shown, converter_for

from .made import HEADER, made, values

rr = pytest.importorskip("rerun")

AHEAD = {"w": 1.0}
LEFT = {"z": 0.5**0.5, "w": 0.5**0.5}


def shown(type_name: str, **fields: Any) -> list[Shown]:
    converter = converter_for(type_name)
    assert converter is not None
    return list(converter.convert(made(type_name, **fields)))


def at(x: float, y: float = 0.0, z: float = 0.0, turn: dict[str, float] = AHEAD) -> dict[str, Any]:
    return {"position": {"x": x, "y": y, "z": z}, "orientation": turn}


def near(found: list[Any], expected: Any) -> bool:
    return np.allclose(np.array(found), np.array(expected), atol=1e-6)


def test_poses_in_an_array_are_arrows_along_x() -> None:
    (one,) = shown("geometry_msgs.PoseArray", header=HEADER, poses=[at(1.0), at(2.0, turn=LEFT)])
    assert near(values(one.archetype, "origins"), [[1, 0, 0], [2, 0, 0]])
    assert near(values(one.archetype, "vectors"), [[0.2, 0, 0], [0, 0.2, 0]])


def test_a_quaternion_that_was_never_set_turns_nothing() -> None:
    (one,) = shown("geometry_msgs.Pose", position={"x": 1.0})
    assert near(values(one.archetype, "vectors"), 0.3 * np.eye(3))


def test_a_path_is_a_line_through_its_poses_whatever_their_headers() -> None:
    poses = [
        {"header": {"frame_id": "m" * i}, "pose": at(float(i), float(i * i))} for i in range(4)
    ]
    (one,) = shown("nav_msgs.Path", header=HEADER, poses=poses)
    (strip,) = values(one.archetype, "strips")
    assert near(strip, [[0, 0, 0], [1, 1, 0], [2, 4, 0], [3, 9, 0]])


def test_an_empty_path_is_shown_so_that_the_one_before_goes() -> None:
    (one,) = shown("nav_msgs.Path", header=HEADER)
    assert values(one.archetype, "strips") == []


def test_a_polygon_is_closed() -> None:
    corners = [{"x": 0.0}, {"x": 1.0}, {"y": 1.0}]
    (one,) = shown("geometry_msgs.PolygonStamped", header=HEADER, polygon={"points": corners})
    (strip,) = values(one.archetype, "strips")
    assert near(strip, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_how_sure_a_pose_is_shows_as_ellipses() -> None:
    covariance = np.zeros((6, 6))
    covariance[0, 0], covariance[1, 1] = 0.25, 0.01
    _axes, spread = shown(
        "geometry_msgs.PoseWithCovarianceStamped",
        header=HEADER,
        pose={"pose": at(3.0), "covariance": covariance.ravel().tolist()},
    )
    points = np.concatenate([np.array(s) for s in values(spread.archetype, "strips")])
    assert near(list(points.max(axis=0)), [4.0, 0.2, 0.0])
    assert near(list(points.min(axis=0)), [2.0, -0.2, 0.0])


def test_a_map_lies_at_its_origin_with_its_first_row_below() -> None:
    info = {"resolution": 0.05, "width": 3, "height": 2, "origin": at(-1.0, -2.0)}
    (one,) = shown("nav_msgs.OccupancyGrid", header=HEADER, info=info, data=[0, 1, 2, 100, -1, 5])
    assert bytes(values(one.archetype, "data")[0]) == bytes([100, 255, 5, 0, 1, 2])
    assert values(one.archetype, "cell_size") == pytest.approx([0.05])
    assert values(one.archetype, "translation") == [[-1.0, -2.0, 0.0]]


def test_a_map_that_says_more_cells_than_it_has_is_refused() -> None:
    with pytest.raises(DecodeError, match="9 x 9 cells"):
        shown(
            "nav_msgs.OccupancyGrid",
            info={"resolution": 0.1, "width": 9, "height": 9},
            data=[0] * 80,
        )


def hypothesis(name: str, score: float) -> dict[str, Any]:
    return {"hypothesis": {"class_id": name, "score": score}}


def test_detections_in_pictures_are_on_the_image_plane_of_their_camera() -> None:
    box = {"center": {"position": {"x": 30.0, "y": 40.0}}, "size_x": 10.0, "size_y": 20.0}
    found = [
        {"bbox": box, "results": [hypothesis("cat", 0.2), hypothesis("dog", 0.75)], "id": "7"},
        {"bbox": box},
    ]
    (one,) = shown("vision_msgs.Detection2DArray", header=HEADER, detections=found)
    assert one.frame == "lidar/image plane"
    assert values(one.archetype, "labels") == ["dog 0.75 #7", ""]
    assert values(one.archetype, "centers") == [[30.0, 40.0]] * 2
    assert values(one.archetype, "half_sizes") == [[5.0, 10.0]] * 2


def test_detections_in_space_are_boxes_and_none_clears_those_before() -> None:
    box = {"center": at(1.0, turn=LEFT), "size": {"x": 1.0, "y": 2.0, "z": 3.0}}
    found = [{"bbox": box, "results": [hypothesis("person", 0.9)]}]
    (one,) = shown("vision_msgs.Detection3DArray", header=HEADER, detections=found)
    assert values(one.archetype, "half_sizes") == [[0.5, 1.0, 1.5]]
    assert values(one.archetype, "labels") == ["person 0.90"]
    assert near(values(one.archetype, "quaternions"), [[0, 0, 0.5**0.5, 0.5**0.5]])
    (none,) = shown("vision_msgs.Detection3DArray", header=HEADER)
    assert values(none.archetype, "half_sizes") == []
    (bare,) = shown("vision_msgs.BoundingBox3D", **box)
    assert values(bare.archetype, "half_sizes") == [[0.5, 1.0, 1.5]]


RED = {"r": 1.0, "a": 1.0}
GREEN = {"g": 1.0, "a": 0.5}
POINTS = [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}, {"x": 4.0}]


def marker(shape: int, **fields: Any) -> dict[str, Any]:
    size = {"x": 0.2, "y": 0.4, "z": 0.6}
    plain = {"ns": "goal", "id": 4, "type": shape, "pose": at(1.0), "scale": size, "color": RED}
    return plain | {"header": HEADER} | fields


@pytest.mark.parametrize(
    ("shape", "name", "count_of"),
    [
        (0, "Arrows3D", "vectors"),
        (1, "Boxes3D", "half_sizes"),
        (2, "Ellipsoids3D", "half_sizes"),
        (3, "Cylinders3D", "lengths"),
        (9, "Points3D", "positions"),
        (10, "Boxes3D", "half_sizes"),
    ],
)
def test_single_shapes(shape: int, name: str, count_of: str) -> None:
    (one,) = shown("visualization_msgs.Marker", **marker(shape, text="hello"))
    assert type(one.archetype).__name__ == name
    assert len(values(one.archetype, count_of)) == 1
    assert values(one.archetype, "colors") == [0xFF0000FF]
    assert (one.path, one.frame) == ("goal/4", "lidar")


def test_shapes_of_many_points_are_turned_and_moved_by_the_pose() -> None:
    pose = at(10.0, turn=LEFT)
    many = {"points": POINTS, "pose": pose, "colors": [RED, GREEN, RED, GREEN]}
    along_y = [[10, i, 0] for i in (1, 2, 3, 4)]
    (dots,) = shown("visualization_msgs.Marker", **marker(8, **many))
    assert near(values(dots.archetype, "positions"), along_y)
    assert values(dots.archetype, "colors") == [0xFF0000FF, 0x00FF0080] * 2
    (cubes,) = shown("visualization_msgs.Marker", **marker(6, **many))
    assert near(values(cubes.archetype, "centers"), along_y)
    (balls,) = shown("visualization_msgs.Marker", **marker(7, **many))
    assert near(values(balls.archetype, "centers"), along_y)
    (pairs,) = shown("visualization_msgs.Marker", **marker(5, **many))
    assert near(values(pairs.archetype, "strips"), [along_y[:2], along_y[2:]])
    (line,) = shown("visualization_msgs.Marker", **marker(4, **many))
    assert len(values(line.archetype, "strips")) == 3
    (plain,) = shown("visualization_msgs.Marker", **marker(4, points=POINTS, pose=pose))
    assert near(values(plain.archetype, "strips"), [along_y])
    (mesh,) = shown("visualization_msgs.Marker", **marker(11, **many))
    assert near(values(mesh.archetype, "vertex_positions"), [[10, 0.2 * i, 0] for i in (1, 2, 3)])


def test_an_arrow_goes_along_x_or_from_point_to_point() -> None:
    (along,) = shown("visualization_msgs.Marker", **marker(0, pose=at(1.0, turn=LEFT)))
    assert near(values(along.archetype, "vectors"), [[0, 0.2, 0]])
    (between,) = shown("visualization_msgs.Marker", **marker(0, points=POINTS[:2]))
    assert near(values(between.archetype, "origins"), [[2, 0, 0]])
    assert near(values(between.archetype, "vectors"), [[1, 0, 0]])


def test_markers_are_deleted_and_live_as_long_as_they_say() -> None:
    gone, all_gone, brief = shown(
        "visualization_msgs.MarkerArray",
        markers=[
            marker(1, action=2),
            marker(1, action=3),
            marker(1, ns="", id=9, lifetime={"sec": 1, "nsec": 5}),
        ],
    )
    assert isinstance(gone.archetype, rr.Clear)
    assert gone.path == "goal/4"
    assert isinstance(all_gone.archetype, rr.Clear)
    assert all_gone.path == ""
    assert values(all_gone.archetype, "is_recursive") == [True]
    assert (brief.path, brief.lifetime_ns) == ("markers/9", 1_000_000_005)
    with pytest.raises(DecodeError, match="of type 77"):
        shown("visualization_msgs.Marker", **marker(77))

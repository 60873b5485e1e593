"""The layout is made for what there is."""

from __future__ import annotations

from typing import Any

import pytest

from dimos_record.errors import OptionError
from dimos_record.viewer.converters import Kind
from dimos_record.viewer.layout import Scene, ShownTopic, blueprint, nearest
from dimos_record.viewer.presets import PRESETS, check_preset

pytest.importorskip("rerun")


def topic(
    name: str, kind: Kind, *curves: str, trail: str | None = None, has_camera: bool = False
) -> ShownTopic:
    return ShownTopic(name, f"world{name}", kind, curves, trail, has_camera)


def views(part: Any) -> dict[str, Any]:
    """The views of a layout by name, in its order."""
    if not hasattr(part, "contents") or not isinstance(part.contents, (list, tuple)):
        return {str(part.name): part}
    if type(part).__name__.endswith("View"):
        return {str(part.name): part}
    found = {}
    for one in part.contents:
        found |= views(one)
    return found


def shown(*topics: ShownTopic, preset: str = "follow", **more: Any) -> dict[str, Any]:
    return views(blueprint(Scene(topics, preset, **more)).root_container)


def kinds(found: dict[str, Any]) -> dict[str, str]:
    return {name: type(view).__name__ for name, view in found.items()}


def test_a_robot_gets_its_world_its_cameras_its_curves_and_its_log() -> None:
    found = shown(
        topic("/lidar", "3d"),
        topic("/tf", "transforms"),
        topic("/odom", "3d", "linear", trail="world/odom/trail"),
        topic("/front/image", "image"),
        topic("/rear/image", "image"),
        topic("/imu", "plot", ""),
        topic("/fix", "map"),
        topic("/rosout", "text"),
    )
    assert kinds(found) == {
        "World": "Spatial3DView",
        "Map": "MapView",
        "Log": "TextLogView",
        "/front/image": "Spatial2DView",
        "/rear/image": "Spatial2DView",
        "/odom": "TimeSeriesView",
        "/imu": "TimeSeriesView",
    }
    assert "+ /world/lidar/**" in found["World"].contents
    assert found["/odom"].contents == ["+ /world/odom/linear/**"]
    assert found["/imu"].contents == ["+ /world/imu/**"]
    assert found["/front/image"].contents == ["+ /world/front/image/**"]
    assert found["Log"].contents == ["+ /world/rosout/**"]


def test_there_is_no_view_of_what_there_is_not() -> None:
    assert kinds(shown(topic("/imu", "plot", ""))) == {"/imu": "TimeSeriesView"}
    assert kinds(shown(topic("/image", "image"))) == {"/image": "Spatial2DView"}
    assert kinds(shown(markers=True)) == {"Log": "TextLogView"}
    assert blueprint(Scene((), "follow")) is not None


def test_only_pictures_whose_camera_is_known_are_in_the_world() -> None:
    known, unknown = topic("/a", "image", has_camera=True), topic("/b", "image")
    world = shown(topic("/tf", "transforms"), known, unknown)["World"]
    assert "+ /world/a/**" in world.contents
    assert "+ /world/b/**" not in world.contents
    assert list(shown(known)) == ["World", "/a"]


@pytest.mark.parametrize(("plots", "legends"), [(2, True), (3, False), (4, False), (5, True)])
def test_names_of_curves_are_shown_where_they_do_not_cover_them(plots: int, legends: bool) -> None:
    found = shown(*(topic(f"/p{i}", "plot", "") for i in range(plots)))
    assert len(found) == plots
    for view in found.values():
        (visible,) = view.properties["PlotLegend"].visible.as_arrow_array().to_pylist()
        assert visible is legends


def test_many_views_of_one_sort_share_tabs() -> None:
    few = blueprint(Scene(tuple(topic(f"/c{i}", "image") for i in range(4)), "follow"))
    many = blueprint(Scene(tuple(topic(f"/c{i}", "image") for i in range(5)), "follow"))
    assert "Tabs" not in str(containers(few.root_container))
    assert "Tabs" in str(containers(many.root_container))
    assert len(views(many.root_container)) == 5


def containers(part: Any) -> list[str]:
    inner = [containers(one) for one in part.contents if not type(one).__name__.endswith("View")]
    return [type(part).__name__, *(name for names in inner for name in names)]


def test_boxes_are_drawn_on_the_camera_that_they_are_named_after() -> None:
    front, rear = topic("/front/image", "image"), topic("/rear/image", "image")
    boxes = topic("/rear/detections", "detections2d")
    found = shown(front, rear, boxes)
    assert found["/rear/image"].contents == [
        "+ /world/rear/image/**",
        "+ /world/rear/detections/**",
    ]
    assert found["/front/image"].contents == ["+ /world/front/image/**"]
    assert nearest(topic("/boxes", "detections2d"), [front, rear]) is front
    assert nearest(boxes, []) is None


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_follows_the_robot_if_there_is_one(preset: str) -> None:
    lidar = topic("/lidar", "3d")
    with_robot = shown(lidar, preset=preset, robot=True)["World"]
    without = shown(lidar, preset=preset)["World"]
    tracked = [view.properties["EyeControls3D"].tracking_entity for view in (with_robot, without)]
    assert str(tracked[0].as_arrow_array()[0]) == f"robot/{preset}"
    assert tracked[1] is None


def test_the_way_so_far_is_seen_on_every_timeline() -> None:
    world = shown(topic("/odom", "3d", trail="world/odom/trail"))["World"]
    assert list(world.visualizer_overrides) == ["world/odom/trail"]


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(OptionError, match="choose one of follow, top, side, front"):
        check_preset("above")

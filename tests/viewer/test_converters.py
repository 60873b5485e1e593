"""Every type that we show: random messages, damaged ones, and what each becomes."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator

import pytest

from dimos_record.errors import DecodeError
from dimos_record.messages import encode, known_types
from dimos_record.viewer.converters import CONVERTERS, converter_for, frame_of, position_of
from dimos_record.viewer.converters.base import Shown

from ..messages import samples
from ..messages.samples import random_message
from .made import HEADER, made, values

rr = pytest.importorskip("rerun")


@pytest.fixture(autouse=True)
def strict_rerun() -> Iterator[None]:
    """Rerun raises what it otherwise only warns of."""
    rr.set_strict_mode(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    rr.set_strict_mode(False)


def converted(type_name: str, data: bytes) -> list[Shown]:
    converter = converter_for(type_name)
    assert converter is not None
    return list(converter.convert(data))


@pytest.mark.parametrize("type_name", sorted(CONVERTERS))
def test_random_messages_are_shown_or_refused(type_name: str) -> None:
    rng = random.Random(type_name)
    for _ in range(10):
        data = encode(random_message(type_name, rng))
        try:
            shown = converted(type_name, data)
        except DecodeError:
            continue
        for one in shown:
            assert one.archetype.as_component_batches()
            assert not one.names or len(values(one.archetype, "scalars")) == len(one.names)


@pytest.mark.parametrize("type_name", sorted(CONVERTERS))
def test_numbers_that_are_none_and_sizes_that_cannot_be_are_shown_or_refused(
    type_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    floats = [math.nan, math.inf, -math.inf, 0.0, 1e38, 1e-40, 1.0]
    strange = {
        "float": lambda rng: rng.choice(floats),
        "double": lambda rng: rng.choice([*floats, 1e300, -1e308]),
        "int32_t": lambda rng: rng.choice([*range(-1, 12), 2**31 - 1, -(2**31)]),
        "string": lambda rng: rng.choice(["", "/", "a b", "x", "y", "rgb", "16UC1", "nv21"]),
    }
    for kind, make in strange.items():
        monkeypatch.setitem(samples._NUMBERS, kind, make)
    rng = random.Random(type_name)
    for _ in range(20):
        try:
            converted(type_name, encode(random_message(type_name, rng)))
        except DecodeError:
            continue


@pytest.mark.parametrize("type_name", sorted(CONVERTERS))
def test_damaged_messages_are_refused(type_name: str) -> None:
    data = encode(random_message(type_name, random.Random(7)))
    for damaged in (data[:-1], data[:8], b"garbage " * 50, b""):
        with pytest.raises(DecodeError):
            converted(type_name, damaged)


def test_only_types_that_exist_are_listed() -> None:
    assert set(CONVERTERS) <= set(known_types())
    assert converter_for("shape_msgs.Plane") is None
    assert converter_for("nobody.Knows") is None


def test_curves_are_below_the_paths_that_the_layout_is_told() -> None:
    for type_name, converter in CONVERTERS.items():
        rng = random.Random(type_name)
        for _ in range(5):
            try:
                shown = converted(type_name, encode(random_message(type_name, rng)))
            except DecodeError:
                continue
            assert {one.path for one in shown if one.names} <= set(converter.curves), type_name


def test_the_frame_is_that_of_the_header_without_the_slash_of_tf1() -> None:
    header = {"frame_id": "/base_link"}
    assert frame_of("sensor_msgs.Imu", made("sensor_msgs.Imu", header=header)) == "base_link"
    assert frame_of("sensor_msgs.Image", made("sensor_msgs.Image", header=header)) == "base_link"
    assert frame_of("sensor_msgs.Imu", made("sensor_msgs.Imu")) is None
    assert frame_of("geometry_msgs.Twist", made("geometry_msgs.Twist")) is None
    with pytest.raises(DecodeError):
        frame_of("sensor_msgs.Imu", b"short")


def test_the_position_is_that_of_the_pose_or_the_point() -> None:
    at = {"x": 1.0, "y": 2.0, "z": 3.0}
    pose = {"position": at, "orientation": {"w": 1.0}}
    for type_name, data in {
        "geometry_msgs.PoseStamped": made("geometry_msgs.PoseStamped", pose=pose),
        "nav_msgs.Odometry": made("nav_msgs.Odometry", pose={"pose": pose}),
        "geometry_msgs.PointStamped": made("geometry_msgs.PointStamped", point=at),
    }.items():
        assert position_of(type_name, data) == (1.0, 2.0, 3.0)
        assert position_of(type_name, data[:30]) is None
    assert position_of("sensor_msgs.Imu", made("sensor_msgs.Imu")) is None


def test_transforms_are_on_the_entity_of_their_frame_whatever_the_topic() -> None:
    transform = {"translation": {"x": 1.0}, "rotation": {"z": 1.0}}
    one = {"header": {"frame_id": "/map"}, "child_frame_id": "/odom", "transform": transform}
    data = made("tf2_msgs.TFMessage", transforms=[one, dict(one, child_frame_id="my robot/base")])
    first, second = converted("tf2_msgs.TFMessage", data)
    assert first.path == "/frames/odom"
    assert second.path == r"/frames/my\ robot\/base"
    assert (first.parent, first.frame) == ("map", "odom")
    assert values(first.archetype, "parent_frame") == ["map"]
    assert values(first.archetype, "child_frame") == ["odom"]
    assert values(first.archetype, "translation") == [[1.0, 0.0, 0.0]]
    assert values(first.archetype, "quaternion") == [[0.0, 0.0, 1.0, 0.0]]
    (single,) = converted(
        "geometry_msgs.TransformStamped", made("geometry_msgs.TransformStamped", **one)
    )
    assert single.path == first.path
    assert values(single.archetype, "parent_frame") == ["map"]


def test_imu_curves_have_names_and_no_angles_where_there_is_no_orientation() -> None:
    turn = {"x": 0.1, "y": 0.2, "z": 0.3}
    data = made("sensor_msgs.Imu", header=HEADER, angular_velocity=turn, orientation={"w": 1.0})
    rates, accelerations, angles = converted("sensor_msgs.Imu", data)
    assert rates.path == "angular_velocity"
    assert rates.names == ("angular_velocity.x", "angular_velocity.y", "angular_velocity.z")
    assert values(rates.archetype, "scalars") == [0.1, 0.2, 0.3]
    assert accelerations.path == "linear_acceleration"
    assert values(angles.archetype, "scalars") == [0.0, 0.0, 0.0]
    unknown = made(
        "sensor_msgs.Imu", orientation={"w": 1.0}, orientation_covariance=[-1.0] + [0.0] * 8
    )
    assert [one.path for one in converted("sensor_msgs.Imu", unknown)] == [
        "angular_velocity",
        "linear_acceleration",
    ]


def test_joints_are_named() -> None:
    data = made("sensor_msgs.JointState", name=["hip", "knee"], position=[1.0, 2.0], effort=[3.0])
    position, effort = converted("sensor_msgs.JointState", data)
    assert (position.path, position.names) == ("position", ("hip", "knee"))
    assert values(position.archetype, "scalars") == [1.0, 2.0]
    assert (effort.path, effort.names) == ("effort", ("0",))


def test_simple_numbers_and_texts() -> None:
    (number,) = converted("std_msgs.Float64", made("std_msgs.Float64", data=2.5))
    assert values(number.archetype, "scalars") == [2.5]
    (flag,) = converted("std_msgs.Bool", made("std_msgs.Bool", data=True))
    assert values(flag.archetype, "scalars") == [1.0]
    (text,) = converted("std_msgs.String", made("std_msgs.String", data="Grüße"))
    assert values(text.archetype, "text") == ["Grüße"]
    with pytest.raises(DecodeError, match="65 numbers"):
        converted("std_msgs.Float64MultiArray", made("std_msgs.Float64MultiArray", data=[0.0] * 65))


def test_speeds_of_odometry_are_curves_beside_the_pose() -> None:
    data = made(
        "nav_msgs.Odometry",
        header=HEADER,
        child_frame_id="base_link",
        pose={"pose": {"position": {"x": 4.0}, "orientation": {"z": 1.0}}},
        twist={"twist": {"linear": {"x": 0.5}, "angular": {"z": 0.25}}},
    )
    axes, linear, angular = converted("nav_msgs.Odometry", data)
    assert values(axes.archetype, "origins") == [[4.0, 0.0, 0.0]] * 3
    # Turned by half a turn about z: x and y point back.
    assert values(axes.archetype, "vectors")[0] == pytest.approx([-0.3, 0.0, 0.0], abs=1e-6)
    assert values(axes.archetype, "vectors")[2] == pytest.approx([0.0, 0.0, 0.3], abs=1e-6)
    assert values(linear.archetype, "scalars") == [0.5, 0.0, 0.0]
    assert values(angular.archetype, "scalars") == [0.0, 0.0, 0.25]


def test_a_fix_is_on_the_map_and_without_one_nothing_is() -> None:
    where = {"latitude": 48.1, "longitude": 11.6, "altitude": 520.0}
    here, height = converted("sensor_msgs.NavSatFix", made("sensor_msgs.NavSatFix", **where))
    assert values(here.archetype, "positions") == [[48.1, 11.6]]
    assert values(height.archetype, "scalars") == [520.0]
    lost = made("sensor_msgs.NavSatFix", status={"status": -1}, **where)
    assert converted("sensor_msgs.NavSatFix", lost) == []

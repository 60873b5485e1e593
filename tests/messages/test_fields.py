"""Fields laid flat, and read from the bytes of many messages at once."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest

from dimos_record.errors import DecodeError, OptionError
from dimos_record.messages import decode, encode, known_types, message_class
from dimos_record.messages.columns import ColumnReader
from dimos_record.messages.fields import Field, find_field, layout_of, numeric_fields

from .samples import random_message

TYPES = known_types()


def value_at(value: Any, names: list[str]) -> Any:
    """What is under a path of a decoded message; a list for what is in the items of one."""
    for i, name in enumerate(names):
        if name.isdecimal():
            value = value[int(name)]
        elif isinstance(value, list):
            return [value_at(item, names[i:]) for item in value]
        else:
            value = getattr(value, name)
    return value


def expected(field: Field, message: Any) -> Any:
    found = value_at(message, field.path.split("."))
    if field.kind == "byte" and isinstance(found, bytes):
        return list(found)
    return list(found) if field.array else found


def listed(column: Any, row: int) -> Any:
    if column.offsets is None:
        return column.values[row]
    return column.values[column.offsets[row] : column.offsets[row + 1]].tolist()


@pytest.mark.parametrize("type_name", TYPES)
def test_every_field_of_every_type_is_what_decoding_finds(type_name: str) -> None:
    rng = random.Random(type_name)
    batch = [encode(random_message(type_name, rng)) for _ in range(5)]
    columns = ColumnReader(type_name).read(batch)
    assert columns.valid.all()
    layout = layout_of(type_name)
    assert layout is not None
    for field in layout.fields:
        column = columns.by_path[field.path]
        for row, data in enumerate(batch):
            assert listed(column, row) == expected(field, decode(type_name, data)), field.path


@pytest.mark.parametrize("type_name", TYPES)
def test_what_does_not_decode_is_not_valid_and_its_neighbours_are(type_name: str) -> None:
    rng = random.Random(type_name)
    whole = encode(random_message(type_name, rng))
    damaged = [whole[: rng.randrange(len(whole))] for _ in range(6)]
    damaged += [whole[:8] + rng.randbytes(rng.randrange(len(whole))) for _ in range(6)]
    damaged += [bytes(len(whole)), b""]
    batch = [whole, *damaged, whole]
    columns = ColumnReader(type_name).read(batch)
    assert columns.valid.tolist() == [decodes(type_name, data) for data in batch]
    for column in columns.by_path.values():
        np.testing.assert_equal(listed(column, 0), listed(column, len(batch) - 1))


def decodes(type_name: str, data: bytes) -> bool:
    try:
        decode(type_name, data)
    except DecodeError:
        return False
    return True


def test_no_type_has_arrays_of_arrays() -> None:
    for type_name in TYPES:
        assert all(len(dims or ()) < 2 for dims in message_class(type_name).__dimensions__)


def test_of_the_wanted_fields_only_those_are_read() -> None:
    data = encode(random_message("nav_msgs.Odometry", random.Random(1)))
    reader = ColumnReader("nav_msgs.Odometry", {"pose.pose.position.x", "header.frame_id"})
    assert set(reader.read([data]).by_path) == {"pose.pose.position.x", "header.frame_id"}


def test_no_message_at_all_gives_empty_columns() -> None:
    columns = ColumnReader("sensor_msgs.JointState").read([])
    assert all(len(column.values) == 0 for column in columns.by_path.values())


def test_an_item_of_a_list_is_nan_where_the_list_is_shorter() -> None:
    joints = message_class("sensor_msgs.JointState")
    batch = [
        encode(joints(position_length=len(angles), position=angles))
        for angles in ([0.1, 0.2], [], [0.3], [0.4, 0.5, 0.6])
    ]
    position = ColumnReader("sensor_msgs.JointState").read(batch).by_path["position"]
    np.testing.assert_equal(position.item(1), [0.2, np.nan, np.nan, 0.5])


def test_pictures_and_lists_of_lists_are_left_out_by_name() -> None:
    assert [one.path for one in layout_of("sensor_msgs.Image").left_out] == ["data"]
    detections = layout_of("vision_msgs.Detection3DArray")
    assert [one.path for one in detections.left_out] == ["detections.results"]
    assert "detections.bbox.center.position.x" in [one.path for one in detections.fields]


def test_a_path_leads_to_a_field_or_to_an_item_of_a_list() -> None:
    assert find_field("nav_msgs.Odometry", "pose.covariance.35")[0].kind == "double"
    field, index = find_field("tf2_msgs.TFMessage", "transforms.2.transform.translation.x")
    assert (field.path, index) == ("transforms.transform.translation.x", 2)
    assert find_field("sensor_msgs.JointState", "position.3")[1] == 3
    for type_name in TYPES:
        for path in numeric_fields(type_name):
            find_field(type_name, path)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("pose.pose.position.z1", "pose.pose.position.z"),
        ("position.x", "pose.pose.position.x"),
        ("pose.pose", "pose.pose.position.x"),
        ("header.frame_id", "header.stamp.sec"),
        ("nonsense", "twist.twist"),
        ("", "pose.covariance.0"),
    ],
)
def test_a_wrong_path_is_answered_with_those_that_there_are(path: str, named: str) -> None:
    with pytest.raises(OptionError, match=r"nav_msgs\.Odometry") as error:
        find_field("nav_msgs.Odometry", path)
    assert named in str(error.value) or path == "nonsense"


@pytest.mark.parametrize("type_name", [None, "acme_msgs.Gripper"])
def test_an_unknown_type_has_no_fields(type_name: str | None) -> None:
    assert layout_of(type_name) is None
    assert numeric_fields(type_name) == []
    with pytest.raises(OptionError, match="no fields"):
        find_field(type_name, "x")


def test_a_large_map_takes_few_times_its_bytes() -> None:
    grid = encode(message_class("nav_msgs.OccupancyGrid")(data=[1, 2], data_length=2))
    cells = 4_000_000
    large = grid[:8] + cells.to_bytes(4, "big") + grid[12:-2] + bytes([1, 255]) * (cells // 2)
    reader = ColumnReader("nav_msgs.OccupancyGrid")
    tracemalloc.start()
    try:
        column = reader.read([large]).by_path["data"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert column.values[:4].tolist() == [1, -1, 1, -1]
    assert len(column.values) == cells
    assert peak < 8 * cells

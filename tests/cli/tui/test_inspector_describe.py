"""What the inspector says of a message, line by line."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dimos_record.cli.tui.inspector.bodies import body, hex_dump
from dimos_record.cli.tui.inspector.describe import Node, describe, describe_row
from dimos_record.cli.tui.inspector.lines import lines_of, opened_at_first
from dimos_record.cli.tui.inspector.look import Wanted, heading, look
from dimos_record.messages import encode, known_types, message_class
from dimos_record.store.base import Row, StreamInfo
from tests.messages.samples import NS, random_message, stamped

T0 = 1_700_000_000 * NS  # 2023-11-14 22:13:20 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def made(type_name: str, **fields: Any) -> Any:
    return message_class(type_name)(**fields)


def row_of(type_name: str | None, data: bytes, **info: Any) -> Row:
    channel = f"/x#{type_name}" if type_name else "/x"
    return Row(StreamInfo("x", "/x", channel, type_name, **info), 7, 7, T0, None, data)


def shown(root: Node, opened: set[tuple[str, ...]] | None = None, width: int = 80) -> list[str]:
    """The lines of a message; everything that is no array, text or bytes is open by default."""
    if opened is None:
        opened = {path for path, node in every(root) if node.data is None}
    return [
        " " * line.indent
        + (f"{line.node.name}: {line.node.value}" if line.text is None else line.text)
        for line in lines_of(root, opened, width)
    ]


def every(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    for child in node.children:
        here = (*path, child.name)
        yield here, child
        yield from every(child, here)


def test_a_message_is_a_tree_of_its_fields_without_lengths_of_arrays():
    pose = stamped("geometry_msgs.PoseStamped", T0 + 5, pose=made("geometry_msgs.Pose"))
    pose.pose.position = made("geometry_msgs.Point", x=0.1 + 0.2, y=-2.0, z=1e-7)
    assert shown(describe(pose)) == [
        'header: seq 0, stamp 2023-11-14 22:13:20.000000005, frame_id "world"',
        "  seq: 0",
        "  stamp: 2023-11-14 22:13:20.000000005",
        "    sec: 1700000000",
        "    nsec: 5",
        '  frame_id: "world"',
        "pose: position (x 0.3, y -2, z 1e-07), orientation (x 0, y 0, z 0, w 0)",
        "  position: x 0.3, y -2, z 1e-07",
        "    x: 0.3",
        "    y: -2",
        "    z: 1e-07",
        "  orientation: x 0, y 0, z 0, w 0",
        "    x: 0",
        "    y: 0",
        "    z: 0",
        "    w: 0",
    ]


def test_of_a_long_list_the_first_items_are_shown():
    poses = [made("geometry_msgs.PoseStamped") for _ in range(1005)]
    (_, listed) = describe(made("nav_msgs.Path", poses_length=1005, poses=poses)).children
    assert listed.value == "PoseStamped[1005]"
    assert [child.name for child in listed.children] == [*(f"[{i}]" for i in range(8)), ""]
    assert listed.children[-1].value == "... 997 more"


@pytest.mark.parametrize(
    ("type_name", "field", "values", "text"),
    [
        ("sensor_msgs.JointState", "position", [0.25, -1.0], "float64[2] 0.25, -1"),
        ("sensor_msgs.JointState", "position", [], "float64[0]"),
        ("sensor_msgs.LaserScan", "ranges", [0.1], "float32[1] 0.1"),
        (
            "sensor_msgs.LaserScan",
            "ranges",
            [1.0, float("nan"), *[2.0] * 10, float("inf")],
            "float32[13] 1..2 mean 1.909, 2 not finite",
        ),
        ("sensor_msgs.LaserScan", "ranges", [float("inf")] * 10, "float32[10] none finite"),
        ("sensor_msgs.Joy", "buttons", [0] * 20, "int32[20] all 0"),
        ("nav_msgs.OccupancyGrid", "data", [-1, 100] * 100_000, "int8[200000] -1..100 mean 49.5"),
        ("sensor_msgs.Image", "data", bytes(range(100)), "uint8[100] 0..99 mean 49.5"),
        ("sensor_msgs.JointState", "name", ["a\x1b[31m", "b"], 'string[2] "a\\x1b[31m", "b"'),
        ("std_msgs.String", "data", "x" * 500, f'"{"x" * 120}" 500 characters'),
        ("std_msgs.Bool", "data", True, "true"),
        ("std_msgs.Float32", "data", float(np.float32(0.1)), "0.1"),
        ("std_msgs.Float64", "data", 1763654130.123456, "1763654130.123456"),
        ("std_msgs.Int64", "data", -(2**63), "-9223372036854775808"),
    ],
)
def test_a_value_is_one_line(type_name: str, field: str, values: Any, text: str):
    message = made(type_name, **{field: values})
    values_of = {node.name: node.value for node in describe(message).children}
    assert values_of[field] == text


def test_an_array_has_the_shape_that_its_layout_says():
    dims = [made("std_msgs.MultiArrayDimension", size=size) for size in (3, 20)]
    layout = made("std_msgs.MultiArrayLayout", dim=dims, dim_length=2)
    array = made("std_msgs.Float32MultiArray", layout=layout, data=[1.0] * 60, data_length=60)
    assert describe(array).children[1].value == "float32[3, 20] all 1"
    dims[0].size = 4
    assert describe(array).children[1].value == "float32[60] all 1"


def test_an_opened_array_is_a_plot_and_its_first_numbers():
    scan = made("sensor_msgs.LaserScan", ranges=[float(i) for i in range(300)])
    ranges = next(node for node in describe(scan).children if node.name == "ranges")
    lines = body(ranges, 60)
    assert [line[:4] for line in lines[:5]] == ["299 ", "    ", "    ", "    ", "  0 "]
    assert all(len(line) == 60 for line in lines[:5])
    assert lines[5:7] == [
        "[0]      0    1    2    3    4    5    6    7    8    9",
        "[10]    10   11   12   13   14   15   16   17   18   19",
    ]
    assert lines[-1] == "... 100 more"


def test_an_opened_matrix_has_its_rows():
    info = made("sensor_msgs.CameraInfo", K=[420.0, 0.0, 319.5, 0.0, 420.0, 239.5, 0.0, 0.0, 1.0])
    matrix = next(node for node in describe(info).children if node.name == "K")
    assert body(matrix, 60) == [
        "[0]    420      0  319.5",
        "[3]      0    420  239.5",
        "[6]      0      0      1",
    ]


def test_an_opened_text_keeps_its_lines_and_json_is_laid_out():
    def lines(text: str) -> list[str]:
        return body(describe(made("std_msgs.String", data=text)).children[0], 10)

    assert lines("ab\tc\x07\n\n" + "é" * 12) == ["ab  c\\x07", "", "é" * 10, "éé"]
    assert lines('{"a": [1, "fährt", null, 1.5, true, false]}')[:3] == ["{", '  "a": [', "    1,"]
    assert lines("{" * 50) == ["{" * 10] * 5


def test_a_raw_channel_is_shown_in_hex():
    root, message = describe_row(row_of(None, b"hello\n\xff" + bytes(2000)))
    assert message is None
    lines = shown(root, {("bytes",)})
    assert lines[:2] == [
        "bytes: uint8[2007] 0..255 mean 0.3971",
        "  00000000  68 65 6c 6c 6f 0a ff 00 00 00 00 00 00 00 00 00  hello...........",
    ]
    assert lines[-1] == "  ... 983 more bytes"
    assert next(hex_dump(b"hi", 8)) == "00000000  68 69                    hi"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (row_of("acme_msgs.Gripper", b"ab"), "dimos_lcm has no such type"),
        (row_of("std_msgs.String", b"ab"), "bytes are not a std_msgs.String"),
        (row_of("std_msgs.String", encode(made("std_msgs.String", data="abc"))[:-2]), "truncated"),
        (row_of("a.B", b"\x80\x05.", codec="pickle"), "never loads"),
    ],
)
def test_what_cannot_be_decoded_is_a_sentence_and_the_bytes(row: Row, sentence: str):
    root, message = describe_row(row)
    note, data = root.children
    assert (message, note.kind, data.kind) == (None, "note", "bytes")
    assert sentence in note.value
    assert opened_at_first(root, 20, 80) == {("bytes",)}


def test_a_number_that_dimos_stored_is_that_number():
    root, _ = describe_row(row_of("builtins.float", b"0.5", codec="scalar"))
    assert shown(root) == ["value: 0.5"]


def test_at_first_what_fits_is_open_but_not_what_one_line_tells():
    odometry = describe(stamped("nav_msgs.Odometry", T0))
    all_open = {("pose",), ("pose", "pose"), ("twist",), ("twist", "twist")}
    assert opened_at_first(odometry, 40, 120) == all_open
    assert opened_at_first(odometry, 7, 120) == {("pose",)}
    text = describe(made("std_msgs.String", data='{"battery": 90, "state": "charging"}'))
    assert opened_at_first(text, 20, 80) == {("data",)}


def test_the_heading_has_what_is_known_of_the_message():
    row = row_of("std_msgs.Header", bytes(2048))._replace(stamp_ns=T0 - 3_200_000, ts_ns=T0)
    assert [line.plain for line in heading(row.stream, row, 12.5, 100)] == [
        "/x  std_msgs.Header",
        "#7  12.500 s  2023-11-14 22:13:20.000  stamp 22:13:19.996, lag 3.2 ms  2.05 kB",
    ]
    late = row._replace(stamp_ns=T0 + 86_400 * NS)
    assert [line.plain for line in heading(late.stream, late, 0.0, 44)] == [
        "/x  std_msgs.Header",
        "#7  0.000 s  2023-11-14 22:13:20.000",
        "stamp 2023-11-15 22:13:20.000, lag -24:00:00",
        "2.05 kB",
    ]
    assert heading(late.stream, late, 0.0, 20)[0].plain == "/x  std_msgs.Header"
    assert heading(late.stream, None, 0.0, 10)[1].plain == "std_msgs.…"


def test_every_type_of_message_can_be_shown_at_any_size():
    for type_name in known_types():
        data = encode(random_message(type_name, random.Random(type_name)))
        for whole, size in ((data, (80, 24)), (data, (9, 3)), (data[: len(data) // 2], (30, 8))):
            row = row_of(type_name, whole)
            seen = look(Wanted(row.stream, row, 0.0, *size))
            opened = {path for path, _ in every(seen.root)}
            for line in shown(seen.root, opened, size[0]):
                assert line.isprintable()

from __future__ import annotations

import importlib
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType
from mcap_ros2.decoder import DecoderFactory

from dimos_record import RecordReplay
from dimos_record.errors import (
    DecodeError,
    MissingExtra,
    NotARecording,
    RecordingDamaged,
    RecordingNotFound,
)
from dimos_record.interop.importing import import_file
from dimos_record.interop.mcap import ImportedMessage, McapImport, Problem
from dimos_record.interop.ros2 import Ros2Converter, lcm_type_name

from .ros2_files import Recorded, cdr, definition, differences, write_mcap

NAV2_FILE = Path(__file__).parents[3] / "shared" / "data" / "nav2_turtlebot.mcap"
NOW_NS = 1_700_000_000_123_456_789
HEADER = {"stamp": {"sec": 1_700_000_000, "nanosec": 999_999_999}, "frame_id": "cámara"}
POSE = {
    "position": {"x": 1.5, "y": -2.25, "z": 1e-300},
    "orientation": {"x": 0.5, "y": -0.5, "z": 0.5, "w": -0.5},
}

MESSAGES: dict[str, dict[str, Any]] = {
    "std_msgs/String": {"data": "grüße\n"},
    "std_msgs/Bool": {"data": True},
    "std_msgs/Empty": {},
    "sensor_msgs/Image": {
        "header": HEADER,
        "height": 2,
        "width": 3,
        "encoding": "rgb8",
        "is_bigendian": 1,
        "step": 9,
        "data": bytes(range(120, 138)) + b"\xff\x00",
    },
    "sensor_msgs/CameraInfo": {
        "header": HEADER,
        "height": 480,
        "width": 640,
        "distortion_model": "plumb_bob",
        "d": [0.1, -0.2, 0.3, -0.4, 0.5],
        "k": [500.0, 0, 320.5, 0, 501.0, 240.5, 0, 0, 1],
        "r": [1.0, 2, 3, 4, 5, 6, 7, 8, 9],
        "p": [float(n) for n in range(12)],
        "binning_x": 1,
        "binning_y": 2,
        "roi": {"x_offset": 3, "y_offset": 4, "height": 5, "width": 6, "do_rectify": True},
    },
    "sensor_msgs/PointCloud2": {
        "header": HEADER,
        "height": 1,
        "width": 2,
        "fields": [
            {"name": name, "offset": 4 * index, "datatype": 7, "count": 1}
            for index, name in enumerate("xyz")
        ],
        "is_bigendian": False,
        "point_step": 12,
        "row_step": 24,
        "data": bytes(range(24)),
        "is_dense": True,
    },
    "sensor_msgs/LaserScan": {
        "header": HEADER,
        "angle_min": -1.5,
        "angle_max": 1.5,
        "angle_increment": 0.25,
        "range_max": 12.0,
        "ranges": [0.1, math.inf, math.nan, 3.0],
        "intensities": [],
    },
    "sensor_msgs/JointState": {
        "header": HEADER,
        "name": ["hip", "", "knee"],
        "position": [0.1, 0.2, 0.3],
        "velocity": [],
        "effort": [-1.0],
    },
    "sensor_msgs/Imu": {
        "header": HEADER,
        "orientation": POSE["orientation"],
        "orientation_covariance": [-1.0] + [0.0] * 8,
        "angular_velocity": {"x": 0.1, "y": 0.2, "z": 0.3},
        "angular_velocity_covariance": [float(n) for n in range(9)],
        "linear_acceleration": {"x": 0.0, "y": -0.0, "z": 9.81},
        "linear_acceleration_covariance": [n / 7 for n in range(9)],
    },
    "nav_msgs/OccupancyGrid": {
        "header": HEADER,
        "info": {
            "map_load_time": {"sec": 5, "nanosec": 6},
            "resolution": 0.05,
            "width": 3,
            "height": 2,
            "origin": POSE,
        },
        "data": [-1, 0, 100, 127, -128, 50],
    },
    "nav_msgs/Path": {
        "header": HEADER,
        "poses": [{"header": HEADER, "pose": POSE}, {"header": HEADER, "pose": {}}],
    },
    "trajectory_msgs/JointTrajectoryPoint": {
        "positions": [1.0, 2.0],
        "velocities": [],
        "accelerations": [],
        "effort": [3.0],
        "time_from_start": {"sec": -2, "nanosec": 300_000_000},
    },
}


def lcm_decode(message: ImportedMessage) -> Any:
    package, name = message.type_name.split(".")
    return getattr(importlib.import_module(f"dimos_lcm.{package}"), name).lcm_decode(message.data)


def read(path: Path) -> tuple[list[ImportedMessage], list[Problem]]:
    with McapImport(path) as importer:
        return list(importer.messages()), importer.problems


def read_one(tmp_path: Path, message: Recorded) -> tuple[list[Any], list[Problem]]:
    messages, problems = read(write_mcap(tmp_path / "one.mcap", [message]))
    return [lcm_decode(message) for message in messages], problems


def text(data: str, topic: str = "/chat", ts_ns: int = NOW_NS) -> Recorded:
    return Recorded(topic, "std_msgs/String", cdr("std_msgs/String", {"data": data}), ts_ns)


def assert_equal_to_what_mcap_ros2_decodes(path: Path, messages: list[ImportedMessage]) -> None:
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        originals = list(reader.iter_decoded_messages())
    assert len(originals) == len(messages)
    for original, message in zip(originals, messages, strict=True):
        assert message.topic == original.channel.topic
        assert message.type_name == original.schema.name.replace("/msg/", ".")
        assert message.ts_ns == original.message.log_time
        assert message.publish_ns == original.message.publish_time
        assert differences(original.decoded_message, lcm_decode(message)) == []


@pytest.mark.parametrize("ros_type", MESSAGES)
def test_every_field_of_a_message_arrives(ros_type: str, tmp_path: Path) -> None:
    data = cdr(ros_type, MESSAGES[ros_type])
    path = write_mcap(tmp_path / "a.mcap", [Recorded("/topic", ros_type, data, NOW_NS)])
    messages, problems = read(path)
    assert problems == []
    assert [message.ts_ns for message in messages] == [NOW_NS]
    assert [message.publish_ns for message in messages] == [NOW_NS - 7]
    assert_equal_to_what_mcap_ros2_decodes(path, messages)


def test_camera_info_lands_in_the_capital_fields(tmp_path: Path) -> None:
    values = MESSAGES["sensor_msgs/CameraInfo"]
    recorded = Recorded("/info", "sensor_msgs/CameraInfo", cdr("sensor_msgs/CameraInfo", values))
    ((info,), _) = read_one(tmp_path, recorded)
    assert list(info.D) == values["d"]
    assert info.D_length == 5
    assert list(info.K) == values["k"]
    assert list(info.R) == values["r"]
    assert list(info.P) == values["p"]
    assert info.roi.do_rectify == 1
    assert info.header.seq == 0
    assert (info.header.stamp.sec, info.header.stamp.nsec) == (1_700_000_000, 999_999_999)
    assert info.header.frame_id == "cámara"


def test_big_endian_messages_are_read(tmp_path: Path) -> None:
    data = b"\0\0\0\0" + (70_000).to_bytes(4, "big")
    ((number,), problems) = read_one(tmp_path, Recorded("/n", "std_msgs/UInt32", data))
    assert number.data == 70_000
    assert problems == []


def test_octets_keep_their_bits_whatever_their_sign(tmp_path: Path) -> None:
    path = write_mcap(
        tmp_path / "octets.mcap",
        [
            Recorded("/char", "std_msgs/Char", b"\0\1\0\0\xc8"),
            Recorded("/byte", "std_msgs/Byte", b"\0\1\0\0\xc8"),
            Recorded(
                "/bytes",
                "std_msgs/ByteMultiArray",
                cdr("std_msgs/ByteMultiArray", {"data": b"\xc8\1"}),
            ),
        ],
    )
    messages, problems = read(path)
    char, byte, octets = map(lcm_decode, messages)
    assert problems == []
    assert char.data == 0xC8
    assert byte.data & 0xFF == 0xC8
    assert [octet & 0xFF for octet in octets.data] == [0xC8, 1]


def test_a_negative_duration_stays_negative_without_its_definition(tmp_path: Path) -> None:
    ros_type = "trajectory_msgs/JointTrajectoryPoint"
    recorded = Recorded(
        "/point",
        ros_type,
        cdr(ros_type, MESSAGES[ros_type]),
        text=definition(ros_type, without="builtin_interfaces/Duration"),
    )
    ((point,), problems) = read_one(tmp_path, recorded)
    assert problems == []
    assert point.time_from_start.sec == -2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": CompressionType.LZ4},
        {"compression": CompressionType.NONE, "chunk_size": 100},
        {"use_chunking": False},
        {"index_types": IndexType.NONE},
        {"use_statistics": False},
        {"repeat_channels": False, "repeat_schemas": False},
    ],
    ids=str,
)
def test_messages_come_in_the_order_of_their_log_time(
    options: dict[str, Any], tmp_path: Path
) -> None:
    order = [5, 1, 3, 2, 4, 0]
    path = write_mcap(
        tmp_path / "mixed.mcap",
        [text(str(n), f"/topic{n % 2}", NOW_NS + n) for n in order],
        **options,
    )
    with McapImport(path) as importer:
        assert importer.total == 6
        messages = list(importer.messages())
        assert importer.done == 6
    assert [lcm_decode(message).data for message in messages] == list("012345")
    assert [message.ts_ns - NOW_NS for message in messages] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "options", [{}, {"index_types": IndexType.NONE, "use_statistics": False}], ids=str
)
def test_a_simulation_that_begins_at_0_is_selected_from_there(
    options: dict[str, Any], tmp_path: Path
) -> None:
    recorded = [text(str(ts_s), ts_ns=ts_s * 10**9) for ts_s in (0, 2, 1)]
    path = write_mcap(tmp_path / "sim.mcap", recorded, **options)
    with McapImport(path) as importer:
        assert importer.start_ns == 0
    import_file(path, tmp_path / "out.db", section=(0.0, 1.5))
    with RecordReplay(tmp_path / "out.db") as rec:
        assert [one.data.data for one in rec.select("*")] == ["0", "1"]


@pytest.mark.parametrize("options", [{}, {"use_chunking": False}], ids=str)
def test_messages_are_read_as_they_are_asked_for(options: dict[str, Any], tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", [text(str(n)) for n in range(50)], **options)
    with McapImport(path) as importer:
        messages = importer.messages()
        for expected in (1, 2, 3):
            next(messages)
            assert importer.done == expected
        assert importer.total == 50


def test_a_second_pass_starts_from_the_beginning(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", [text("a"), text("b"), Recorded("/raw", None, b"")])
    with McapImport(path) as importer:
        first = list(importer.messages())
        assert list(importer.messages()) == first
        assert importer.done == 3
        assert [problem.count for problem in importer.problems] == [1]


def test_what_cannot_be_converted_is_listed_and_the_rest_is_imported(tmp_path: Path) -> None:
    gripper = cdr("acme_msgs/Gripper", {"header": HEADER, "width": 0.1})
    idl = "module std_msgs { };"
    path = write_mcap(
        tmp_path / "mixed.mcap",
        [
            text("before", ts_ns=NOW_NS),
            Recorded("/gripper", "acme_msgs/Gripper", gripper, NOW_NS + 1),
            Recorded("/gripper", "acme_msgs/Gripper", gripper, NOW_NS + 2),
            Recorded("/config", None, b"{}", NOW_NS + 3, encoding="json"),
            Recorded("/bare", None, b"\0\1\0\0", NOW_NS + 4),
            Recorded("/idl", "std_msgs/Bool", b"\0\1\0\0", text=idl, schema_encoding="ros2idl"),
            Recorded("/unreadable", "std_msgs/Bool", b"\0\1\0\0", text="bool data data data !!"),
            text("after", ts_ns=NOW_NS + 5),
        ],
    )
    messages, problems = read(path)
    assert [lcm_decode(message).data for message in messages] == ["before", "after"]
    found = {problem.topic: problem for problem in problems}
    assert not any(problem.imported for problem in problems)
    assert {topic: problem.count for topic, problem in found.items()} == {
        "/gripper": 2,
        "/config": 1,
        "/bare": 1,
        "/idl": 1,
        "/unreadable": 1,
    }
    assert found["/gripper"].schema == "acme_msgs/msg/Gripper"
    assert "no LCM type acme_msgs.Gripper" in found["/gripper"].reason
    assert "'json'" in found["/config"].reason
    assert "no schema" in found["/bare"].reason
    assert "'ros2idl'" in found["/idl"].reason
    assert "definition cannot be read" in found["/unreadable"].reason


@pytest.mark.parametrize("cut", [1, 5, 30], ids="{} bytes short".format)
def test_a_truncated_image_is_a_problem_and_not_a_smaller_image(cut: int, tmp_path: Path) -> None:
    whole = cdr("sensor_msgs/Image", MESSAGES["sensor_msgs/Image"])
    images, (problem,) = read_one(tmp_path, Recorded("/image", "sensor_msgs/Image", whole[:-cut]))
    assert images == []
    assert "do not decode" in problem.reason
    assert not problem.imported


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\7\0\0\1\0\0\0"])
def test_bytes_that_are_not_plain_cdr_are_a_problem(data: bytes, tmp_path: Path) -> None:
    messages, (problem,) = read_one(tmp_path, Recorded("/n", "std_msgs/UInt32", data))
    assert messages == []
    assert "not plain CDR" in problem.reason


def test_a_number_too_large_for_lcm_is_a_problem_and_not_another_number(tmp_path: Path) -> None:
    data = cdr("std_msgs/UInt32", {"data": 2**31})
    messages, (problem,) = read_one(tmp_path, Recorded("/n", "std_msgs/UInt32", data))
    assert messages == []
    assert "does not fit" in problem.reason


def test_fields_without_counterpart_are_named_once_with_their_count(tmp_path: Path) -> None:
    body = "std_msgs/Header header\ngeometry_msgs/Quaternion orientation\nfloat64 bias"
    layout = definition("sensor_msgs/Imu", body)
    values = {"header": HEADER, "orientation": POSE["orientation"], "bias": 0.5}
    data = cdr("sensor_msgs/Imu", values, layout)
    path = write_mcap(
        tmp_path / "imu.mcap", [Recorded("/imu", "sensor_msgs/Imu", data, text=layout)] * 3
    )
    messages, problems = read(path)
    assert [lcm_decode(message).orientation.w for message in messages] == [-0.5] * 3
    assert all(problem.imported and problem.count == 3 for problem in problems)
    reasons = [problem.reason for problem in problems]
    assert len(set(reasons)) == len(reasons)
    assert "field 'bias' of sensor_msgs/Imu has no place in the LCM type; dropped" in reasons
    assert sum("'linear_acceleration'" in reason for reason in reasons) == 1
    assert not any("'seq'" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("string data", {"data": "7"}),
        ("uint32[] data", {"data": [7]}),
        ("builtin_interfaces/Time data", {"data": {"sec": 7}}),
        ("uint32 other", {"other": 7}),
        ("", {}),
    ],
)
def test_a_type_with_the_same_name_but_other_fields_is_a_problem(
    body: str, values: dict[str, Any], tmp_path: Path
) -> None:
    layout = definition("std_msgs/UInt32", body)
    data = cdr("std_msgs/UInt32", values, layout)
    messages, (problem,) = read_one(tmp_path, Recorded("/n", "std_msgs/UInt32", data, text=layout))
    assert messages == []
    assert not problem.imported


def test_an_array_of_another_length_is_a_problem(tmp_path: Path) -> None:
    body = "float64[] orientation_covariance"
    layout = definition("sensor_msgs/Imu", body)
    data = cdr("sensor_msgs/Imu", {"orientation_covariance": [1.0] * 10}, layout)
    messages, problems = read_one(tmp_path, Recorded("/i", "sensor_msgs/Imu", data, text=layout))
    assert messages == []
    assert any("has not 9 values" in problem.reason for problem in problems)


def test_transient_local_topics_are_latched(tmp_path: Path) -> None:
    def offered(durability: str) -> tuple[tuple[str, str], ...]:
        return (
            ("offered_qos_profiles", f"- history: 3\n  depth: 1\n  durability: {durability}\n"),
        )

    plain = text("x")
    path = write_mcap(
        tmp_path / "a.mcap",
        [
            plain._replace(topic="/map", metadata=offered("transient_local")),
            plain._replace(topic="/old_map", metadata=offered("1")),
            plain._replace(topic="/odom", metadata=offered("volatile")),
            plain._replace(topic="/old_odom", metadata=offered("2")),
            plain._replace(topic="/unknown"),
        ],
    )
    with McapImport(path) as importer:
        assert importer.latched == {"/map", "/old_map"}


def test_a_file_without_messages_is_an_import_of_nothing(tmp_path: Path) -> None:
    assert read(write_mcap(tmp_path / "a.mcap", [])) == ([], [])


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFound, match=r"gone\.mcap"):
        McapImport(tmp_path / "gone.mcap")


@pytest.mark.parametrize("content", [b"", b"\x89", b"SQLite format 3\0" * 10])
def test_another_file_is_said_not_to_be_an_mcap(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.mcap"
    path.write_bytes(content)
    with pytest.raises(NotARecording, match=r"other\.mcap"):
        McapImport(path)


def test_a_folder_is_said_not_to_be_an_mcap(tmp_path: Path) -> None:
    with pytest.raises(NotARecording, match="folder"):
        McapImport(tmp_path)


def test_a_file_that_was_cut_off_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "a.mcap", [text("a"), text("b")])
    whole = path.read_bytes()
    for size in (8, 9, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(RecordingDamaged, match=rf"cut off after {size} bytes"):
            McapImport(path)


@pytest.mark.parametrize("options", [{"chunk_size": 200}, {"use_chunking": False}], ids=str)
def test_a_damaged_byte_anywhere_is_never_silent(options: dict[str, Any], tmp_path: Path) -> None:
    """Each byte of the file in turn is changed: all messages come, or an error or problem says so.

    Where a checksum does not reach (names, times, an unchunked payload) values may change, but no
    message vanishes.
    """
    path = write_mcap(tmp_path / "a.mcap", [text(str(n) * 20) for n in range(6)], **options)
    whole = path.read_bytes()
    for index in range(len(whole)):
        damaged = bytearray(whole)
        damaged[index] ^= 0x41
        path.write_bytes(damaged)
        try:
            messages, problems = read(path)
        except (RecordingDamaged, NotARecording):
            continue
        assert len(messages) + sum(p.count for p in problems if not p.imported) == 6, index


def test_without_the_extra_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mcap(tmp_path / "a.mcap", [text("a")])
    monkeypatch.setitem(sys.modules, "mcap.reader", None)
    with pytest.raises(MissingExtra, match=r"importing MCAP needs the extra 'mcap'"):
        McapImport(path)


@pytest.mark.parametrize(
    "name", ["os/msg/path", "../x/msg/Y", "", "String", "std_msgs/msg/no", "foxglove_bridge/msg/os"]
)
def test_a_schema_name_opens_nothing_but_message_types(name: str) -> None:
    with pytest.raises(DecodeError, match="no LCM type"):
        Ros2Converter(name, b"bool data")


def test_ros_names_become_lcm_names() -> None:
    assert lcm_type_name("nav_msgs/msg/Odometry") == "nav_msgs.Odometry"
    assert lcm_type_name("nav_msgs/Odometry") == "nav_msgs.Odometry"


@pytest.mark.skipif(not NAV2_FILE.exists(), reason=f"{NAV2_FILE.name} is not beside the project")
def test_a_real_drive_of_a_turtlebot_is_imported_whole() -> None:
    messages, problems = read(NAV2_FILE)
    assert problems == []
    assert Counter((message.topic, message.type_name) for message in messages) == {
        ("/odom", "nav_msgs.Odometry"): 2639,
        ("/tf", "tf2_msgs.TFMessage"): 5422,
        ("/tf_static", "tf2_msgs.TFMessage"): 1,
        ("/amcl_pose", "geometry_msgs.PoseWithCovarianceStamped"): 135,
    }
    assert_equal_to_what_mcap_ros2_decodes(NAV2_FILE, messages)

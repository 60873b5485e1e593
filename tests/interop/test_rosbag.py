"""Bags of ROS 1 and ROS 2, written by the library `rosbags`, into recordings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.std_msgs import String
from mcap.writer import Writer as McapFile
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dimos_record import RecordReplay
from dimos_record.errors import DecodeError, NotARecording, RecordingDamaged
from dimos_record.interop.importing import ImportReport, import_file
from dimos_record.interop.ros1 import Ros1Converter
from dimos_record.messages import encode, type_name_of

from .lcm_messages import RandomMessages, for_rosbags

pytestmark = pytest.mark.once

NOW_NS = 1_700_000_000_123_456_789
NOETIC = get_typestore(Stores.ROS1_NOETIC)
NOETIC.register(
    get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf2_msgs/msg/TFMessage")
)
HUMBLE = get_typestore(Stores.ROS2_HUMBLE)
TYPES = (
    "geometry_msgs.Twist",
    "nav_msgs.OccupancyGrid",
    "nav_msgs.Odometry",
    "nav_msgs.Path",
    "sensor_msgs.CameraInfo",
    "sensor_msgs.Image",
    "sensor_msgs.JointState",
    "sensor_msgs.PointCloud2",
    "std_msgs.Empty",
    "tf2_msgs.TFMessage",
    "visualization_msgs.MarkerArray",
)
LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(0, 0),
    QosTime(0, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(0, 0),
    False,
)


def messages(seq: int) -> list[tuple[str, Any]]:
    """Two rounds of messages, each on a topic of its type."""
    return [
        (f"/{name.split('.')[1].lower()}", RandomMessages(round_, seq=seq).of(name))
        for round_ in range(2)
        for name in TYPES
    ]


def expected(sent: list[tuple[str, Any]]) -> list[tuple[str, str, int, bytes]]:
    return [
        (topic, type_name_of(message), NOW_NS + i, encode(message))
        for i, (topic, message) in enumerate(sent)
    ]


def imported(source: Path, folder: Path) -> tuple[list[tuple[Any, ...]], ImportReport]:
    report = import_file(source, folder / "out.db")
    with RecordReplay(folder / "out.db") as rec:
        found = [(one.topic, one.type_name, one.ts_ns, one.raw) for one in rec.select("*")]
    return found, report


def write_ros1(
    path: Path,
    sent: list[tuple[str, Any]],
    compression: Writer1.CompressionFormat | None = None,
    latched: tuple[str, ...] = (),
) -> Path:
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        connections: dict[str, Any] = {}
        for i, (topic, message) in enumerate(sent):
            ros = type_name_of(message).replace(".", "/msg/")
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, ros, typestore=NOETIC, latching=int(topic in latched)
                )
            raw = NOETIC.serialize_ros1(for_rosbags(NOETIC, ros, message), ros)
            writer.write(connections[topic], NOW_NS + i, raw)
    return path


def write_ros2(
    path: Path,
    sent: list[tuple[str, Any]],
    storage: StoragePlugin,
    mode: CompressionMode = CompressionMode.NONE,
    version: Any = 9,
    latched: tuple[str, ...] = (),
) -> Path:
    writer = Writer2(path, version=version, storage_plugin=storage)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for i, (topic, message) in enumerate(sent):
            ros = type_name_of(message).replace(".", "/msg/")
            if topic not in connections:
                qos = [LATCHED] if topic in latched else []
                connections[topic] = writer.add_connection(
                    topic, ros, typestore=HUMBLE, offered_qos_profiles=qos
                )
            raw = HUMBLE.serialize_cdr(for_rosbags(HUMBLE, ros, message), ros)
            writer.write(connections[topic], NOW_NS + i, raw)
    return path


@pytest.mark.parametrize("compression", [None, *Writer1.CompressionFormat], ids=str)
def test_a_ros_1_bag_arrives_with_every_seq_and_nanosecond(
    tmp_path: Path, compression: Writer1.CompressionFormat | None
) -> None:
    sent = messages(seq=70_000)
    bag = write_ros1(tmp_path / "walk.bag", sent, compression)
    found, report = imported(bag, tmp_path)
    assert found == expected(sent)
    assert (report.format, report.problems) == ("bag", ())


def test_a_ros_1_bag_is_recognised_whatever_its_name(tmp_path: Path) -> None:
    sent = messages(seq=1)
    write_ros1(tmp_path / "walk.bag", sent).rename(tmp_path / "walk.orig")
    found, _ = imported(tmp_path / "walk.orig", tmp_path)
    assert found == expected(sent)


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.FILE),
    ],
    ids=str,
)
def test_a_ros_2_bag_arrives_to_the_nanosecond(
    tmp_path: Path, storage: StoragePlugin, mode: CompressionMode, version: int
) -> None:
    sent = messages(seq=0)
    bag = write_ros2(tmp_path / "walk", sent, storage, mode, version)
    found, report = imported(bag, tmp_path)
    assert found == expected(sent)
    assert (report.format, report.problems) == ("bag", ())


def test_a_database_of_a_ros_2_bag_can_be_named_itself(tmp_path: Path) -> None:
    sent = messages(seq=0)
    bag = write_ros2(tmp_path / "walk", sent, StoragePlugin.SQLITE3)
    (database,) = bag.glob("*.db3")
    found, _ = imported(database, tmp_path)
    assert found == expected(sent)


@pytest.mark.parametrize("storage", [None, *StoragePlugin], ids=str)
def test_latched_topics_stay_latched(tmp_path: Path, storage: StoragePlugin | None) -> None:
    sent = [("/plain", String(data="a")), ("/stays", String(data="b"))]
    if storage is None:
        bag = write_ros1(tmp_path / "walk.bag", sent, latched=("/stays",))
    else:
        bag = write_ros2(tmp_path / "walk", sent, storage, latched=("/stays",))
    imported(bag, tmp_path)
    with RecordReplay(tmp_path / "out.db") as rec:
        assert {info.topic: info.latched for info in rec.reader.streams.values()} == {
            "/plain": False,
            "/stays": True,
        }


def test_a_type_with_another_definition_arrives_with_a_note(tmp_path: Path) -> None:
    body = "std_msgs/Header header\nfloat64[] position\nfloat32 battery\n" + "=" * 80
    body += "\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n"
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(body, "sensor_msgs/msg/JointState"))
    with Writer1(tmp_path / "walk.bag") as writer:
        connection = writer.add_connection("/joints", "sensor_msgs/msg/JointState", typestore=store)
        raw = b"\7\0\0\0" + b"\1\0\0\0\2\0\0\0" + b"\1\0\0\0a" + b"\2\0\0\0" + bytes(20)
        writer.write(connection, NOW_NS, raw)
    _, report = imported(tmp_path / "walk.bag", tmp_path)
    with RecordReplay(tmp_path / "out.db") as rec:
        (one,) = rec.select("*")
        assert one.data.header.frame_id == "a"
        assert (one.data.header.stamp.sec, one.data.header.stamp.nsec) == (1, 2)
        assert list(one.data.position) == [0.0] * 2
    reasons = [problem.reason for problem in report.problems]
    assert all(problem.imported for problem in report.problems)
    assert any("'battery'" in reason for reason in reasons)
    assert any("'seq'" in reason for reason in reasons)


def test_types_that_lcm_lacks_are_listed_and_the_rest_arrives(tmp_path: Path) -> None:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("float64 width", "acme_msgs/msg/Gripper"))
    with Writer1(tmp_path / "walk.bag") as writer:
        grip = writer.add_connection("/grip", "acme_msgs/msg/Gripper", typestore=store)
        chat = writer.add_connection("/chat", "std_msgs/msg/String", typestore=NOETIC)
        writer.write(grip, NOW_NS, bytes(8))
        writer.write(chat, NOW_NS + 1, b"\2\0\0\0hi")
        writer.write(chat, NOW_NS + 2, b"\3\0\0\0hi")
    found, report = imported(tmp_path / "walk.bag", tmp_path)
    assert found == [("/chat", "std_msgs.String", NOW_NS + 1, encode(String(data="hi")))]
    assert [(one.topic, one.count, one.imported) for one in report.problems] == [
        ("/chat", 1, False),
        ("/grip", 1, False),
    ]
    assert "no LCM type acme_msgs.Gripper" in report.problems[1].reason


def test_transforms_of_old_ros_1_arrive_as_those_of_today(tmp_path: Path) -> None:
    message = RandomMessages(3, seq=5).of("tf2_msgs.TFMessage")
    raw = NOETIC.serialize_ros1(
        for_rosbags(NOETIC, "tf2_msgs/msg/TFMessage", message), "tf2_msgs/msg/TFMessage"
    )
    text, _ = NOETIC.generate_msgdef("tf2_msgs/msg/TFMessage")
    with Writer1(tmp_path / "walk.bag") as writer:
        tf = writer.add_connection("/tf", "tf/msg/tfMessage", msgdef=text, md5sum="0" * 32)
        writer.write(tf, NOW_NS, raw)
    found, report = imported(tmp_path / "walk.bag", tmp_path)
    assert found == [("/tf", "tf2_msgs.TFMessage", NOW_NS, encode(message))]
    assert report.problems == ()


@pytest.mark.parametrize("keep", [20, 5_000, -1])
def test_a_ros_1_bag_that_is_cut_off_is_named_as_damaged(tmp_path: Path, keep: int) -> None:
    bag = write_ros1(tmp_path / "walk.bag", messages(seq=1))
    bag.write_bytes(bag.read_bytes()[:keep])
    with pytest.raises(RecordingDamaged, match=r"walk\.bag"):
        import_file(bag, tmp_path / "out.db")
    assert not (tmp_path / "out.db").exists()


def test_a_ros_1_bag_with_flipped_bytes_never_breaks_the_import(tmp_path: Path) -> None:
    bag = write_ros1(tmp_path / "walk.bag", messages(seq=1))
    whole = bag.read_bytes()
    for at in range(13, len(whole), len(whole) // 60):
        bag.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            import_file(bag, tmp_path / "out.db", overwrite=True)
        except (RecordingDamaged, NotARecording):
            pass


def test_a_ros_2_bag_whose_files_are_damaged_or_missing_is_named(tmp_path: Path) -> None:
    bag = write_ros2(tmp_path / "walk", messages(seq=0), StoragePlugin.SQLITE3)
    (database,) = bag.glob("*.db3")
    database.write_bytes(database.read_bytes()[:5000])
    with pytest.raises(RecordingDamaged, match="walk"):
        import_file(bag, tmp_path / "out.db")
    database.unlink()
    with pytest.raises(RecordingDamaged, match="walk"):
        import_file(bag, tmp_path / "out.db")
    for text in ("not: a bag", "no: ["):
        (bag / "metadata.yaml").write_text(text)
        with pytest.raises(RecordingDamaged, match="walk") as error:
            import_file(bag, tmp_path / "out.db")
        assert "\n" not in str(error.value)
    shutil.rmtree(bag)
    assert not (tmp_path / "out.db").exists()


def test_ros_1_messages_in_mcap_arrive_with_their_seq(tmp_path: Path) -> None:
    sent = messages(seq=9)
    with (tmp_path / "walk.mcap").open("wb") as file:
        writer = McapFile(file)
        writer.start(profile="ros1")
        for i, (topic, message) in enumerate(sent):
            name = type_name_of(message).replace(".", "/msg/")
            text, _ = NOETIC.generate_msgdef(name)
            schema = writer.register_schema(name.replace("/msg/", "/"), "ros1msg", text.encode())
            channel = writer.register_channel(topic, "ros1", schema)
            raw = bytes(NOETIC.serialize_ros1(for_rosbags(NOETIC, name, message), name))
            writer.add_message(channel, NOW_NS + i, raw, NOW_NS + i)
        writer.finish()
    found, report = imported(tmp_path / "walk.mcap", tmp_path)
    assert found == expected(sent)
    assert report.problems == ()


def test_a_length_that_no_message_has_is_not_counted_to() -> None:
    definition = "Item[] position\n" + "=" * 80 + "\nMSG: sensor_msgs/Item\nfloat64 x\n"
    converter = Ros1Converter("sensor_msgs/JointState", definition)

    with pytest.raises(DecodeError, match="the bytes end before what the definition says"):
        converter.convert(b"\xff\xff\xff\xff" + bytes(16))


def test_a_definition_of_billions_of_empty_messages_is_not_walked_through() -> None:
    parts = ("Inner[9000] a", "MSG: sensor_msgs/Inner\nLeaf[9000] b", "MSG: sensor_msgs/Leaf\n")
    converter = Ros1Converter("sensor_msgs/JointState", f"\n{'=' * 80}\n".join(parts))

    with pytest.raises(DecodeError, match="more than 10,000 empty messages"):
        converter.convert(bytes(16))

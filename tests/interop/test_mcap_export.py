"""Recordings out to MCAP, read there by others, and in again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import PoseStamped
from dimos_lcm.nav_msgs import Path as PathMessage
from dimos_lcm.sensor_msgs import Image
from dimos_lcm.std_msgs import Header, String
from dimos_lcm.tf2_msgs import TFMessage
from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_ros2.decoder import DecoderFactory

from dimos_record import RecordReplay
from dimos_record.demo_robot.robot import DemoRobot
from dimos_record.demo_robot.sensors import Sample, Sensors
from dimos_record.errors import OptionError, RecordingDamaged
from dimos_record.interop.exporting import ExportReport
from dimos_record.interop.importing import import_file
from dimos_record.interop.mcap import McapImport
from dimos_record.messages import encode, type_name_of
from dimos_record.store.compare import compare
from dimos_record.store.observation import Observation

from ..store.dimos_files import TEXT, write_dimos_file
from .ros2_files import Recorded, cdr, differences, write_mcap

pytestmark = pytest.mark.once

NAV2_FILE = Path(__file__).parents[3] / "shared" / "data" / "nav2_turtlebot.mcap"
NOW_NS = 1_700_000_000_123_456_789


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    with RecordReplay(tmp_path / "walk.db") as rec:
        yield rec


@pytest.fixture
def demo(rec: RecordReplay) -> RecordReplay:
    """Three readings of every sensor of the demo robot."""
    robot = DemoRobot()
    sensors = Sensors(robot)
    for seq in range(3):
        state = robot.step(0.2)
        for topic, makers in sensors.by_topic.items():
            for i, sensor in enumerate(makers):
                ts_ns = NOW_NS + state.t_ns + i
                message = sensor(Sample(state, seq + 70_000, ts_ns - 1_234_567))
                stream = rec.stream(topic, type_name=type_name_of(message))
                stream.append(message, ts_ns=ts_ns)
    return rec


def add(rec: RecordReplay, topic: str, *messages: Any, **more: Any) -> None:
    for i, message in enumerate(messages):
        stream = rec.stream(topic, type_name=type_name_of(message))
        stream.append(message, ts_ns=NOW_NS + i, **more)


def export(rec: RecordReplay, path: Path, **options: Any) -> ExportReport:
    return rec.export(path, **options)


def everything(rec: RecordReplay) -> list[tuple[Any, ...]]:
    return [
        (one.topic, one.type_name, one.ts_ns, one.raw, one.pose, dict(one.tags))
        for one in rec.select("*")
    ]


def there_and_back(rec: RecordReplay, folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    """Everything in a recording once it was exported and imported, without a problem."""
    export(rec, folder / "out.mcap", **options)
    assert import_file(folder / "out.mcap", folder / "back.db").problems == ()
    with RecordReplay(folder / "back.db") as back:
        return everything(back)


def decoded(path: Path) -> list[Any]:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        return list(reader.iter_decoded_messages())


@pytest.mark.parametrize("encoding", ["ros2", "lcm"])
def test_the_demo_robot_comes_back_byte_for_byte(
    demo: RecordReplay, tmp_path: Path, encoding: str
) -> None:
    before = everything(demo)
    assert len(before) == 3 * 11
    report = export(demo, tmp_path / "demo.mcap", encoding=encoding)
    assert (report.format, report.messages, report.losses) == ("mcap", len(before), ())
    assert import_file(tmp_path / "demo.mcap", tmp_path / "back.db").problems == ()
    with RecordReplay(tmp_path / "back.db") as back:
        assert everything(back) == before
        assert compare(demo.reader, back.reader, lambda _: True).equal
        assert latched(back) == latched(demo) != set()


def latched(rec: RecordReplay) -> set[str]:
    return {info.topic for info in rec.reader.streams.values() if info.latched}


@pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])
def test_mcap_ros2_decodes_every_message_to_the_same_values(
    demo: RecordReplay, tmp_path: Path, compression: str
) -> None:
    export(demo, tmp_path / "demo.mcap", compression=compression, chunk_bytes=200_000)
    found = decoded(tmp_path / "demo.mcap")
    for original, message in zip(demo.select("*"), found, strict=True):
        assert message.channel.topic == original.topic
        assert message.schema.name == original.type_name.replace(".", "/msg/")
        assert message.message.log_time == original.ts_ns
        assert differences_but_seq(message.decoded_message, original.data) == []


def differences_but_seq(ros: Any, lcm: Any) -> list[str]:
    return [found for found in differences(ros, lcm) if not found.endswith("seq was not compared")]


@pytest.mark.skipif(not NAV2_FILE.exists(), reason="the recorded file is not in this checkout")
def test_a_real_log_comes_back_and_is_exported_as_ros_2_recorded_it(tmp_path: Path) -> None:
    import_file(NAV2_FILE, tmp_path / "nav2.db")
    with RecordReplay(tmp_path / "nav2.db") as rec:
        report = export(rec, tmp_path / "out.mcap")
        assert (report.messages, report.losses) == (8197, ())
    with McapImport(NAV2_FILE) as recorded, McapImport(tmp_path / "out.mcap") as exported:
        for theirs, ours in zip(recorded.messages(), exported.messages(), strict=True):
            assert ours._replace(channel=None) == theirs
        assert recorded.latched <= exported.latched
        assert exported.problems == []
    with NAV2_FILE.open("rb") as theirs, (tmp_path / "out.mcap").open("rb") as ours:
        pairs = zip(
            make_reader(theirs).iter_messages(), make_reader(ours).iter_messages(), strict=True
        )
        for (schema, channel, message), (our_schema, our_channel, our_message) in pairs:
            assert (our_channel.topic, our_schema.name) == (channel.topic, schema.name)
            assert our_message.log_time == message.log_time
            assert our_message.publish_time == message.publish_time
            # the bytes are the same but for what ROS 2 left behind in the padding
            assert len(our_message.data) == len(message.data)


def test_markers_come_back(rec: RecordReplay, tmp_path: Path) -> None:
    add(rec, "/chat", *(String(data=str(i)) for i in range(3)))
    rec.add_marker(0.0, "door")
    rec.add_marker(0.0, "kitchen", 1e-9, {"floor": 3})
    before = [marker[1:] for marker in rec.markers]
    export(rec, tmp_path / "out.mcap")
    import_file(tmp_path / "out.mcap", tmp_path / "back.db")
    with RecordReplay(tmp_path / "back.db") as back:
        assert [marker[1:] for marker in back.markers] == before
    assert len(before) == 2


def test_poses_and_tags_come_back_also_of_many_messages(rec: RecordReplay, tmp_path: Path) -> None:
    stream = rec.stream("/chat", type_name="std_msgs.String")
    for i in range(1200):
        more: dict[str, Any] = {}
        if i % 2:
            more["tags"] = {"run": i, "where": "ä", "publish_ns": NOW_NS + i - 3}
        if i % 3 == 0:
            more["pose"] = (i, 0.1, -i, 0.0, 0.0, 0.6, 0.8)
        stream.append(String(data=str(i)), ts_ns=NOW_NS + i // 7, **more)
    assert there_and_back(rec, tmp_path) == everything(rec)


@pytest.mark.parametrize(
    "seqs", [(7, 0, 0), (7, 7, 7), (0, 0, 0), (-3, -3, -3), (2**31 - 1, 0, 0)], ids=str
)
def test_the_seq_of_headers_comes_back(
    rec: RecordReplay, tmp_path: Path, seqs: tuple[int, int, int]
) -> None:
    add(rec, "/plan", plan(*seqs), plan(1, 0, 0), plan(0, 0, 0), plan(2, 2, 2))
    assert there_and_back(rec, tmp_path) == everything(rec)


def plan(seq: int, *inner: int) -> PathMessage:
    poses = [PoseStamped(header=Header(seq=one)) for one in inner]
    return PathMessage(header=Header(seq=seq), poses=poses, poses_length=len(poses))


def test_seqs_that_differ_inside_a_message_are_named_as_lost(
    rec: RecordReplay, tmp_path: Path
) -> None:
    add(rec, "/plan", plan(1, 2, 3), plan(1, 0, 0))
    report = export(rec, tmp_path / "out.mcap")
    (loss,) = report.losses
    assert (loss.topic, loss.what, loss.count) == (
        "/plan",
        "seq of the headers inside the message",
        1,
    )
    lossless = export(rec, tmp_path / "lcm.mcap", encoding="lcm")
    assert lossless.losses == ()


def test_what_ros_2_lacks_is_written_as_lcm_bytes_and_named(
    rec: RecordReplay, tmp_path: Path
) -> None:
    rec.stream("gait", topic="/gait", type_name="dimos_msgs.Gait").append(b"\1\2", ts_ns=NOW_NS)
    rec.stream("raw", topic="RAW").append(b"anything", ts_ns=NOW_NS + 1)
    image = rec.stream("image", topic="/image", type_name="sensor_msgs.Image")
    image.append(encode(Image(data=b"123", data_length=3)), ts_ns=NOW_NS + 2)
    image.append(encode(Image(data=b"123", data_length=3))[:-1], ts_ns=NOW_NS + 3)
    image.append(encode(Image(width=-1)), ts_ns=NOW_NS + 4)
    before = everything(rec)
    report = export(rec, tmp_path / "out.mcap")
    assert report.messages == 5
    reasons = {(loss.topic, loss.count): loss.what for loss in report.losses}
    assert set(reasons) == {("/gait", 1), ("RAW", 1), ("/image", 1)}
    assert len(report.losses) == 4
    assert all(loss.what.endswith("written as LCM bytes") for loss in report.losses)
    assert "dimos_msgs.Gait" in reasons["/gait", 1]
    assert import_file(tmp_path / "out.mcap", tmp_path / "back.db").problems == ()
    with RecordReplay(tmp_path / "back.db") as back:
        assert everything(back) == before


def test_wire_names_and_types_come_back_where_ros_2_names_them_otherwise(
    rec: RecordReplay, tmp_path: Path
) -> None:
    from dimos_lcm.std_msgs import Time

    add(rec, "clock", Time(sec=5, nsec=999_999_999))
    before = [info.channel for info in rec.reader.streams.values()]
    assert there_and_back(rec, tmp_path) == everything(rec)
    with RecordReplay(tmp_path / "back.db") as back:
        assert [info.channel for info in back.reader.streams.values()] == before
    (message,) = decoded(tmp_path / "out.mcap")
    assert message.schema.name == "builtin_interfaces/msg/Time"
    assert (message.decoded_message.sec, message.decoded_message.nanosec) == (5, 999_999_999)


def test_derived_messages_are_exported(rec: RecordReplay, tmp_path: Path) -> None:
    add(rec, "/chat", *(String(data=str(i)) for i in range(4)))

    def louder(one: Observation) -> Observation:
        return one.derive(data=String(data=one.data.data + "!"))

    rec.select("*").map(louder).export(tmp_path / "out.mcap")
    assert [one.decoded_message.data for one in decoded(tmp_path / "out.mcap")] == [
        "0!",
        "1!",
        "2!",
        "3!",
    ]


def test_a_recording_without_messages_becomes_a_file_without_messages(
    rec: RecordReplay, tmp_path: Path
) -> None:
    rec.stream("/chat", type_name="std_msgs.String")
    assert there_and_back(rec, tmp_path) == []


def test_latched_topics_are_offered_as_transient_local(rec: RecordReplay, tmp_path: Path) -> None:
    add(rec, "/tf_static", TFMessage())
    add(rec, "/tf", TFMessage())
    export(rec, tmp_path / "out.mcap")
    offered = {
        one.channel.topic: one.channel.metadata.get("offered_qos_profiles", "")
        for one in decoded(tmp_path / "out.mcap")
    }
    assert "durability: transient_local" in offered["/tf_static"]
    assert offered["/tf"] == ""


@pytest.mark.parametrize(
    "options", [{"encoding": "json"}, {"compression": "gzip"}, {"chunk_bytes": 0}], ids=str
)
def test_options_without_meaning_are_refused(
    rec: RecordReplay, tmp_path: Path, options: dict[str, Any]
) -> None:
    add(rec, "/chat", String(data="a"))
    with pytest.raises(OptionError):
        export(rec, tmp_path / "out.mcap", **options)
    assert not (tmp_path / "out.mcap").exists()


def test_a_file_that_claims_to_be_ours_cannot_choose_another_type(tmp_path: Path) -> None:
    metadata = (("dimos_record.type", "sensor_msgs.Image"),)
    text = Recorded(
        "/chat", "std_msgs/String", cdr("std_msgs/String", {"data": "x"}), metadata=metadata
    )
    import_file(write_mcap(tmp_path / "a.mcap", [text]), tmp_path / "out.db")
    with RecordReplay(tmp_path / "out.db") as rec:
        assert [one.data.data for one in rec.select("*")] == ["x"]
    assert math.isfinite(rec.duration)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("marker", {"label": "x"}),
        ("marker", {"label": "x", "at_ns": str(10**30)}),
        ("marker", {"label": "x", "at_ns": "5", "data": "[" * 100_000}),
        ("observations", {"1 /chat": '{"pose": [1], "tags": {}}', "until_ns": "9"}),
        ("observations", {"1 /chat": "[" * 100_000, "until_ns": "9"}),
        ("observations", {"1 /chat": '{"pose": null, "tags": [1]}', "until_ns": "9"}),
        ("observations", {"1 /chat": '{"pose": null, "tags": {}}'}),
    ],
)
def test_what_we_write_beside_messages_is_not_trusted(
    tmp_path: Path, name: str, record: dict[str, str]
) -> None:
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("unknown", "lcm", b"")
        writer.add_message(writer.register_channel("/chat", "lcm", schema), 1, b"x", 1)
        writer.add_metadata(f"dimos_record.{name}", record)
        writer.finish()
    with pytest.raises(RecordingDamaged, match=r"a\.mcap"):
        import_file(tmp_path / "a.mcap", tmp_path / "out.db")


def test_a_time_that_no_recording_holds_is_a_problem(tmp_path: Path) -> None:
    data = cdr("std_msgs/String", {"data": "x"})
    texts = [Recorded("/chat", "std_msgs/String", data, ts_ns) for ts_ns in (7, 2**64 - 1)]
    report = import_file(write_mcap(tmp_path / "a.mcap", texts), tmp_path / "out.db")
    (problem,) = report.problems
    assert (report.count, problem.count, problem.imported) == (1, 1, False)
    assert "2262" in problem.reason


def test_texts_that_dimos_stored_as_json_are_exported(tmp_path: Path) -> None:
    write_dimos_file(tmp_path / "dimos.db", [TEXT])
    with RecordReplay(tmp_path / "dimos.db") as rec:
        report = export(rec, tmp_path / "out.mcap")
        texts = [one.data.data for one in rec.select("*")]
    assert (report.messages, report.losses) == (len(texts), ())
    assert [one.decoded_message.data for one in decoded(tmp_path / "out.mcap")] == texts

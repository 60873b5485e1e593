from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.store.names import is_valid, stream_name
from dimos_record.store.reader import RecordingReader
from tests.store.samples import START_NS, record


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("/odom", "odom"),
        ("/robot1/odom", "robot1__odom"),
        ("odom", "odom"),
        ("/a-b c.d", "a_b_c_d"),
        ("/1st", "_1st"),
        ("/", "stream"),
        ("/caméra", "cam_ra"),
        ("/相机", "__"),
        ("/sqlite_stat", "ssqlite_stat"),
        ("/_dr_spool", "s_dr_spool"),
        ("/_streams", "_streams_"),
        ("/image_blob", "image_blob_"),
        ("/pose_rtree", "pose_rtree_"),
        ("/pose_rtree_node", "pose_rtree_node_"),
        ("/word_vec", "word_vec_"),
        ("/sim_time", "sim_time"),
    ],
)
def test_a_topic_gets_a_readable_name(topic: str, expected: str) -> None:
    name = stream_name(topic, ())
    assert name == expected
    assert is_valid(name)


def test_names_differ_without_regard_to_case() -> None:
    names: list[str] = []
    for topic in ("/Odom", "/odom", "/ODOM", "/odom_2"):
        names.append(stream_name(topic, {name.lower() for name in names}))
    assert names == ["Odom", "odom_2", "ODOM_3", "odom_2_2"]


def test_topics_whose_names_clash_are_kept_apart(tmp_path: Path) -> None:
    channels = [
        "/a/b",
        "/a__b",
        "/A/B",
        "/a.b",
        "/a_b",
        "/odom#geometry_msgs.PoseStamped",
        "/odom#nav_msgs.Odometry",
        "/odom",
        "/odom_blob",
        "/odom_rtree",
        "/odom_rtree_rowid",
        "/_dr_time_odom",
        "/_streams",
        "/sqlite_master",
        "/main.odom",
        '/quote"d',
        "/semi;colon--",
        "/empty type#",
        "/caméra",
        "/相机",
        "/カメラ",
        "/" + "long" * 200,
        "",
    ]
    record(tmp_path / "walk.db", [[(START_NS, c, c.encode()) for c in channels]])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        found = {info.channel: list(reader.rows(name)) for name, info in reader.streams.items()}
    assert {channel: [row.data for row in rows] for channel, rows in found.items()} == {
        channel: [channel.encode()] for channel in channels
    }


@pytest.mark.parametrize("topic", ["/sqlite", "/_dr", "/sqlite_blob", "/_dr_vec"])
def test_a_number_makes_no_reserved_name(topic: str) -> None:
    first = stream_name(topic, ())
    assert is_valid(stream_name(topic, {first.lower()}))

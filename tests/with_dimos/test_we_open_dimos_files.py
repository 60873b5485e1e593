"""Files that dimos wrote open in our reader, with equal bytes, tags and poses."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dimos.core.transport import LCMTransport
from dimos.memory.tap import TransportRecorder
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Transform import Transform
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.std_msgs.String import String
from dimos.robot.unitree.type.odometry import Odometry

from dimos_record import RecordReplay
from dimos_record.bus import default_url, open_bus
from dimos_record.store.connection import connect_for_reading
from dimos_record.store.queries import StreamQuery
from dimos_record.store.reader import RecordingReader
from tests.with_dimos import messages
from tests.with_dimos.messages import (
    CODECS,
    MAKERS,
    color,
    pose,
    same_value,
    stamp_ns,
    stamp_s,
    transform,
)
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.dimos

OpenStore = Callable[..., Any]


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return tmp_path / "theirs.db"


def observations(reader: RecordingReader, stream: str) -> list[Any]:
    return StreamQuery(reader, reader.find(stream)).to_list()


def test_every_message_type_comes_back_as_the_bytes_that_dimos_sends(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    written: dict[str, list[Any]] = {}
    for topic, make in MAKERS.items():
        if CODECS.get(topic) == "jpeg":
            continue
        name = topic.strip("/").replace("/", "__")
        written[name] = [make(i) for i in range(3)]
        codec = CODECS.get(topic, "lcm")
        stream = store.stream(name, type(written[name][0]), codec=codec)
        for i, message in enumerate(written[name]):
            stream.append(message, ts=stamp_s(i))
    store.stop()
    with RecordingReader.open(theirs) as reader:
        assert set(reader.streams) == set(written)
        for name, sent in written.items():
            rows = list(reader.rows(name))
            assert [row.data for row in rows] == [message.lcm_encode() for message in sent]
            times = [row.ts_ns / 10**9 for row in rows]
            assert times == pytest.approx([stamp_s(i) for i in range(3)], rel=0, abs=1e-6)
            assert reader.streams[name].channel == f"/{name}#{sent[0].msg_name}"


def test_pictures_that_dimos_stored_as_jpeg_look_the_same_here(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    stream = store.stream("color", Image)  # JPEG is what dimos chooses for colour
    stream.append(color(1), ts=stamp_s(1))
    seen_by_dimos = stream.first().data
    store.stop()
    with RecordingReader.open(theirs) as reader:
        assert reader.streams["color"].codec == "jpeg"
        (row,) = reader.rows("color")
    seen_here = Image.lcm_decode(row.data)
    assert row.stamp_ns == stamp_ns(1)
    assert (seen_here.frame_id, seen_here.shape) == ("camera", seen_by_dimos.shape)
    difference = seen_here.to_rgb().data.astype(int) - seen_by_dimos.data.astype(int)
    assert np.abs(difference).max() <= 4  # two JPEG decoders


def test_json_comes_back_as_the_string_message_that_dimos_sends(
    theirs: Path, open_store: OpenStore
) -> None:
    message = String('{"room": "Küche", "seen": [1, 2.5, null]}')
    store = open_store(theirs)
    store.stream("notes", String, codec="json").append(message, ts=1.0)
    store.stop()
    with RecordingReader.open(theirs) as reader:
        assert [row.data for row in reader.rows("notes")] == [message.lcm_encode()]
        assert reader.streams["notes"].type_name == "std_msgs.String"


class Explosive:
    """What must not happen: it fails wherever it is unpickled."""

    armed = False

    def __reduce__(self) -> Any:
        return (_explode, ())


def _explode() -> Explosive:
    if Explosive.armed:
        raise AssertionError("a pickle was loaded")
    return Explosive()


def test_pickles_are_passed_on_and_never_loaded(
    theirs: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(theirs)
    store.stream("things", object).append(Explosive(), ts=1.0)
    store.stream("plans", dict).append({"goal": (1, 2)}, ts=1.0)
    store.stop()
    monkeypatch.setattr(Explosive, "armed", True)
    with RecordingReader.open(theirs) as reader:
        (thing,) = observations(reader, "things")
        (plan,) = observations(reader, "plans")
        assert (thing.type_name, plan.type_name) == (None, None)
        with pytest.raises(AssertionError):
            pickle.loads(thing.raw)
        assert thing.data == thing.raw
        assert pickle.loads(plan.raw) == {"goal": (1, 2)}


def test_numbers_come_back_as_numbers(theirs: Path, open_store: OpenStore) -> None:
    store = open_store(theirs)
    for i in range(3):
        store.stream("count", int).append(i, ts=stamp_s(i))
        store.stream("speed", float).append(i / 2, ts=stamp_s(i))
    store.stop()
    with RecordingReader.open(theirs) as reader:
        assert [o.data for o in observations(reader, "count")] == [0, 1, 2]
        assert [o.data for o in observations(reader, "speed")] == [0.0, 0.5, 1.0]
        assert reader.stats("speed").count == 3


def test_tags_and_poses_come_back(theirs: Path, open_store: OpenStore) -> None:
    tags = {"room": "Küche", "n": -3, "x": 2.5, "ok": True, "no": None, "deep": {"a": [1, "b"]}}
    store = open_store(theirs)
    stream = store.stream("pose", PoseStamped)
    stream.append(pose(1), ts=1.0, pose=pose(1), tags=tags)
    stream.append(pose(2), ts=2.0, pose=(4.0, 5.0, 6.0), tags={"room": "hall", "long": "x" * 500})
    stream.append(pose(3), ts=3.0)
    store.stop()
    with RecordingReader.open(theirs) as reader:
        first, second, third = observations(reader, "pose")
        assert dict(first.tags) == tags
        assert first.pose == (1.0, 2.0, 0.5, 0.0, 0.0, 0.6, 0.8)
        assert dict(second.tags) == {"room": "hall", "long": "x" * 500}
        assert second.pose == (4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 1.0)
        assert (dict(third.tags), third.pose) == ({}, None)
        query = StreamQuery(reader, reader.find("pose"))
        assert [o.id for o in query.near((0, 0, 0), 3.0)] == [1]
        assert [o.id for o in query.tags(room="hall")] == [2]


class TwoNumbers:
    """An embedding, as far as dimos's store needs one."""

    def to_numpy(self) -> Any:
        return np.array([0.6, 0.8], dtype=np.float32)


def test_a_stream_with_embeddings_opens_although_we_cannot_search_them(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    store.stream("pose", PoseStamped).append(pose(1), ts=1.0, embedding=TwoNumbers())
    store.stop()
    with RecordingReader.open(theirs) as reader:
        assert list(reader.streams) == ["pose"]
        assert [row.data for row in reader.rows("pose")] == [pose(1).lcm_encode()]


def test_files_from_before_dimos_renamed_its_memory_open(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    store.stream("pose", PoseStamped).append(pose(1), ts=1.0)
    store.stop()
    connection = sqlite3.connect(theirs)
    renamed = connection.execute(
        "UPDATE _streams SET config = replace(config, 'dimos.memory.', 'dimos.memory2.') "
        "WHERE config LIKE '%dimos.memory.%'"
    ).rowcount
    connection.commit()
    connection.close()
    assert renamed == 1
    with RecordingReader.open(theirs) as reader:
        assert [row.data for row in reader.rows("pose")] == [pose(1).lcm_encode()]


def test_classes_that_travel_under_another_name_keep_the_channel_dimos_uses(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    odometry = Odometry(ts=1.0, frame_id="map", position=(1, 2, 3))
    store.stream("odom", Odometry).append(odometry, ts=1.0)
    store.stream("mount", Transform).append(transform(1), ts=1.0)
    store.stop()
    with RecordingReader.open(theirs) as reader:
        for name, message in {"odom": odometry, "mount": transform(1)}.items():
            (row,) = reader.rows(name)
            assert row.data == message.lcm_encode()
            assert row.stream.channel == f"/{name}#{message.msg_name}"


def test_what_we_add_to_a_file_of_dimos_can_be_read_by_both(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    store.stream("pose", PoseStamped).append(pose(1), ts=1.0, tags={"room": "hall"})
    store.stop()
    with RecordReplay(theirs) as rec:
        rec.stream("pose", type_name="geometry_msgs.PoseStamped").append(pose(2), ts_ns=2 * 10**9)
        rec.stream("seen", type_name="sensor_msgs.Image").append(color(2), ts_ns=2 * 10**9)
    with RecordReplay(theirs) as rec:
        assert [o.raw for o in rec.streams.pose] == [pose(i).lcm_encode() for i in (1, 2)]
        assert [o.raw for o in rec.streams.seen] == [color(2).lcm_encode()]
    store = open_store(theirs)
    first, second = store.stream("pose").to_list()
    assert same_value(first.data, pose(1))
    assert same_value(second.data, pose(2))
    assert (first.tags, second.tags) == ({"room": "hall"}, {})
    assert same_value(store.stream("seen").first().data, color(2))


def test_reading_changes_nothing_in_the_folder(theirs: Path, open_store: OpenStore) -> None:
    store = open_store(theirs)
    store.stream("pose", PoseStamped).append(pose(1), ts=1.0, tags={"a": 1})
    store.stop()
    before = {path.name: path.read_bytes() for path in theirs.parent.iterdir()}
    with RecordingReader.open(theirs) as reader:
        assert len(observations(reader, "pose")) == 1
    assert {path.name: path.read_bytes() for path in theirs.parent.iterdir()} == before


def test_what_dimos_recorded_from_lcm_opens_with_the_bytes_that_were_sent(
    theirs: Path, open_store: OpenStore
) -> None:
    store = open_store(theirs)
    recorder = TransportRecorder(store)
    topics = {"/tapped/pose": pose, "/tapped/depth": messages.depth, "/tapped/color": color}
    transports = [LCMTransport(topic, type(make(0))) for topic, make in topics.items()]
    names = [topic.strip("/").replace("/", "_") for topic in topics]
    untap = [
        recorder.tap(name, type(make(0)), transport)
        for name, make, transport in zip(names, topics.values(), transports, strict=True)
    ]
    try:
        with open_bus(default_url()) as robot:
            for i in range(3):
                for topic, make in topics.items():
                    robot.publish(messages.channel_of(topic, make(i)), make(i).lcm_encode())
        wait_until(lambda: all(_count(theirs, name) == 3 for name in names))
    finally:
        for end in untap:
            end()
        recorder.close()
        for transport in transports:
            transport.stop()
    store.stop()
    with RecordingReader.open(theirs) as reader:
        codecs = {name: info.codec for name, info in reader.streams.items()}
        assert codecs == {"tapped_pose": "lcm", "tapped_depth": "lz4+lcm", "tapped_color": "jpeg"}
        for name, make in {"tapped_pose": pose, "tapped_depth": messages.depth}.items():
            rows = list(reader.rows(name))
            assert [row.data for row in rows] == [make(i).lcm_encode() for i in range(3)]
            assert [row.stamp_ns for row in rows] == [stamp_ns(i) for i in range(3)]
        assert [Image.lcm_decode(row.data).shape for row in reader.rows("tapped_color")] == [
            color(0).shape
        ] * 3


def _count(path: Path, stream: str) -> int:
    connection = connect_for_reading(path)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if (stream,) not in tables:
            return 0
        return int(connection.execute(f'SELECT count(*) FROM "{stream}"').fetchone()[0])
    finally:
        connection.close()

"""Files that dimos wrote are read, and added to, also where SQLite is too old for dimos."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path

import lz4.frame
import pytest

from dimos_record.errors import CodecError
from dimos_record.messages import decode
from dimos_record.store.meta import Where
from dimos_record.store.reader import RecordingReader
from dimos_record.store.schema import SCHEMA_VERSION
from dimos_record.store.writer import RecordingWriter
from tests.store.dimos_files import (
    ALL,
    CAMERA,
    DEPTH,
    FIRST_S,
    MISSING_TYPE,
    ODOM,
    OLD,
    SPEED,
    TAGS,
    THINGS,
    UNKNOWN_CODEC,
    DimosStream,
    write_dimos_file,
)
from tests.store.samples import begin, end, messages, pose, snapshot

FIRST_NS = round(FIRST_S * 1e9)
CHANNEL = "/odom#geometry_msgs.PoseStamped"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_dimos_file(tmp_path / "memory.db", ALL)


def payloads(reader: RecordingReader, name: str) -> list[bytes]:
    return [row.data for row in reader.rows(name)]


def test_every_stream_is_described(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert reader.schema_version == 0
        assert reader.sessions() == []
        assert set(reader.streams) == {stream.name for stream in ALL}
        odom = reader.find("/odom")
        assert (odom.channel, odom.codec) == (CHANNEL, "lcm")
        assert reader.find("camera").type_name == "sensor_msgs.Image"
        assert reader.find("speed").codec == "scalar"
        assert reader.find("missing").type_name is None


def test_every_codec_gives_wire_bytes(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "odom") == ODOM.payloads
        assert payloads(reader, "depth") == [lz4.frame.decompress(DEPTH.payloads[0])]
        (picture,) = payloads(reader, "camera")
        assert decode("sensor_msgs.Image", picture).encoding == "rgb8"
        assert picture != CAMERA.payloads[0]
        assert decode("std_msgs.String", payloads(reader, "text")[0]).data == "grüß dich"
        assert payloads(reader, "missing") == MISSING_TYPE.payloads


def test_numbers_come_as_text(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "speed") == [b"0.5", b"-1.25", b"3"]
        assert reader.payload("speed", 2) == b"-1.25"
        assert reader.stats("speed").count == 3
        values = [row.meta.value for row in reader.meta_rows("speed", Where())]
        assert values == SPEED.payloads


def test_pickles_are_passed_on_and_never_loaded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a pickle was loaded")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "things") == THINGS.payloads
        assert payloads(reader, "old") == OLD.payloads


def test_an_unknown_codec_spoils_only_its_own_stream(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert reader.stats("zstd").count == 1
        with pytest.raises(CodecError, match=r"/zstd: codec 'zstd\+lcm' is unknown"):
            list(reader.rows("zstd"))
        assert len(payloads(reader, "odom")) == 5


def test_tags_are_read_in_every_form(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        tags = [dict(row.meta.tags) for row in reader.meta_rows("odom", Where())]
    assert tags == [{}, TAGS, {"as": "text"}, {}, {}]


def test_streams_without_an_index_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "memory.db", [ODOM])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE odom SET ts = 2 * ? - ts", (FIRST_S,))
    connection.commit()
    connection.close()
    with RecordingReader.open(path) as reader:
        assert [row.id for row in reader.rows("odom")] == [5, 4, 3, 2, 1]
        assert [row.id for row in reader.rows("odom", reverse=True)] == [1, 2, 3, 4, 5]
        assert reader.span_ns() == (FIRST_NS - 4 * 10**9, FIRST_NS)
        found = reader.last_at("odom", FIRST_NS - 10**9)
        assert found is not None
        assert found.id == 2
        assert reader.count_between("odom", FIRST_NS - 2 * 10**9, FIRST_NS) == 2


def test_header_stamps_are_read_from_the_payloads(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert [row.stamp_ns for row in reader.rows("odom")] == [10**9 * i for i in range(1, 6)]


def test_a_file_that_dimos_writes_to_is_followed(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "memory.db", [ODOM])
    with RecordingReader.open(path) as reader:
        assert len(payloads(reader, "odom")) == 5
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO odom (ts, tags) VALUES (?, NULL)", (FIRST_S + 1.5,))
        connection.execute("INSERT INTO odom_blob VALUES (6, ?)", (pose(1),))
        connection.commit()
        connection.close()
        assert [row.id for row in reader.rows("odom")] == [1, 2, 6, 3, 4, 5]


def test_reading_does_not_change_the_file(path: Path) -> None:
    before = snapshot(path.parent)
    with RecordingReader.open(path) as reader:
        for name in set(reader.streams) - {"zstd"}:
            list(reader.rows(name))
    assert snapshot(path.parent) == before


def test_a_session_can_be_added(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        before = {n: payloads(reader, n) for n in reader.streams if n != "zstd"}
    writer = begin(RecordingWriter.append(path), FIRST_NS + 10**12)
    writer.write([(FIRST_NS + 10**12, CHANNEL, pose(7)), (FIRST_NS + 10**12, "/new", b"new")])
    writer.append_one(
        CHANNEL, FIRST_NS + 10**12 + 1, pose(8), tags={"n": 8}, pose=(1, 2, 3, 0, 0, 0, 1)
    )
    end(writer)
    with RecordingReader.open(path) as reader:
        assert reader.schema_version == SCHEMA_VERSION
        assert payloads(reader, "odom") == [*before.pop("odom"), pose(7), pose(8)]
        assert [row.id for row in reader.rows("odom")] == list(range(1, 8))
        assert {name: payloads(reader, name) for name in before} == before
        assert payloads(reader, "new") == [b"new"]
        rows = list(reader.meta_rows("odom", Where()))
        assert [dict(row.meta.tags) for row in rows] == [
            {},
            TAGS,
            {"as": "text"},
            {},
            {},
            {},
            {"n": 8},
        ]
        assert rows[6].meta.pose is not None
        assert reader.sessions()[0].accounts["odom"].written == 2
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'odom'").fetchone()[0]
    assert "jsonb('{}')" in sql  # dimos's own table, not a copy of it
    configs = dict(connection.execute("SELECT name, config FROM _streams"))
    connection.close()
    assert json.loads(configs["odom"])["payload_module"] == ODOM.payload_module
    assert "new" not in configs  # dimos cannot open a raw channel


@pytest.mark.parametrize("stream", [SPEED, THINGS, OLD, UNKNOWN_CODEC], ids=lambda s: s.name)
def test_a_topic_of_a_stream_that_only_dimos_writes_gets_a_stream_of_its_own(
    tmp_path: Path, stream: DimosStream
) -> None:
    path = write_dimos_file(tmp_path / "memory.db", [stream])
    with RecordingReader.open(path) as reader:
        channel = reader.find(stream.name).channel
    writer = begin(RecordingWriter.append(path), FIRST_NS + 10**12)
    writer.write([(FIRST_NS + 10**12, channel, b"from the bus")])
    end(writer)
    with RecordingReader.open(path) as reader:
        assert payloads(reader, f"{stream.name}_2") == [b"from the bus"]
        assert reader.stats(stream.name).count == len(stream.payloads)
    RecordingWriter.append(path).close()


def test_what_dimos_adds_to_a_recording_of_ours_is_found_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write([(FIRST_NS + i, CHANNEL, pose(i + 1)) for i in range(3)])
    end(writer)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO odom (ts, value, tags) VALUES (?, NULL, '{}')", (FIRST_S + 5,))
    connection.execute("INSERT INTO odom_blob VALUES (4, ?)", (pose(4),))
    connection.commit()
    connection.close()
    expected = [pose(i + 1) for i in range(4)]
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "odom") == expected
        assert reader.stats("odom").last_ns == round((FIRST_S + 5) * 1e9)
    writer = begin(RecordingWriter.append(path), FIRST_NS + 10**12)
    writer.write([(FIRST_NS + 10**12, CHANNEL, pose(5))])
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "odom") == [*expected, pose(5)]
    end(writer)
    with RecordingReader.open(path) as reader:
        assert payloads(reader, "odom") == [*expected, pose(5)]
        assert [row.seq for row in reader.rows("odom")] == sorted(
            {r.seq for r in reader.rows("odom")}
        )


def test_one_stream_whose_table_lacks_a_column_is_left_out(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "memory.db", [ODOM, THINGS])
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE things DROP COLUMN pose_x")
    connection.execute("INSERT INTO _streams VALUES ('ghost', '{}')")
    connection.commit()
    connection.close()
    with RecordingReader.open(path) as reader:
        assert list(reader.streams) == ["odom"]


def test_a_recording_that_was_added_to_takes_part_in_another_session(path: Path) -> None:
    for session in range(2):
        writer = begin(RecordingWriter.append(path), FIRST_NS + (session + 1) * 10**12)
        writer.write(messages(3, "/a", first=1000 * (session + 1)))
        end(writer)
    with RecordingReader.open(path) as reader:
        assert reader.stats("a").count == 6

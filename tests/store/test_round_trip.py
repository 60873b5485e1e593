from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from dimos_record.errors import CodecError, UnknownTopic
from dimos_record.store import jpeg, open_recording
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import (
    MS,
    ODOM,
    START_NS,
    begin,
    end,
    image,
    messages,
    pose,
    python,
    record,
    snapshot,
)

IMAGE = "/camera#sensor_msgs.Image"


def record_with_codec(path: Path, channel: str, codec: str, payloads: list[bytes]) -> None:
    writer = RecordingWriter.create(path)
    writer.begin_session(
        START_NS,
        {"pid": 0},
        split=lambda name: (name.partition("#")[0], name.partition("#")[2] or None),
        choose_codec=lambda topic, type_name, first: codec,
    )
    writer.write([(START_NS + i, channel, data) for i, data in enumerate(payloads)])
    end(writer)


@pytest.mark.parametrize("size", [0, 1, 7, 100, 40_000, 5_000_000])
@pytest.mark.parametrize("codec", ["lcm", "lz4+lcm"])
def test_what_is_read_is_what_was_written(tmp_path: Path, codec: str, size: int) -> None:
    payloads = [os.urandom(size), bytes(size), b""]
    record_with_codec(tmp_path / "walk.db", "/a", codec, payloads)
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert [row.data for row in reader.rows("a")] == payloads
        assert [reader.payload("a", i) for i in (1, 2, 3)] == payloads
        assert reader.stats("a").count == 3
        assert reader.find("a").codec == codec


def test_lz4_stores_less_than_the_wire_bytes(tmp_path: Path) -> None:
    record_with_codec(tmp_path / "walk.db", "/a", "lz4+lcm", [bytes(100_000)])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert reader.stats("a").bytes < 1000


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_jpeg_keeps_the_picture_nearly(tmp_path: Path, encoding: str) -> None:
    from dimos_lcm.sensor_msgs import Image

    channels = 1 if encoding == "mono8" else 3
    colour = bytes([200, 100, 50][:channels])
    record_with_codec(
        tmp_path / "walk.db", IMAGE, "jpeg", [image(encoding, colour * 32 * 16, 32, 16)]
    )
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        found = Image.lcm_decode(next(reader.rows("camera")).data)
    assert (found.width, found.height) == (32, 16)
    assert found.encoding == ("mono8" if channels == 1 else "rgb8")
    expected = colour[::-1] if encoding == "bgr8" else colour
    assert max(abs(a - b) for a, b in zip(found.data[:channels], expected, strict=True)) < 8


@pytest.mark.parametrize("width", [0, 31, 2**31 - 1])
def test_a_stored_jpeg_has_the_size_of_its_picture_whatever_the_message_says(width: int) -> None:
    from dimos_lcm.sensor_msgs import Image

    stored = Image.lcm_decode(jpeg.encode(image("rgb8", bytes(32 * 16 * 3), 32, 16)))
    stored.width = width
    found = Image.lcm_decode(jpeg.decode(bytes(stored.lcm_encode())))
    assert (found.width, found.height, found.step) == (32, 16, 96)
    assert len(found.data) == 32 * 16 * 3


@pytest.mark.parametrize(
    "payload",
    [
        image("32FC1", os.urandom(32 * 16 * 4), 32, 16),
        image("16UC1", os.urandom(32 * 16 * 2), 32, 16),
        image("rgb8", b"too few pixels", 640, 1)[:-4],
        image("rgb8", b"abc", 0, 1),
        image("rgb8", b"", 2**31 - 1, 96),
        b"no image at all",
        b"",
    ],
    ids=["depth", "16 bit", "cut short", "no width", "no pixels", "garbage", "empty"],
)
def test_what_cannot_be_jpeg_is_kept_as_it_is(tmp_path: Path, payload: bytes) -> None:
    record_with_codec(tmp_path / "walk.db", IMAGE, "jpeg", [payload])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert [row.data for row in reader.rows("camera")] == [payload]


def test_ids_and_arrival_numbers_count_from_one(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [[(START_NS, "/a", b"1"), (START_NS, "/b", b"2")] * 2])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert [(r.id, r.seq) for r in reader.rows("a")] == [(1, 1), (2, 3)]
        assert [(r.id, r.seq) for r in reader.rows("b")] == [(1, 2), (2, 4)]


def test_header_stamps_are_kept_beside_receive_times(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [[(START_NS, ODOM, pose(12_345_678_901)), (START_NS, "/a", b"")]])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert next(reader.rows("odom")).stamp_ns == 12_345_678_901
        assert next(reader.rows("a")).stamp_ns is None


def test_receive_times_are_exact_to_the_nanosecond(tmp_path: Path) -> None:
    times = [START_NS + i for i in (0, 1, 2, 999)]
    record(tmp_path / "walk.db", [[(t, "/a", b"x") for t in times]])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert [row.ts_ns for row in reader.rows("a")] == times
        assert reader.span_ns() == (START_NS, START_NS + 999)


def test_a_range_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [messages(100)])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        ids = [
            r.id for r in reader.rows("a", start_ns=START_NS + 100 * MS, end_ns=START_NS + 150 * MS)
        ]
        assert ids == [11, 12, 13, 14, 15]
        backwards = reader.rows(
            "a", start_ns=START_NS + 100 * MS, end_ns=START_NS + 150 * MS, reverse=True
        )
        assert [row.id for row in backwards] == ids[::-1]
        assert reader.count_between("a", START_NS + 100 * MS, START_NS + 150 * MS) == 5


def test_many_messages_of_one_instant_come_once_each_and_in_order(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [[(START_NS, "/a", b"%d" % i) for i in range(10_000)]])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert [row.id for row in reader.rows("a")] == list(range(1, 10_001))
        assert [row.id for row in reader.rows("a", reverse=True)] == list(range(10_000, 0, -1))


def test_the_last_message_before_a_time_is_found(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [messages(100, size=200_000)])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        found = [reader.last_at("a", START_NS + at) for at in (-1, 0, 15 * MS, 10_000 * MS)]
    assert [row and row.id for row in found] == [None, 1, 2, 100]


def test_seeking_in_a_stream_out_of_order_looks_at_few_pages(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [messages(20_000, size=10), messages(1)])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        plan = " ".join(
            str(row[3])
            for row in reader._connection.execute(
                'EXPLAIN QUERY PLAN SELECT t.id FROM main."a" t WHERE t.ts_ns >= 1 AND t.ts_ns < 2 '
                "AND (t.ts_ns, t.id) > (1, 1) ORDER BY t.ts_ns, t.id LIMIT 1"
            )
        )
    assert "SEARCH" in plan
    assert "_dr_time_a" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.once
def test_small_messages_followed_by_huge_ones_are_read_in_bounded_pages(tmp_path: Path) -> None:
    small = [(START_NS + i, "/a", b"s") for i in range(5000)]
    huge = [(START_NS + 5000 + i, "/a", bytes(2_000_000)) for i in range(100)]
    record(tmp_path / "walk.db", [small, *([one] for one in huge)])
    peak = python(
        r"""
        import re, sys
        from pathlib import Path
        from dimos_record.store.reader import RecordingReader

        with RecordingReader.open(Path(sys.argv[1])) as reader:
            assert sum(1 for _ in reader.rows("a")) == 5100
        # not ru_maxrss: that begins with what the tests' own process has at the fork
        print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
        """,
        tmp_path / "walk.db",
    )
    assert int(peak.stdout) < 190_000  # KiB; all of them at once would be more


def test_a_topic_is_found_by_topic_channel_and_stream_name(tmp_path: Path) -> None:
    record(tmp_path / "walk.db", [[(START_NS, ODOM, pose(1))]])
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        info = reader.find("/odom")
        assert info == reader.find("odom") == reader.find(ODOM)
        assert info.type_name == "geometry_msgs.PoseStamped"
        with pytest.raises(UnknownTopic, match=r"no topic '/nothing'; it has: /odom"):
            reader.rows("/nothing")


def test_several_sessions_go_on_counting(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(3)])
    writer = begin(RecordingWriter.append(path), START_NS + 1000 * MS)
    writer.write(messages(2, first=200) + messages(1, "/b", first=200))
    end(writer, START_NS + 3000 * MS)
    with RecordingReader.open(path) as reader:
        assert [(r.id, r.seq) for r in reader.rows("a")] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
        assert [(r.id, r.seq) for r in reader.rows("b")] == [(1, 6)]
        first, second = reader.sessions()
        assert [s.state for s in (first, second)] == ["finished", "finished"]
        assert first.accounts["a"].written == 3
        assert {name: a.written for name, a in second.accounts.items()} == {"a": 2, "b": 1}


def test_a_session_whose_clock_is_behind_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(3, first=100)])
    writer = begin(RecordingWriter.append(path))
    writer.write(messages(3, first=0))
    with RecordingReader.open(path) as reader:  # the second session is still in the spool
        assert [row.id for row in reader.rows("a")] == [4, 5, 6, 1, 2, 3]
        assert [row.id for row in reader.rows("a", reverse=True)] == [3, 2, 1, 6, 5, 4]
    end(writer)
    with RecordingReader.open(path) as reader:
        assert [row.id for row in reader.rows("a")] == [4, 5, 6, 1, 2, 3]


def test_five_hundred_topics_of_all_sizes(tmp_path: Path) -> None:
    channels = [f"/robot{i}/topic" for i in range(500)]
    batches = [
        [
            (START_NS + n * MS, channel, bytes(10 if i % 50 else 100_000))
            for i, channel in enumerate(channels)
        ]
        for n in range(3)
    ]
    path = record(tmp_path / "walk.db", batches)
    with RecordingReader.open(path) as reader:
        assert len(reader.streams) == 500
        assert all(len(list(reader.rows(name))) == 3 for name in reader.streams)
        assert sum(a.written for a in reader.sessions()[0].accounts.values()) == 1500


def test_a_finished_recording_is_one_file(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(10)])
    assert list(snapshot(tmp_path)) == ["walk.db"]
    with RecordingReader.open(path) as reader:
        assert reader.self_contained
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM _dr_spool").fetchone() == (0,)
    connection.close()


def test_a_recording_that_somebody_reads_while_it_ends_says_so(tmp_path: Path) -> None:
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"))
    writer.write(messages(10))
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        writer.end_session(START_NS, "stopped", 0, 0)
        assert writer.close() is False
        assert writer.close() is False, "closing twice says the same"
        assert reader.self_contained is False
        assert len(list(reader.rows("a"))) == 10
    RecordingWriter.append(tmp_path / "walk.db").close()
    with RecordingReader.open(tmp_path / "walk.db") as reader:
        assert reader.self_contained


def test_a_broken_payload_names_the_recording_and_the_message(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    record_with_codec(path, "/a", "lz4+lcm", [b"first", b"second"])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE a_blob SET data = 'rubbish' WHERE id = 2")
    connection.commit()
    connection.close()
    with RecordingReader.open(path) as reader:
        with pytest.raises(CodecError, match=r"walk.db: message 2 of /a: .*LZ4"):
            list(reader.rows("a"))
        assert reader.payload("a", 1) == b"first"


def test_a_folder_and_a_file_open_alike(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    record(tmp_path / "folder" / "segment-00001.db", [messages(3)])
    record(tmp_path / "file.db", [messages(3)])
    with (
        open_recording(tmp_path / "folder") as folder,
        open_recording(tmp_path / "file.db") as file,
    ):
        assert list(folder.rows("a")) == list(file.rows("a"))

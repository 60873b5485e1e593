"""Every segment begins with the state that it needs, and the folder shows it once."""

from __future__ import annotations

from pathlib import Path

from dimos_lcm.geometry_msgs import Quaternion, Transform, TransformStamped, Vector3
from dimos_lcm.std_msgs import Header, Time
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.store import open_recording
from dimos_record.store.doctor import diagnose
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import SegmentedReader
from dimos_record.store.summary import summarize
from dimos_record.store.target import Target, open_target
from dimos_record.testing import Collector
from tests.store.samples import MS, START_NS, Message, begin, end, messages

MAP, STATIC = "/map#nav_msgs.OccupancyGrid", "/tf_static#tf2_msgs.TFMessage"


def at(number: int, channel: str, data: bytes) -> Message:
    return START_NS + number * 10 * MS, channel, data


def transform(child: str, x: float) -> bytes:
    """Where one frame is."""
    one = TransformStamped(
        header=Header(seq=0, stamp=Time(sec=0, nsec=0), frame_id="base_link"),
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=x, y=0.0, z=0.0), rotation=Quaternion()),
    )
    return bytes(TFMessage(transforms_length=1, transforms=[one]).lcm_encode())


def state() -> list[Message]:
    """A map, and static transforms of two publishers, one of which has said something twice."""
    return [
        at(-9, MAP, b"the map"),
        at(-8, STATIC, transform("camera", 1.0)),
        at(-7, STATIC, transform("lidar", 2.0)),
        at(-6, STATIC, transform("camera", 3.0)),
    ]


def recorded(folder: Path, parts: int = 3) -> Target:
    """State in the first segment, and ten messages of `/a` in each."""
    target = open_target(folder, split=True)
    writer = begin(target.writer, START_NS - 1, session="one")
    writer.write(state())
    for part in range(parts):
        if part:
            following = begin(target.next_writer(writer), session="one")
            end(writer, START_NS + part)
            writer = following
        writer.write(messages(10, first=10 * part))
    end(writer, START_NS + parts)
    return target


def bodies(reader: RecordingReader | SegmentedReader, stream: str) -> list[bytes]:
    return [row.data for row in reader.rows(stream)]


STATICS = [transform("camera", 1.0), transform("lidar", 2.0), transform("camera", 3.0)]


def test_every_segment_stands_alone(tmp_path: Path) -> None:
    recorded(tmp_path / "long")
    for number, first in ((2, 11), (3, 21)):
        with RecordingReader.open(tmp_path / "long" / f"segment-{number:05d}.db") as reader:
            assert bodies(reader, "map") == [b"the map"]
            assert bodies(reader, "tf_static") == STATICS[1:]
            assert [row.id for row in reader.rows("tf_static")] == [2, 3]
            assert [row.ts_ns for row in reader.rows("map")] == [START_NS - 90 * MS]
            begins = START_NS + (first - 1) * 10 * MS
            assert reader.skips() == [(START_NS - 90 * MS, begins)]
            assert reader.span_ns() == (begins, begins + 90 * MS)
            assert reader.origin_ns() == START_NS - 90 * MS


def test_the_doctor_counts_what_segments_carry_once(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    recorded(folder)
    with open_recording(folder) as reader:
        count = summarize(reader).count
    found = diagnose(folder)
    assert (found.messages, found.checked) == (count, count)
    (folder / "segment-00001.db").unlink()  # a ring has deleted it: the next one's copies count
    with open_recording(folder) as reader:
        assert diagnose(folder).checked == summarize(reader).count == 23


def test_the_folder_shows_what_segments_carry_once(tmp_path: Path) -> None:
    recorded(tmp_path / "long")
    with SegmentedReader(tmp_path / "long") as reader:
        assert bodies(reader, "map") == [b"the map"]
        assert bodies(reader, "tf_static") == STATICS
        assert reader.stats("tf_static").count == reader.count_between("tf_static", None, None) == 3
        assert reader.stats("map").bytes == len(b"the map")
        assert reader.ranks("tf_static", [START_NS - 80 * MS, START_NS]) == [0, 3]
        assert reader.skips() == []
        assert sum(reader.ends("map") or ()) == 2 * (START_NS - 90 * MS)
        assert reader.payload("map", 1) == b"the map"
        assert reader.sizes("tf_static", [1, 2]) == [len(STATICS[0]), len(STATICS[1])]


def test_state_is_still_there_when_its_segment_was_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    recorded(folder)
    with SegmentedReader(folder) as reader:
        rows = reader.rows("a")
        assert next(rows).id == 1
        (folder / "segment-00001.db").unlink()
        assert bodies(reader, "map") == [b"the map"]
        assert bodies(reader, "tf_static") == STATICS[1:]
        assert reader.span_ns() == (START_NS + 100 * MS, START_NS + 290 * MS)
        assert reader.origin_ns() == START_NS - 90 * MS
        assert [row.id for row in rows][-1] == 30


def test_playback_goes_on_behind_what_was_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    recorded(folder, 4)
    with RecordReplay(folder) as rec:
        rows = rec.view().rows()
        first = next(rows)
        for number in (1, 2, 3):
            (folder / f"segment-{number:05d}.db").unlink()
        left = [row.id for row in rows if row.stream.name == "a"]
        assert first.data == b"the map"
        assert left[-10:] == list(range(31, 41))
        timeline = rec.view().between(0.3, None)
        assert {row.stream.name for row in timeline.rows()} == {"a"}
        rec.seek(rec.extent[1])
        with open_bus("memory://ring-playback") as bus, Collector(bus) as heard:
            with RecordReplay(folder, bus=bus) as player:
                player.play(start_s=rec.extent[1], block=True)
            assert [data for channel, data in heard.messages if channel == MAP] == [b"the map"]


def test_state_is_carried_into_a_session_that_is_appended(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    recorded(folder, 1)
    target = open_target(folder, append=True)
    begin(target.writer, START_NS + 10**9).write(messages(5, first=1000))
    end(target.writer)
    with RecordingReader.open(folder / "segment-00002.db") as reader:
        assert bodies(reader, "map") == [b"the map"]
        assert bodies(reader, "tf_static") == STATICS[1:]


def test_state_that_changes_is_carried_as_it_was_last(tmp_path: Path) -> None:
    target = recorded(tmp_path / "long", 1)
    target = open_target(tmp_path / "long", append=True)
    writer = begin(target.writer, START_NS + 10**9)
    writer.write([at(2000, MAP, b"another map"), at(2001, "/a", b"x")])
    following = begin(target.next_writer(writer), START_NS + 10**10)
    following.write([at(3000, "/a", b"y")])
    end(writer)
    end(following)
    with RecordingReader.open(tmp_path / "long" / "segment-00003.db") as reader:
        assert bodies(reader, "map") == [b"another map"]
        assert bodies(reader, "tf_static") == STATICS[1:]


def test_a_batch_that_fails_does_not_change_the_state(tmp_path: Path) -> None:
    target = open_target(tmp_path / "long", split=True)
    writer = begin(target.writer, session="one")
    writer.write(state())
    try:
        with writer.transaction():
            writer.write([at(0, MAP, b"never written")])
            raise KeyError
    except KeyError:
        pass
    writer.drain()
    following = begin(target.next_writer(writer), session="one")
    following.write(messages(1))
    end(writer)
    end(following)
    with RecordingReader.open(tmp_path / "long" / "segment-00002.db") as reader:
        assert bodies(reader, "map") == [b"the map"]


def test_copies_of_the_folder_have_every_message_once(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    recorded(folder)
    with RecordReplay(folder) as rec:
        rec.save_as(tmp_path / "whole.db")
        rec.extract((0.2, None), tmp_path / "part.db")
    with open_recording(tmp_path / "whole.db") as whole:
        assert [row.data for row in whole.rows("tf_static")] == STATICS
        assert whole.stats("map").count == 1
        assert whole.stats("a").count == 30
    with open_recording(tmp_path / "part.db") as part:
        assert [row.data for row in part.rows("tf_static")] == STATICS[1:]
        assert part.stats("a").count == 19


def test_saving_edits_of_the_folder_keeps_every_message_once(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    recorded(folder)
    with RecordReplay(folder) as rec:
        rec.delete_section((0.2, 0.25))
        rec.save()
        assert [row.data for row in rec.reader.rows("tf_static")] == STATICS
        assert rec.reader.stats("map").count == 1
        assert rec.reader.stats("a").count == 25


def test_a_segment_alone_can_be_copied(tmp_path: Path) -> None:
    recorded(tmp_path / "long")
    with RecordReplay(tmp_path / "long" / "segment-00002.db") as rec:
        rec.save_as(tmp_path / "copy.db")
    with open_recording(tmp_path / "copy.db") as copy:
        assert [row.data for row in copy.rows("map")] == [b"the map"]
        assert copy.span_ns() == (START_NS + 100 * MS, START_NS + 190 * MS)

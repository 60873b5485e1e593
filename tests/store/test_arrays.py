"""A whole stream at once: as it came off the wire, as arrays of numbers, as pictures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dimos_lcm.geometry_msgs import Point, Pose, PoseStamped, PoseWithCovariance, Quaternion
from dimos_lcm.nav_msgs import Odometry
from dimos_lcm.sensor_msgs import LaserScan

from dimos_record import RecordReplay
from dimos_record.errors import DecodeError, OptionError
from tests.store.samples import MS, START_NS, image, messages

pytestmark = pytest.mark.once

COUNT = 40


def pose(number: int) -> PoseStamped:
    position = Point(x=float(number), y=2.0, z=-1.0)
    return PoseStamped(pose=Pose(position=position, orientation=Quaternion(w=1.0)))


def scan(*ranges: float) -> LaserScan:
    return LaserScan(ranges_length=len(ranges), ranges=list(ranges))


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[RecordReplay]:
    with RecordReplay(tmp_path / "walk.db") as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        for number in range(COUNT):
            odom.append(pose(number), ts_ns=START_NS + number * 10 * MS)
        scans = rec.stream("scan", type_name="sensor_msgs.LaserScan")
        for number, ranges in enumerate([(1.0, 2.0, 3.0), (), (4.0,)]):
            scans.append(scan(*ranges), ts_ns=START_NS + number * MS)
        camera = rec.stream("camera", type_name="sensor_msgs.Image")
        camera.append(image("bgr8", bytes(range(18)), 3, 2), ts_ns=START_NS)
        camera.append(image("16UC1", b"\1\0\2\0", 2, 1), ts_ns=START_NS + MS)
        rec.stream("raw").append(b"nobody knows", ts_ns=START_NS)
    with RecordReplay(tmp_path / "walk.db") as rec:
        yield rec


def test_rows_are_what_observations_are(walk: RecordReplay) -> None:
    odom = walk.streams.odom
    expected = [(one.id, one.seq, one.ts_ns, one.stamp_ns, one.raw) for one in odom]
    assert [row[1:] for row in odom.rows()] == expected
    assert len(expected) == COUNT


def test_rows_of_a_query_are_those_that_match(walk: RecordReplay) -> None:
    odom = walk.streams.odom
    later = odom.after(START_NS / 1e9 + 0.105).limit(3)
    assert [row.id for row in later.rows()] == [12, 13, 14]
    assert [row.id for row in odom.order_by("ts", desc=True).limit(2).rows()] == [40, 39]
    moved = odom.map_data(lambda one: pose(int(one.data.pose.position.x) + 100)).limit(1)
    assert moved.to_numpy("pose.position.x")["pose.position.x"].tolist() == [100.0]


def test_rows_follow_edits(walk: RecordReplay) -> None:
    walk.delete_section((0.1, 0.2))
    assert [row.id for row in walk.streams.odom.rows()] == [*range(1, 11), *range(21, 41)]
    raw = [one.raw for one in walk.streams.odom]
    assert raw == [row.data for row in walk.streams.odom.rows()]


def test_numbers_become_arrays(walk: RecordReplay) -> None:
    found = walk.streams.odom.to_numpy("pose.position.x", "pose.position", "header.seq")
    assert list(found) == ["ts_ns", "pose.position.x", "pose.position", "header.seq"]
    assert found["ts_ns"].tolist() == [START_NS + number * 10 * MS for number in range(COUNT)]
    assert found["pose.position.x"].tolist() == [float(number) for number in range(COUNT)]
    assert found["pose.position"].shape == (COUNT, 3)
    assert found["pose.position"][7].tolist() == [7.0, 2.0, -1.0]
    assert found["header.seq"].dtype == np.int32


def test_lists_are_filled_up_with_nan(walk: RecordReplay) -> None:
    found = walk.streams.scan.to_numpy("ranges", "ranges.0", "intensities")
    nan = float("nan")
    expected = [[1.0, 2.0, 3.0], [nan, nan, nan], [4.0, nan, nan]]
    np.testing.assert_array_equal(found["ranges"], expected)
    np.testing.assert_array_equal(found["ranges.0"], [1.0, nan, 4.0])
    assert found["intensities"].shape == (3, 0)


def test_batches_are_joined(walk: RecordReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    odom, scans = walk.streams.odom, walk.streams.scan
    at_once, lists_at_once = odom.to_numpy(), scans.to_numpy("ranges")
    monkeypatch.setattr("dimos_record.store.arrays._BATCH_ROWS", 2)
    for name, values in odom.to_numpy().items():
        np.testing.assert_array_equal(values, at_once[name])
    np.testing.assert_array_equal(scans.to_numpy("ranges")["ranges"], lists_at_once["ranges"])


def test_without_names_there_are_all_numbers_that_are_not_in_lists(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        odom = rec.stream("odom", type_name="nav_msgs.Odometry")
        covariance = [float(number) for number in range(36)]
        odom.append(Odometry(pose=PoseWithCovariance(pose=pose(3).pose, covariance=covariance)))
    with RecordReplay(tmp_path / "walk.db") as rec:
        found = rec.streams.odom.to_numpy()
    assert found["pose.pose.position.x"].tolist() == [3.0]
    assert found["pose.covariance"].tolist() == [covariance]
    assert "header.frame_id" not in found
    assert "pose.covariance.0" not in found


def test_no_message_gives_empty_arrays(walk: RecordReplay) -> None:
    nothing = walk.streams.odom.before(0.0).to_numpy("pose.position.x")
    assert {name: values.shape for name, values in nothing.items()} == {
        "ts_ns": (0,),
        "pose.position.x": (0,),
    }


@pytest.mark.parametrize(
    ("stream", "field", "what"),
    [
        ("odom", "pose.position.q", "has no number 'pose.position.q'"),
        ("odom", "header.frame_id", "has no number"),
        ("raw", "x", "whose fields nobody knows"),
    ],
)
def test_a_field_that_is_not_there_is_named(
    walk: RecordReplay, stream: str, field: str, what: str
) -> None:
    with pytest.raises(OptionError, match=what):
        walk.streams[stream].to_numpy(field)


def test_bytes_that_are_no_message_are_named(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        odom.append(pose(1))
        odom.append(b"no pose")
        rec.stream("camera", type_name="sensor_msgs.Image").append(b"no image")
    with RecordReplay(tmp_path / "walk.db") as rec:
        with pytest.raises(DecodeError, match="message 2 of /odom is no geometry_msgs"):
            rec.streams.odom.to_numpy()
        with pytest.raises(DecodeError, match="message 1 of /camera: "):
            list(rec.streams.camera.images())


def test_pictures_are_arrays_that_share_the_bytes_of_the_message(walk: RecordReplay) -> None:
    color, depth = walk.streams.camera.images()
    assert (color.ts_ns, color.encoding, color.array.shape) == (START_NS, "bgr8", (2, 3, 3))
    assert color.array[1, 0].tolist() == [9, 10, 11]
    assert color.array.base is not None
    assert not color.array.flags.writeable
    assert depth.array.tolist() == [[[1], [2]]]
    assert depth.array.dtype == np.uint16


def test_only_images_have_pictures(walk: RecordReplay) -> None:
    with pytest.raises(OptionError, match=r"/odom holds geometry_msgs.PoseStamped, no sensor_msgs"):
        walk.streams.odom.images()


def test_payloads_are_read_many_at_a_time_where_all_are_wanted(
    walk: RecordReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one: list[int] = []
    base = walk.reader.base
    load = base.payload

    def payload(stream: str, number: int) -> bytes:
        one_by_one.append(number)
        return load(stream, number)

    monkeypatch.setattr(base, "payload", payload)
    expected = [row.data for row in walk.streams.odom.rows()]
    assert [one.raw for one in walk.streams.odom] == expected
    assert one_by_one == [1]
    every_other = [one.raw for one in walk.streams.odom if one.id % 2]
    assert every_other == expected[::2]
    assert one_by_one == [1, *range(1, COUNT, 2)]


def test_payloads_come_in_any_order_and_by_several_threads(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        stream = rec.stream("a")
        for ts_ns, _, data in messages(300):
            stream.append(data, ts_ns=ts_ns)
    with RecordReplay(tmp_path / "walk.db") as rec:
        found = rec.streams.a.to_list()
        expected = [data for _, _, data in messages(300)]
        assert [one.raw for one in reversed(found)] == expected[::-1]
        found = rec.streams.a.to_list()
        wrong: list[int] = []

        def read(part: int) -> None:
            wrong.extend(one.id for one in found[part::3] if one.raw != expected[one.id - 1])

        threads = [threading.Thread(target=read, args=(part,)) for part in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

"""Several recordings as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.edit.derive import split
from dimos_record.edit.merge import merge
from dimos_record.errors import OptionError, RecordingExists
from dimos_record.store import open_recording
from tests.edit.recordings import (
    CAMERA,
    S,
    check_integrity,
    cut,
    edit,
    everything,
    mark,
    names_in,
    numbered,
    numbers,
    query,
    segmented,
    walk,
)
from tests.store.dimos_files import ALL, write_dimos_file
from tests.store.samples import MS, START_NS, image, record


def times_s(path: Path, stream: str) -> list[float]:
    """Receive times, in seconds from `START_NS`."""
    return [(row[1] - START_NS) / S for row in everything(path)["rows"][stream]]


def arrival(path: Path) -> list[int]:
    """`seq` of all messages in the order of time."""
    streams = everything(path)["meta"]
    rows = [(ts_ns, seq) for found in streams.values() for seq, _, ts_ns, *_ in found]
    return [seq for _, seq in sorted(rows)]


def test_messages_of_a_channel_become_one_stream_in_the_order_of_time(tmp_path: Path) -> None:
    first = numbered(tmp_path / "one.db", 100)
    second = numbered(tmp_path / "two.db", 100, first_ns=START_NS + 5 * MS)
    report = merge([second, first], tmp_path / "both.db")
    assert times_s(report.path, "a") == [i / 200 for i in range(200)]
    assert numbers(report.path, "a") == list(range(1, 201)) == arrival(report.path)
    with open_recording(report.path) as reader:
        assert [(one.id, one.start_ns) for one in reader.sessions()] == [
            (1, START_NS),
            (2, START_NS + 5 * MS),
        ]
        assert [one.accounts["a"].written for one in reader.sessions()] == [100, 100]
    check_integrity(report.path)
    assert report.messages == 200
    assert report.bytes == 20_000


@pytest.mark.parametrize(
    ("align", "moved_s"), [("time", 100.0), ("start", 0.0), ("end to end", 0.99)]
)
def test_recordings_are_aligned(tmp_path: Path, align: str, moved_s: float) -> None:
    first = numbered(tmp_path / "one.db", 100)
    second = numbered(tmp_path / "two.db", 100, "/b", first_ns=START_NS + 100 * S)
    mark(second, 1, 100.5, "in the second", until_s=100.7)
    both = merge([first, second], tmp_path / "both.db", align).path
    assert times_s(both, "a")[0] == 0
    assert times_s(both, "b")[0] == moved_s
    assert all(ts == ts_ns / 10**9 for ts, ts_ns in query(both, "SELECT ts, ts_ns FROM b"))
    found = everything(both)
    assert found["extent"][1] == START_NS
    (marker,) = found["markers"]
    at_ns = START_NS + round((moved_s + 0.5) * S)
    assert (marker.at_ns, marker.until_ns) == (at_ns, at_ns + S // 5)
    assert found["sessions"][1][0] == START_NS + round(moved_s * S)
    assert arrival(both) == list(range(1, 201))


def test_other_channels_stand_side_by_side(tmp_path: Path) -> None:
    first = numbered(tmp_path / "one.db", 10, "/scan")
    second = numbered(tmp_path / "two.db", 20, "/scan#sensor_msgs.Imu")
    third = segmented(tmp_path / "three", 2)
    fourth = write_dimos_file(tmp_path / "four.db", ALL[:1])
    both = merge([first, second, third, fourth], tmp_path / "both.db").path
    found = everything(both)
    assert {info.channel for info in found["streams"].values()} >= {"/scan", CAMERA}
    assert len(found["rows"]["scan"]) == 10
    assert len(found["rows"]["scan_2"]) == 20
    assert len(found["rows"]["odom"]) == 22 + 5  # the same channel in both
    assert arrival(both) == list(range(1, sum(map(len, found["rows"].values())) + 1))


def test_edits_of_what_is_merged_are_obeyed(tmp_path: Path) -> None:
    first, second = numbered(tmp_path / "one.db", 100), numbered(tmp_path / "two.db", 100, "/b")
    cut(first, 0.2, 0.4)
    cut(second, None, 0.5)
    edit(second, "rename", stream="b", topic="/a", channel="/a")
    both = merge([first, second], tmp_path / "both.db", "end to end").path
    expected = [i / 100 for i in [*range(20), *range(40, 100), *range(99, 149)]]
    assert times_s(both, "a") == expected
    assert everything(both)["extent"][2] == [(START_NS + S // 5, START_NS + 2 * S // 5)]


def test_the_parts_of_a_split_make_the_whole_again(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db", 4)
    with open_recording(path) as reader:
        parts = [report.path for report in split(reader, [START_NS + S, START_NS + 2 * S])]
    both = everything(merge(parts[::-1], tmp_path / "both.db").path)
    whole = everything(path)
    for what in ("streams", "extent", "markers", "sessions"):
        assert both[what] == whole[what], what
    for name, rows in whole["rows"].items():
        assert [row[1:] for row in both["rows"][name]] == [row[1:] for row in rows]
    assert sorted(both["log"]) == sorted(whole["log"])


def test_the_same_state_of_several_parts_is_taken_once(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db", 4)
    with open_recording(path) as reader:
        parts = [report.path for report in split(reader, [START_NS + S, START_NS + 2 * S])]
    both = everything(merge(parts[1:], tmp_path / "both.db").path)
    assert [row[3] for row in both["rows"]["map"]] == [b"the map"]
    assert both["extent"][2] == [(START_NS, START_NS + S)]


def test_different_codecs_of_a_channel_become_one_that_loses_nothing(tmp_path: Path) -> None:
    picture = image("rgb8", bytes(range(192)), 8, 8)
    paths = [
        record(tmp_path / f"{i}.db", [[(START_NS + i * S, CAMERA, picture)]]) for i in range(3)
    ]
    edit(paths[0], "codec", stream="camera", codec="lz4+lcm")
    edit(paths[2], "codec", stream="camera", codec="jpeg")
    both = everything(merge(paths, tmp_path / "both.db").path)
    assert both["streams"]["camera"].codec == "lz4+lcm"
    assert [row[3] for row in both["rows"]["camera"]][:2] == [picture, picture]
    both = everything(merge(paths[::-1], tmp_path / "other.db").path)
    assert both["streams"]["camera"].codec == "lcm"
    assert [row[3] for row in both["rows"]["camera"]][:2] == [picture, picture]


def test_what_cannot_be_merged_is_refused(tmp_path: Path) -> None:
    first, second = numbered(tmp_path / "one.db", 10), numbered(tmp_path / "two.db", 10)
    (tmp_path / "link.db").symlink_to(first)
    before = names_in(tmp_path)
    with pytest.raises(OptionError, match="at least two"):
        merge([first], tmp_path / "both.db")
    with pytest.raises(OptionError, match="twice"):
        merge([first, second, tmp_path / "link.db"], tmp_path / "both.db")
    with pytest.raises(OptionError, match="'side by side'"):
        merge([first, second], tmp_path / "both.db", "side by side")
    with pytest.raises(OptionError, match="another name"):
        merge([first, second], second, overwrite=True)
    with pytest.raises(RecordingExists):
        merge([first, second], numbered(tmp_path / "there.db", 1))
    assert names_in(tmp_path) == {*before, "there.db"}

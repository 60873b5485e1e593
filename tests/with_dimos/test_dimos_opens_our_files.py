"""dimos's memory store opens our recordings and finds in them what was published."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from reactivex import operators as ops

from dimos_record import RecordReplay
from dimos_record.store.reader import RecordingReader
from tests.with_dimos.conftest import Recorded
from tests.with_dimos.messages import color, pose, same_value, stamp_ns, status
from tests.with_dimos.processes import DIMOS

pytestmark = pytest.mark.dimos

JPEG_ERROR = 16
"""How far a pixel of the smooth test picture may be off after JPEG, of 255."""


def test_dimos_lists_every_stream_whose_type_it_can_decode(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    assert set(open_store(ours).list_streams()) == set(recorded.published)
    with RecordingReader.open(recorded.path) as reader:
        assert set(reader.streams) == set(recorded.published) | recorded.unknown


def test_dimos_decodes_every_message_to_the_value_that_was_published(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    store = open_store(ours)
    for name, published in recorded.published.items():
        stored = [observation.data for observation in store.stream(name)]
        assert len(stored) == len(published)
        if name != "camera__preview":  # stored as JPEG
            pairs = zip(stored, published, strict=True)
            assert all(same_value(one, other) for one, other in pairs), name


def test_pictures_stored_as_jpeg_look_the_same_in_dimos(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    stored = [observation.data for observation in open_store(ours).stream("camera__preview")]
    for got, published in zip(stored, recorded.published["camera__preview"], strict=True):
        assert (got.ts, got.frame_id, got.shape) == (published.ts, "camera", published.shape)
        difference = got.to_rgb().data.astype(int) - published.data.astype(int)
        assert np.abs(difference).max() <= JPEG_ERROR


def test_times_in_dimos_are_our_receive_times(ours: Path, open_store: Callable[..., Any]) -> None:
    with RecordingReader.open(ours) as reader:
        expected = {
            name: [row.ts_ns / 10**9 for row in reader.rows(name)] for name in reader.streams
        }
    store = open_store(ours)
    for name in store.list_streams():
        assert [observation.ts for observation in store.stream(name)] == expected[name]
        first, last = expected[name][0], expected[name][-1]
        assert store.stream(name).get_time_range() == (first, last)
        assert store.stream(name).after(first).count() == len(expected[name]) - 1


def test_dimos_mem_summary_shows_the_count_of_every_stream(
    recorded: Recorded, ours: Path, dimos_env: dict[str, str]
) -> None:
    summary = subprocess.run(
        [DIMOS, "mem", "summary", str(ours)],
        env=dimos_env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [[cell.strip() for cell in line.split("│")] for line in summary.splitlines()]
    shown = {cells[1]: (cells[2], cells[3]) for cells in lines if len(cells) > 3}
    for name, published in recorded.published.items():
        assert shown[name] == (published[0].msg_name, str(len(published)))
    assert shown["total"][1] == str(sum(map(len, recorded.published.values())))


def test_what_dimos_adds_on_opening_does_not_change_the_recording(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    store = open_store(ours)
    for name in store.list_streams():
        store.stream(name).count()  # opening a stream adds its R*Tree
    store.stop()
    with RecordingReader.open(recorded.path) as before, RecordingReader.open(ours) as after:
        assert after.streams == before.streams
        for name in before.streams:
            assert list(after.rows(name)) == list(before.rows(name))


def test_what_dimos_adds_to_our_file_can_be_read_by_both(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    store = open_store(ours)
    later = store.stream("robot1__pose").last().ts + 1.0
    store.stream("robot1__pose").append(pose(9), ts=later, tags={"by": "dimos"})
    store.stream("found", PoseStamped).append(pose(10), ts=later)
    store.stop()
    expected = [message.lcm_encode() for message in [*recorded.published["robot1__pose"], pose(9)]]
    with RecordReplay(ours) as rec:
        assert [o.raw for o in rec.streams.robot1__pose] == expected
        assert dict(rec.streams.robot1__pose.last().tags) == {"by": "dimos"}
        assert [o.raw for o in rec.streams.found] == [pose(10).lcm_encode()]
    with RecordReplay(ours) as rec:
        stream = rec.stream("robot1__pose", topic="/robot1/pose", type_name=PoseStamped.msg_name)
        stream.append(pose(11), ts_ns=int((later + 1.0) * 1e9))
    with RecordingReader.open(ours) as reader:
        rows = list(reader.rows("robot1__pose"))
    assert [row.data for row in rows] == [*expected, pose(11).lcm_encode()]
    seen_by_dimos = [o.data.lcm_encode() for o in open_store(ours).stream("robot1__pose")]
    assert seen_by_dimos == [row.data for row in rows]


def test_poses_and_tags_that_we_wrote_can_be_queried_in_dimos(
    tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    path = tmp_path / "walk.db"
    with RecordReplay(path) as rec:
        stream = rec.stream("status", type_name="std_msgs.String")
        for i in range(5):
            place = (i, 2 * i, 0, 0, 0, 0.6, 0.8)
            tags = {"room": "hall" if i < 3 else "lab", "floor": i}
            stream.append(status(i), ts_ns=stamp_ns(i), pose=place, tags=tags)
        stream.append(status(5), ts_ns=stamp_ns(5))

    stream = open_store(path).stream("status")
    near = stream.near((1.0, 2.0, 0.0), radius=2.5).to_list()
    assert [observation.id for observation in near] == [1, 2, 3]
    assert near[2].pose_tuple == (2.0, 4.0, 0.0, 0.0, 0.0, 0.6, 0.8)
    assert [o.tags for o in stream.tags(room="lab")] == [
        {"room": "lab", "floor": 3},
        {"room": "lab", "floor": 4},
    ]
    last = stream.last()
    assert (last.pose, last.tags) == (None, {})


def test_dimos_finds_what_was_near_after_fill_poses(
    ours: Path, open_store: Callable[..., Any]
) -> None:
    with RecordReplay(ours) as rec:
        rec.fill_poses("/robot1/pose")
    pictures = open_store(ours).stream("camera__color")
    found = pictures.near(pose(2), radius=0.1).to_list()
    assert [observation.id for observation in found] == [3]
    assert same_value(found[0].data, color(2))
    assert found[0].pose_tuple == pytest.approx((2.0, 4.0, 0.5, 0.0, 0.0, 0.6, 0.8))


def test_dimos_replay_emits_every_message_of_our_file(
    recorded: Recorded, ours: Path, open_store: Callable[..., Any]
) -> None:
    store = open_store(ours)
    for name, published in recorded.published.items():
        stream = store.replay(speed=10.0).stream(name)
        emitted = stream.observable().pipe(ops.to_list(), ops.timeout(30.0)).run()
        assert len(emitted) == len(published)
        assert emitted[0].lcm_encode() == stream.first().lcm_encode()

"""What is logged for messages: entities, timelines, frames, ways, and what is not shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import (
    Point,
    Pose,
    PoseStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from dimos_lcm.std_msgs import Header, String, Time
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record import RecordReplay
from dimos_record.errors import OptionError
from dimos_record.messages import encode
from dimos_record.viewer import RecordingLogger
from tests.viewer.made import made
from tests.viewer.rrd import Logged, read_rrd

pytest.importorskip("rerun")

S = 1_000_000_000
T0 = 1_700_000_000 * S

Log = dict[tuple[str, str], list[Logged]]


def pose(x: float, stamp_ns: int = T0, frame: str = "odom") -> PoseStamped:
    stamp = Time(sec=stamp_ns // S, nsec=stamp_ns % S)
    where = Pose(position=Point(x=x, y=0.0, z=0.0), orientation=Quaternion(w=1.0))
    return PoseStamped(header=Header(seq=1, stamp=stamp, frame_id=frame), pose=where)


def transform(parent: str, child: str, x: float = 0.0) -> TFMessage:
    header = Header(seq=0, stamp=Time(sec=1, nsec=0), frame_id=parent)
    moved = Transform(translation=Vector3(x=x, y=0.0, z=0.0), rotation=Quaternion(w=1.0))
    one = TransformStamped(header=header, child_frame_id=child, transform=moved)
    return TFMessage(transforms_length=1, transforms=[one])


@pytest.fixture
def rec(tmp_path: Path) -> RecordReplay:
    return RecordReplay(tmp_path / "a.db")


@pytest.fixture
def logged(rec: RecordReplay, tmp_path: Path) -> Callable[..., tuple[Log, RecordingLogger]]:
    """Log a recording into a file, and read that."""

    def log(**options: Any) -> tuple[Log, RecordingLogger]:
        import rerun as rr

        stream = rr.RecordingStream("test")
        stream.save(tmp_path / "a.rrd")
        with rec:
            view = rec.view()
            logger = RecordingLogger(stream, view.streams, view.origin_ns(), **options)
            for row in view.rows():
                logger.log(row)
            logger.markers(rec.reader.markers())
            logger.layout("follow")
        stream.flush()
        stream.disconnect()
        return read_rrd(tmp_path / "a.rrd"), logger

    return log


def values(found: list[Logged]) -> list[Any]:
    return [one.value for one in found]


def test_each_message_is_on_four_timelines(rec: RecordReplay, logged: Any) -> None:
    odom = rec.stream("odom", topic="/r1/odom", type_name="geometry_msgs.PoseStamped")
    for i in range(3):
        odom.append(pose(float(i), T0 + i * S - 7), ts_ns=T0 + i * S + 1)
    log, _ = logged()
    times = [one.times for one in log["/world/r1/odom", "CoordinateFrame:frame"]]
    assert [one["time"] for one in times] == [T0 + i * S + 1 for i in range(3)]
    assert [one["stamp"] for one in times] == [T0 + i * S - 7 for i in range(3)]
    assert [one["position"] for one in times] == [0, S, 2 * S]
    numbers = [one["message"] for one in times]
    assert numbers == sorted(set(numbers))


def test_a_message_without_a_stamp_is_not_on_the_timeline_of_stamps(
    rec: RecordReplay, logged: Any
) -> None:
    rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(pose(1.0), ts_ns=T0)
    rec.stream("said", type_name="std_msgs.String").append(String(data="hello"), ts_ns=T0 + 1)
    log, _ = logged()
    (said,) = log["/world/said", "TextLog:text"]
    assert said.value == ["hello"]
    assert said.times.get("stamp") is None
    assert said.times["position"] == 1


def test_markers_are_lines_of_the_log_at_their_times(rec: RecordReplay, logged: Any) -> None:
    odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
    odom.append(pose(0.0), ts_ns=T0)
    odom.append(pose(1.0), ts_ns=T0 + 9 * S)
    rec.add_marker(2.0, "fall")
    rec.add_marker(4.0, "lap", until=6.0, data={"round": 1})
    log, _ = logged()
    lines = sorted((one.times["position"], one.value[0]) for one in log["/markers", "TextLog:text"])
    assert lines == [
        (2 * S, "fall"),
        (4 * S, f"lap {json.dumps({'round': 1})}"),
        (6 * S, "lap ends"),
    ]


def test_what_cannot_be_shown_is_counted_by_topic_and_reason(
    rec: RecordReplay, logged: Any
) -> None:
    grip = rec.stream("grip", type_name="acme_msgs.Gripper")
    odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
    for i in range(3):
        grip.append(b"\x01", ts_ns=T0 + i)
        odom.append(encode(pose(0.0))[: 20 if i == 1 else None], ts_ns=T0 + i)
    log, logger = logged()
    gripper, damaged = logger.unshown
    assert (gripper.topic, gripper.type_name, gripper.count) == ("/grip", "acme_msgs.Gripper", 3)
    assert (damaged.topic, damaged.count) == ("/odom", 1)
    assert "truncated" in damaged.reason
    assert len(log["/world/odom", "CoordinateFrame:frame"]) == 2


def test_at_most_so_many_messages_a_second_but_every_transform(
    rec: RecordReplay, logged: Any
) -> None:
    odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
    tf = rec.stream("tf", type_name="tf2_msgs.TFMessage")
    for i in range(20):
        odom.append(pose(0.0), ts_ns=T0 + i * S // 10)
        tf.append(transform("odom", "base_link", x=i), ts_ns=T0 + i * S // 10)
    log, logger = logged(max_rate_hz=2)
    times = [one.times["position"] for one in log["/world/odom", "CoordinateFrame:frame"]]
    assert times == [0, S // 2, S, 3 * S // 2]
    moves = [one for one in log["/frames/base_link", "Transform3D:translation"] if one.times]
    assert [one.value[0][0] for one in moves] == list(range(20))
    assert logger.unshown == []


@pytest.mark.parametrize("rate_hz", [0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused(rate_hz: float) -> None:
    with pytest.raises(OptionError, match="give one above 0"):
        RecordingLogger(None, max_rate_hz=rate_hz)


def test_static_transforms_hold_from_the_start(rec: RecordReplay, logged: Any) -> None:
    rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(pose(0.0), ts_ns=T0)
    static = rec.stream("tf_static", type_name="tf2_msgs.TFMessage")
    static.append(transform("base_link", "lidar", x=0.5), ts_ns=T0 + S)
    log, _ = logged()
    (translation,) = log["/frames/lidar", "Transform3D:translation"]
    assert translation.value == [[0.5, 0.0, 0.0]]
    assert translation.times == {}


def test_the_way_grows_in_pieces_and_has_none_across_a_jump(rec: RecordReplay, logged: Any) -> None:
    odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
    for i, x in enumerate([0.0, 0.5, 0.505, 1.0, 9.0, 9.5]):
        odom.append(pose(x), ts_ns=T0 + i * S)
    log, _ = logged()
    pieces = log["/world/odom/trail", "LineStrips3D:strips"]
    ends = [(one.value[0][0][0], one.value[0][1][0]) for one in pieces]
    assert ends == [(0.0, 0.5), (0.5, 1.0), (9.0, 9.5)]
    assert [one.times["position"] for one in pieces] == [S, 3 * S, 5 * S]


def test_the_robot_is_where_its_frame_is(rec: RecordReplay, logged: Any) -> None:
    tf = rec.stream("tf", type_name="tf2_msgs.TFMessage")
    tf.append(transform("odom", "wheel"), ts_ns=T0)
    tf.append(transform("odom", "r1/base_link"), ts_ns=T0 + 1)
    rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(pose(3.0), ts_ns=T0 + 2)
    log, _ = logged()
    (frame,) = log["/robot", "CoordinateFrame:frame"]
    assert (frame.value, frame.times) == (["r1/base_link"], {})


def test_without_transforms_the_robot_is_where_a_pose_is(rec: RecordReplay, logged: Any) -> None:
    odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
    goal = rec.stream("goal", type_name="geometry_msgs.PoseStamped")
    for i in range(3):
        odom.append(pose(float(i)), ts_ns=T0 + 2 * i)
        goal.append(pose(9.0), ts_ns=T0 + 2 * i + 1)
    log, _ = logged()
    (frame,) = values(log["/robot", "CoordinateFrame:frame"])
    (entity,) = [one for one, part in log if part == "Transform3D:translation" and "robot" in one]
    places = values(log[entity, "Transform3D:translation"])
    assert [place[0][0] for place in places] == [0.0, 1.0, 2.0]
    assert log[entity, "Transform3D:child_frame"][0].value == frame == ["robot of /odom"]
    assert log[entity, "Transform3D:parent_frame"][0].value == ["odom"]


def test_a_topic_may_have_any_name(rec: RecordReplay, logged: Any) -> None:
    said = rec.stream("a", topic="/a b/c:d/é", type_name="std_msgs.String")
    said.append(String(data="x"), ts_ns=T0)
    log, logger = logged()
    (entity,) = [entity for entity, component in log if component == "TextLog:text"]
    assert entity.startswith("/world/")
    assert logger.unshown == []


def test_a_marker_with_a_lifetime_goes_when_it_is_over(rec: RecordReplay, logged: Any) -> None:
    name = "visualization_msgs.Marker"
    markers = rec.stream("m", type_name=name)
    brief = made(name, type=1, id=1, lifetime={"sec": 1})
    lasting = made(name, type=1, id=2)
    for number, data in enumerate([brief, lasting, lasting]):
        markers.append(data, ts_ns=T0 + number * 5 * S)
    found, _ = logged()
    (gone,) = found["/world/m/markers/1", "Clear:is_recursive"]
    assert (gone.times["position"], gone.times["time"]) == (S, T0 + S)
    assert [path for path, component in found if component == "Clear:is_recursive"] == [
        "/world/m/markers/1"
    ]


def picture(encoding: str = "rgb8", **more: Any) -> bytes:
    """A picture of 16 x 8 pixels."""
    content = bytes(i % 256 for i in range(16 * 8 * (4 if encoding == "bgra8" else 3)))
    fields = {"width": 16, "height": 8, "encoding": encoding, "data": content, **more}
    return made("sensor_msgs.Image", header={"frame_id": "cam", "stamp": {"sec": 5}}, **fields)


def camera_info() -> bytes:
    k = [10.0, 0, 8, 0, 10, 4, 0, 0, 1]
    header = {"frame_id": "cam", "stamp": {"sec": 5}}
    return made("sensor_msgs.CameraInfo", header=header, width=16, height=8, K=k)


def test_the_first_camera_info_holds_from_the_start(rec: RecordReplay, logged: Any) -> None:
    rec.stream("image", type_name="sensor_msgs.Image").append(picture(), ts_ns=T0)
    info = rec.stream("camera_info", type_name="sensor_msgs.CameraInfo")
    info.append(camera_info(), ts_ns=T0 + 4 * S)
    info.append(camera_info(), ts_ns=T0 + 5 * S)
    log, _ = logged()
    for entity, part, positions in (
        ("/frames/cam/camera", "Pinhole:image_from_camera", [4 * S, 5 * S]),
        ("/world/image", "CoordinateFrame:frame", [0]),
    ):
        static = [one for one in log[entity, part] if not one.times]
        moving = [one for one in log[entity, part] if one.times]
        assert [one.times["position"] for one in moving] == positions
        assert [one.value for one in static] == [moving[0].value]


def test_of_state_every_message_is_shown_however_few_are_wanted(
    rec: RecordReplay, logged: Any
) -> None:
    array, name = "visualization_msgs.MarkerArray", "visualization_msgs.Marker"
    marks, more = rec.stream("marks", type_name=name), rec.stream("more", type_name=array)
    info = rec.stream("camera_info", type_name="sensor_msgs.CameraInfo")
    said = rec.stream("said", type_name="std_msgs.String")
    pictures = rec.stream("image", type_name="sensor_msgs.Image")
    for i in range(5):
        marks.append(made(name, type=1, id=i), ts_ns=T0 + i)
        more.append(made(array, markers=[{"type": 1, "id": i}]), ts_ns=T0 + i)
        info.append(camera_info(), ts_ns=T0 + i)
        said.append(String(data="x"), ts_ns=T0 + i)
        pictures.append(picture(), ts_ns=T0 + i)
    log, _ = logged(max_rate_hz=1)
    for topic in ("marks", "more"):
        shown = [one for one, part in log if part == "Boxes3D:half_sizes" and topic in one]
        assert len(shown) == 5
    assert len(log["/world/said", "TextLog:text"]) == 5
    infos = [one for one in log["/frames/cam/camera", "Pinhole:image_from_camera"] if one.times]
    assert len(infos) == 5
    assert len(log["/world/image", "Image:buffer"]) == 1


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_pictures_can_be_made_jpeg(rec: RecordReplay, logged: Any, encoding: str) -> None:
    rec.stream("image", type_name="sensor_msgs.Image").append(picture(encoding), ts_ns=T0)
    log, _ = logged(jpeg=True)
    (found,) = log["/world/image", "EncodedImage:blob"]
    assert bytes(found.value[0])[:3] == b"\xff\xd8\xff"
    assert ("/world/image", "Image:buffer") not in log


@pytest.mark.parametrize("encoding", ["bgra8", "16UC1"])
def test_other_pictures_stay_what_they_are(rec: RecordReplay, logged: Any, encoding: str) -> None:
    rec.stream("image", type_name="sensor_msgs.Image").append(picture(encoding), ts_ns=T0)
    log, _ = logged(jpeg=True)
    assert {part for one, part in log if one == "/world/image" and "buffer" in part}

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dimos_lcm.geometry_msgs import (
    Point,
    Pose,
    PoseStamped,
    PoseWithCovariance,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from dimos_lcm.nav_msgs import Odometry
from dimos_lcm.std_msgs import Header, Time
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record import RecordReplay
from dimos_record.errors import OptionError, RecordingBusy, UnknownTopic
from tests.store.dimos_files import FIRST_S, ODOM, SPEED, write_dimos_file
from tests.store.samples import pose

S = 1_000_000_000
T0 = 1_700_000_000 * S


def turned(yaw: float, pitch: float = 0.0) -> Quaternion:
    """About z, then about the new y."""
    cy, sy, cp, sp = (f(a / 2) for a in (yaw, pitch) for f in (math.cos, math.sin))
    return Quaternion(x=-sy * sp, y=cy * sp, z=sy * cp, w=cy * cp)


def header(t: float, frame: str = "odom") -> Header:
    sec, nsec = divmod(T0 + round(t * S), S)
    return Header(seq=0, stamp=Time(sec=sec, nsec=nsec), frame_id=frame)


def pose_at(t: float, sign: int = 1) -> Pose:
    """1 m/s along x, turning at 0.2 rad/s; q and -q are the same orientation."""
    q = turned(0.2 * t)
    return Pose(
        position=Point(x=t, y=2.0, z=-1.0),
        orientation=Quaternion(x=sign * q.x, y=sign * q.y, z=sign * q.z, w=sign * q.w),
    )


def odometry(t: float, sign: int = 1) -> Odometry:
    return Odometry(header=header(t), pose=PoseWithCovariance(pose=pose_at(t, sign)))


def stamped(t: float, sign: int = 1) -> PoseStamped:
    return PoseStamped(header=header(t), pose=pose_at(t, sign))


def link(t: float, parent: str, child: str, xyz: tuple[float, ...], q: Quaternion) -> Any:
    return TransformStamped(
        header=header(t, parent),
        child_frame_id=child,
        transform=Transform(translation=Vector3(*xyz), rotation=q),
    )


def tf(*links: Any) -> TFMessage:
    return TFMessage(transforms_length=len(links), transforms=list(links))


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    with RecordReplay(tmp_path / "walk.db") as rec:
        yield rec


def append(rec: RecordReplay, name: str, type_name: str | None, message: Any, t: float) -> None:
    rec.stream(name, type_name=type_name).append(message, ts_ns=T0 + round(t * S))


def append_pictures(rec: RecordReplay, times: list[float]) -> None:
    for t in times:
        append(rec, "picture", None, b"%g" % t, t)


def poses(rec: RecordReplay, name: str = "picture") -> dict[str, Any]:
    return {one.raw.decode(): one.pose for one in rec.streams[name]}


def found_near(rec: RecordReplay, place: tuple[float, float, float], radius: float) -> list[bytes]:
    return [one.raw for one in rec.streams.picture.near(place, radius)]


@pytest.mark.parametrize(
    ("type_name", "make"),
    [("nav_msgs.Odometry", odometry), ("geometry_msgs.PoseStamped", stamped)],
)
def test_poses_are_interpolated_between_those_of_a_stream(
    rec: RecordReplay, type_name: str, make: Any
) -> None:
    for i in range(11):
        append(rec, "odom", type_name, make(float(i), sign=(-1) ** i), i)
    append_pictures(rec, [0.0, 2.5, 3.25, 9.99])
    assert rec.fill_poses() == {"/odom": 11, "/picture": 4}
    for t, found in poses(rec).items():
        expected = pose_at(float(t))
        assert found[:3] == pytest.approx((float(t), 2.0, -1.0), abs=1e-6)
        q = np.array(found[3:])
        wanted = np.array([getattr(expected.orientation, axis) for axis in "xyzw"])
        assert np.linalg.norm(q) == pytest.approx(1.0)
        # quaternions of neighbours had opposite signs
        assert abs(q @ wanted) == pytest.approx(1.0, abs=1e-6)
    assert found_near(rec, (3, 2, -1), 0.6) == [b"2.5", b"3.25"]
    assert rec.near((3, 2, -1), 0.6).select("/picture").count() == 2


def test_a_message_too_far_from_any_pose_gets_none(rec: RecordReplay) -> None:
    for t in (10.0, 11.0, 20.0):
        append(rec, "odom", "nav_msgs.Odometry", odometry(t), t)
    append_pictures(rec, [9.0, 9.8, 10.5, 15.0, 20.2, 21.0])
    assert rec.fill_poses(tolerance_s=0.5)["/picture"] == 3
    found = poses(rec)
    assert [t for t, there in found.items() if there] == ["9.8", "10.5", "20.2"]
    assert found["9.8"][0] == pytest.approx(10.0)  # before the first, it is the first
    assert found["20.2"][0] == pytest.approx(20.0)


def test_header_stamps_count_where_there_are_any(rec: RecordReplay) -> None:
    for t in (0.0, 1.0, 2.0):
        append(rec, "odom", "nav_msgs.Odometry", odometry(t), t + 0.7)  # received late
    append(rec, "scan", "geometry_msgs.PoseStamped", stamped(1.5), 2.9)
    rec.fill_poses("/odom", topics="/scan")
    assert rec.streams.scan.first().pose[0] == pytest.approx(1.5, abs=1e-6)
    assert rec.streams.odom.first().pose is None


def test_poses_that_are_no_numbers_are_passed_over(rec: RecordReplay) -> None:
    append(rec, "odom", "nav_msgs.Odometry", odometry(0.0), 0.0)
    broken = odometry(1.0)
    broken.pose.pose.position.y = math.nan
    append(rec, "odom", "nav_msgs.Odometry", broken, 1.0)
    append(rec, "odom", "nav_msgs.Odometry", odometry(2.0), 2.0)
    append_pictures(rec, [1.0])
    rec.fill_poses(tolerance_s=2)
    assert poses(rec)["1"][:3] == pytest.approx((1.0, 2.0, -1.0))


def matrix(xyz: tuple[float, ...], q: Quaternion) -> np.ndarray:
    """Homogeneous matrix of a transform, by the textbook."""
    x, y, z, w = q.x, q.y, q.z, q.w
    m = np.eye(4)
    m[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    m[:3, 3] = xyz
    return m


def odom_in_map(t: float) -> tuple[tuple[float, ...], Quaternion]:
    return (5.0 + 0.1 * t, -3.0, 0.5), turned(0.4, 0.1)


def base_in_odom(t: float) -> tuple[tuple[float, ...], Quaternion]:
    return (t, t * t / 10, 0.0), turned(0.3 * t)


def camera_in_base() -> tuple[tuple[float, ...], Quaternion]:
    return (0.3, -0.1, 1.2), turned(-1.2, 0.7)


@pytest.fixture
def tree(rec: RecordReplay) -> RecordReplay:
    """map -> odom once a second, odom -> base_link at 10 Hz, and the camera fixed on it."""
    rec.stream("tf_static", type_name="tf2_msgs.TFMessage").append(
        tf(link(-50.0, "base_link", "camera", *camera_in_base())), ts_ns=T0 - S
    )
    for i in range(51):
        t = i / 10
        links = [link(t, "/odom", "/base_link", *base_in_odom(t))]
        if i % 10 == 0:
            links.append(link(t, "map", "odom", *odom_in_map(t)))
        append(rec, "tf", "tf2_msgs.TFMessage", tf(*links), t)
    append_pictures(rec, [0.0, 1.3, 2.7, 5.0])
    return rec


@pytest.mark.parametrize(
    ("frame", "root", "links"),
    [
        ("base_link", None, (odom_in_map, base_in_odom)),
        ("camera", None, (odom_in_map, base_in_odom, lambda _: camera_in_base())),
        ("camera", "odom", (base_in_odom, lambda _: camera_in_base())),
        ("/camera", "base_link", (lambda _: camera_in_base(),)),
        ("odom", "map", (odom_in_map,)),
    ],
)
def test_transforms_are_multiplied_up_the_tree(
    tree: RecordReplay, frame: str, root: str | None, links: Any
) -> None:
    tree.fill_poses("/tf", frame=frame, root=root, tolerance_s=1e9, topics=["/picture"])
    for text, there in poses(tree).items():
        expected = np.eye(4)
        for where in links:
            expected = expected @ matrix(*where(float(text)))
        found = matrix(there[:3], Quaternion(*there[3:]))
        assert found == pytest.approx(expected, abs=1e-6), text


def test_tf_is_chosen_where_there_is_nothing_better(tree: RecordReplay) -> None:
    assert tree.fill_poses()["/picture"] == 4
    assert tree.streams.picture.first().pose[:3] == pytest.approx((5.0, -3.0, 0.5))


def test_a_frame_that_is_not_in_the_tree_says_which_are(tree: RecordReplay) -> None:
    with pytest.raises(OptionError, match="'gripper'; frames are: base_link, camera, odom"):
        tree.fill_poses("/tf", frame="gripper")
    with pytest.raises(OptionError, match="from camera to 'base_link'"):
        tree.fill_poses("/tf", frame="base_link", root="camera")


def test_what_cannot_be_a_source_says_so_and_changes_nothing(rec: RecordReplay) -> None:
    append_pictures(rec, [1.0])
    with pytest.raises(OptionError, match="has no odometry, pose or tf topic"):
        rec.fill_poses()
    with pytest.raises(OptionError, match=r"/picture .* have no pose"):
        rec.fill_poses("/picture")
    with pytest.raises(UnknownTopic, match="'/odom'; it has: /picture"):
        rec.fill_poses("/odom")
    assert rec.streams.picture.first().pose is None


def test_filling_in_twice_replaces_the_poses(rec: RecordReplay) -> None:
    for t in (0.0, 1.0):
        append(rec, "odom", "nav_msgs.Odometry", odometry(t), t)
        append(rec, "other", "nav_msgs.Odometry", odometry(t + 100), t)
    append_pictures(rec, [1.0])
    rec.fill_poses("/odom", topics="/picture")
    rec.fill_poses("/other", topics="/picture", tolerance_s=1000)
    assert poses(rec)["1"][0] == pytest.approx(100.0)
    assert found_near(rec, (1, 2, -1), 1) == []
    assert found_near(rec, (100, 2, -1), 1) == [b"1"]


def test_every_segment_of_a_folder_gets_its_poses(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    with RecordReplay(folder, bus="memory://poses") as rec:
        for session in range(3):
            with rec.recording(append=session > 0, split_s=1000):
                times = [session * 2.0, session * 2.0 + 1]
                for t in times:
                    append(rec, "odom", "nav_msgs.Odometry", odometry(t), t)
                append_pictures(rec, times)
        assert len(list(folder.glob("*.db"))) == 3
        assert rec.fill_poses() == {"/odom": 6, "/picture": 6}
        assert len(list(folder.glob("*.db"))) == 3
        assert found_near(rec, (3, 2, -1), 1.1) == [b"2", b"3", b"4"]


def test_a_file_of_dimos_gets_poses_too(tmp_path: Path) -> None:
    messages = [pose(round((FIRST_S + i) * S), i) for i in range(5)]
    path = write_dimos_file(tmp_path / "memory.db", [ODOM._replace(payloads=messages), SPEED])
    with RecordReplay(path) as rec:
        assert rec.fill_poses() == {"/odom": 5}
        assert [one.id for one in rec.streams.odom.near((3, 0, 0), 1.1)] == [3, 4, 5]
        assert [one.data for one in rec.streams.speed] == [0.5, -1.25, 3]


def test_a_running_recording_is_left_alone(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db", bus="memory://poses") as rec:
        with rec.recording():
            append(rec, "odom", "nav_msgs.Odometry", odometry(1.0), 1.0)
            with pytest.raises(RecordingBusy, match=r"walk\.db is being recorded into"):
                rec.fill_poses()
            with (
                RecordReplay(tmp_path / "walk.db") as other,
                pytest.raises(RecordingBusy, match=r"walk\.db is being recorded into"),
            ):
                other.fill_poses()
        assert rec.fill_poses() == {"/odom": 1}


def test_the_tables_are_those_of_dimos(rec: RecordReplay, tmp_path: Path) -> None:
    append(rec, "odom", "nav_msgs.Odometry", odometry(1.0), 1.0)
    append_pictures(rec, [1.0])
    rec.fill_poses()
    rec.close()
    connection = sqlite3.connect(tmp_path / "walk.db")
    query = "SELECT r.* FROM picture_rtree r JOIN picture p ON p.id = r.id WHERE p.pose_x = 1.0"
    assert connection.execute(query).fetchall() == [(1, 1.0, 1.0, 2.0, 2.0, -1.0, -1.0)]
    connection.close()


def test_a_stream_that_dimos_has_added_to_our_file_gets_poses(tmp_path: Path) -> None:
    write_dimos_file(tmp_path / "mem.db", [ODOM])
    with RecordReplay(tmp_path / "mem.db") as rec:
        rec.fill_poses()  # which makes it one of ours
    with sqlite3.connect(tmp_path / "mem.db") as connection:
        connection.execute("DELETE FROM _dr_topics")
    connection.close()
    with RecordReplay(tmp_path / "mem.db") as rec:
        assert rec.fill_poses() == {"/odom": 5}

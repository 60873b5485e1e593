from __future__ import annotations

import copy
import pickle
from collections import namedtuple
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import (
    Point,
    Pose,
    PoseStamped,
    PoseWithCovariance,
    Quaternion,
    Transform,
    Vector3,
)
from dimos_lcm.nav_msgs import Odometry
from dimos_lcm.std_msgs import Header, String, Time

from dimos_record.errors import CodecError, DecodeError, OptionError
from dimos_record.messages import fingerprint
from dimos_record.store.base import Row, StreamInfo
from dimos_record.store.observation import UNKNOWN, Meta, Observation, to_pose
from dimos_record.store.observation import Pose as Place

S = 1_000_000_000
T0 = 1_700_000_000 * S
ODOM = StreamInfo(
    "odom",
    "/odom",
    "/odom#geometry_msgs.PoseStamped",
    "geometry_msgs.PoseStamped",
    codec="lz4+lcm",
    module="Go2",
    fingerprint=fingerprint("geometry_msgs.PoseStamped"),
)
RAW = StreamInfo("raw", "/raw", "/raw", None)


def pose_stamped(x: float, sec: int = 5) -> Any:
    # the parts that a generated class makes for itself are shared by all of its messages
    return PoseStamped(
        header=Header(seq=0, stamp=Time(sec=sec, nsec=0), frame_id="odom"),
        pose=Pose(position=Point(x=x), orientation=Quaternion(w=1.0)),
    )


def observed(
    stream: StreamInfo = ODOM, data: bytes | None = None, meta: Meta | None = None, **more: Any
) -> Observation:
    raw = pose_stamped(1.5).lcm_encode() if data is None else data
    more.setdefault("stamp_ns", 5 * S)
    return Observation(stream, 3, 7, T0, raw=raw, meta=meta or Meta(), **more)


def test_times_are_seconds_and_nanoseconds() -> None:
    one = observed()
    assert (one.ts, one.ts_ns) == (T0 / 1e9, T0)
    assert (one.stamp, one.stamp_ns) == (5.0, 5 * S)
    assert (one.topic, one.type_name) == ("/odom", "geometry_msgs.PoseStamped")


def test_a_header_stamp_that_nobody_has_read_yet_is_read_when_asked_for() -> None:
    assert observed(stamp_ns=UNKNOWN).stamp == 5.0
    assert observed(RAW, b"x", stamp_ns=UNKNOWN).stamp is None


def test_a_message_is_loaded_and_decoded_once() -> None:
    loads = []

    def load() -> bytes:
        loads.append(1)
        return bytes(pose_stamped(1.5).lcm_encode())

    one = Observation(ODOM, 1, 1, T0, None, raw=load)
    assert loads == []
    assert one.data is one.data
    assert one.data.pose.position.x == 1.5
    assert one.raw == one.raw
    assert loads == [1]


def test_pose_and_tags_are_loaded_once_and_only_when_asked_for() -> None:
    loads = []

    def load() -> Meta:
        loads.append(1)
        return Meta(Place(1, 2, 3), {"room": "hall"})

    one = Observation(RAW, 1, 1, T0, None, raw=b"x", meta=load)
    assert one.raw == b"x"
    assert loads == []
    assert one.pose == (1, 2, 3, 0, 0, 0, 1)
    assert one.tags == {"room": "hall"}
    assert loads == [1]


def test_the_data_of_a_raw_channel_is_its_bytes() -> None:
    assert observed(RAW, b"\x01\x02").data == b"\x01\x02"


def test_bytes_of_another_type_say_so_and_stay_readable_as_bytes() -> None:
    one = observed(data=String(data="hello").lcm_encode())
    with pytest.raises(DecodeError, match=r"geometry_msgs\.PoseStamped"):
        _ = one.data
    assert one.raw == String(data="hello").lcm_encode()


def test_a_type_that_nobody_knows_says_so() -> None:
    stream = ODOM._replace(type_name="my_msgs.Gripper", channel="/odom#my_msgs.Gripper")
    with pytest.raises(DecodeError, match=r"my_msgs\.Gripper"):
        _ = observed(stream, b"12345678").data


def test_a_derived_message_is_encoded_and_its_own_stamp_counts() -> None:
    one = observed()
    made = one.derive(data=pose_stamped(9.0, sec=8))
    assert made.raw == pose_stamped(9.0, sec=8).lcm_encode()
    assert made.data.pose.position.x == 9.0
    assert made.stamp_ns == 8 * S
    assert (made.id, made.seq, made.ts_ns, made.stream) == (3, 7, T0, ODOM)
    assert one.data.pose.position.x == 1.5


def test_derived_bytes_are_published_as_they_are_and_decoded_as_the_stream_says() -> None:
    data = pose_stamped(4.0, sec=6).lcm_encode()
    for given in (data, bytearray(data), memoryview(data)):
        made = observed().derive(data=given)
        assert made.raw == data
        assert isinstance(made.raw, bytes)
        assert made.data.pose.position.x == 4.0
        assert made.stamp_ns == 6 * S


def test_a_message_of_another_type_changes_type_channel_and_fingerprint() -> None:
    made = observed().derive(data=String(data="hello"))
    assert made.type_name == "std_msgs.String"
    assert made.stream.channel == "/odom#std_msgs.String"
    assert made.stream.fingerprint == fingerprint("std_msgs.String")
    assert (made.topic, made.stream.module, made.stream.codec) == ("/odom", "Go2", "lcm")
    assert made.stamp is None
    assert made.to_row() == Row(
        made.stream, 3, 7, T0, None, bytes(String(data="hello").lcm_encode())
    )


def test_a_number_becomes_something_that_can_be_published() -> None:
    numbers = StreamInfo("n", "/n", "/n", None, codec="scalar")
    one = Observation(numbers, 1, 1, T0, None, raw=b"2.5", meta=Meta(value=2.5))
    assert one.data == 2.5
    assert one.derive(data=b"raw").stream.codec == "lcm"
    made = one.derive(data=String(data=str(one.data)))
    assert (made.stream.codec, made.stream.channel) == ("lcm", "/n#std_msgs.String")


def test_derived_data_that_is_no_message_stays_data() -> None:
    made = observed().derive(data=42)
    assert (made.data, made.stamp, made.type_name) == (42, 5.0, ODOM.type_name)
    with pytest.raises(CodecError, match=r"/odom.*int is not a message"):
        _ = made.raw


def test_a_message_with_a_wrong_value_says_which_topic() -> None:
    wrong = pose_stamped(1.0)
    wrong.pose.position.x = "far"
    with pytest.raises(CodecError, match="/odom"):
        _ = observed().derive(data=wrong).raw


def test_times_pose_and_tags_can_be_derived_and_nothing_else() -> None:
    one = observed(meta=Meta(None, {"a": 1}), ts=T0 / 1e9)
    made = one.derive(data=b"", ts_ns=T0 + S, stamp_ns=None, pose=(1, 2, 3), tags={"b": 2})
    assert (made.ts_ns, made.ts) == (T0 + S, T0 / 1e9 + 1)
    assert (made.stamp, made.pose, made.tags) == (None, Place(1, 2, 3), {"b": 2})
    assert (one.ts_ns, one.stamp_ns, one.pose, one.tags) == (T0, 5 * S, None, {"a": 1})
    with pytest.raises(OptionError, match="topic"):
        one.derive(data=b"", topic="/other")


def test_tags_are_added_and_replaced() -> None:
    one = observed(meta=Meta(None, {"a": 1, "b": 1}))
    assert one.tag(b=2, c=3).tags == {"a": 1, "b": 2, "c": 3}
    assert one.tag(b=2).raw == one.raw
    assert one.tags == {"a": 1, "b": 1}


def test_a_pose_is_attached_and_taken_away() -> None:
    one = observed()
    assert one.with_pose((1, 2, 3)).pose == (1, 2, 3, 0, 0, 0, 1)
    assert one.with_pose((1, 2, 3)).with_pose(None).pose is None
    assert one.pose is None


def test_a_message_changed_in_place_counts_as_derived() -> None:
    one = observed()
    assert one.unchanged_or_derived() is one
    _ = one.data
    assert one.unchanged_or_derived() is one
    one.data.pose.position.x = 7.0
    assert one.unchanged_or_derived().raw == pose_stamped(7.0).lcm_encode()


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_an_observation_can_be_copied_and_pickled(again: Any) -> None:
    raw = bytes(pose_stamped(1.5).lcm_encode())
    lazy = Observation(
        ODOM, 3, 7, T0, raw=lambda: raw, meta=lambda: Meta(Place(1, 2, 3), {"a": [1]}), ts=1.25
    )
    decoded = observed()
    _ = decoded.data
    derived = decoded.derive(data=pose_stamped(1.5), tags={"a": [1]})
    for one in (lazy, decoded, derived):
        other = again(one)
        assert (other.stream, other.id, other.seq, other.ts) == (ODOM, 3, 7, one.ts)
        assert (other.raw, other.meta, other.stamp) == (raw, one.meta, 5.0)
        assert other.data.pose.position.x == 1.5
    assert again(decoded.derive(data={"speed": 3})).data == {"speed": 3}


def test_poses_come_from_numbers_and_from_messages() -> None:
    pose = Pose(position=Point(x=1.0, y=2.0, z=3.0), orientation=Quaternion(w=1.0))
    odometry = Odometry(pose=PoseWithCovariance(pose=pose))
    moved = Transform(translation=Vector3(x=1.0, y=2.0, z=3.0), rotation=Quaternion(w=1.0))
    stamped = PoseStamped(pose=pose)
    pair = namedtuple("Pair", "position")  # a place without an orientation
    expected = Place(1, 2, 3, 0, 0, 0, 1)
    for given in (
        (1, 2, 3),
        [1, 2, 3, 0, 0, 0, 1],
        iter((1.0, 2.0, 3.0)),
        expected,
        odometry,
        pose,
        stamped,
        moved,
        Point(x=1.0, y=2.0, z=3.0),
        pair(Point(x=1.0, y=2.0, z=3.0)),
    ):
        assert to_pose(given) == expected, given
    assert to_pose(None) is None


@pytest.mark.parametrize(
    "given", [(1, 2), (1, 2, 3, 4), 5, "abc", "north", object(), Pose(position=3)]
)
def test_what_is_no_pose_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match="is not a pose"):
        to_pose(given)

from __future__ import annotations

from dimos_lcm.geometry_msgs import TransformStamped
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record.bus.base import Selection
from dimos_record.replay import Timeline
from tests.replay.fakes import T0, ListReader, S, recording, stream

TF = stream("/tf_static#tf2_msgs.TFMessage", latched=True)
INFO = stream("/camera_info#sensor_msgs.CameraInfo", latched=True)
ODOM = stream("/odom#geometry_msgs.PoseStamped")


def transforms(*children: str) -> bytes:
    message = TFMessage(transforms_length=len(children), transforms=[])
    for child in children:
        message.transforms.append(TransformStamped(child_frame_id=child))
    data: bytes = message.lcm_encode()
    return data


def state(reader: ListReader, seconds: float, *also: str) -> list[bytes]:
    rows = Timeline(reader).latched_before(T0 + round(seconds * S), Selection.of(also))
    return [row.data for row in rows]


def test_the_last_message_of_a_latched_stream_before_the_playhead_is_its_state() -> None:
    reader = recording([(0, INFO, b"1"), (1, ODOM, b"o"), (2, INFO, b"2"), (4, INFO, b"3")])
    assert state(reader, 3) == [b"2"]
    assert state(reader, 2) == [b"1"], "a message at the playhead is still to be played"
    assert state(reader, 0) == []


def test_further_topics_can_be_named_as_latched() -> None:
    reader = recording([(0, ODOM, b"1"), (1, ODOM, b"2"), (2, INFO, b"i")])
    assert state(reader, 3, "/odom") == [b"2", b"i"]


def test_every_child_frame_of_a_static_tf_stream_is_restored_with_the_fewest_messages() -> None:
    base, camera = transforms("base"), transforms("camera", "imu")
    moved, lidar = transforms("camera"), transforms("lidar")
    reader = recording(
        [(0, TF, base), (1, TF, camera), (2, TF, lidar), (3, TF, moved), (4, TF, lidar)]
    )
    assert state(reader, 2.5) == [base, camera, lidar]
    assert state(reader, 9) == [base, camera, moved, lidar]
    assert state(reader, 0.5) == [base], "going back after the index has been built further"


def test_a_message_whose_frames_are_all_newer_elsewhere_is_left_out() -> None:
    first, both = transforms("a"), transforms("a", "b")
    assert state(recording([(0, TF, first), (1, TF, both)]), 2) == [both]


def test_the_state_of_a_recording_that_has_grown_is_found() -> None:
    reader = recording([(0, TF, transforms("a"))])
    timeline = Timeline(reader)
    assert len(timeline.latched_before(T0 + 1 * S)) == 1
    late = reader._rows["tf_static"][0]._replace(id=2, ts_ns=T0 + 5 * S, data=transforms("b"))
    reader._rows["tf_static"].append(late)
    assert len(timeline.latched_before(T0 + 6 * S)) == 2


def test_transforms_that_cannot_be_read_are_republished_like_any_last_message() -> None:
    assert state(recording([(0, TF, b"old"), (1, TF, b"broken")]), 2) == [b"broken"]

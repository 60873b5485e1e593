from __future__ import annotations

import pytest

from dimos_record.errors import DecodeError
from dimos_record.messages import child_frames, encode, message_class, pose_of, transforms

from .samples import NS, stamped

VALUES = (1.0, 2.0, 3.0, 0.1, 0.2, 0.3, 0.9)


def pose():
    return message_class("geometry_msgs.Pose")(
        position=message_class("geometry_msgs.Point")(*VALUES[:3]),
        orientation=message_class("geometry_msgs.Quaternion")(*VALUES[3:]),
    )


def transform():
    return message_class("geometry_msgs.Transform")(
        translation=message_class("geometry_msgs.Vector3")(*VALUES[:3]),
        rotation=message_class("geometry_msgs.Quaternion")(*VALUES[3:]),
    )


def with_covariance():
    return message_class("geometry_msgs.PoseWithCovariance")(pose=pose())


def tf_bytes(*frames: tuple[str, str, int]) -> bytes:
    items = []
    for parent, child, stamp_ns in frames:
        item = stamped("geometry_msgs.TransformStamped", stamp_ns, transform=transform())
        item.header.frame_id, item.child_frame_id = parent, child
        items.append(item)
    return encode(message_class("tf2_msgs.TFMessage")(len(items), items))


def messages_with_a_pose():
    yield pose()
    yield transform()
    yield with_covariance()
    yield stamped("geometry_msgs.PoseStamped", 1, pose=pose())
    yield stamped("geometry_msgs.PoseWithCovarianceStamped", 1, pose=with_covariance())
    yield stamped("nav_msgs.Odometry", 1, child_frame_id="base_link", pose=with_covariance())
    yield stamped(
        "geometry_msgs.TransformStamped", 1, child_frame_id="camera", transform=transform()
    )


@pytest.mark.parametrize("message", list(messages_with_a_pose()), ids=lambda m: type(m).__name__)
def test_the_pose_is_read_from_the_bytes(message):
    type_name = f"{type(message).__module__.split('.')[-2]}.{type(message).__name__}"
    data = encode(message)
    assert pose_of(type_name, data) == VALUES
    assert pose_of(type_name, data[:40]) is None
    assert pose_of(type_name, b"garbage " * 20) is None


@pytest.mark.parametrize(
    "type_name",
    ["nav_msgs.OccupancyGrid", "nav_msgs.Path", "tf2_msgs.TFMessage", "sensor_msgs.Image"],
)
def test_poses_in_arrays_and_origins_of_maps_are_not_the_pose(type_name):
    assert pose_of(type_name, encode(message_class(type_name)())) is None


def test_unknown_types_have_no_pose():
    assert pose_of(None, b"") is None
    assert pose_of("my_msgs.Pose", b"") is None


def test_the_transforms_are_read_from_the_bytes():
    data = tf_bytes(("world", "base_link", 5 * NS + 7), ("", "höhe", 0))
    first, second = transforms(data)
    assert first == ("world", "base_link", 5 * NS + 7, VALUES)
    assert second == ("", "höhe", 0, VALUES)
    assert child_frames("tf2_msgs.TFMessage", data) == ["base_link", "höhe"]


def test_an_empty_tf_message_has_no_transforms():
    assert transforms(tf_bytes()) == []
    assert child_frames("tf2_msgs.TFMessage", tf_bytes()) == []


def test_other_messages_have_no_child_frames():
    data = encode(stamped("nav_msgs.Odometry", 1, child_frame_id="base_link"))
    assert child_frames("nav_msgs.Odometry", data) == []
    assert child_frames(None, data) == []
    with pytest.raises(DecodeError, match=r"not a tf2_msgs\.TFMessage"):
        transforms(data)


def test_truncated_transforms_are_an_error_at_any_length():
    data = tf_bytes(("world", "base_link", 5), ("world", "camera", 6))
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            transforms(data[:length])
        assert child_frames("tf2_msgs.TFMessage", data[:length]) == []

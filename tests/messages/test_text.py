from __future__ import annotations

import numpy as np
import pytest

from dimos_record.errors import OptionError
from dimos_record.messages import encode, message_class, summarize, to_plain

from .samples import NS, stamped


def image(size: int = 921_600):
    return stamped("sensor_msgs.Image", NS, data_length=size, data=bytes(size), encoding="rgb8")


def test_a_message_becomes_plain_values_without_its_length_fields():
    plain = to_plain(image(3))
    assert plain["header"] == {"seq": 0, "stamp": {"sec": 1, "nsec": 0}, "frame_id": "world"}
    assert plain["data"] == b"\0\0\0"
    assert plain["encoding"] == "rgb8"
    assert "data_length" not in plain


def test_arrays_keep_all_their_items():
    scan = stamped("sensor_msgs.LaserScan", NS, ranges_length=1000, ranges=[0.5] * 1000)
    assert to_plain(scan)["ranges"] == [0.5] * 1000


def test_arrays_of_messages_become_lists_of_dicts():
    path = stamped("nav_msgs.Path", NS, poses_length=1)
    path.poses = [stamped("geometry_msgs.PoseStamped", 2 * NS)]
    assert to_plain(path)["poses"][0]["header"]["stamp"]["sec"] == 2


def test_numpy_values_become_plain_ones():
    joints = stamped("sensor_msgs.JointState", NS, position=np.array([1.0, 2.0]))
    joints.velocity = [np.float64(3.0)]
    plain = to_plain(joints)
    assert plain["position"] == [1.0, 2.0]
    assert type(plain["velocity"][0]) is float


def test_a_message_of_another_library_goes_through_its_bytes():
    class RobotImage:
        msg_name = "sensor_msgs.Image"

        def lcm_encode(self) -> bytes:
            return encode(image(2))

    assert to_plain(RobotImage())["data"] == b"\0\0"


def test_a_message_that_builds_on_another_shows_all_its_fields():
    """As dimos's PoseStamped does, which is a Pose of dimos_lcm with more."""

    class StampedPose(message_class("geometry_msgs.Pose")):
        msg_name = "geometry_msgs.PoseStamped"

        def lcm_encode(self) -> bytes:
            return encode(stamped("geometry_msgs.PoseStamped", 3 * NS, pose=self))

    assert to_plain(StampedPose())["header"]["stamp"]["sec"] == 3


def test_other_objects_are_refused():
    with pytest.raises(OptionError, match="is not a message"):
        to_plain({"a": 1})


def test_a_summary_has_a_line_per_field():
    assert summarize(stamped("geometry_msgs.PointStamped", NS)).splitlines() == [
        "header:",
        "  seq: 0",
        "  stamp:",
        "    sec: 1",
        "    nsec: 0",
        '  frame_id: "world"',
        "point:",
        "  x: 0.0",
        "  y: 0.0",
        "  z: 0.0",
    ]


def test_a_summary_gives_the_size_of_byte_arrays():
    assert "data: <921600 bytes>" in summarize(image()).splitlines()


def test_a_summary_shortens_long_arrays():
    scan = stamped("sensor_msgs.LaserScan", NS, ranges_length=360, ranges=[0.5] * 360)
    lines = summarize(scan, max_items=2).splitlines()
    assert "ranges: [0.5, 0.5, ... 360 items]" in lines
    assert "intensities: []" in lines


def test_a_summary_shortens_arrays_of_messages():
    path = stamped("nav_msgs.Path", NS, poses_length=5)
    path.poses = [stamped("geometry_msgs.PoseStamped", i * NS) for i in range(5)]
    lines = summarize(path, max_items=2).splitlines()
    assert lines.count("  - header:") == 2
    assert lines[-1] == "  ... 5 items"


def test_a_summary_shortens_long_strings_and_keeps_them_on_a_line():
    text = summarize(message_class("std_msgs.String")("<robot>\n" * 1000))
    assert text.count("\n") == 0
    assert text.startswith('data: "<robot>\\n')
    assert text.endswith("... 8000 characters")
    assert len(text) < 400


def test_a_message_without_fields_is_an_empty_mapping():
    assert to_plain(message_class("std_msgs.Empty")()) == {}
    assert summarize(message_class("std_msgs.Empty")()) == "{}"
    assert summarize(message_class("std_msgs.Bool")(True)) == "data: true"

"""Recordings for the tests of tables: messages of many shapes, with poses, tags and markers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from dimos_record import RecordReplay
from dimos_record.messages import message_class
from tests.messages.samples import NS, stamped

T0 = 1_700_000_000 * NS + 123_456_789
STEP_NS = 100_000_001


def odometry(i: int) -> Any:
    """A robot that drives 0.1 m along x per message; the last covariance counts messages."""
    message = stamped("nav_msgs.Odometry", T0 + i * STEP_NS - 7, child_frame_id="base_link")
    pose = message_class("geometry_msgs.Pose")
    point, turn = message_class("geometry_msgs.Point"), message_class("geometry_msgs.Quaternion")
    message.pose = message_class("geometry_msgs.PoseWithCovariance")(
        pose=pose(position=point(x=i / 10, y=-0.1, z=1e-300), orientation=turn(w=1.0)),
        covariance=[0.0] * 35 + [float(i)],
    )
    return message


def scan(i: int) -> Any:
    """Ranges of all the kinds of numbers that there are."""
    ranges = [0.1, math.inf, -math.inf, math.nan, float(i)]
    return stamped("sensor_msgs.LaserScan", T0, ranges_length=5, ranges=ranges)


def image(i: int) -> Any:
    """Four bytes of a picture."""
    return stamped(
        "sensor_msgs.Image",
        T0,
        width=2,
        height=2,
        encoding="mono8",
        data_length=4,
        data=b"abc%d" % i,
    )


def write_shapes(path: Path, messages: int = 20) -> Path:
    """`/odom` with poses and tags on some, `/scan`, `/camera`, `/strange`, `/bytes`, markers."""
    with RecordReplay(path) as rec:
        streams = {
            "odom": rec.stream("odom", type_name="nav_msgs.Odometry"),
            "scan": rec.stream("scan", type_name="sensor_msgs.LaserScan"),
            "camera": rec.stream("camera", type_name="sensor_msgs.Image"),
            "strange": rec.stream("strange", type_name="acme_msgs.Gripper"),
            "bytes": rec.stream("bytes"),
        }
        for i in range(messages):
            ts_ns = T0 + i * STEP_NS
            more = (
                {"pose": (i / 3, 2.0, 0.0), "tags": {"lap": i, "why": 'a "b", c'}} if i % 2 else {}
            )
            streams["odom"].append(odometry(i), ts_ns=ts_ns, **more)
            if i % 5 == 0:
                streams["scan"].append(scan(i), ts_ns=ts_ns)
                streams["camera"].append(image(i % 10), ts_ns=ts_ns)
                streams["strange"].append(b"12345678%d" % i, ts_ns=ts_ns)
                streams["bytes"].append(bytes([i, 0, 255]), ts_ns=ts_ns)
        rec.add_marker(0.5, "fall", until=0.9)
        rec.add_marker(1.2, "end", data={"by": "hand"})
    return path

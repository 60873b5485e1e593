"""The demo robot on a bus: counts, numbering, stamps, and what happens when it is late."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading

import pytest

from dimos_record.bus.base import Selection, split_channel
from dimos_record.demo_robot import DemoRobot, run, topics
from dimos_record.errors import OptionError

pytestmark = pytest.mark.once

NO_CAMERA = Selection.of(exclude=["/camera/*"])


def decode(channel: str, data: bytes):
    package, _, name = split_channel(channel)[1].partition(".")
    module = importlib.import_module(f"dimos_lcm.{package}")
    return getattr(module, name).lcm_decode(data)


def headers(message):
    if hasattr(message, "transforms"):
        return [transform.header for transform in message.transforms]
    return [message.header] if hasattr(message, "header") else []


def test_two_seconds_hold_every_message_that_is_due(bus, clock):
    published = run(bus, duration_s=2.0, clock=clock)
    assert published == bus.counts()
    assert published == {
        "/tf_static#tf2_msgs.TFMessage": 2,
        "/map#nav_msgs.OccupancyGrid": 1,
        "/camera/camera_info#sensor_msgs.CameraInfo": 2,
        "/cmd_vel#geometry_msgs.Twist": 40,
        "/imu#sensor_msgs.Imu": 400,
        "/odom#nav_msgs.Odometry": 100,
        "/tf#tf2_msgs.TFMessage": 100,
        "/joint_states#sensor_msgs.JointState": 100,
        "/lidar#sensor_msgs.PointCloud2": 20,
        "/camera/image#sensor_msgs.Image": 30,
    }


def test_topics_lists_exactly_what_is_published(bus, clock):
    assert {topic.channel for topic in topics()} == set(run(bus, duration_s=0.1, clock=clock))


def test_every_message_decodes_and_is_numbered_and_stamped(bus, clock):
    start_ns = clock.time_ns()
    run(bus, duration_s=1.0, clock=clock, verify=True)
    rates = {topic.channel: topic.rate_hz for topic in topics()}
    seen: dict[str, int] = {}
    for channel, data in bus.messages:
        message = decode(channel, data)
        seq = seen.get(channel, 0)
        seen[channel] = seq + 1
        for header in headers(message):
            assert header.seq == seq
            stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nsec
            if channel.startswith("/tf_static"):
                assert stamp_ns == start_ns
            else:
                assert stamp_ns == start_ns + round(seq * 1e9 / rates[channel])


def test_pictures_and_clouds_have_the_promised_shape(bus, clock):
    run(bus, duration_s=0.05, clock=clock)
    image = decode("/camera/image#sensor_msgs.Image", bus.on("/camera/image")[0])
    assert (image.width, image.height, image.encoding, image.step) == (640, 480, "rgb8", 1920)
    assert len(image.data) == image.data_length == 640 * 480 * 3
    cloud = decode("/lidar#sensor_msgs.PointCloud2", bus.on("/lidar")[0])
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"]
    assert 5_000 <= cloud.width * cloud.height <= 20_000
    assert len(cloud.data) == cloud.row_step == cloud.width * cloud.point_step


def test_static_transforms_come_as_two_messages_and_again_after_five_seconds(bus, clock):
    run(bus, duration_s=5.1, clock=clock, selection=Selection.of(["/tf_static", "/map"]))
    messages = [
        decode("/tf_static#tf2_msgs.TFMessage", data).transforms for data in bus.on("/tf_static")
    ]
    children = [{transform.child_frame_id for transform in message} for message in messages]
    assert len(children) == 4
    assert children[:2] == children[2:]
    assert children[0].isdisjoint(children[1])
    assert children[0] | children[1] >= {"camera_link", "lidar_link", "imu_link"}
    assert len(bus.on("/map")) == 2


def test_same_seed_same_bytes_even_with_fewer_topics(bus, clock):
    again, without_camera = type(bus)(), type(bus)()
    run(bus, duration_s=0.5, clock=clock)
    run(again, duration_s=0.5, clock=type(clock)())
    run(without_camera, duration_s=0.5, clock=type(clock)(), selection=NO_CAMERA)
    assert bus.messages == again.messages
    assert without_camera.messages == [
        (channel, data) for channel, data in bus.messages if not channel.startswith("/camera")
    ]


def test_another_seed_gives_other_noise_on_the_same_way(bus, clock):
    other = type(bus)()
    run(bus, duration_s=0.2, clock=clock, robot=DemoRobot(seed=1))
    run(other, duration_s=0.2, clock=type(clock)(), robot=DemoRobot(seed=2))
    assert bus.on("/odom") == other.on("/odom")
    for topic in ("/imu", "/lidar", "/camera/image"):
        assert bus.on(topic) != other.on(topic)


def test_a_slow_computer_loses_pictures_but_no_imu_message(bus, clock):
    """Each picture takes a second to send: most pictures are too old by then."""
    bus.on_publish = lambda channel: clock.advance(1.0 if "/camera/image" in channel else 0.0)
    reports = []
    published = run(bus, duration_s=3.0, clock=clock, on_progress=reports.append)
    image, imu = "/camera/image#sensor_msgs.Image", "/imu#sensor_msgs.Imu"
    assert published[imu] == 600
    assert 0 < published[image] < 45
    assert reports[-1].skipped == {image: 45 - published[image]}
    assert reports[-1].published == published
    assert reports[-1].bytes == sum(len(data) for _, data in bus.messages)
    numbers = [decode(image, data).header.seq for data in bus.on("/camera/image")]
    assert numbers == list(range(len(numbers)))


def test_left_out_pictures_are_logged(bus, clock, caplog):
    bus.on_publish = lambda channel: clock.advance(1.0 if "/camera/image" in channel else 0.0)
    run(bus, duration_s=1.0, clock=clock)
    assert "left out" in caplog.text


def test_rates_can_be_changed(bus, clock):
    run(bus, duration_s=1.0, clock=clock, rates={"/imu": 100, "/map": 2}, camera_hz=30)
    counts = bus.counts()
    assert counts["/imu#sensor_msgs.Imu"] == 100
    assert counts["/map#nav_msgs.OccupancyGrid"] == 2
    assert counts["/camera/image#sensor_msgs.Image"] == 30


def test_topics_can_be_excluded(bus, clock):
    published = run(bus, duration_s=0.5, clock=clock, selection=NO_CAMERA)
    assert "/imu#sensor_msgs.Imu" in published
    assert not [channel for channel in {**published, **bus.counts()} if "camera" in channel]


def test_stop_ends_it(bus, clock):
    stop = threading.Event()
    bus.on_publish = lambda channel: stop.set() if len(bus.messages) >= 50 else None
    published = run(bus, stop=stop, clock=clock, selection=NO_CAMERA)
    assert sum(published.values()) == 50


def test_progress_comes_every_second_and_at_the_end(bus, clock):
    reports = []
    run(bus, duration_s=3.5, clock=clock, on_progress=reports.append, selection=NO_CAMERA)
    assert [int(report.elapsed_s) for report in reports] == [1, 2, 3, 3]
    assert reports[-1].published == bus.counts()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rates": {"/radar": 1.0}}, "no topic '/radar'"),
        ({"rates": {"/imu": 0.0}}, "/imu is out of range"),
        ({"camera_hz": 31.0}, "/camera/image is out of range"),
        ({"camera_hz": float("nan")}, "/camera/image is out of range"),
        ({"duration_s": 0.0}, "duration of 0.0 s"),
        ({"selection": Selection.of(["/radar"])}, "leaves no topic"),
    ],
)
def test_an_impossible_option_is_refused_by_name(bus, clock, options, complaint):
    with pytest.raises(OptionError, match=complaint):
        run(bus, clock=clock, **{"duration_s": 1.0, **options})
    assert bus.messages == []


def test_listing_topics_imports_nothing_heavy():
    code = (
        "import sys; from dimos_record.demo_robot import topics; topics(); "
        "print([name for name in ('numpy', 'dimos_lcm', 'lcm') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.stdout.strip() == "[]", output.stderr

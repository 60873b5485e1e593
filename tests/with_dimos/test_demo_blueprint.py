"""The demo robot as real dimos modules, run by the real coordinator."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.coordination.module_coordinator import ModuleCoordinator, resolve_module_refs
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from dimos.msgs.sensor_msgs.CameraInfo import CameraInfo
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from dimos_record.blueprints.demo_robot import demo_robot, demo_robot_recorded
from dimos_record.blueprints.driver import DemoDriver
from dimos_record.blueprints.follower import DemoFollower
from dimos_record.blueprints.numbered import message_number
from dimos_record.bus import Bus, default_url, open_bus, split_channel
from dimos_record.demo_robot.lidar import HEIGHT_M
from dimos_record.demo_robot.room import demo_world
from dimos_record.integrations.dimos import recorded_by_default
from dimos_record.integrations.dimos.record_module import RecordModule
from dimos_record.testing import Collector
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.dimos

NUMBERED = ("/odom", "/imu", "/lidar", "/color_image", "/camera_info")
ODOM = "/odom#geometry_msgs.PoseStamped"
COSTMAP = "/costmap#nav_msgs.OccupancyGrid"
OTHER_ODOM = "/robot2/odom#geometry_msgs.PoseStamped"
OTHER_COMMANDS = "/robot2/cmd_vel#geometry_msgs.Twist"


class Running(NamedTuple):
    """The demo robot, and beside it `robot2`: a driver that nobody steers."""

    coordinator: ModuleCoordinator
    bus: Bus
    heard: Collector
    """It was there before the robots."""
    marker: Path

    def messages(self, channel: str) -> list[bytes]:
        """What was published on a channel so far."""
        return [data for found, data in self.heard.messages if found == channel]

    def last(self, channel: str, cls: Any) -> Any:
        """The newest message of a channel, decoded."""
        wait_until(lambda: self.messages(channel))
        return cls.lcm_decode(self.messages(channel)[-1])


@pytest.fixture(scope="module")
def robots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    marker = tmp_path_factory.mktemp("driver") / "port"
    blueprint = autoconnect(
        demo_robot,
        DemoDriver.blueprint(marker=str(marker)),
        DemoDriver.blueprint(picture_width=160).namespace("robot2"),
    ).global_config(transport="lcm", viewer="none")
    with open_bus(default_url()) as bus, Collector(bus, exclude=["/rpc/*"]) as heard:
        coordinator = ModuleCoordinator.build(blueprint)
        try:
            yield Running(coordinator, bus, heard, marker)
        finally:
            coordinator.stop()


def test_the_first_message_of_every_stream_is_number_1_and_none_is_missing(
    robots: Running,
) -> None:
    wait_until(lambda: len(robots.messages(ODOM)) > 50)
    numbers: dict[str, list[int]] = {}
    for channel, data in robots.heard.messages:
        topic, type_name = split_channel(channel)
        if topic in NUMBERED:
            numbers.setdefault(topic, []).append(message_number(str(type_name), data))
    assert numbers.keys() == set(NUMBERED)
    for topic, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), topic


def test_the_follower_drives_the_robot_through_the_room_without_bumping(robots: Running) -> None:
    start = PoseStamped.lcm_decode(robots.messages(ODOM)[0])

    def way_m() -> float:
        here = robots.last(ODOM, PoseStamped)
        return math.hypot(here.x - start.x, here.y - start.y)

    wait_until(lambda: way_m() > 2.0)
    poses = [PoseStamped.lcm_decode(data) for data in robots.messages(ODOM)]
    positions = np.array([(pose.x, pose.y) for pose in poses])
    world = demo_world()
    assert world.is_free(positions).all()
    assert world.clearance_m(positions).min() > 0.3
    assert Twist.lcm_decode(robots.messages("/cmd_vel#geometry_msgs.Twist")[-1]).linear.x > 0.1


def test_the_costmap_shows_walls_where_the_room_has_them(robots: Running) -> None:
    wait_until(lambda: len(robots.messages(COSTMAP)) >= 6)
    costmap = robots.last(COSTMAP, OccupancyGrid)
    assert costmap.frame_id == "world"
    origin = (costmap.origin.position.x, costmap.origin.position.y)
    rows, columns = np.nonzero(costmap.grid == 100)
    cells = np.column_stack([columns, rows])
    in_the_way = np.array(origin) + costmap.resolution * (cells + 0.5)
    world = demo_world()
    assert len(in_the_way) > 500
    on_the_floor = in_the_way[world.is_free(in_the_way)]
    assert (world.clearance_m(on_the_floor) < 0.1).mean() > 0.98
    south = costmap.grid[:, int((1.0 - origin[0]) / costmap.resolution)]
    assert (south[:12] == 100).any()  # the wall at y = 0
    assert costmap.free_cells > 4000


def test_the_scan_lies_on_the_floor_and_walls_and_the_picture_fits_the_camera_info(
    robots: Running,
) -> None:
    cloud = robots.last("/lidar#sensor_msgs.PointCloud2", PointCloud2)
    points, _ = cloud.as_numpy()
    assert len(points) == 16 * 360
    assert points[:, 2].min() == pytest.approx(-HEIGHT_M, abs=0.1)
    picture = robots.last("/color_image#sensor_msgs.Image", Image)
    info = robots.last("/camera_info#sensor_msgs.CameraInfo", CameraInfo)
    assert (picture.width, picture.height) == (info.width, info.height) == (320, 240)
    assert picture.data.std() > 10
    other = robots.last("/robot2/color_image#sensor_msgs.Image", Image)
    assert (other.width, other.height) == (160, 120)


def test_references_reach_the_driver_and_the_mapper(robots: Running) -> None:
    follower = robots.coordinator.get_instance(DemoFollower)
    wait_until(lambda: follower.status().mapped_m2 is not None)
    status = follower.status()
    assert status.mapped_m2 > 10
    assert 0.9 < status.battery_level < 1.0
    assert status.minutes_left == pytest.approx(120 * status.battery_level, abs=0.5)


def test_a_driver_obeys_cmd_vel_and_stops_when_commands_cease(robots: Running) -> None:
    def speed() -> float:
        last, here = (PoseStamped.lcm_decode(data) for data in robots.messages(OTHER_ODOM)[-2:])
        return math.hypot(here.x - last.x, here.y - last.y) / (here.ts - last.ts)

    wait_until(lambda: len(robots.messages(OTHER_ODOM)) > 2)
    assert speed() == 0.0
    # In a circle, where nothing but the end of the commands can stop it.
    command = Twist(Vector3(0.15, 0.0, 0.0), Vector3(0.0, 0.0, 0.6)).lcm_encode()

    def is_driving() -> bool:
        robots.bus.publish(OTHER_COMMANDS, command)
        return speed() == pytest.approx(0.15, abs=0.01)

    wait_until(is_driving)
    wait_until(lambda: speed() == 0.0)


def test_the_frames_of_a_robot_in_a_namespace_are_its_own_and_the_world_is_shared(
    robots: Running,
) -> None:
    tree = robots.last("/robot2/tf#tf2_msgs.TFMessage", TFMessage)
    frames = {transform.child_frame_id: transform.frame_id for transform in tree}
    assert frames == {
        "robot2/base_link": "world",
        "robot2/lidar_link": "robot2/base_link",
        "robot2/imu_link": "robot2/base_link",
        "robot2/camera_link": "robot2/base_link",
        "robot2/camera_optical": "robot2/camera_link",
    }
    cloud = robots.last("/robot2/lidar#sensor_msgs.PointCloud2", PointCloud2)
    assert cloud.frame_id == "robot2/lidar_link"


def test_in_a_fleet_every_follower_has_its_own_robot() -> None:
    fleet = autoconnect(demo_robot.namespace("robot1"), demo_robot.namespace("robot2"))
    assert resolve_module_refs(pickle.loads(pickle.dumps(fleet))) == {
        (f"{robot}/demofollower", reference): f"{robot}/{module}"
        for robot in ("robot1", "robot2")
        for reference, module in (("battery", "demodriver"), ("mapper", "demomapper"))
    }


def test_the_driver_is_what_is_worth_recording_in_a_fleet_too() -> None:
    assert recorded_by_default(demo_robot) == ("demodriver",)
    assert recorded_by_default(demo_robot.namespace("robot1")) == ("robot1/demodriver",)
    (recorder,) = (atom for atom in demo_robot_recorded.blueprints if atom.module is RecordModule)
    recorded = {port.name for port in recorder.streams}
    assert recorded == {"odom", "tf", "imu", "lidar", "color_image", "camera_info"}


def test_the_marker_is_there_as_long_as_the_driver_runs(robots: Running) -> None:
    """It comes last, since it stops the robots."""
    worker = int(robots.marker.read_text())
    assert worker != os.getpid()
    os.kill(worker, 0)
    robots.coordinator.stop()
    assert not robots.marker.exists()

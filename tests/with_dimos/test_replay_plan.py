"""The plan of a replay: who is replaced, who runs, and what that means. Nothing is started here."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import pytest
from dimos.core.coordination.blueprints import Blueprint, autoconnect
from dimos.core.module import Module
from dimos.core.stream import IO, In, Out
from dimos.core.transport import LCMTransport
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.nav_msgs.OccupancyGrid import OccupancyGrid
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage
from dimos.spec.utils import Spec

from dimos_record import RecordReplay
from dimos_record.errors import OptionError, PlanError, PublisherConflict, RecordingNotFound
from dimos_record.integrations.dimos.planning import replay_plan
from tests.with_dimos import vendor

pytestmark = pytest.mark.dimos

ODOM = "/odom#geometry_msgs.PoseStamped"
LIDAR = "/lidar#sensor_msgs.PointCloud2"
COSTMAP = "/costmap#nav_msgs.OccupancyGrid"
CMD_VEL = "/cmd_vel#geometry_msgs.Twist"
TF = "/tf#tf2_msgs.TFMessage"
EVERYTHING = (ODOM, LIDAR, COSTMAP, CMD_VEL, TF)


class Battery(Spec, Protocol):
    def level(self) -> float: ...


class Driver(Module):
    odom: Out[PoseStamped]
    lidar: Out[PointCloud2]
    tf: IO[TFMessage]
    cmd_vel: In[Twist]


class Mapper(Module):
    odom: In[PoseStamped]
    lidar: In[PointCloud2]
    costmap: Out[OccupancyGrid]
    tf: Out[TFMessage]


class Follower(Module):
    costmap: In[OccupancyGrid]
    odom: In[PoseStamped]
    cmd_vel: Out[Twist]


class Camera(Module):
    picture: Out[Image]
    depth: Out[Image]


class SecondCamera(Module):
    picture: Out[Image]


class Joystick(Module):
    cmd_vel: Out[Twist]


class Display(Module):
    picture: In[Image]
    caption: In[dict]


ROBOT = autoconnect(Driver.blueprint(), Mapper.blueprint(), Follower.blueprint()).global_config(
    transport="lcm"
)


def recorded(path: Path, *channels: str) -> str:
    path.mkdir(exist_ok=True)
    with RecordReplay(path / "walk.db") as rec:
        for i, channel in enumerate(channels):
            topic, _, type_name = channel.partition("#")
            stream = rec.stream(
                topic.strip("/").replace("/", "__"), topic=topic, type_name=type_name or None
            )
            stream.append(b"message", ts_ns=(i + 1) * 10**9)
    return str(path / "walk.db")


def test_a_module_with_a_recorded_output_is_replaced_and_the_others_run(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, ODOM, LIDAR))
    plan.check()
    assert plan.replaced == {"driver": ("/odom", "/lidar")}
    assert plan.running == ("mapper", "follower")
    assert {s.topic: s.listeners for s in plan.streams} == {
        "/odom": ("mapper", "follower"),
        "/lidar": ("mapper",),
    }
    assert plan.without_source == {}
    assert plan.partly == {}


def test_a_recorded_input_replaces_nobody(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, ODOM, LIDAR, CMD_VEL), only="Driver")
    assert plan.replaced.keys() == {"driver"}
    assert plan.left_out == {"/cmd_vel": "not chosen"}


def test_a_command_without_a_sender_in_the_blueprint_is_not_replayed_unasked(
    tmp_path: Path,
) -> None:
    walk = recorded(tmp_path, ODOM, CMD_VEL)
    blueprint = autoconnect(Driver.blueprint(), Mapper.blueprint())
    plan = replay_plan(blueprint, walk)
    assert "name it in only" in plan.left_out["/cmd_vel"]
    asked = replay_plan(blueprint, walk, only="/cmd_vel")
    assert [stream.topic for stream in asked.streams] == ["/cmd_vel"]
    assert asked.running == ("driver", "mapper")
    asked.check()


def test_transforms_come_from_many_and_replace_nobody(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, ODOM, TF))
    assert plan.replaced.keys() == {"driver"}
    assert plan.also_live == {"/tf": ("mapper",)}
    plan.check()


def test_transforms_of_modules_that_all_run_are_not_replayed(tmp_path: Path) -> None:
    walk = recorded(tmp_path, *EVERYTHING)
    plan = replay_plan(ROBOT, walk, keep=[Driver, Mapper])
    assert plan.replaced.keys() == {"follower"}
    assert plan.left_out["/tf"] == "driver, mapper run"
    asked = replay_plan(ROBOT, walk, only=["/tf", Follower])
    assert "/tf" in [stream.topic for stream in asked.streams]


def test_a_module_that_is_partly_recorded_loses_its_other_outputs(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, ODOM))
    assert plan.partly == {"driver": ("/lidar",)}
    assert plan.without_source == {"/lidar": ("mapper",)}
    assert plan.never_had_source == frozenset()
    assert "Driver  /lidar" in plan.text()


def test_inputs_that_never_had_a_source_are_told_apart(tmp_path: Path) -> None:
    blueprint = autoconnect(Camera.blueprint(), Display.blueprint())
    plan = replay_plan(blueprint, recorded(tmp_path, "/picture#sensor_msgs.Image"))
    assert plan.without_source == {"/caption": ("display",)}
    assert plan.never_had_source == {"/caption"}


def test_a_full_recording_leaves_nothing_and_the_plan_proposes_what_does(tmp_path: Path) -> None:
    walk = recorded(tmp_path, *EVERYTHING)
    full = replay_plan(ROBOT, walk)
    assert full.running == ()
    assert full.proposal == ("Driver",)
    assert "--replay-only Driver" in full.text()
    assert replay_plan(ROBOT, walk, only="*").proposal == ("Driver",)
    proposed = replay_plan(ROBOT, walk, only=full.proposal)
    proposed.check()
    assert proposed.replaced.keys() == {"driver"}
    assert proposed.running == ("mapper", "follower")
    assert proposed.without_source == {}
    assert proposed.proposal == ()


@pytest.mark.parametrize("choice", [Driver, "Driver", "driver", Driver.blueprint()])
def test_modules_are_chosen_by_class_name_instance_or_blueprint(
    tmp_path: Path, choice: Any
) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, *EVERYTHING), only=choice)
    assert plan.replaced.keys() == {"driver"}
    assert {s.topic for s in plan.streams} == {"/odom", "/lidar", "/tf"}


def test_topics_are_chosen_by_pattern(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, *EVERYTHING), only=["/lid*"])
    assert [s.topic for s in plan.streams] == ["/lidar"]
    assert plan.partly == {"driver": ("/odom",)}


def test_what_is_kept_runs_and_is_not_replayed(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, *EVERYTHING), keep=[Mapper, "Follower"])
    assert plan.replaced.keys() == {"driver"}
    assert plan.left_out == {"/costmap": "mapper runs", "/cmd_vel": "follower runs"}
    by_topic = replay_plan(ROBOT, recorded(tmp_path / "b", *EVERYTHING), keep="/lidar")
    assert by_topic.left_out == {"/lidar": "left out by choice"}
    assert by_topic.partly == {"driver": ("/lidar",)}


def test_a_module_can_be_disabled_although_it_is_not_recorded(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, ODOM, LIDAR), disable="Follower")
    assert plan.disabled == ("follower",)
    assert plan.running == ("mapper",)


def test_what_a_disabled_module_would_publish_is_replayed(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT.disabled_modules(Driver), recorded(tmp_path, ODOM, LIDAR))
    assert plan.replaced.keys() == {"driver"}
    assert {s.topic for s in plan.streams} == {"/odom", "/lidar"}


def test_a_second_publisher_is_an_error_unless_the_blueprint_has_two_already(
    tmp_path: Path,
) -> None:
    picture = "/picture#sensor_msgs.Image"
    cameras = autoconnect(Camera.blueprint(), SecondCamera.blueprint())
    walk = recorded(tmp_path, picture)
    doubled = replay_plan(cameras, walk, only=Camera)
    assert doubled.running == ("secondcamera",)
    doubled.check()
    conflict = replay_plan(cameras, walk, only="/picture", keep=[Camera, SecondCamera])
    with pytest.raises(PublisherConflict, match=r"second publisher of /picture \(camera, second"):
        conflict.check()


class ReplayOfBefore(Driver):
    """Stands for the module that an earlier `.replay()` has put into the blueprint."""


def test_two_replays_of_one_topic_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplayOfBefore, "__module__", "dimos_record.integrations.dimos.any")
    replayed = autoconnect(ROBOT.disabled_modules(Driver), ReplayOfBefore.blueprint())
    plan = replay_plan(replayed, recorded(tmp_path, ODOM))
    with pytest.raises(PublisherConflict, match=r"/odom \(replayofbefore\)"):
        plan.check()


def test_types_that_differ_are_refused(tmp_path: Path) -> None:
    plan = replay_plan(ROBOT, recorded(tmp_path, "/odom#nav_msgs.Odometry"))
    with pytest.raises(PlanError, match=r"/odom was recorded as nav_msgs.Odometry and driver decl"):
        plan.check()


def test_a_blueprint_without_a_recorded_stream_is_refused(tmp_path: Path) -> None:
    plan = replay_plan(Display.blueprint(), recorded(tmp_path, ODOM))
    with pytest.raises(PlanError, match=r"no stream to replay.*/odom: not in this blueprint"):
        plan.check()


def test_topics_are_matched_through_remappings_namespaces_and_pinned_transports(
    tmp_path: Path,
) -> None:
    pose = {("robot1/base", PoseStamped): LCMTransport("/base/pose", PoseStamped)}
    blueprint = (
        Driver.blueprint()
        .remappings([(Driver, "odom", "base"), (Driver, "lidar", "scan")])
        .namespace("robot1")
        .transports(pose)
    )
    walk = recorded(
        tmp_path, "/base/pose#geometry_msgs.PoseStamped", "/robot1/scan#sensor_msgs.PointCloud2"
    )
    plan = replay_plan(blueprint, walk)
    assert {s.name: s.topic for s in plan.streams} == {
        "robot1/base": "/base/pose",
        "robot1/scan": "/robot1/scan",
    }
    by_name = replay_plan(blueprint, recorded(tmp_path / "b", "/robot1/base#" + ODOM[6:]))
    assert by_name.replaced == {"robot1/driver": ("/base/pose",)}


def test_of_a_fleet_only_the_recorded_robot_is_replaced(tmp_path: Path) -> None:
    fleet = autoconnect(ROBOT.namespace("robot1"), ROBOT.namespace("robot2"))
    walk = recorded(tmp_path, "/robot1" + ODOM, "/robot1" + LIDAR, "/robot2" + ODOM)
    plan = replay_plan(fleet, walk, only="robot1")
    assert plan.replaced.keys() == {"robot1/driver"}
    assert set(plan.running) == {
        "robot1/mapper", "robot1/follower", "robot2/driver", "robot2/mapper", "robot2/follower"
    }  # fmt: skip
    assert "Driver (robot1/driver)  /robot1/odom /robot1/lidar" in plan.text()


def test_the_recording_names_the_modules_that_it_was_made_for(tmp_path: Path) -> None:
    walk = recorded(tmp_path, *EVERYTHING)
    with sqlite3.connect(walk) as connection:
        meta = json.dumps({"default_modules": ["driver"]})
        connection.execute(
            "INSERT INTO _dr_sessions (start_ns, state, meta) VALUES (1, 'finished', ?)",
            (meta,),
        )
    plan = replay_plan(ROBOT, walk)
    assert plan.chosen_by_recording == ("driver",)
    assert plan.running == ("mapper", "follower")
    assert replay_plan(ROBOT, walk, only=[Mapper]).replaced.keys() == {"mapper"}
    assert replay_plan(ROBOT, walk, keep=Driver).replaced.keys() == {"mapper", "follower"}


def test_a_view_chooses_and_renames_what_is_replayed(tmp_path: Path) -> None:
    with RecordReplay(recorded(tmp_path, "/pose#geometry_msgs.PoseStamped", LIDAR)) as rec:
        plan = replay_plan(ROBOT, rec.select("/pose").remap({"/pose": "/odom"}))
        assert [(s.stream.topic, s.topic) for s in plan.streams] == [("/pose", "/odom")]
        assert replay_plan(ROBOT, rec).replaced == {"driver": ("/lidar",)}


def test_what_nobody_listens_to_is_named(tmp_path: Path) -> None:
    plan = replay_plan(Camera.blueprint(), recorded(tmp_path, "/picture#sensor_msgs.Image"))
    assert plan.unused == ("/picture",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "Drivr"}, "only=Drivr is neither a module nor a topic of this blueprint; mod"),
        ({"disable": "/odom"}, "disable=/odom is no module of this blueprint; modules are Driver"),
        ({"only": Driver, "keep": "driver"}, "keep contradicts another choice for driver"),
        ({"keep": Camera}, "keep=Camera is neither"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        replay_plan(ROBOT, recorded(tmp_path, ODOM), **options)


def test_a_recording_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFound, match=r"nowhere\.db"):
        replay_plan(ROBOT, tmp_path / "nowhere.db")


def test_planning_leaves_the_blueprint_and_the_configuration_alone(tmp_path: Path) -> None:
    from dimos.core.global_config import global_config

    before = global_config.transport
    replay_plan(ROBOT, recorded(tmp_path, ODOM))
    assert global_config.transport == before
    assert ROBOT.disabled_modules_tuple == ()


def test_the_plan_for_dimos_own_go2_replaces_the_connection_to_the_robot(tmp_path: Path) -> None:
    go2: Blueprint = vendor.blueprint("unitree-go2")
    channels = [
        f"{port.topic}#{port.type_name}"
        for port in vendor.ports(go2)
        if port.publishes and port.type_name
    ]
    walk = recorded(tmp_path, *dict.fromkeys(channels))
    plan = replay_plan(go2, walk)
    assert plan.proposal == ("GO2Connection",)
    assert "pgovoxelmapper" in plan.replaced
    proposed = replay_plan(go2, walk, only=plan.proposal)
    proposed.check()
    assert proposed.replaced.keys() == {"go2connection"}
    assert {"pgovoxelmapper", "costmapper", "replanningastarplanner"} <= set(proposed.running)
    assert all(len(line) <= 80 for line in proposed.text().splitlines()[1:])

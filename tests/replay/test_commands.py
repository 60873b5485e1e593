"""Commands stay on this machine unless somebody allows them to leave it."""

from __future__ import annotations

import math

import pytest

from dimos_record.bus import open_bus
from dimos_record.errors import CommandsRefused, PatternError
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.replay.commands import COMMAND_TOPICS, command_topics, is_command
from dimos_record.testing import Collector, free_lcm_url
from tests.replay.fakes import ListBus, recording, stream

CMD_VEL = stream("/cmd_vel#geometry_msgs.Twist")
GOAL = stream("/robot1/goal_request#geometry_msgs.PoseStamped")
ODOM = stream("/odom#geometry_msgs.PoseStamped")


class FarBus(ListBus):
    """A bus that other machines listen to."""

    reach = "a radio"
    is_local = False


def player(bus: ListBus, **options: object) -> Player:
    walk = recording([(0, ODOM, b"o"), (1, CMD_VEL, b"c"), (2, GOAL, b"g")])
    chosen = PlayOptions(speed=math.inf, check_conflicts=False, **options)  # type: ignore[arg-type]
    return Player(Timeline(walk), bus, chosen)


def play(bus: ListBus, **options: object) -> list[str]:
    """The topics that are published, in their order."""
    with player(bus, **options) as playing:
        playing.start()
        assert playing.wait(60)
    return [channel.partition("#")[0] for channel, _ in bus.published]


@pytest.mark.parametrize(
    "topic",
    [
        # inputs of dimos's drivers and controllers ...
        *("cmd_vel", "/cmd_vel", "/cmd_vel#geometry_msgs.Twist", "/robot1/cmd_vel", "/go2_cmd_vel"),
        *("/tele_cmd_vel", "/nav_cmd_vel", "/cmd_vel_stamped", "/fleet/robot1/tele_cmd_vel"),
        *("/joint_command", "/g1/motor_command", "/coordinator_joint_command", "/ee_twist_command"),
        *("/left_gripper_command", "/cartesian_command", "/position_command", "/operator_command"),
        *("/movecmd", "/movecmd_twist", "/gait_cmd", "/explore_cmd", "/lowcmd", "/cmd_raw"),
        *("/trajectory", "/joint_trajectory", "/path", "/planner_path", "/right_controller_output"),
        # ... planners, and those who drive them
        *("/goal", "/goal_request", "/goal_pose", "/gps_goal", "/cancel_goal", "/robot2/way_point"),
        *("/clicked_point", "/target", "/person_tracker/target", "/target_pose", "/teleop_buttons"),
        *("/stop_movement", "/estop", "/e_stop", "/emergency_stop", "/human_input"),
        *("/rpc/GO2Connection/standup/req", "rpc/x", "/dimos/rpc/Planner/set_goal"),
    ],
)
def test_what_moves_a_robot_is_a_command(topic: str) -> None:
    assert is_command(topic)


@pytest.mark.parametrize(
    "topic",
    [
        *("/odom", "/robot1/odom", "/lidar", "/imu", "/tf", "/tf_static", "/color_image", "/map"),
        *(
            "/camera/left/camera_info",
            "/depth_image",
            "/pointcloud",
            "/global_map",
            "/gps_location",
        ),
        *("/coordinator_joint_state", "/joint_states", "/g1/motor_states", "/state_estimation"),
        *("/global_costmap", "/detections", "/clock", "/robot_state", "/battery", "/command_ready"),
        *("/target_image", "/audio_in", "/camera/cmd/image", "/pathology", "/resource_stats"),
    ],
)
def test_what_a_sensor_says_is_not(topic: str) -> None:
    assert not is_command(topic)


def test_commands_are_refused_before_anything_leaves_the_machine() -> None:
    bus = FarBus()
    playing = player(bus)
    with pytest.raises(CommandsRefused) as refusal:
        playing.start()
    playing.close()
    assert bus.published == []
    sentence = str(refusal.value)
    for words in (
        *("list.db", "/cmd_vel, /robot1/goal_request,", "a radio", "--exclude", "--remap"),
        *("--bus", "ttl=0", "--allow-commands"),
    ):
        assert words in sentence
    assert "/odom" not in sentence
    assert refusal.value.exit_code == 8


def test_a_long_list_of_commands_is_cut() -> None:
    calls = [(i, stream(f"/rpc/call{i:02}"), b"") for i in range(13)]
    playing = Player(Timeline(recording(calls)), FarBus(), PlayOptions(check_conflicts=False))
    with pytest.raises(CommandsRefused, match=r"/rpc/call09 and 3 more, and a radio reaches"):
        playing.start()
    playing.close()


def test_allowed_commands_are_played_with_everything_else() -> None:
    everything = ["/odom", "/cmd_vel", "/robot1/goal_request"]
    assert play(FarBus(), allow_commands=True) == everything
    assert play(FarBus(), commands=()) == everything


def test_on_this_machine_nothing_is_refused() -> None:
    assert play(ListBus()) == ["/odom", "/cmd_vel", "/robot1/goal_request"]


def test_the_name_that_is_published_decides() -> None:
    away = {"/cmd_vel": "/recorded/velocity", "/robot1/goal_request": "/recorded/where"}
    assert play(FarBus(), remap=away) == ["/odom", "/recorded/velocity", "/recorded/where"]
    with pytest.raises(CommandsRefused, match="/replay/cmd_vel, /replay/robot1/goal_request, "):
        play(FarBus(), remap={"*": "/replay/*"})
    with pytest.raises(CommandsRefused, match="/goal, "):
        play(FarBus(), remap={**away, "/odom": "/goal"})


def test_the_list_of_commands_can_be_changed() -> None:
    with pytest.raises(CommandsRefused, match="on /odom, and"):
        play(FarBus(), commands=("odom",))
    with pytest.raises(CommandsRefused, match="on /odom, /robot1/goal_request, and"):
        play(FarBus(), commands=("*#geometry_msgs.PoseStamped",))
    with pytest.raises(PatternError, match="not closed"):
        PlayOptions(commands=("[",))


def test_an_environment_variable_replaces_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIMOS_RECORD_COMMAND_TOPICS", "/odom, /{a,b}/stop")
    assert command_topics() == ("/odom", "/{a,b}/stop")
    assert is_command("/b/stop")
    assert not is_command("/cmd_vel")
    with pytest.raises(CommandsRefused, match="on /odom, and"):
        play(FarBus())
    monkeypatch.setenv("DIMOS_RECORD_COMMAND_TOPICS", "")
    assert command_topics() == COMMAND_TOPICS
    monkeypatch.setenv("DIMOS_RECORD_COMMAND_TOPICS", "/odom,[")
    with pytest.raises(PatternError, match=r"DIMOS_RECORD_COMMAND_TOPICS: .* not closed"):
        play(FarBus())


def test_lcm_beyond_this_machine_is_refused_and_within_it_is_not() -> None:
    url = free_lcm_url()
    with open_bus(url) as near, Collector(near) as heard:
        with open_bus(url.replace("ttl=0", "ttl=1")) as far:
            assert (near.is_local, far.is_local) == (True, False)
            playing = player(far)  # type: ignore[arg-type]
            with pytest.raises(CommandsRefused, match="this network, ttl=1"):
                playing.start()
            playing.close()
        assert heard.subscription.catch_up(60)
        assert heard.messages == []
        with player(near) as playing:  # type: ignore[arg-type]
            playing.start()
            assert [data for _, data in heard.wait_for(3)] == [b"o", b"c", b"g"]

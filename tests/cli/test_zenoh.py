"""The commands on Zenoh, each in a process of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.cli.running import INTERRUPTED
from dimos_record.messages import encode
from dimos_record.testing import Collector, free_lcm_url, free_zenoh_url
from tests.cli.commands import Running, run
from tests.cli.samples import pose_at, write_robot

QUIET = ("--quiet", "--force", "--speed", "max")


@pytest.fixture
def url() -> str:
    return free_zenoh_url()


def record_while(url: str, path: Path, *publishing: str | Path) -> None:
    """Record what a command publishes, from before its start until it has ended."""
    with Running("record", path, "--bus", url, "--quiet") as recording:
        recording.wait_for("Recording to")
        done = run(*publishing, "--bus", url)
        assert done.returncode == 0, done.stderr
        assert recording.end(signal.SIGINT)[0] == 0
        assert "Nothing was" in recording.stderr


@pytest.mark.once
def test_a_demo_robot_recorded_on_zenoh_plays_the_same_on_zenoh_and_on_lcm(
    url: str, tmp_path: Path
) -> None:
    robot, on_zenoh, on_lcm = (tmp_path / name for name in ("robot.db", "zenoh.db", "lcm.db"))
    with Running("record", robot, "--bus", url, "--quiet") as recording:
        recording.wait_for("Recording to")
        done = run("demo-robot", "--bus", url, "--duration", "1s", "--quiet", "--json")
        assert recording.end(signal.SIGINT)[0] == 0
    published = json.loads(done.stdout)
    topics = json.loads(run("info", robot, "--json").stdout)["topics"]
    recorded = {f"{topic['topic']}#{topic['type']}": topic["messages"] for topic in topics}
    assert recorded == {channel: count for channel, count in published.items() if count}
    record_while(url, on_zenoh, "play", robot, "--quiet", "--force")
    record_while(free_lcm_url(), on_lcm, "play", on_zenoh, "--quiet", "--force")
    for copy in (on_zenoh, on_lcm):
        done = run("compare", robot, copy)
        assert done.returncode == 0, done.stdout


def test_the_first_message_of_a_replay_arrives_however_fast_it_is(url: str, tmp_path: Path) -> None:
    path = write_robot(tmp_path / "robot.db")
    with open_bus(url) as bus, Collector(bus, "/odom") as received:
        assert run("play", path, "--bus", url, *QUIET).returncode == 0
        expected = [encode(pose_at(i)) for i in range(50)]
        assert [data for _, data in received.wait_for(50)] == expected


def test_topics_and_echo_see_what_is_published_on_zenoh(url: str, tmp_path: Path) -> None:
    path = write_robot(tmp_path / "robot.db")
    with Running("play", path, "--bus", url, "--quiet", "--force", "--loop") as playing:
        playing.wait_for("Playing")
        listed = run("topics", "--bus", url, "--duration", "1s", "--json")
        echoed = run("echo", "/odom", "--bus", url, "-n", "1")
        code, _ = playing.end(signal.SIGINT)
    assert code in (0, INTERRUPTED)
    assert "/odom" in listed.stdout
    assert "geometry_msgs.PoseStamped" in echoed.stdout
    assert "frame_id" in echoed.stdout


def test_a_replay_refuses_what_somebody_publishes_on_zenoh(url: str, tmp_path: Path) -> None:
    path = write_robot(tmp_path / "robot.db")
    with Running("play", path, "--bus", url, "--quiet", "--force", "--loop") as playing:
        playing.wait_for("Playing")
        refused = run("play", path, "--bus", url, "--quiet")
        playing.end(signal.SIGINT)
    assert refused.returncode == 8
    assert "/odom" in refused.stderr


def test_what_zenoh_has_no_name_for_is_said_before_anything_is_played(
    url: str, tmp_path: Path
) -> None:
    path = write_robot(tmp_path / "robot.db")
    with open_bus(url) as bus, Collector(bus) as received:
        done = run("play", path, "--bus", url, *QUIET, "--remap", "/odom=/od$om")
        assert done.returncode == 7
        assert done.stderr.splitlines()[-1].startswith("error: '/od$om#")
        assert received.subscription.catch_up(10)
        assert received.messages == []


def test_a_recorder_that_is_killed_leaves_zenoh_to_the_others(url: str, tmp_path: Path) -> None:
    with open_bus(url) as bus:
        with Running("record", tmp_path / "killed.db", "--bus", url, "--quiet") as recording:
            recording.wait_for("Recording to")
            bus.publish("/odom", b"1")
            recording.process.kill()
        with Collector(bus) as received:
            bus.publish("/odom", b"2")
            assert received.wait_for(1) == [("/odom", b"2")]

"""A running robot from outside: modules, record --module, attach and detach, remote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from dimos_record import RecordReplay
from tests.with_dimos.cli_runs import ROBOT, Network
from tests.with_dimos.messages import pose
from tests.with_dimos.processes import DIMOS, Program, wait_until

pytestmark = pytest.mark.dimos

LOAD = """
from dimos_record.integrations.dimos.running import connected
from tests.with_dimos.modules import Wanderer
with connected() as robot:
    robot.load(Wanderer.blueprint())
"""


class Robot(NamedTuple):
    network: Network
    program: Program

    def modules(self) -> dict[str, dict[str, Any]]:
        """The streams of each running module, by port."""
        found = json.loads(self.network.run("modules", "--json").stdout)
        return {
            one["module"]: {stream["port"]: stream for stream in one["streams"]} for one in found
        }


@pytest.fixture(scope="module", params=["lcm", "zenoh"])
def robot(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Robot]:
    """The demo robot, recorded."""
    network = Network(tmp_path_factory.mktemp("robot"), request.param)
    with network.started("--record", "all.db", "--record-all", "run", ROBOT) as program:
        yield Robot(network, program)


def test_modules_shows_each_topic_with_its_rate(robot: Robot) -> None:
    wait_until(lambda: robot.modules()["DemoMapper"]["costmap"]["rate_hz"] > 0)
    modules = robot.modules()
    odom = modules["DemoDriver"]["odom"]
    assert odom["direction"] == "out"
    assert odom["topic"] == "/odom"
    assert odom["type"] == "geometry_msgs.PoseStamped"
    assert odom["channel"] == "/odom#geometry_msgs.PoseStamped"
    assert odom["bus"].startswith("zenoh:" if robot.network.transport == "zenoh" else "udpm:")
    assert odom["rate_hz"] > 0
    assert modules["DemoMapper"]["odom"]["direction"] == "in"
    assert modules["DemoDriver"]["tf"]["direction"] == "inout"


def test_modules_is_a_tree_for_people(robot: Robot) -> None:
    lines = robot.network.run("modules").stdout.splitlines()
    driver = lines.index("DemoDriver")
    assert lines[driver + 1].startswith("  in  /cmd_vel ")
    assert lines[driver + 2].startswith("  out /odom ")
    assert lines[driver + 2].endswith(" Hz")


def test_what_a_module_publishes_is_recorded_from_outside(robot: Robot) -> None:
    done = robot.network.run(
        "record", "out.db", "--module", "DemoFollower", "--module", "DemoMapper", "/imu",
        "--max-messages", "100", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with RecordReplay(robot.network.folder / "out.db") as rec:
        infos = rec.reader.streams.values()
        assert {one.topic: one.module for one in infos if one.topic != "/costmap"} == {
            "/cmd_vel": "DemoFollower",
            "/imu": None,
        }


@pytest.mark.parametrize("command", [["record"], ["attach"]])
def test_a_module_that_does_not_run_is_one_sentence_with_those_that_do(
    robot: Robot, command: list[str]
) -> None:
    done = robot.network.run(*command, "none.db", "--module", "Nobody")
    assert done.returncode == 7
    assert done.stderr.startswith("error: no module 'Nobody' is running; these are: ")
    assert "DemoDriver, DemoFollower" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (robot.network.folder / "none.db").exists()


def test_a_recorder_is_attached_and_its_file_finished_by_detach(robot: Robot) -> None:
    attached = robot.network.run("attach", "extra.db", "--module", "DemoMapper")
    assert attached.returncode == 0, attached.stderr
    path = robot.network.folder / "extra.db"
    assert attached.stdout == f"Recording 1 topic to {path}: /costmap\n"
    again = robot.network.run("attach", "more.db")
    assert again.returncode == 5
    assert again.stderr == (
        "error: a recorder is attached already; end it with: dimos-record detach\n"
    )
    wait_until(lambda: "AttachedRecorder" in robot.modules() and path.exists())
    wait_until(lambda: _messages(path) >= 2)

    detached = robot.network.run("detach", "--json")
    assert detached.returncode == 0, detached.stderr
    account = json.loads(detached.stdout)
    assert account["path"] == str(path)
    with RecordReplay(path) as rec:
        (session,) = rec.reader.sessions()
        assert (session.state, session.reason) == ("finished", "stopped")
        assert rec.reader.streams["costmap"].module == "DemoMapper"
        assert rec.streams.costmap.count() == account["streams"]["costmap"]["written"]
    assert not path.with_name("extra.db-wal").exists()
    assert "AttachedRecorder" not in robot.modules()
    missing = robot.network.run("detach")
    assert missing.returncode == 7
    assert missing.stderr.startswith("error: no recorder is attached; ")


def _messages(path: Any) -> int:
    with RecordReplay(path) as rec:
        return sum(rec.streams[name].count() for name in rec.reader.streams)


def test_attaching_to_an_existing_file_or_to_nothing_leaves_the_robot_alone(robot: Robot) -> None:
    (robot.network.folder / "there.db").write_bytes(b"")
    before = robot.modules().keys()
    existing = robot.network.run("attach", "there.db")
    assert existing.returncode == 3
    nothing = robot.network.run("attach", "none.db", "/nobody")
    assert nothing.returncode == 2
    assert nothing.stderr.startswith("error: nothing would be recorded: no topic is selected of ")
    assert robot.modules().keys() == before


def test_a_second_run_is_refused_before_it_disturbs_the_first(robot: Robot) -> None:
    received = _messages(robot.network.folder / "all.db")
    second = robot.network.run("--record", "second.db", "run", ROBOT)
    assert second.returncode == 8
    assert second.stderr.splitlines()[-1] == (
        f"error: a blueprint is running on {robot.network.transport} already; end it first with: "
        "dimos stop"
    )
    assert "Traceback" not in second.stdout
    assert not (robot.network.folder / "second.db").exists()
    wait_until(lambda: _messages(robot.network.folder / "all.db") > received)


def test_remote_without_a_replay_is_one_sentence(robot: Robot) -> None:
    done = robot.network.run("remote", "pause")
    assert done.returncode == 7
    assert done.stderr.startswith("error: no replay is running in the blueprint; ")


def test_a_module_that_is_loaded_later_is_recorded_from_its_first_message_on(robot: Robot) -> None:
    """The last test: it stops the robot, which finishes the recording."""
    subprocess.run([sys.executable, "-c", LOAD], env=robot.network.env, check=True, timeout=60)
    assert "Wanderer" in robot.modules()
    stopped = robot.network.run("stop", program=DIMOS)
    assert stopped.returncode == 0, stopped.stderr
    assert robot.program.process.wait(30) == 0
    with RecordReplay(robot.network.folder / "all.db") as rec:
        (session,) = rec.reader.sessions()
        assert session.state == "finished"
        assert sum(account.dropped for account in session.accounts.values()) == 0
        assert rec.streams.pose.first().raw == pose(0).lcm_encode()
        assert {"odom", "costmap", "cmd_vel", "tf"} <= rec.reader.streams.keys()


def test_where_nothing_runs_it_is_one_sentence(robot: Robot) -> None:
    done = robot.network.run("modules")
    assert done.returncode == 7
    used = robot.network.transport
    assert done.stderr.startswith(f"error: no running blueprint answers on {used}; start one with")
    assert done.stderr.count("\n") == 1

"""`dimos-record view`, and `play --rerun`: with Rerun's own program where it takes a viewer."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.messages import encode
from dimos_record.testing import free_lcm_url
from dimos_record.viewer import program
from tests.cli.commands import Running, run, until
from tests.cli.conftest import RunHere
from tests.cli.samples import pose_at, write_robot
from tests.viewer.rrd import SavingViewer, read_rrd

pytest.importorskip("rerun")

POSE = "geometry_msgs.PoseStamped"
SHOWN = ("/world/odom", "CoordinateFrame:frame")


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return write_robot(tmp_path / "robot.db")


def test_a_recording_is_shown_in_a_viewer_that_runs(robot: Path, tmp_path: Path) -> None:
    with SavingViewer(tmp_path / "a.rrd") as viewer:
        at = f"127.0.0.1:{viewer.port}"
        done = run("view", robot, "--connect", at, "--start", "1", "--end", "2")
        found = viewer.wait_for(*SHOWN, 10)
    assert done.returncode == 0, done.stderr
    assert f"Showing {robot} in the viewer at rerun+http://{at}/proxy" in done.stderr
    assert "Not shown: /bytes" not in done.stderr  # it is not in the section
    assert "11 messages are in the viewer" in done.stderr
    assert [one.times["position"] for one in found] == [10**9 + i * 10**8 for i in range(10)]


def test_a_recording_is_saved_for_the_viewer(robot: Path, run_here: RunHere) -> None:
    done = run_here("view", robot, "/odom", "--save", "robot.rrd", "--max-rate", "5")
    assert done.code == 0, done.err
    log = read_rrd(robot.with_name("robot.rrd"))
    assert len(log[SHOWN]) == 25
    assert "robot.rrd: 25 messages" in done.err
    assert not any(entity == "/world/scan" for entity, _ in log)
    again = run_here("view", robot, "--save", "robot.rrd")
    assert again.code == 3
    assert "--overwrite" in again.err


def test_what_cannot_be_shown_is_listed_once(robot: Path, run_here: RunHere) -> None:
    done = run_here("view", robot, "--save", "robot.rrd")
    assert [line for line in done.err.splitlines() if "Not shown" in line] == [
        "Not shown: /bytes: 1 message, nobody can show this type"
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name a recording to view, or say --live"),
        (("robot.db", "--bus", "memory://a"), "--bus says where --live listens"),
        (("--live", "--start", "1"), "--live shows the bus"),
        (("--live", "--save", "a.rrd"), "--live shows the bus"),
        (("robot.db", "--web", "--connect", "a"), "contradict each other"),
        (("robot.db", "--port", "80"), "--port is that of the page of --web"),
        (("robot.db", "--save", "a.rrd", "--preset", "above"), "there is no preset 'above'"),
        (("robot.db", "--save", "a.rrd", "--max-rate", "0"), "above 0"),
        (("robot.db", "--connect", "http://a"), "write HOST:PORT"),
        (("robot.db", "--web", "--memory", "much"), "--memory: 'much' is not a size"),
        (("robot.db", "--web", "--memory", "0%"), "--memory: '0%' is no share"),
        (("robot.db", "--save", "a.rrd", "--memory", "2GB"), "--memory is for a viewer that"),
        (("robot.db", "--save", "a.rrd", "--jpeg"), "--jpeg is for what is sent to a viewer"),
        (("robot.db", "--overwrite"), "--overwrite replaces the file of --save"),
    ],
)
def test_what_makes_no_sense_is_refused(
    robot: Path, run_here: RunHere, arguments: tuple[str, ...], sentence: str
) -> None:
    done = run_here("view", *arguments)
    assert done.code in (2, 7)
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert sentence in line
    assert not robot.with_name("a.rrd").exists()


def test_what_is_on_the_bus_is_shown_until_ctrl_c(tmp_path: Path) -> None:
    url = free_lcm_url()
    with SavingViewer(tmp_path / "a.rrd") as viewer:
        at = f"127.0.0.1:{viewer.port}"
        command = ("view", "--live", "/odom", "/grip", "--connect", at, "--bus", url)
        with Running(*command) as view, open_bus(url) as bus:
            view.wait_for("Nothing has arrived yet on LCM")
            for i in range(5):
                bus.publish(f"/odom#{POSE}", encode(pose_at(i)))
                bus.publish(f"/other#{POSE}", encode(pose_at(i)))
                bus.publish("/grip#acme_msgs.Gripper", b"1")
            found = viewer.wait_for(*SHOWN, 5)
            code, _ = view.end(signal.SIGINT)
    assert code == 0
    assert [one.times["message"] for one in found] == [1, 3, 5, 7, 9]
    assert "Not shown: /grip (acme_msgs.Gripper): 5 messages, nobody can show" in view.stderr
    assert "Shown 5 messages" in view.stderr


@pytest.mark.once
def test_when_the_viewer_is_closed_the_view_of_the_bus_ends(tmp_path: Path) -> None:
    with SavingViewer(tmp_path / "a.rrd") as viewer:
        at = f"127.0.0.1:{viewer.port}"
        view = Running("view", "--live", "--connect", at, "--bus", free_lcm_url())
        view.__enter__()
        view.wait_for("; Ctrl-C ends")
    try:
        until(lambda: view.process.poll() is not None, "the end of the command")
        view.wait_for("The viewer was closed")
        assert view.process.returncode == 0
    finally:
        view.__exit__()


def test_what_is_played_is_shown_as_it_is_played(robot: Path, tmp_path: Path) -> None:
    with SavingViewer(tmp_path / "a.rrd") as viewer:
        at = f"127.0.0.1:{viewer.port}"
        play = ("play", robot, "/odom", f"--rerun={at}", "--bus", free_lcm_url())
        done = run(*play, "--speed", "max", "--no-keys", "--force", "--start", "2")
        found = viewer.wait_for(*SHOWN, 30)
    assert done.returncode == 0, done.stderr
    assert "Published 30 messages" in done.stderr
    assert "Shown 30 messages" in done.stderr
    assert [one.times["position"] for one in found] == [2 * 10**9 + i * 10**8 for i in range(30)]


def test_play_takes_no_viewer_that_is_not_there(robot: Path, run_here: RunHere) -> None:
    done = run_here("play", robot, f"--rerun=127.0.0.1:{program.free_port()}", "--no-keys")
    assert done.code == 7
    assert "no viewer listens" in done.err

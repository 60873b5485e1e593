"""`dimos-record --record FILE run BLUEPRINT` and `--replay FILE`, as people type it."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dimos.cli import dimos as dimos_cli
from dimos.core.run_registry import RunEntry

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.cli.dimos_run import KNOWN_COMMANDS
from dimos_record.cli.main import app
from dimos_record.testing import Collector
from tests.with_dimos.cli_runs import ROBOT, Network
from tests.with_dimos.processes import DIMOS, wait_until

pytestmark = pytest.mark.dimos

ODOM = "/odom#geometry_msgs.PoseStamped"
DRIVER = ["/camera_info", "/color_image", "/imu", "/lidar", "/odom", "/tf"]
BLUEPRINTS = """
import sys
from dimos.core.global_config import global_config
from dimos_record.blueprints.demo_robot import demo_robot
import dimos_record.integrations.dimos

print("composed with replay", global_config.replay, file=sys.stderr)
unnamed = demo_robot
named = demo_robot.default_recording("walk.db")
"""
ENTRY_POINTS = (
    "[dimos.blueprints]\nnamed = cli_blueprints:named\nunnamed = cli_blueprints:unnamed\n"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A network with two blueprints of our own, one of which names its recording."""
    network = Network(tmp_path_factory.mktemp("lcm"), "lcm")
    (network.folder / "cli_blueprints.py").write_text(BLUEPRINTS)
    info = network.folder / "cli_blueprints-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cli-blueprints\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return network


@pytest.fixture(scope="module")
def walk(network: Network) -> Path:
    """What the demo robot's driver published for a while."""
    path = network.folder / "walk.db"
    with network.started("--record", "walk.db", "run", ROBOT) as program:
        wait_until(lambda: path.exists() and _written(path) > 200)
        argv = registered(network).original_argv
        assert network.run("stop", program=DIMOS).returncode == 0
        assert program.process.wait(30) == 0
        assert f"Recording to {path}" in program.output
    # what `dimos restart` executes, from anywhere: it adds to the recording
    assert os.path.isabs(argv[0])
    assert os.access(argv[0], os.X_OK)
    assert argv[1:] == ["--record-append", f"--record={path}", "run", ROBOT]
    return path


def _written(path: Path) -> int:
    with RecordReplay(path) as rec:
        return sum(rec.streams[name].count() for name in rec.reader.streams)


def registered(network: Network) -> RunEntry:
    """The only run that is registered, which is a moment after it has started."""
    wait_until(lambda: list(network.folder.glob("dimos/runs/*.json")))
    (path,) = network.folder.glob("dimos/runs/*.json")
    return RunEntry.load(path)


def test_the_recording_is_whole_and_knows_its_run(walk: Path) -> None:
    with RecordReplay(walk) as rec:
        assert sorted(info.topic for info in rec.reader.streams.values()) == DRIVER
        (session,) = rec.reader.sessions()
        assert session.state == "finished"
        assert session.lost_before_reception == 0
        assert session.meta["default_modules"] == ["demodriver"]


@pytest.mark.parametrize("transport", ["lcm", "zenoh"])
def test_a_replay_publishes_every_byte_and_starts_no_driver(
    walk: Path, tmp_path: Path, transport: str
) -> None:
    network = Network(tmp_path, transport)
    marker = tmp_path / "marker"
    with open_bus(network.url) as bus, Collector(bus, exclude=["/rpc/**"]) as heard:
        done = network.run(
            "--replay", str(walk), "--exit-at-end", "run", ROBOT,
            "--demodriver.marker", str(marker),
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Not started, replaced by the recording:\n  DemoDriver  /odom" in done.stderr
    assert not marker.exists()
    with RecordReplay(walk) as rec:
        for info in rec.reader.streams.values():
            recorded = [one.raw for one in rec.streams[info.name]]
            assert [data for channel, data in heard.messages if channel == info.channel] == recorded
    topics = {channel.partition("#")[0] for channel, _ in heard.messages}
    assert {"/costmap", "/cmd_vel"} <= topics


def test_restart_from_another_folder_replays_again(network: Network, walk: Path) -> None:
    begun = network.run(
        "--replay", "./walk.db", "--replay-loop", "run", "-d", ROBOT, cwd=walk.parent
    )
    assert begun.returncode == 0, begun.stdout + begun.stderr
    try:
        first = registered(network)
        assert first.original_argv[1] == f"--replay={walk}"
        paused = network.run("remote", "pause")
        assert paused.stdout.startswith(f"paused {walk}, ")
        assert network.run("restart", cwd=Path("/"), program=DIMOS).returncode == 0
        assert registered(network).run_id != first.run_id
        running = {one["class"] for one in json.loads(network.run("modules", "--json").stdout)}
        assert running == {"DemoMapper", "DemoFollower", "ReplayModule"}
        assert network.run("remote", "step", "-2").stdout.startswith("paused")
        assert network.run("remote", "rate", "2").returncode == 0
        assert network.run("remote", "loop", "0", "1.5").returncode == 0
        status = json.loads(network.run("remote", "seek", "0:01", "--json").stdout)
        assert (status["state"], status["rate"]) == ("paused", 2)
        assert status["position_s"] == pytest.approx(1.0, abs=0.05)
        wrong = network.run("remote", "loop", "2", "1")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    finally:
        assert network.run("stop").returncode == 0
    assert network.run("status").stdout == "No running DimOS instance\n"


def test_a_bare_record_writes_a_new_file_named_after_the_run(network: Network) -> None:
    with network.started("--record", "run", ROBOT):
        run_id = registered(network).run_id
        assert (network.folder / f"{run_id}.db").exists()
        assert f"--record={network.folder}/" in registered(network).original_argv
        assert network.run("stop").returncode == 0


def test_a_dry_run_prints_the_plan_and_starts_nothing(network: Network, walk: Path) -> None:
    done = network.run("run", ROBOT, "--replay", "walk", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Replay of {walk} (")
    assert "Starting the modules" not in done.stdout + done.stderr
    plan = json.loads(
        network.run(
            "--replay=walk.db", "--record", "new.db", "--record-all", "--dry-run", "--json",
            "run", ROBOT,
        ).stdout
    )  # fmt: skip
    assert sorted(plan["replaced"]["demodriver"]) == sorted({*DRIVER} - {"/tf"})
    assert plan["record"]["modules"] == {
        "demofollower": ["/cmd_vel"],
        "demomapper": ["/costmap"],
    }
    assert not (network.folder / "new.db").exists()


def test_a_plan_that_cannot_be_is_printed_and_refused(network: Network, walk: Path) -> None:
    done = network.run(
        "--replay", "walk.db", "--replay-only", "/odom", "--replay-keep", "DemoDriver",
        "--dry-run", "run", ROBOT,
    )  # fmt: skip
    assert done.returncode == 8
    assert "ERROR, the replay would be a second publisher:\n  /odom" in done.stdout
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plan_that_does_not_come_about_is_no_json(network: Network, walk: Path) -> None:
    done = network.run(
        "--replay", "walk.db", "--replay-only", "Nobody", "--dry-run", "--json", "run", ROBOT
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: only=Nobody is neither")


@pytest.mark.usefixtures("walk")
def test_a_bare_replay_is_the_blueprints_recording_or_what_it_was(network: Network) -> None:
    named = network.run("--replay", "--dry-run", "run", "cli-blueprints.named")
    assert named.stdout.startswith(f"Replay of {network.folder / 'walk.db'} (")
    unnamed = network.run("--replay", "--dry-run", "run", "cli-blueprints.unnamed")
    assert unnamed.returncode == 0
    assert "composed with replay True" in unnamed.stderr
    assert unnamed.stdout == "The blueprint names no recording; --replay is dimos's own\n"
    file = network.run("--replay", "walk", "--dry-run", "run", "cli-blueprints.unnamed")
    assert "composed with replay False" in file.stderr


@contextmanager
def publishing(network: Network) -> Iterator[None]:
    """Somebody publishes odometry."""
    stop = threading.Event()

    def publish() -> None:
        with open_bus(network.url) as bus:
            while not stop.wait(0.05):
                bus.publish(ODOM, b"somebody else's")

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("how", [["run"], ["run", "--daemon"]])
def test_an_error_while_starting_is_one_sentence_also_of_a_daemon(
    network: Network, walk: Path, how: list[str]
) -> None:
    with publishing(network):
        done = network.run("--replay", str(walk), *how, ROBOT)
    assert done.returncode == 8
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {walk} cannot be replayed: somebody is publishing /odom (")
    assert "Traceback" not in done.stdout + done.stderr
    assert network.run("status").stdout == "No running DimOS instance\n"


MISTAKES = [
    ("--replay gone.db run R", 3, "there is no recording gone.db in "),
    ("--record walk.db run R", 3, "walk.db exists already; add to it with --record-append, "),
    ("--replay walk.db --replay-speed fast run R", 2, "--replay-speed 'fast': write a number"),
    ("--replay walk.db --replay-start 99 run R", 2, "error: --replay-start (99 s) lies beyond"),
    (
        "--replay walk.db --replay-start= run R",
        2,
        "--replay-start needs a value: --replay-start TIME",
    ),
    (
        "--replay walk.db --replay-only= run R",
        2,
        "--replay-only needs a value: --replay-only NAMES",
    ),
    ("--replay-speed 2 run R", 2, "--replay-speed needs --replay FILE"),
    ("--record-all run R", 2, "--record-all needs --record FILE"),
    ("--record x.db status", 2, "--record FILE and --replay FILE are for the command run"),
    ("--replay walk.db --no-replay run R", 2, "--replay and --no-replay contradict each"),
    ("--replay walk.db --replay-only Nobody run R", 2, "Nobody"),
    ("--record x.db --record-topics /no run R", 6, "nothing would be recorded: no topic is"),
    ("--transport lcm topics", 2, "topics is no command of dimos; write its options behind"),
]


@pytest.fixture(scope="module")
def after_mistakes(network: Network, walk: Path) -> dict[str, tuple[int, str, str]]:
    """What became of each command line."""
    return network.run_each([_line(mistake) for mistake, _, _ in MISTAKES])


def _line(mistake: str) -> str:
    return re.sub(r"\bR$", ROBOT, mistake)


@pytest.mark.parametrize(("mistake", "code", "sentence"), MISTAKES)
def test_mistakes_are_one_sentence(
    after_mistakes: dict[str, tuple[int, str, str]], mistake: str, code: int, sentence: str
) -> None:
    found, out, err = after_mistakes[_line(mistake)]
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last
    assert found == code
    assert "Traceback" not in out + err


def test_every_command_of_dimos_is_known_and_none_is_also_ours() -> None:
    import typer

    theirs = set(typer.main.get_command(dimos_cli.main).commands)  # type: ignore[attr-defined]
    ours = {command.name for command in app.registered_commands}
    assert theirs == KNOWN_COMMANDS, "put dimos's commands into cli/dimos_run.py"
    assert ours & theirs == set()

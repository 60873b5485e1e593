"""`dimos-record info` and `fill-poses`: what a recording holds."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.testing import free_lcm_url
from tests.cli.commands import CLI, T0, Running, S, Terminal, run, until
from tests.cli.samples import run_in, tree, write_robot


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return write_robot(tmp_path / "robot.db")


def test_the_figures_of_each_topic_are_there(robot: Path) -> None:
    done = run("info", robot)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(robot)
    assert "self-contained" in lines[1]
    assert lines[2].endswith("4.9 s, 56 messages, 5.03 kB")
    rows = {line.split()[0]: line.split()[1:] for line in lines[5:8]}
    assert rows["/odom"][:6] == ["geometry_msgs.PoseStamped", "50", "10.0", "Hz", "4.9", "s"]
    assert rows["/scan"][:3] == ["sensor_msgs.LaserScan", "5", "1.00"]
    assert rows["/bytes"][:5] == ["no", "type", "1", "-", "-"]
    assert all(char.isprintable() or char == "\n" for char in done.stdout)


def test_the_figures_are_there_as_json(robot: Path) -> None:
    done = run("info", robot, "--json")
    found = json.loads(done.stdout)
    assert found["path"] == str(robot)
    assert found["size_on_disk_bytes"] == robot.stat().st_size
    assert found["self_contained"] is True
    assert (found["first_ns"], found["last_ns"]) == (T0, T0 + 49 * S // 10)
    assert (found["messages"], found["duration_s"]) == (56, 4.9)
    odom = found["topics"][0]
    assert odom["topic"] == "/odom"
    assert odom["channel"] == "/odom#geometry_msgs.PoseStamped"
    assert (odom["messages"], odom["rate_hz"]) == (50, 10.0)
    assert odom["latched"] is False


def test_it_changes_nothing_on_disk(robot: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    assert run("info", robot).returncode == 0
    assert run("compare", robot, robot).returncode == 0
    assert run("echo", "/odom", "-f", robot).returncode == 0
    assert tree(tmp_path) == before


def test_what_was_left_out_since_it_was_played_is_said_in_one_line(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "a.db", bus=f"memory://{tmp_path.name}") as rec:
        rec.stream("odom").append(b"1", ts_ns=1)
        with rec.recording(append=True):
            rec.play(math.inf, block=True, listen_s=0)
            rec.stop_playback()
            rec.bus.publish("/live", b"1")
        assert [figures.count for figures in rec.info().topics] == [1, 1]
    notes = [line for line in run("info", tmp_path / "a.db").stdout.splitlines() if "lacks" in line]
    assert notes == ["Session 1 lacks what the process that recorded played itself: /odom"]


def test_a_recording_may_lie_in_a_folder_that_cannot_be_written(robot: Path) -> None:
    robot.chmod(0o444)
    robot.parent.chmod(0o555)
    try:
        assert run_in(robot.parent, "info", "robot.db").returncode == 0
    finally:
        robot.parent.chmod(0o755)


def test_the_path_that_a_bare_name_means_is_printed(robot: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / ".lfs").mkdir(parents=True)
    shutil.move(robot, tmp_path / "data" / "robot.db")
    done = run_in(tmp_path, "info", "robot")
    assert done.stdout.splitlines()[0] == str(tmp_path / "data" / "robot.db")
    done = run_in(tmp_path, "echo", "/odom", "-f", "robot", "-n", "1")
    assert done.stderr == f"Reading {tmp_path / 'data' / 'robot.db'}\n"


def test_a_file_that_is_being_recorded_says_so_and_a_killed_one_too(tmp_path: Path) -> None:
    url, path = free_lcm_url() + "&recv_buf_size=4000000", tmp_path / "a.db"
    with Running("record", path, "--bus", url) as recording, open_bus(url) as bus:
        recording.wait_for("Recording to")
        for _ in range(10):
            bus.publish("/a", b"x")
        until(lambda: "10 messages" in run("info", path).stdout, "10 messages in info")
        running = run("info", path)
        recording.process.kill()
        recording.process.wait()
    assert running.returncode == 0
    assert "being recorded into" in running.stdout
    assert "not yet: recording now" in running.stdout
    killed = run("info", path)
    assert killed.returncode == 0
    assert "Session 1 was killed. Everything that it had written is here" in killed.stdout
    assert "10 messages" in killed.stdout
    as_json = json.loads(run("info", path, "--json").stdout)
    assert as_json["sessions"][0]["state"] == "killed"
    assert as_json["being_recorded"] is False


def test_sessions_are_listed_with_how_they_ended(tmp_path: Path) -> None:
    path, bus = tmp_path / "a.db", "--bus=memory://sessions"
    run("record", path, bus, "--duration", "0.2s")
    with Running("record", path, bus, "--append") as recording:
        recording.wait_for("Recording to")
        assert recording.end(signal.SIGINT)[0] == 0
    done = run("info", path)
    assert "duration (0.2 s)" in done.stdout
    assert "stopped" in done.stdout
    assert [one["state"] for one in json.loads(run("info", path, "--json").stdout)["sessions"]] == [
        "finished",
        "finished",
    ]


def test_a_file_that_dimos_wrote_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "dimos.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE _streams (name TEXT PRIMARY KEY, config TEXT NOT NULL)")
        config = '{"payload_module": "dimos.msgs.geometry_msgs.PoseStamped.PoseStamped"}'
        db.execute("INSERT INTO _streams VALUES ('odom', ?)", (config,))
        columns = ", ".join(f"pose_{axis} REAL" for axis in ("x", "y", "z", "qx", "qy", "qz", "qw"))
        db.execute(
            f"CREATE TABLE odom (id INTEGER PRIMARY KEY, ts REAL, value REAL, {columns}, tags BLOB)"
        )
        db.execute("CREATE TABLE odom_blob (id INTEGER PRIMARY KEY, data BLOB)")
        db.executemany("INSERT INTO odom (id, ts) VALUES (?, ?)", [(1, 10.0), (2, 10.5), (3, 11.0)])
        db.executemany("INSERT INTO odom_blob VALUES (?, ?)", [(i, b"12345") for i in (1, 2, 3)])
    db.close()
    done = run("info", path)
    assert done.returncode == 0, done.stderr
    assert "written by dimos" in done.stdout
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("/odom"))
    assert row.split()[1:5] == ["geometry_msgs.PoseStamped", "3", "2.00", "Hz"]


def test_the_table_fits_80_columns(robot: Path, tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.run([*CLI, "info", robot])
        terminal.wait_for(r"^\$$")
        assert "\n  geometry_msgs.PoseStamped\n" in terminal.screen
        assert max(map(len, terminal.screen.splitlines()[1:])) <= 80


# --- fill-poses


def test_messages_get_the_pose_at_which_they_were_observed(robot: Path) -> None:
    done = run("fill-poses", robot, "-t", "/scan")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [["/scan", "5"]]
    assert done.stderr == f"{robot}: 5 messages have a pose now\n"
    with RecordReplay(robot) as rec:
        found = rec.streams.scan.near((2.0, 2.0, 0.0), 0.1).to_list()
        assert [one.id for one in found] == [3]
        assert not rec.streams.odom.near((2.0, 2.0, 0.0), 100).exists()


def test_the_source_of_poses_can_be_named_and_the_result_be_json(robot: Path) -> None:
    done = run("fill-poses", robot, "--from", "/odom", "--tolerance", "10ms", "--json")
    assert json.loads(done.stdout) == {
        "path": str(robot),
        "filled": {"/odom": 50, "/scan": 5, "/bytes": 1},
    }

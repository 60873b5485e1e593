"""`dimos-record echo`: decoded messages, live and from a recording."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.messages import encode
from dimos_record.testing import free_lcm_url
from tests.cli.commands import T0, Running, S, run
from tests.cli.samples import pose_at, write_robot


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_robot(tmp_path_factory.mktemp("echo") / "robot.db")


def test_a_message_is_shown_field_by_field(robot: Path) -> None:
    done = run("echo", "/odom", "-f", robot, "-n", "1")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *lines = done.stdout.splitlines()
    assert heading.startswith("# /odom  geometry_msgs.PoseStamped  20")
    assert lines[0] == "header:"
    assert "    y: 2.0" in lines
    assert lines[-1] == "---"


def test_messages_of_several_topics_come_in_the_order_of_time(robot: Path) -> None:
    done = run("echo", "/odom", "/scan", "-f", robot, "--start", "0.95", "--end", "1.15")
    headings = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("# ")]
    assert headings == ["/odom", "/scan", "/odom"]


def test_json_has_a_line_per_message_with_times_and_whole_arrays(robot: Path) -> None:
    done = run("echo", "*", "-f", robot, "--json", "--end", "0.05")
    lines = {one["topic"]: one for one in map(json.loads, done.stdout.splitlines())}
    odom = lines["/odom"]
    assert (odom["type"], odom["ts_ns"]) == ("geometry_msgs.PoseStamped", T0)
    assert odom["stamp_ns"] == T0
    assert odom["data"]["pose"]["position"] == {"x": 0.0, "y": 2.0, "z": 0.0}
    assert lines["/scan"]["data"]["ranges"] == [1.5, "Infinity"] + [2.0] * 18
    assert base64.b64decode(lines["/bytes"]["data"]) == bytes(range(100))


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("pose.position.x", "0.1"),
        ("header.frame_id", '"map"'),
        ("pose.position", "x: 0.1\ny: 2.0\nz: 0.0"),
    ],
)
def test_one_field_can_be_asked_for(robot: Path, field: str, shown: str) -> None:
    done = run("echo", "/odom", "-f", robot, "--start", "0.1", "-n", "1", "--field", field)
    assert done.stdout == f"{shown}\n"


def test_an_element_of_an_array_is_a_field_and_long_arrays_are_cut_unless_in_full(
    robot: Path,
) -> None:
    command = ("echo", "/scan", "-f", robot, "-n", "1", "--field")
    assert run(*command, "ranges.0").stdout == "1.5\n"
    assert run(*command, "ranges[0]").stdout == "1.5\n"
    assert run(*command, "ranges").stdout.rstrip().endswith("... 20 items]")
    full = run(*command, "ranges", "--full").stdout
    assert full.count("2.0") == 18
    assert "Infinity" in full


def test_raw_shows_every_byte(robot: Path) -> None:
    done = run("echo", "/bytes", "-f", robot, "--raw")
    assert done.stdout.splitlines()[1] == f"100 bytes: {bytes(range(100)).hex()}"


def test_what_cannot_be_decoded_is_shown_as_bytes_and_said_once(tmp_path: Path) -> None:
    from dimos_record import RecordReplay

    with RecordReplay(tmp_path / "a.db") as rec:
        stream = rec.stream("grip", type_name="acme_msgs.Gripper")
        for i in range(3):
            stream.append(b"\x01\x02" * 50, ts_ns=T0 + i * S)
    done = run("echo", "/grip", "-f", tmp_path / "a.db")
    assert done.returncode == 0
    assert done.stdout.count(f"100 bytes: {'0102' * 16} ...") == 3
    (note,) = done.stderr.splitlines()
    assert note.startswith("note: /grip: acme_msgs.Gripper cannot be decoded")


def test_the_end_of_a_recording_can_be_asked_for(robot: Path) -> None:
    done = run("echo", "/odom", "-f", robot, "--start=-0.15", "--field", "header.seq")
    assert done.stdout.split() == ["48", "49"]


def test_a_recording_among_the_topics_is_refused_in_a_sentence(robot: Path) -> None:
    done = run("echo", robot, "/odom")
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"dimos-record echo /odom --file {robot}")
    assert len(done.stderr.strip().splitlines()) == 1


def test_live_messages_are_shown_until_ctrl_c(tmp_path: Path) -> None:
    url = free_lcm_url() + "&recv_buf_size=4000000"
    command = ("echo", "/odom", "--bus", url, "--field", "pose.position.x")
    with Running(*command) as echo, open_bus(url) as bus:
        echo.wait_for("Waiting for /odom on LCM ")
        for i in range(3):
            bus.publish("/other#geometry_msgs.PoseStamped", encode(pose_at(9)))
            bus.publish("/odom#geometry_msgs.PoseStamped", encode(pose_at(i)))
        assert echo.process.stdout is not None
        shown = [echo.process.stdout.readline() for _ in range(3)]
        code, rest = echo.end(signal.SIGINT)
    assert shown == ["0.0\n", "0.1\n", "0.2\n"]
    assert (code, rest) == (0, "")


def test_live_messages_end_with_the_count() -> None:
    url = free_lcm_url() + "&recv_buf_size=4000000"
    with Running("echo", "*", "--bus", url, "-n", "2", "--json") as echo, open_bus(url) as bus:
        echo.wait_for("Waiting for * on LCM ")
        for i in range(4):
            bus.publish("/odom#geometry_msgs.PoseStamped", encode(pose_at(i)))
        assert echo.process.stdout is not None
        lines = [json.loads(line) for line in echo.process.stdout]
        assert echo.process.wait(30) == 0
    assert [line["data"]["header"]["seq"] for line in lines] == [0, 1]


@pytest.mark.parametrize("index", ["\u00b2", "9" * 5000])
def test_what_is_no_place_in_an_array_is_refused_in_a_sentence(robot: Path, index: str) -> None:
    done = run("echo", "/scan", "-f", robot, "-n", "1", "--field", f"ranges.{index}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "has 20 elements" in done.stderr

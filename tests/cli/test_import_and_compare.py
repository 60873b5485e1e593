"""`dimos-record import` and `compare`, also on real data that is replayed over LCM."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.testing import free_lcm_url
from tests.cli.commands import T0, Running, S, run, until
from tests.cli.samples import write_robot
from tests.interop.ros2_files import Recorded, cdr, write_mcap

NAV2 = Path(__file__).parents[3] / "shared" / "data" / "nav2_turtlebot.mcap"
needs_nav2 = pytest.mark.skipif(not NAV2.exists(), reason=f"needs {NAV2.name}, which is not here")


def test_import_lists_what_came_and_what_could_not(rosbag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    done = run("import", rosbag, out)
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["/latched", "std_msgs.String", "1"],
        ["/chat", "std_msgs.String", "20"],
    ]
    problem, summary = done.stderr.splitlines()
    assert problem.startswith("warning: /gripper (acme_msgs/msg/Gripper): 1 not imported: ")
    assert summary == f"{out}: 21 of 22 messages imported"
    assert f"imported from {rosbag}" in run("info", out).stdout


def test_import_is_strict_when_told(rosbag: Path, tmp_path: Path) -> None:
    done = run("import", rosbag, tmp_path / "out.db", "--strict", "--json")
    assert done.returncode == 6
    report = json.loads(done.stdout)
    assert (report["messages"], report["messages_in_source"]) == (21, 22)
    assert report["problems"][0]["topic"] == "/gripper"
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_interrupted_leaves_nothing(tmp_path: Path, number: int) -> None:
    data = cdr("std_msgs/String", {"data": "x" * 1000})
    messages = [Recorded("/chat", "std_msgs/String", data, T0 + i) for i in range(100_000)]
    source = write_mcap(tmp_path / "a.mcap", messages)
    with Running("import", source, tmp_path / "out.db") as importing:
        until(lambda: len(list(tmp_path.iterdir())) > 1, "the beginning of the import")
        code, out = importing.end(number)
    assert (code, out) == (130, "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mcap"]
    assert "Traceback" not in importing.stderr


def test_compare_says_equal_by_its_exit_code(tmp_path: Path) -> None:
    a, b = write_robot(tmp_path / "a.db"), write_robot(tmp_path / "b.db")
    done = run("compare", a, b)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"A  {a}", f"B  {b}"]
    assert " ".join(lines[4].split()) == "/odom geometry_msgs.PoseStamped 50 50 0 0 0 s 0 s 0 s"
    assert lines[-1] == "Equal: 56 messages in 3 streams, byte by byte in order"


def test_compare_says_where_the_first_difference_is(tmp_path: Path) -> None:
    a, b = write_robot(tmp_path / "a.db"), write_robot(tmp_path / "b.db")
    with sqlite3.connect(b) as connection:
        connection.execute("UPDATE odom_blob SET data = x'00' WHERE id = 7")
        connection.execute("DELETE FROM scan WHERE id = 1")
        connection.execute("DELETE FROM bytes")
    connection.close()
    done = run("compare", a, b)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-4:] == [
        "/odom: not the same messages, first at message 7 of A and 7 of B: the bytes differ",
        "/scan: not the same messages, first at message 1 of A: B does not have it there",
        "/bytes: only in A",
        "Not equal: 3 of 3 streams differ",
    ]
    as_json = run("compare", a, b, "--json", "-x", "/bytes")
    assert as_json.returncode == 1
    found = json.loads(as_json.stdout)
    assert found["equal"] is False
    odom, scan = found["streams"]
    assert (odom["only_a"], odom["only_b"]) == (1, 1)
    assert odom["first_difference"]["number_a"] == 7
    assert (scan["messages_a"], scan["messages_b"]) == (5, 4)
    assert scan["timing"]["max_ns"] == 0


def test_compare_looks_at_the_chosen_topics_only(tmp_path: Path) -> None:
    a = write_robot(tmp_path / "a.db")
    b = write_robot(tmp_path / "b.db", messages=49)
    assert run("compare", a, b).returncode == 1
    assert run("compare", a, b, "-t", "/scan", "-t", "/bytes").returncode == 0
    assert run("compare", a, b, "-x", "/odom").returncode == 0


def test_compare_tells_another_pace(tmp_path: Path) -> None:
    paths = [tmp_path / "a.db", tmp_path / "b.db"]
    for path, step_ns in zip(paths, (S, S // 10), strict=True):
        with RecordReplay(path) as rec:
            for i in range(11):
                rec.stream("odom").append(b"%d" % i, ts_ns=T0 + i * step_ns)
    assert "\nB ran at 10 times the pace of A" in run("compare", *paths).stdout


@pytest.mark.once
@needs_nav2
def test_real_data_survives_import_replay_and_recording(tmp_path: Path) -> None:
    original, again = tmp_path / "nav2.db", tmp_path / "again.db"
    done = run("import", NAV2, original, "--json")
    assert done.returncode == 0, done.stderr
    counts = {one["topic"]: one["messages"] for one in json.loads(done.stdout)["topics"]}
    assert counts == {"/odom": 2639, "/tf": 5422, "/tf_static": 1, "/amcl_pose": 135}
    url = free_lcm_url() + "&recv_buf_size=4000000"
    with Running("record", again, "--bus", url, "--strict") as recording:
        recording.wait_for("Recording to")
        with RecordReplay(original, bus=url) as rec:
            rec.play(speed=20, block=True)
        until(lambda: count(again) == 8197, "every message in the second recording")
        code, _ = recording.end(signal.SIGINT)
    assert code == 0, recording.stderr
    compared = run("compare", original, again)
    assert compared.returncode == 0, compared.stdout
    assert "Equal: 8,197 messages in 4 streams, byte by byte in order" in compared.stdout


def count(path: Path) -> int:
    with RecordReplay(path) as rec:
        return rec.info().count

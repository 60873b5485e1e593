"""`dimos-record demo-robot` as a process, on real LCM."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.demo_robot import topics
from dimos_record.testing import Collector, free_lcm_url
from tests.cli.commands import CLI, Running, Terminal, run

pytestmark = pytest.mark.once


@pytest.fixture
def url() -> str:
    return free_lcm_url() + "&recv_buf_size=4000000"


@pytest.fixture
def received(url: str) -> Iterator[Collector]:
    with open_bus(url) as bus, Collector(bus) as collector:
        yield collector


def test_what_it_says_that_it_published_is_what_arrives(url: str, received: Collector) -> None:
    done = run("demo-robot", "--bus", url, "--duration", "1s")
    assert done.returncode == 0, done.stderr
    counts = {}
    for line in done.stdout.splitlines():
        channel, count = line.split()
        counts[channel] = int(count)
    assert counts.keys() == {topic.channel for topic in topics()}
    assert counts["/imu#sensor_msgs.Imu"] == 200
    assert counts["/odom#nav_msgs.Odometry"] == 50
    messages = received.wait_for(sum(counts.values()))
    assert Counter(channel for channel, _ in messages) == counts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_its_counts_when_it_is_stopped(
    url: str, received: Collector, number: int
) -> None:
    with Running("demo-robot", "--no-camera", "--json", "--bus", url) as robot:
        robot.wait_for("Publishing to LCM 239.255.76.67:")
        received.wait_for(100)
        code, out = robot.end(number)
    assert code == 0, robot.stderr
    assert "Traceback" not in robot.stderr
    counts = json.loads(out)
    messages = received.wait_for(sum(counts.values()))
    assert Counter(channel for channel, _ in messages) == {
        channel: count for channel, count in counts.items() if count
    }
    assert not any(channel.startswith("/camera") for channel in counts)


def test_topics_are_chosen_and_left_out(url: str, received: Collector) -> None:
    chosen = ("--topics", "/tf*", "--topics", "odom", "-x", "/tf_static")
    done = run("demo-robot", *chosen, "--bus", url, "--duration", "200ms")
    assert done.stdout.split() == ["/odom#nav_msgs.Odometry", "10", "/tf#tf2_msgs.TFMessage", "10"]
    assert {channel.split("#")[0] for channel, _ in received.wait_for(20)} == {"/odom", "/tf"}


def test_without_a_terminal_there_is_one_plain_line(url: str) -> None:
    done = run("demo-robot", "--topics", "/imu", "--bus", url, "--duration", "1.1")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Publishing to LCM ")
    assert done.stderr.rstrip("\n").isprintable()


def test_the_topics_are_listed_without_publishing(received: Collector) -> None:
    done = run("demo-robot", "--list", "--camera-hz", "30")
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + len(topics())
    assert any(line.split()[:4] == ["/imu", "sensor_msgs.Imu", "200", "Hz"] for line in lines)
    assert any(line.split()[:3] == ["/camera/image", "sensor_msgs.Image", "30"] for line in lines)
    assert done.stderr == ""
    listed = json.loads(run("demo-robot", "--list", "--json", "-x", "/imu").stdout)
    assert {one["topic"] for one in listed} == {topic.topic for topic in topics()} - {"/imu"}


def test_another_seed_makes_another_robot(url: str, received: Collector) -> None:
    scans = []
    for count, seed in enumerate(("1", "1", "2"), start=1):
        run("demo-robot", "-t", "/lidar", "--seed", seed, "--duration", "50ms", "--bus", url)
        scans.append(received.wait_for(count)[-1][1][-10_000:])
    assert scans[0] == scans[1]
    assert scans[0] != scans[2]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ("--topics", "/sonar"),
            2,
            "--topics: the demo robot has no topic '/sonar'; it has /tf",
        ),
        (("--exclude", "*"), 2, "leaves no topic of the demo robot"),
        (("--camera-hz", "0"), 2, "a rate of 0.0 Hz for /camera/image is out of range"),
        (("--camera-hz", "0", "--list"), 2, "a rate of 0.0 Hz for /camera/image is out of range"),
        (("--camera-hz", "100"), 2, "at most 30 Hz"),
        (("--duration", "soon"), 2, "--duration: 'soon' is not a duration"),
        (("--bus", "carrier://pigeon"), 7, "carrier"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    url: str, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = run("demo-robot", "--bus", url, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_in_a_terminal_it_shows_its_progress_until_it_ends(tmp_path: Path, url: str) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.run([*CLI, "demo-robot", "--no-camera", "--bus", url])
        terminal.wait_for(r"^\S+ s  [\d,]+ messages  \S+ \S+$")
        terminal.press("C-c")
        terminal.wait_for(r"^/imu#sensor_msgs\.Imu \d+")
        assert " messages  " not in terminal.screen

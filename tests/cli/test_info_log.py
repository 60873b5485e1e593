"""`info` shows which modules topics come from, and `info --log` what the recorded program said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dimos_record.bus import Selection, open_bus
from dimos_record.record.options import RecordOptions
from dimos_record.record.origin import Origin
from dimos_record.record.session import RecordingSession
from dimos_record.store.base import LogLine, StreamSource
from dimos_record.store.target import open_target
from tests.cli.commands import T0, run, write_recording

URL = "memory://info-log"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two topics of a driver and one of nobody, with two lines of a log."""
    path = tmp_path_factory.mktemp("recorded") / "walk.db"
    lines = [
        LogLine(T0, "info", "driver.py", "ready n=1"),
        LogLine(T0 + 1, None, None, "\x1b[31mred\x1b[0m"),
    ]
    waiting = [lines]
    driver = StreamSource(URL, "robot1/driver")
    origin = Origin(
        sources={"/odom": driver, "/imu": driver},
        log=lambda: waiting.pop() if waiting else [],
    )
    with open_bus(URL) as bus:
        target = open_target(path)
        with RecordingSession(bus, target, Selection.of(), RecordOptions(), origin):
            for channel in ("/odom", "/imu", "/else"):
                bus.publish(channel, b"1")
    return path


def test_the_modules_are_listed_with_their_topics(recorded: Path) -> None:
    lines = [line.split() for line in run("info", recorded).stdout.splitlines()]
    assert ["robot1/driver", "/odom", "/imu"] in lines
    shown = json.loads(run("info", "--json", recorded).stdout)
    assert {one["topic"]: one["module"] for one in shown["topics"]} == {
        "/odom": "robot1/driver",
        "/imu": "robot1/driver",
        "/else": None,
    }


def test_a_recording_without_modules_lists_none(tmp_path: Path) -> None:
    assert "module" not in run("info", write_recording(tmp_path / "walk.db", 1.0)).stdout


def test_the_log_is_printed_line_by_line_and_steers_no_terminal(recorded: Path) -> None:
    first, second = run("info", "--log", recorded).stdout.splitlines()
    assert first.endswith("info     [driver.py] ready n=1")
    assert "red" in second
    assert "\x1b" not in second


def test_the_log_as_json_is_an_object_per_line(recorded: Path) -> None:
    printed = run("info", "--log", "--json", recorded).stdout.splitlines()
    assert json.loads(printed[0]) == {
        "ts_ns": T0,
        "level": "info",
        "source": "driver.py",
        "line": "ready n=1",
    }
    assert len(printed) == 2


def test_a_recording_without_a_log_prints_nothing(tmp_path: Path) -> None:
    assert run("info", "--log", write_recording(tmp_path / "walk.db", 1.0)).stdout == ""

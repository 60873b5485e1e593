"""`dimos-record plot`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from tests.cli.commands import CLI
from tests.cli.conftest import RunHere
from tests.cli.samples import write_robot

pytestmark = pytest.mark.once


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return write_robot(tmp_path / "robot.db")


def test_a_field_is_drawn_on_stdout(run_here: RunHere, robot: Path) -> None:
    code, out, err = run_here("plot", "./robot.db", "/odom.pose.position.x", "--start", "1")
    assert (code, err) == (0, "")
    assert "/odom.pose.position.x" in out
    assert "4.9 ┤" in out
    assert "1 ┤" in out
    assert "\x1b" not in out


def test_without_a_field_they_are_listed(run_here: RunHere, robot: Path) -> None:
    code, out, _ = run_here("plot", "./robot.db")
    assert code == 0
    assert {"/odom.pose.position.x", "/scan.ranges.0"} <= set(out.splitlines())


def test_that_there_is_nothing_to_plot_is_said(run_here: RunHere, tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "raw.db", bus="memory://test-plot") as rec, rec.recording():
        rec.bus.publish("/raw", b"1")
    code, out, err = run_here("plot", "./raw.db")
    assert (code, out) == (0, "")
    assert "./raw.db has no topic with numbers" in err


def test_that_no_message_has_a_number_is_said(run_here: RunHere, robot: Path) -> None:
    code, _, err = run_here("plot", "./robot.db", "/scan.ranges.999", "/odom.pose.position.x")
    assert code == 0
    assert err == "/scan.ranges.999: no message there has this number\n"


def test_a_terminal_without_the_characters_shows_others(
    robot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [*CLI, "plot", str(robot), "/odom.pose.position.x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "4.9 ?" in done.stdout


def test_a_picture_is_written(run_here: RunHere, robot: Path, tmp_path: Path) -> None:
    arguments = ("plot", "./robot.db", "/odom.pose.position.x", "--out", "x.png")
    code, out, err = run_here(*arguments)
    assert (code, out) == (0, "")
    assert "x.png: 50 points" in err
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert run_here(*arguments).code == 3
    assert run_here(*arguments, "--overwrite").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("/odom.pose.nope",), 2, "pose.position.x"),
        (("/nope.x",), 2, "/odom"),
        (("/odom.pose.position.x", "--start", "100"), 6, "/odom"),
        (("/odom.pose.position.x", "--start", "4", "--end", "2"), 2, "not before --end 2"),
        (("/odom.pose.position.x", "--out", "x.gif"), 2, ".png"),
        (("/odom.pose.position.x", "--overwrite"), 2, "--out"),
        (("--out", "x.png"), 2, "no field"),
        (("--stamp",), 2, "no field"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    run_here: RunHere, robot: Path, arguments: tuple[str, ...], code: int, named: str
) -> None:
    found = run_here("plot", "./robot.db", *arguments)
    assert (found.code, found.out, found.err.count("\n")) == (code, "", 1)
    assert named in found.err

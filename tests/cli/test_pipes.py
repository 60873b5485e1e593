"""Output into a pipe whose reader leaves early: no traceback, and exit code 0."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import CLI
from tests.cli.samples import write_robot

pytestmark = pytest.mark.once

COMMANDS = [
    ("info", "robot.db"),
    ("info", "robot.db", "--json"),
    ("echo", "/odom", "-f", "robot.db", "--json"),
    ("compare", "robot.db", "robot.db"),
    ("compare", "robot.db", "robot.db", "--json"),
    ("import", "rosbag.mcap", "new.db"),
    ("fill-poses", "robot.db"),
    ("cut", "robot.db", "1", "2", "--dry-run"),
    ("cut", "robot.db", "1", "2", "--json"),
    ("markers", "export", "robot.db"),
    ("topics", "--once", "--json", "--bus", "memory://pipes"),
    ("record", "new.db", "--duration", "0.1s", "--json", "--bus", "memory://pipes"),
    ("demo-robot", "--list"),
    ("--help",),
    ("record", "--help"),
]


@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_reader_that_leaves_early_is_not_an_error(
    tmp_path: Path, rosbag: Path, arguments: tuple[str, ...], lines: int
) -> None:
    write_robot(tmp_path / "robot.db", messages=3000 if arguments[0] == "echo" else 50)
    (tmp_path / "rosbag.mcap").write_bytes(rosbag.read_bytes())
    process = subprocess.Popen(
        [*CLI, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0, said
    assert "Traceback" not in said
    assert "rror" not in said

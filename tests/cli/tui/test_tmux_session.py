"""A whole session with the terminal program, in a real terminal of 80x24, beside the demo robot.

It is that of `scripts/tui_session`, which also draws the pictures of the documentation.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

SCRIPTS = Path(__file__).parents[3] / "scripts"
RECORD_S = 7.0
CUT_S = 0.5, 6.0


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the session says at its end, and the folder with its files."""
    folder = tmp_path_factory.mktemp("session")
    section = map(str, CUT_S)
    options = ["--size", "80x24", "--folder", folder, "--pictures", folder]
    done = python("-m", "terminal_session", "--seconds", str(RECORD_S), "--cut", *section, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_what_is_saved_is_the_recording_without_the_cut_section(
    session: tuple[dict[str, Any], Path],
) -> None:
    outcome, _ = session
    assert outcome["cut_s"] == [*CUT_S]
    assert outcome["recorded"] == outcome["saved"] + outcome["gone"]
    assert outcome["gone"] > 1000
    assert outcome["saved"] > 100
    assert outcome["state"] >= 1  # the robot publishes camera infos every second


def test_the_topic_that_was_not_selected_is_not_in_the_recording(
    session: tuple[dict[str, Any], Path],
) -> None:
    with closing(sqlite3.connect(session[1] / "walk.db")) as file:
        topics = {topic for (topic,) in file.execute("SELECT topic FROM _dr_topics")}
    assert {"/odom", "/imu", "/camera/camera_info"} <= topics
    assert "/cmd_vel" not in topics


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM odom WHERE id = 1",
        "UPDATE imu_blob SET data = x'00' WHERE id = 3",
        "UPDATE lidar SET ts_ns = ts_ns + 1 WHERE id = 1",
        "DELETE FROM camera__camera_info",
    ],
)
def test_a_file_that_is_not_as_cut_would_be_found_out(
    session: tuple[dict[str, Any], Path], tmp_path: Path, damage: str
) -> None:
    saved = shutil.copy(session[1] / "walk-edited.db", tmp_path)
    with closing(sqlite3.connect(saved)) as file, file:
        file.execute(damage)
    checking = (
        "import sys; from pathlib import Path; from terminal_session.outside import check; "
        "check(*map(Path, sys.argv[1:]))"
    )
    done = python("-c", checking, session[1] / "walk.db", saved)
    assert "NotAsCut" in done.stderr


def test_the_pictures_show_the_steps(session: tuple[dict[str, Any], Path]) -> None:
    for step, shows in {
        "select": "9 selected",
        "record": "RECORDING",
        "play": "▶ playing",
        "look": "640 x 480 rgb8",
        "mark": "out 0:06.0",
        "cut": "u to undo",
        "undo": "Undone: cut 0.5 s to 6 s",
        "save": "Written: walk-edited.db",
    }.items():
        picture = (session[1] / f"tui-{step}.svg").read_text()
        assert shows in re.sub("<[^>]+>", "", picture).replace("&#160;", " ")

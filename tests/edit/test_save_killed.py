"""Killed at any moment of a save, a recording is as before or as after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dimos_record.edit.save import save
from dimos_record.store.unfinished import clean_up
from tests.edit.killed_saves import Kept, after_a_kill, edited_recording
from tests.edit.recordings import names_in, opened
from tests.edit.save_until_killed import POINTS
from tests.store.samples import ROOT

pytestmark = pytest.mark.once

CASES = [
    *(("file", point) for point in POINTS if point != "a segment is written"),
    ("folder", "a segment is written"),
    ("folder", "nobody else may open it"),
    ("folder", "it has its name"),
]


def killed_at(point: str, path: Path) -> int:
    """Kill a process at a point of saving; returns its number."""
    program = Path(__file__).with_name("save_until_killed.py")
    with subprocess.Popen(
        [sys.executable, program, path, point],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(len("saving\nstopped\n")) == "saving\nstopped\n"
        process.kill()
    return process.pid


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Edited recordings, to be copied."""
    folder = tmp_path_factory.mktemp("killed")
    return {
        "file": edited_recording(folder / "walk", mb=1),
        "folder": edited_recording(folder / "walks", mb=1, segments=3),
    }


@pytest.mark.parametrize(("kind", "point"), CASES)
def test_a_save_that_is_killed_is_not_begun_or_done(
    tmp_path: Path, recordings: dict[str, Path], kind: str, point: str
) -> None:
    recording = recordings[kind]
    path = tmp_path / recording.name
    (shutil.copytree if recording.is_dir() else shutil.copy)(recording, path)
    pid = killed_at(point, path)
    kept = after_a_kill(path)
    assert kept is (Kept.AFTER if point == "it has its name" else Kept.BEFORE)
    left = {path.name, f".{path.name}.saving-{pid}"}
    assert names_in(tmp_path) <= left
    if kept is Kept.AFTER:
        clean_up(path)
    else:
        reader = opened(path)
        save(reader, reader.close)
    assert after_a_kill(path) is Kept.AFTER
    assert names_in(tmp_path) == {path.name}

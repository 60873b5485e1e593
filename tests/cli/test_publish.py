"""`dimos-record publish` and `fetch`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.commands import write_recording
from tests.cli.conftest import Ran, RunHere
from tests.cli.samples import run_in
from tests.lfs.projects import isolate

pytestmark = pytest.mark.once


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git work tree with a recording, and a remote for it."""
    isolate(monkeypatch, tmp_path)
    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    subprocess.run([*git, "init", "-q", tmp_path], check=True)
    for name, value in [
        ("user.name", "A Roboticist"),
        ("user.email", "robots@example.org"),
        ("remote.origin.url", (tmp_path / "remote.git").as_uri()),
    ]:
        subprocess.run(["git", "config", name, value], cwd=tmp_path, check=True)
    (tmp_path / "data" / ".lfs").mkdir(parents=True)
    write_recording(tmp_path / "data" / "walk.db", seconds=2)
    return tmp_path


def test_it_says_sizes_and_what_to_do_next(project: Path, run_here: RunHere) -> None:
    first = run_here("publish", "walk.db")
    assert (first.code, first.out) == (0, "")
    assert first.err.startswith("data/.lfs/walk.db.tar.gz: ")
    assert " kB, packed from " in first.err
    assert "staged with .gitattributes, .gitignore" in first.err
    assert first.err.endswith("with: dimos-record publish walk.db --push\n")
    second = run_here("publish", "walk.db", "--push", "-m", "A walk")
    assert "as it was before" in second.err
    assert "pushed to origin/main" in second.err
    assert second.err.endswith("dimos-record fetch walk.db\n")


def test_figures_as_json(project: Path, run_here: RunHere) -> None:
    report = json.loads(run_here("publish", "walk.db", "--commit", "--json").out)
    assert (report["messages"], report["changed"], report["pushed_to"]) == (24, True, None)
    assert report["staged"][0] == "data/.lfs/walk.db.tar.gz"
    (project / "data" / "walk.db").unlink()
    fetched = json.loads(run_here("fetch", "walk", "--json").out)
    assert fetched == {"path": str(project / "data" / "walk.db"), "messages": 24}


def test_every_command_finds_what_is_packed(project: Path, run_here: RunHere) -> None:
    run_here("publish", "walk.db")
    (project / "data" / "walk.db").unlink()
    assert "24 messages" in run_here("info", "walk").out


Spoil = Callable[[Path], object]


def missing(project: Path) -> None:
    (project / "data" / "walk.db").unlink()


def text(project: Path) -> None:
    (project / "data" / "walk.db").write_text("a text")


def other_archive(project: Path) -> None:
    (project / "data" / ".lfs" / "walk.db.tar.gz").write_bytes(b"somebody's")


def no_work_tree(project: Path) -> None:
    (project / ".git").rename(project / "no.git")


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "said"),
    [
        (missing, ("publish", "walk.db"), 3, "no recording walk.db"),
        (text, ("publish", "walk.db"), 4, "walk.db is not a recording"),
        (other_archive, ("publish", "walk.db"), 3, "--overwrite"),
        (no_work_tree, ("publish", "walk.db"), 1, "in no git work tree"),
        (None, ("publish", "walk.db", "-m", "x"), 2, "--commit"),
        (None, ("publish", "walk.db", "--commit", "-m", ""), 2, "empty"),
        (None, ("publish", ""), 2, "name"),
        (None, ("fetch", ""), 2, "name"),
        (None, ("fetch", "walk"), 3, "no walk in "),
        (None, ("fetch", "elsewhere/walk.db"), 3, "elsewhere/walk.db"),
        (other_archive, ("fetch", "walk"), 4, "no packed recording"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    project: Path,
    run_here: RunHere,
    spoil: Spoil | None,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    if spoil is not None:
        spoil(project)
    before = sorted(path for path in (project / "data").rglob("*"))
    ran: Ran = run_here(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.err.splitlines()) == 1
    assert said in ran.err
    assert sorted(path for path in (project / "data").rglob("*")) == before


def test_an_archive_folder_that_may_not_be_written(project: Path) -> None:
    (project / "data").chmod(0o555)
    try:
        ran = run_in(project, "publish", "walk.db")
    finally:
        (project / "data").chmod(0o755)
    assert ran.returncode == 5
    assert ran.stderr.startswith("error: ")
    assert len(ran.stderr.splitlines()) == 1
    assert os.listdir(project / "data" / ".lfs") == []

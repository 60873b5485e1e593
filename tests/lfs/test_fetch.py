"""Fetching, with the real git and git-lfs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.errors import (
    GitError,
    NotARecording,
    OptionError,
    RecordingBusy,
    RecordingExists,
    RecordingNotFound,
)
from dimos_record.lfs.fetch import fetch
from dimos_record.lfs.publish import publish
from tests.lfs.projects import (
    Project,
    is_pointer,
    isolate,
    leftovers,
    member,
    messages_of,
    record,
    started,
    tar,
)

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def published(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote to which `walk.db` and the folder `long` were published."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("project", "remote.git"):
        shutil.copytree(template / name, folder / name)
    with pytest.MonkeyPatch.context() as monkeypatch:
        isolate(monkeypatch, folder)
        project = Project(folder / "project", folder / "remote.git")
        project.git("remote", "set-url", "origin", project.remote.as_uri())
        (project.data / "long").mkdir()
        for number in (1, 2):
            record(project.data / "long" / f"segment-0000{number}.db", messages=number)
        publish(project.data / "long", commit=True)
        publish(project.data / "walk.db", push=True)
    return folder


@pytest.fixture
def clone(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A clone of it with pointers only; it is the current folder."""
    shutil.copytree(published / "remote.git", tmp_path / "remote.git")
    clone = Project(tmp_path / "none", tmp_path / "remote.git").clone("clone")
    monkeypatch.chdir(clone.root)
    return clone


EXPECTED = [b"odom %d" % i for i in range(20)]


@pytest.mark.parametrize("name", ["walk", "walk.db", "data/walk", "data/.lfs/walk.db.tar.gz"])
def test_only_pointers_are_there_and_it_is_pulled_and_unpacked(clone: Project, name: str) -> None:
    assert is_pointer(clone.archive)
    seen: list[tuple[int, int]] = []
    path = fetch(name, on_progress=lambda done, total: seen.append((done, total)))
    assert path.samefile(clone.data / "walk.db")
    assert messages_of(path) == EXPECTED
    assert not is_pointer(clone.archive)
    assert is_pointer(clone.data / ".lfs" / "long.tar.gz"), "what nobody asked for is not pulled"
    assert clone.status() == []
    assert leftovers(clone.root) == []
    assert seen[-1][0] == seen[-1][1] == 2 * clone.archive.stat().st_size


def test_a_recording_is_fetched_when_it_is_used(
    clone: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone.root / "src").mkdir()
    monkeypatch.chdir(clone.root / "src")
    assert messages_of("walk") == EXPECTED
    with RecordReplay("long") as rec:
        assert rec.info().count == 3
    assert sorted(os.listdir(clone.data)) == [".lfs", "long", "walk.db"]


def test_what_clones_leave_out_is_pulled_all_the_same(clone: Project) -> None:
    clone.git("config", "lfs.fetchexclude", "data/.lfs/*")
    assert messages_of(fetch("walk")) == EXPECTED


def test_what_is_there_already_stays(clone: Project) -> None:
    path = fetch("walk")
    before = path.stat()
    assert fetch("walk") == path
    assert path.stat() == before


def test_who_has_published_it_has_it_already(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("data/walk.db")
    before = (project.data / "walk.db").read_bytes()
    fetch("walk")
    assert (project.data / "walk.db").read_bytes() == before


@pytest.mark.parametrize("what", ["messages", "times", "markers"])
def test_another_recording_of_that_name_is_never_overwritten_untold(
    clone: Project, what: str
) -> None:
    if what == "messages":
        path = record(clone.data / "walk.db", content=b"mine")
    else:
        path = fetch("walk")
        with RecordReplay(path) as rec:
            if what == "times":
                rec.shift("/a", 1e-9)
            else:
                rec.add_marker(1.0, "here")
            rec.save()
    before = path.read_bytes()
    with pytest.raises(RecordingExists, match=r"walk\.db is there already.*--overwrite"):
        fetch("walk")
    assert path.read_bytes() == before
    assert leftovers(clone.root) == []
    assert messages_of("walk") == messages_of(path), "it is used as it is"
    fetch("walk", overwrite=True)
    assert path.read_bytes() != before
    assert messages_of(path) == EXPECTED


def test_what_is_in_use_or_no_recording_is_not_replaced(clone: Project) -> None:
    path = record(clone.data / "walk.db", content=b"mine")
    code = (
        "import sys, time\nopened = open(sys.argv[1])\nprint('open', flush=True)\ntime.sleep(600)"
    )
    with started(code, path), pytest.raises(RecordingBusy):
        fetch("walk", overwrite=True)
    path.write_text("a text")
    with pytest.raises(NotARecording):
        fetch("walk", overwrite=True)
    assert path.read_text() == "a text"


def test_several_processes_fetch_at_once(clone: Project) -> None:
    code = (
        "import sys\nfrom dimos_record import RecordReplay\nsys.stdin.readline()\n"
        "with RecordReplay('walk') as rec:\n    print(len(list(rec.view())))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate()
        assert (process.returncode, out) == (0, "20\n"), err
    assert sorted(os.listdir(clone.data)) == [".lfs", "walk.db"]
    assert clone.status() == []


@pytest.mark.parametrize("when", ["pulling", "unpacking"])
def test_cancelled_it_leaves_nothing(clone: Project, when: str) -> None:
    class Enough(Exception):
        pass

    if when == "unpacking":
        clone.git("lfs", "install", "--local")
        clone.git("lfs", "pull")

    def on_progress(done: int, total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        fetch("walk", on_progress=on_progress)
    assert os.listdir(clone.data) == [".lfs"]
    assert messages_of(fetch("walk")) == EXPECTED


def test_killed_while_unpacking_nothing_of_it_is_left_by_the_next(clone: Project) -> None:
    code = (
        "import time\nfrom dimos_record.lfs import fetch\n"
        "def check(*arguments):\n    print('unpacked', flush=True)\n    time.sleep(600)\n"
        "fetch._check = check\n"
        "fetch.fetch('walk')\n"
    )
    with started(code):
        pass
    assert len(leftovers(clone.data)) == 1
    assert messages_of("walk") == EXPECTED
    assert leftovers(clone.root) == []


# --- what is refused


def test_an_archive_of_something_else_is_refused(clone: Project) -> None:
    archive = clone.data / ".lfs" / "evil.db.tar.gz"
    for content in (tar(member("evil.db", b"a text")), tar(member("../evil.db", b""))):
        archive.write_bytes(content)
        with pytest.raises(NotARecording, match=r"evil\.db\.tar\.gz is no packed recording"):
            fetch("evil")
        with RecordReplay("evil") as rec, pytest.raises(NotARecording):
            _ = rec.span
    assert os.listdir(clone.data) == [".lfs"]


def test_what_is_not_there_is_said_with_what_there_is(
    clone: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RecordingNotFound, match=r"no run in .*: it has long, walk\.db"):
        fetch("run")
    with pytest.raises(RecordingNotFound, match=r"no run\.db in data/\.lfs: it has long"):
        fetch("data/run.db")
    with pytest.raises(OptionError, match="is empty"):
        fetch("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordingNotFound, match=r"no data/\.lfs"):
        fetch("walk")


def test_what_was_never_pushed_is_said(clone: Project) -> None:
    shutil.rmtree(clone.remote / "lfs")
    with pytest.raises(GitError, match=r"walk\.db\.tar\.gz cannot be pulled .*; fetch it again"):
        fetch("walk")
    assert os.listdir(clone.data) == [".lfs"]


def test_a_pointer_outside_of_git_is_said(clone: Project) -> None:
    shutil.rmtree(clone.root / ".git")
    with pytest.raises(GitError, match=r"only a pointer .* git clone"):
        fetch("walk")


def test_a_name_that_is_packed_says_how_to_unpack_it(clone: Project) -> None:
    from dimos_record.store.paths import path_for_reading

    with pytest.raises(
        RecordingNotFound, match=r"packed in .*; unpack it with: dimos-record fetch"
    ):
        path_for_reading("walk")

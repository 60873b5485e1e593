"""Publishing, with the real git and git-lfs."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record import MemoryStore, RecordReplay
from dimos_record.errors import (
    EditError,
    GitError,
    NotARecording,
    OptionError,
    RecordingBusy,
    RecordingExists,
    RecordingNotFound,
)
from dimos_record.lfs.publish import publish
from tests.lfs.projects import T0, Project, is_pointer, leftovers, messages_of, record, started
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.once

LINES = {
    ".gitattributes": "/data/.lfs/*.tar.gz filter=lfs diff=lfs merge=lfs -text\n",
    ".gitignore": "/data/*\n!/data/.lfs/\n",
}


def unpacked(archive: Path, folder: Path) -> Path:
    """The recording in an archive, unpacked without our help."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    return folder / archive.name.removesuffix(".tar.gz")


def test_a_recording_is_packed_and_staged_and_nothing_else(
    project: Project, tmp_path: Path
) -> None:
    before = (project.data / "walk.db").read_bytes()
    (project.root / "mine").write_text("not to be staged")
    report = publish("data/walk.db")
    assert report.path == project.archive
    assert (report.messages, report.changed, report.commit, report.pushed_to) == (
        20,
        True,
        None,
        None,
    )
    assert report.staged == ("data/.lfs/walk.db.tar.gz", ".gitattributes", ".gitignore")
    assert report.size_after == project.archive.stat().st_size
    assert project.status() == [
        *("A  .gitattributes", "A  .gitignore", "A  data/.lfs/walk.db.tar.gz", "?? mine"),
    ]
    for name, text in LINES.items():
        assert (project.root / name).read_text() == text
    assert (project.data / "walk.db").read_bytes() == before
    assert messages_of(unpacked(project.archive, tmp_path)) == messages_of("data/walk.db")
    assert project.git("cat-file", "blob", ":data/.lfs/walk.db.tar.gz").startswith("version https")


def test_published_committed_pushed_cloned_and_fetched(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "mine").write_text("mine")
    project.git("add", "mine")
    report = publish("data/walk.db", push=True, message="A walk")
    assert report.pushed_to == "origin/main"
    assert project.git("log", "-1", "--format=%h %s").split(maxsplit=1) == [
        report.commit,
        "A walk\n",
    ]
    assert project.git("show", "--name-only", "--format=").split() == [
        *(".gitattributes", ".gitignore", "data/.lfs/walk.db.tar.gz"),
    ]
    assert project.status() == ["A  mine"]
    clone = project.clone("clone")
    assert is_pointer(clone.archive)
    monkeypatch.chdir(clone.root)
    assert messages_of("walk") == messages_of(project.data / "walk.db")
    assert clone.status() == []


def test_in_steps_it_becomes_the_same_commit(project: Project) -> None:
    first = publish("data/walk.db")
    assert (first.changed, first.commit) == (True, None)
    again = publish("data/walk.db", commit=True)
    assert not again.changed
    assert project.git("show", "--name-only", "--format=").split() == [
        *(".gitattributes", ".gitignore", "data/.lfs/walk.db.tar.gz"),
    ]
    assert project.git("log", "-1", "--format=%s") == "Publish walk.db (20 messages)\n"
    pushed = publish("data/walk.db", push=True)
    assert (pushed.commit, pushed.changed, pushed.staged) == (
        again.commit,
        False,
        ("data/.lfs/walk.db.tar.gz",),
    )
    assert project.git("rev-list", "--count", "origin/main") == "2\n"
    assert publish("data/walk.db").commit == again.commit


def test_a_new_version_takes_the_place_of_a_committed_one(project: Project) -> None:
    publish("data/walk.db", commit=True)
    (project.data / "walk.db").unlink()
    project.record(content=b"another")
    assert publish("data/walk.db").changed
    assert project.status() == ["M  data/.lfs/walk.db.tar.gz"]


@pytest.mark.parametrize("staged", [True, False])
def test_an_archive_that_is_not_committed_is_only_replaced_when_told(
    project: Project, staged: bool
) -> None:
    if staged:
        publish("data/walk.db")
    else:
        project.archive.parent.mkdir()
        project.archive.write_bytes(b"somebody's")
    before = project.archive.read_bytes()
    (project.data / "walk.db").unlink()
    project.record(content=b"another")
    with pytest.raises(RecordingExists, match=r"walk\.db\.tar\.gz has other content .*--overwrite"):
        publish("data/walk.db")
    assert project.archive.read_bytes() == before
    assert leftovers(project.root) == []
    assert publish("data/walk.db", overwrite=True).changed


def test_lines_of_others_stay_as_they_are(project: Project) -> None:
    (project.root / ".gitattributes").write_bytes(b"*.png binary\r\n*.sh eol=lf")
    (project.root / ".gitignore").write_bytes(b"# mine\n/build/\n")
    project.git("add", ".gitattributes", ".gitignore")
    project.git("commit", "-m", "mine")
    publish("data/walk.db", commit=True)
    attributes = (project.root / ".gitattributes").read_bytes()
    assert attributes == b"*.png binary\r\n*.sh eol=lf\n" + LINES[".gitattributes"].encode()
    ignored = (project.root / ".gitignore").read_bytes()
    assert ignored == b"# mine\n/build/\n" + LINES[".gitignore"].encode()
    assert project.status() == []


def test_rules_that_are_there_already_are_enough(project: Project) -> None:
    (project.root / ".gitattributes").write_text("*.gz filter=lfs -text\n")
    (project.root / ".gitignore").write_text("data\n")
    project.git("add", ".gitattributes", ".gitignore")
    project.git("commit", "-m", "mine")
    assert publish("data/walk.db", commit=True).staged == ("data/.lfs/walk.db.tar.gz",)
    assert project.status() == []


def test_other_files_in_the_data_folder_do_not_become_ignored(project: Project) -> None:
    (project.data / "map.yaml").write_text("resolution: 0.05\n")
    project.git("add", "data/map.yaml")
    project.git("commit", "-m", "a map")
    publish("data/walk.db")
    assert (project.root / ".gitignore").read_text() == "/data/walk.db*\n"
    (project.data / "other.yaml").touch()
    assert "?? data/other.yaml" in project.status()


@pytest.mark.parametrize("name", [".gitattributes", ".gitignore"])
def test_changes_of_others_that_are_not_committed_are_in_the_way(
    project: Project, name: str
) -> None:
    (project.root / name).write_text("*.txt text\n")
    project.git("add", name)
    with pytest.raises(GitError, match=rf"{name} has changes that are not committed.*commit it"):
        publish("data/walk.db")
    assert not project.archive.exists()
    assert (project.root / name).read_text() == "*.txt text\n"


def test_a_folder_of_segments_is_packed_as_one(project: Project, tmp_path: Path) -> None:
    folder = project.data / "long"
    folder.mkdir()
    record(folder / "segment-00001.db")
    record(folder / "segment-00002.db", messages=3)
    report = publish("data/long")
    assert report.path == project.data / ".lfs" / "long.tar.gz"
    assert report.messages == 23
    found = unpacked(report.path, tmp_path)
    assert sorted(os.listdir(found)) == ["segment-00001.db", "segment-00002.db"]


def test_what_was_cut_and_saved_is_not_in_the_archive(project: Project, tmp_path: Path) -> None:
    recording = project.data / "walk.db"
    with closing(sqlite3.connect(recording)) as connection:  # as another program may delete
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("DELETE FROM a_blob WHERE id = 7")
        connection.commit()
    assert b"odom 6" in recording.read_bytes()
    publish("data/walk.db")
    assert b"odom 6" not in unpacked(project.archive, tmp_path).read_bytes()


_RECORDS = """
import sys, time
from dimos_record import MemoryStore, RecordReplay
rec = RecordReplay(sys.argv[1], bus="memory://killed")
rec.start_recording()
for i in range(50):
    rec.bus.publish("/a", b"%d" % i)
print("recording", flush=True)
time.sleep(600)
"""


def test_what_a_killed_recorder_left_is_whole_in_the_archive(
    project: Project, tmp_path: Path
) -> None:
    path = project.data / "killed.db"
    with started(_RECORDS, path) as process:
        with pytest.raises(RecordingBusy, match=f"process {process.pid}"):
            publish("data/killed.db")
        wait_until(lambda: len(messages_of(path)) == 50)
        process.kill()
    publish("data/killed.db")
    assert Path(f"{path}-wal").exists(), "the recording itself stays as it is"
    found = unpacked(project.data / ".lfs" / "killed.db.tar.gz", tmp_path)
    with closing(sqlite3.connect(f"file:{found}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM a_blob").fetchone() == (50,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_object_that_holds_a_recording_publishes_it(project: Project) -> None:
    with RecordReplay("data/walk.db", bus="memory://publish") as rec:
        rec.stream("a").append(b"one more")
        assert rec.publish(commit=True, message="A walk").messages == 21
        assert rec.info().count == 21
        with rec.recording(append=True), pytest.raises(RecordingBusy):
            rec.publish()
    assert project.git("log", "-1", "--format=%s") == "A walk\n"
    with RecordReplay(store=MemoryStore()) as rec, pytest.raises(OptionError, match="is no file"):
        rec.publish()


# --- what is refused


def test_edits_that_are_not_saved_are_refused(project: Project) -> None:
    with RecordReplay("data/walk.db") as rec:
        rec.delete_section((0.5, 1))
    with pytest.raises(EditError, match=r"dimos-record save .*walk\.db"):
        publish("data/walk.db")
    assert project.status() == ["?? data/"]


def test_a_recording_that_another_program_has_open_is_refused(project: Project) -> None:
    code = (
        "import sys, time\nopened = open(sys.argv[1])\nprint('open', flush=True)\ntime.sleep(600)"
    )
    with (
        started(code, project.data / "walk.db") as process,
        pytest.raises(RecordingBusy, match=f"open in process {process.pid}"),
    ):
        publish("data/walk.db")


def test_what_is_no_recording_or_in_no_work_tree_is_refused(
    project: Project, tmp_path: Path
) -> None:
    (project.data / "text.db").write_text("a text")
    with pytest.raises(NotARecording):
        publish("data/text.db")
    with pytest.raises(RecordingNotFound):
        publish("data/nothing.db")
    record(tmp_path / "outside.db")
    with pytest.raises(GitError, match=r"outside\.db is in no git work tree"):
        publish(tmp_path / "outside.db")
    record(project.remote / "bare.db")
    with pytest.raises(GitError, match="is in no git work tree"):
        publish(project.remote / "bare.db")
    assert not (project.data / ".lfs").exists()


@pytest.mark.parametrize(
    ("tools", "said"),
    [([], "git is not installed; .*apt-get"), (["git"], "Git LFS is not installed; .*apt-get")],
)
def test_without_git_or_git_lfs_it_says_what_to_install(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: list[str], said: str
) -> None:
    (tmp_path / "bin").mkdir()
    for tool in tools:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "exec").mkdir()  # where git looks for git-lfs first
    monkeypatch.setenv("GIT_EXEC_PATH", str(tmp_path / "exec"))
    with pytest.raises(GitError, match=said):
        publish("data/walk.db")
    assert not (project.data / ".lfs").exists()


def test_merge_conflicts_are_in_the_way(project: Project) -> None:
    project.git("checkout", "-q", "-b", "other")
    (project.root / "README").write_text("theirs")
    project.git("commit", "-qam", "theirs")
    project.git("checkout", "-q", "main")
    (project.root / "README").write_text("ours")
    project.git("commit", "-qam", "ours")
    subprocess.run(["git", "merge", "other"], cwd=project.root, capture_output=True, check=False)
    with pytest.raises(GitError, match="merge conflicts; resolve"):
        publish("data/walk.db")
    (project.root / "README").write_text("both")
    project.git("add", "README")
    with pytest.raises(GitError, match="a merge is in progress"):
        publish("data/walk.db", commit=True)
    assert not (project.data / ".lfs").exists()
    assert publish("data/walk.db").changed  # to stage it is no problem


def test_where_it_cannot_be_committed_or_pushed_it_says_so_before_packing(
    project: Project,
) -> None:
    with pytest.raises(OptionError, match="--commit"):
        publish("data/walk.db", message="for nothing")
    project.git("remote", "remove", "origin")
    with pytest.raises(GitError, match=r"has no remote to push to; .*git remote add origin"):
        publish("data/walk.db", push=True)
    project.git("config", "--unset", "user.email")
    project.git("config", "user.useConfigOnly", "true")
    with pytest.raises(GitError, match=r"does not know who commits .*user\.email"):
        publish("data/walk.db", commit=True)
    project.git("config", "user.email", "robots@example.org")
    project.git("checkout", "-q", "--detach")
    with pytest.raises(GitError, match=r"no branch is checked out .*git switch"):
        publish("data/walk.db", commit=True)
    assert not (project.data / ".lfs").exists()


def test_a_remote_that_is_gone_is_named(project: Project) -> None:
    shutil.rmtree(project.remote)
    with pytest.raises(
        GitError, match=r"cannot be pushed .*origin.*dimos-record publish .* --push"
    ):
        publish("data/walk.db", push=True)
    assert project.git("log", "-1", "--format=%s") == "Publish walk.db (20 messages)\n"


def test_newer_commits_on_the_remote_are_in_the_way_of_pushing(project: Project) -> None:
    publish("data/walk.db", push=True)
    clone = project.clone("clone")
    clone.git("commit", "-q", "--allow-empty", "-m", "newer")
    clone.git("push", "-q")
    project.record("second.db")
    with pytest.raises(GitError, match=r"main cannot be pushed to origin: .*git pull --rebase"):
        publish("data/second.db", push=True)
    project.git("pull", "-q", "--rebase")
    assert publish("data/second.db", push=True).pushed_to == "origin/main"


def test_a_failing_hook_leaves_it_staged_and_says_why(project: Project) -> None:
    hook = project.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho 'error: no commits on Fridays' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError, match="is staged and cannot be committed: no commits on Fridays"):
        publish("data/walk.db", commit=True)
    assert "A  data/.lfs/walk.db.tar.gz" in project.status()


def test_what_cannot_be_staged_leaves_all_as_it_was(project: Project) -> None:
    lock = project.root / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(GitError, match=r"cannot be staged: .*index\.lock.*publish it again"):
        publish("data/walk.db")
    assert project.status() == ["?? data/"]
    assert os.listdir(project.data) == ["walk.db"]
    lock.unlink()
    publish("data/walk.db", commit=True)
    before = project.archive.read_bytes()
    (project.data / "walk.db").unlink()
    project.record(content=b"another")
    lock.touch()
    with pytest.raises(GitError, match="cannot be staged"):
        publish("data/walk.db")
    lock.unlink()
    assert project.archive.read_bytes() == before
    assert project.status() == []
    assert leftovers(project.root) == []


# --- cancel and kill


class Enough(Exception):
    pass


@pytest.mark.parametrize("when", ["at once", "while packing", "at the end"])
def test_cancelled_it_leaves_nothing(project: Project, when: str) -> None:
    def on_progress(done: int, total: int) -> None:
        at_end = bool(total) and done == total
        if when == "at once" or (when == "while packing" and done) or at_end:
            raise Enough

    with pytest.raises(Enough):
        publish("data/walk.db", on_progress=on_progress)
    assert project.status() == ["?? data/"]
    assert os.listdir(project.data) == ["walk.db"]


def test_killed_while_packing_nothing_of_it_is_left_by_the_next(project: Project) -> None:
    with RecordReplay("data/large.db") as rec:
        for i in range(200):
            rec.stream("a").append(os.urandom(50_000), ts_ns=T0 + i)
    code = (
        "import sys, time\nfrom dimos_record.lfs.publish import publish\n"
        "def on_progress(done, total):\n"
        "    if done:\n        print('packing', flush=True)\n        time.sleep(600)\n"
        "publish(sys.argv[1], on_progress=on_progress)\n"
    )
    with started(code, "data/large.db") as process:
        process.send_signal(signal.SIGKILL)
    assert len(leftovers(project.data)) == 1
    assert publish("data/large.db").changed
    assert leftovers(project.root) == []


# --- places and names


@pytest.mark.parametrize("name", ["a walk.db", "w[a]l*k.db", "wälk.db", "-walk.db", "#walk!.db"])
def test_names_are_names_and_not_patterns(project: Project, name: str, tmp_path: Path) -> None:
    project.record(name)
    publish(f"data/{name}", commit=True)
    assert project.status() == []
    assert is_pointer_in_git(project, f"data/.lfs/{name}.tar.gz")
    assert len(messages_of(unpacked(project.data / ".lfs" / f"{name}.tar.gz", tmp_path))) == 20


def is_pointer_in_git(project: Project, name: str) -> bool:
    return project.git("cat-file", "blob", f":{name}").startswith("version https://git-lfs")


def test_the_archive_goes_to_the_data_folder_nearby(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = project.root / "my package"
    (package / "data" / ".lfs").mkdir(parents=True)
    record(package / "loose.db")
    assert publish(package / "loose.db", commit=True).path.parent == package / "data" / ".lfs"
    assert is_pointer_in_git(project, "my package/data/.lfs/loose.db.tar.gz")
    (project.root / "recordings").mkdir()
    monkeypatch.setenv("DIMOS_RECORD_DATA", str(project.root / "recordings"))
    record(project.root / "recordings" / "named.db")
    publish("named.db", commit=True)
    assert is_pointer_in_git(project, "recordings/.lfs/named.db.tar.gz")


def test_in_a_hook_of_another_repository_it_is_the_right_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "other"], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    publish("data/walk.db")
    monkeypatch.delenv("GIT_DIR")
    assert "A  data/.lfs/walk.db.tar.gz" in project.status()


def test_in_a_repository_without_any_commit(project: Project, tmp_path: Path) -> None:
    root = tmp_path / "new"
    subprocess.run(["git", "-c", "init.defaultBranch=main", "init", "-q", root], check=True)
    new = Project(root, project.remote)
    new.introduce()
    new.record()
    assert publish(root / "data" / "walk.db", commit=True).commit
    assert new.status() == []

"""Git projects with a remote, and recordings in them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dimos_record import RecordReplay

T0 = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Project:
    """A work tree of git, and the remote that it is pushed to.

    Args:
        root: the top of the work tree.
        remote: a bare repository in a folder.
    """

    root: Path
    remote: Path

    @classmethod
    def create(cls, folder: Path) -> Project:
        project = cls(folder / "project", folder / "remote.git")
        for arguments in (("--bare", project.remote), (project.root,)):
            command = ["git", "-c", "init.defaultBranch=main", "init", "--quiet", *arguments]
            subprocess.run(command, check=True)
        project.introduce()
        project.git("remote", "add", "origin", project.remote.as_uri())
        (project.root / "README").write_text("a project\n")
        project.git("add", "README")
        project.git("commit", "--quiet", "-m", "first")
        return project

    def clone(self, name: str) -> Project:
        """Another work tree of the same remote, with pointers in the place of what is in LFS."""
        root = self.root.parent / name
        subprocess.run(
            ["git", "clone", "--quiet", "--branch", "main", self.remote.as_uri(), root],
            check=True,
            env={**os.environ, "GIT_LFS_SKIP_SMUDGE": "1"},
        )
        clone = Project(root, self.remote)
        clone.introduce()
        return clone

    def introduce(self) -> None:
        """Tell git who commits here."""
        self.git("config", "user.name", "A Roboticist")
        self.git("config", "user.email", "robots@example.org")

    def git(self, *arguments: str | Path) -> str:
        """What a git command prints there."""
        done = subprocess.run(
            ["git", *map(str, arguments)],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> list[str]:
        """What `git status` lists."""
        return self.git("status", "--porcelain").splitlines()

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def archive(self) -> Path:
        return self.data / ".lfs" / "walk.db.tar.gz"

    def record(self, name: str = "walk.db", messages: int = 20, content: bytes = b"odom") -> Path:
        """A recording in the data folder: `/a` at 10 Hz."""
        self.data.mkdir(exist_ok=True)
        return record(self.data / name, messages, content)


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Git knows nothing of who runs the tests, and Git LFS is not set up for everybody."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    names = ["XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_DIR", "GIT_LFS_SKIP_SMUDGE", "EMAIL"]
    for who in ("AUTHOR", "COMMITTER"):
        names += [f"GIT_{who}_NAME", f"GIT_{who}_EMAIL"]
    for name in (*names, "DIMOS_RECORD_DATA"):
        monkeypatch.delenv(name, raising=False)


def record(path: Path, messages: int = 20, content: bytes = b"odom") -> Path:
    """A recording of `/a` at 10 Hz."""
    with RecordReplay(path) as rec:
        stream = rec.stream("a", topic="/a")
        for i in range(messages):
            stream.append(b"%s %d" % (content, i), ts_ns=T0 + i * 100_000_000)
    return path


def messages_of(name: str | Path) -> list[bytes]:
    """What was recorded, in order."""
    with RecordReplay(name) as rec:
        return [one.raw for one in rec.view()]


def is_pointer(path: Path) -> bool:
    return path.read_bytes().startswith(b"version https://git-lfs")


def leftovers(folder: Path) -> list[str]:
    """Names that begin with a dot, other than those that are meant to be there."""
    meant = {".lfs", ".git", ".gitattributes", ".gitignore"}
    return sorted(path.name for path in folder.glob("**/.*") if path.name not in meant)


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A packed archive with exactly these members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for one in members:
            member, content = one if isinstance(one, tuple) else (one, b"")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A file, or with `type=` something else."""
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


@contextmanager
def started(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A Python program that has printed a line; it is killed at the end, if it still runs."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()

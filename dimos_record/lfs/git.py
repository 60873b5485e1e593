"""Git and Git LFS, run as commands, as far as publishing and fetching need them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import GitError

OnPoll = Callable[[], None]
"""Called some times a second while a command runs; what it raises ends the command."""

_POLL_S = 0.1
_POINTER_BYTES = 1024
_POINTER_START = b"version https://git-lfs.github.com/spec/"
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)
"""Set in hooks: they would lead git to another repository than the one that it is told."""
_IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


class Pointer(NamedTuple):
    """What Git keeps in the place of a file that is in Git LFS."""

    oid: str
    """SHA-256 of the file, in hexadecimal digits."""
    size: int
    """Bytes of the file."""


def pointer_in(content: bytes) -> Pointer | None:
    """The pointer that a small file is, or None if it is something else."""
    if len(content) > _POINTER_BYTES or not content.startswith(_POINTER_START):
        return None
    fields = dict(line.split(b" ", 1) for line in content.splitlines() if b" " in line)
    oid, size = fields.get(b"oid", b"").removeprefix(b"sha256:"), fields.get(b"size", b"")
    return Pointer(oid.decode(), int(size)) if oid.isalnum() and size.isdigit() else None


def pointer_at(path: Path) -> Pointer | None:
    """The pointer that stands in the place of a file, or None if the file itself is there."""
    with open(path, "rb") as file:
        return pointer_in(file.read(_POINTER_BYTES + 1))


@dataclass(frozen=True)
class Repository:
    """A git work tree.

    Args:
        root: its top folder.
    """

    root: Path

    @classmethod
    def around(cls, folder: Path) -> Repository | None:
        """The work tree that a folder is in, or None if it is in none.

        Raises:
            GitError: git is not installed, or refuses to work there.
        """
        done = _run(["rev-parse", "--show-toplevel"], folder)
        if done.returncode == 0 and done.stdout.strip():
            return cls(Path(done.stdout.removesuffix("\n")))
        if done.returncode == 0 or "not a git repository" in done.stderr:
            return None
        if "must be run in a work tree" in done.stderr:
            return None
        raise GitError(f"git does not work in {folder}: {reason(done)}; see: git status")

    def ask(self, *arguments: str) -> str | None:
        """What a git command prints, without the last end of line; None if it says no."""
        done = _run(arguments, self.root)
        return done.stdout.removesuffix("\n") if done.returncode == 0 else None

    def run(
        self,
        *arguments: str,
        failed: str,
        then: str,
        on_poll: OnPoll | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a git command that is to succeed, and return what it prints.

        Args:
            failed: how the sentence begins if it does not: `walk.db cannot be pushed`.
            then: how it ends: what to do.
            on_poll: see `OnPoll`.
            env: variables for the command.

        Raises:
            GitError: it failed.
        """
        done = _run(arguments, self.root, on_poll, env)
        if done.returncode:
            raise GitError(f"{failed}: {reason(done)}; {then}")
        return done.stdout

    def relative(self, path: Path) -> str:
        """A path as git writes it, from the top of the work tree."""
        return path.relative_to(self.root).as_posix()

    def spec(self, path: Path) -> str:
        """A path for git commands that take patterns: `*` in it is no pattern."""
        return f":(top,literal){self.relative(path)}"

    def branch(self) -> str | None:
        """The branch that is checked out; None where there is none."""
        return self.ask("symbolic-ref", "--quiet", "--short", "HEAD")

    def state_of(self, path: Path) -> str:
        """The two letters of `git status` for a file; empty if it is as committed, or not there."""
        found = self.ask("status", "--porcelain", "-z", "--ignored", "--", self.spec(path))
        return (found or "")[:2]

    def staged(self, path: Path) -> Pointer | None:
        """The pointer that is staged, or committed, for a file; None if that is no pointer."""
        name = f":{self.relative(path)}"
        size = self.ask("cat-file", "-s", name)
        if size is None or int(size) > _POINTER_BYTES:
            return None
        return pointer_in(((self.ask("cat-file", "blob", name) or "") + "\n").encode())

    def require_lfs(self) -> None:
        """Make sure that Git LFS is installed, and that this repository uses it.

        Raises:
            GitError: it is not installed, or cannot be set up.
        """
        if _run(["lfs", "version"], self.root).returncode:
            raise GitError(
                "Git LFS is not installed; install it with: sudo apt-get install git-lfs "
                "(other systems: https://git-lfs.com)"
            )
        if self.ask("config", "filter.lfs.clean") is None:
            self.run(
                *("lfs", "install", "--local", "--skip-repo"),
                failed=f"Git LFS cannot be set up in {self.root}",
                then="set it up with: git lfs install",
            )

    def refuse_conflicts(self) -> None:
        """Raise if there are merge conflicts that are not resolved.

        Raises:
            GitError: there are.
        """
        if self.ask("ls-files", "--unmerged"):
            raise GitError(
                f"{self.root} has merge conflicts; resolve and commit them first (git status)"
            )

    def refuse_to_commit_now(self) -> None:
        """Raise if this is no moment to commit.

        Raises:
            GitError: something is in progress, or no branch is checked out.
        """
        for name, what in _IN_PROGRESS.items():
            where = self.ask("rev-parse", "--git-path", name)
            if where is not None and (self.root / where).exists():
                raise GitError(
                    f"{what} is in progress in {self.root}; finish it first, or abort it"
                )
        if self.ask("var", "GIT_COMMITTER_IDENT") is None:
            raise GitError(
                f"git does not know who commits to {self.root}; say it with: "
                "git config user.name NAME, and git config user.email ADDRESS"
            )
        if self.branch() is None:
            raise GitError(
                f"no branch is checked out in {self.root}; check one out with: git switch BRANCH"
            )

    def remote(self) -> str:
        """The remote that the branch is pushed to.

        Raises:
            GitError: there is none, or it is not clear which.
        """
        branch = self.branch()
        for setting in (
            f"branch.{branch}.pushRemote",
            "remote.pushDefault",
            f"branch.{branch}.remote",
        ):
            found = self.ask("config", setting)
            if found and found != ".":  # which is this repository
                return found
        remotes = (self.ask("remote") or "").split()
        if len(remotes) == 1 or "origin" in remotes:
            return "origin" if "origin" in remotes else remotes[0]
        if not remotes:
            raise GitError(
                f"{self.root} has no remote to push to; add one with: git remote add origin URL"
            )
        raise GitError(
            f"{self.root} has several remotes; choose one with: "
            f"git config branch.{branch}.remote {remotes[0]}"
        )


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why a command failed, in the one line of its own that says most."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    told = [line for line in lines if line.lower().startswith(("fatal:", "error:", "! ["))]
    line = " ".join((told or lines or [f"it ended with code {done.returncode}"])[0].split())
    for start in ("fatal:", "error:"):
        line = line.removeprefix(start).strip()
    return line.rstrip(".")


def _run(
    arguments: tuple[str, ...] | list[str],
    folder: Path,
    on_poll: OnPoll | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    command = ["git", *arguments]
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError:
        if shutil.which("git") is None:
            raise GitError(
                "git is not installed; install it with: sudo apt-get install git git-lfs"
            ) from None
        raise GitError(f"there is no folder {folder}") from None
    with process:
        try:
            out, err = _wait(process, on_poll)
            if process.returncode and on_poll is not None:
                on_poll()  # Ctrl-C in a terminal ends git at the same moment
        except BaseException:
            process.terminate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _wait(process: subprocess.Popen[str], on_poll: OnPoll | None) -> tuple[str, str]:
    while True:
        try:
            return process.communicate(timeout=_POLL_S if on_poll else None)
        except subprocess.TimeoutExpired:
            if on_poll is not None:
                on_poll()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**kept, "LC_ALL": "C.UTF-8", "LANGUAGE": "C", **more}  # messages are looked into

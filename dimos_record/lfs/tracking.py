"""`.gitattributes` and `.gitignore`: archives go to Git LFS, what is unpacked is in neither."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dimos_record.errors import GitError, StorageError
from dimos_record.lfs.git import Repository

_LFS = "filter=lfs diff=lfs merge=lfs -text"


@dataclass(frozen=True)
class Change:
    """Lines of ours in a file at the top of a repository that are not committed yet.

    Args:
        path: the file.
        missing: what is to be added at its end; empty where that was done before.
    """

    path: Path
    missing: str

    @contextmanager
    def made(self) -> Iterator[None]:
        """Add what is missing; the lines of others stay as they are.

        An exception in the block takes it back.

        Raises:
            StorageError: the file cannot be written.
        """
        size = self.path.stat().st_size if self.path.exists() else None
        try:
            with open(self.path, "ab") as file:
                file.write(os.fsencode(self.missing))
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            yield
        except BaseException:
            if size is None:
                self.path.unlink()
            else:
                os.truncate(self.path, size)
            raise


def needed_changes(
    repository: Repository, archive: Path, recording: Path, *, commit: bool
) -> list[Change]:
    """What is missing so that an archive is in Git LFS, and what is unpacked from it is ignored.

    Args:
        archive: `data/.lfs/walk.db.tar.gz`
        recording: `data/walk.db`
        commit: whether the files are to be committed: then nothing else may have changed in them.

    Raises:
        GitError: somebody has changed one of the files and not committed that.
        StorageError: one of them cannot be read.
    """
    attribute = f"{_quoted(_prefix(repository, archive.parent) + '*.tar.gz')} {_LFS}"
    has_attribute = is_in_lfs(repository, archive)
    is_ignored = repository.ask("check-ignore", "--no-index", str(recording)) is not None
    changes = [
        _change(repository, ".gitattributes", [attribute], has_attribute, commit),
        _change(repository, ".gitignore", _ignored(repository, recording), is_ignored, commit),
    ]
    return [change for change in changes if change is not None]


def is_in_lfs(repository: Repository, archive: Path) -> bool:
    """Whether git gives a file to Git LFS."""
    found = repository.ask("check-attr", "-z", "filter", "--", repository.relative(archive)) or ""
    return found.split("\0")[2:3] == ["lfs"]


def _ignored(repository: Repository, recording: Path) -> list[str]:
    """Lines for `.gitignore`: all of the data folder, unless the project has other files in it."""
    folder = recording.parent
    prefix = _prefix(repository, folder)
    archives = f":(top,literal,exclude){repository.relative(folder / '.lfs')}"
    others = repository.ask("ls-files", "--", repository.spec(folder), archives)
    if others or folder == repository.root:
        return [f"{prefix}{_plain(recording.name)}*"]
    return [f"{prefix}*", f"!{prefix}.lfs/"]


def _change(
    repository: Repository, name: str, lines: list[str], done: bool, commit: bool
) -> Change | None:
    path = repository.root / name
    now, committed = _text(path), repository.ask("show", f"HEAD:{name}")
    before = "" if committed is None else committed + "\n"
    added = "".join(f"{line}\n" for line in lines)
    if now == before + added:
        return Change(path, "")
    if now in (before, before.removesuffix("\n")):
        newline = "\n" if now and not now.endswith("\n") else ""
        return None if done else Change(path, newline + added)
    if done and not commit:
        return None
    raise GitError(
        f"{path} has changes that are not committed, and "
        + ("has to be committed, too" if done else f"needs the line {lines[0]!r}")
        + "; commit it first"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None


def _prefix(repository: Repository, folder: Path) -> str:
    """How patterns begin that are about a folder: `/data/`"""
    relative = repository.relative(folder)
    return "/" if relative == "." else f"/{_plain(relative)}/"


def _plain(text: str) -> str:
    """A name in a pattern of git's, in which nothing stands for something else."""
    return "".join(f"\\{letter}" if letter in "\\*?[]!#" else letter for letter in text)


def _quoted(pattern: str) -> str:
    """A pattern for `.gitattributes`, where a space would end it."""
    if " " not in pattern and '"' not in pattern:
        return pattern
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'

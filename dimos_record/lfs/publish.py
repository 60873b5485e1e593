"""Publishing: a recording is packed into `data/.lfs`, from where Git LFS takes it."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import DiskFull, GitError, OptionError, RecordingExists, StorageError
from dimos_record.lfs.archive import pack
from dimos_record.lfs.compact import compact
from dimos_record.lfs.folder import locked, working_folder
from dimos_record.lfs.git import OnPoll, Repository, pointer_at
from dimos_record.lfs.tracking import Change, is_in_lfs, needed_changes
from dimos_record.store import open_as_recorded
from dimos_record.store.editing import refuse_if_edited
from dimos_record.store.in_use import refuse_if_used
from dimos_record.store.open_segments import segments_of
from dimos_record.store.paths import ARCHIVE_SUFFIX, data_folder, path_for_reading
from dimos_record.store.recording_file import recording_files, refuse_if_busy, sync_folder

OnProgress = Callable[[int, int], None]
"""Called with (bytes packed, bytes in all), many times a second; what it raises cancels."""

_CHUNK_BYTES = 1 << 20
_SPARE_BYTES = 16_000_000
_AS_COMMITTED = ("", "D ", " D")
"""What `git status` says of a file that holds nothing that would be lost."""


class PublishReport(NamedTuple):
    """A recording that was packed for Git LFS."""

    path: Path
    """The archive."""
    recording: Path
    messages: int
    size_before: int
    """Bytes of the recording."""
    size_after: int
    """Bytes of the archive."""
    changed: bool
    """Whether the archive is another one than before; the same recording gives the same."""
    staged: tuple[str, ...]
    """The files that were staged, as git names them."""
    commit: str | None
    """The commit that has the archive; None while it is only staged."""
    pushed_to: str | None
    """Remote and branch that it was pushed to: `origin/main`."""


def publish(
    name: str | os.PathLike[str],
    *,
    commit: bool = False,
    push: bool = False,
    message: str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> PublishReport:
    """Pack a recording into `data/.lfs` of the git work tree that it is in, and stage that.

    The recording itself stays as it is. The archive holds all of its messages in as few pages as
    they need, and nothing that was cut and saved. Lines that `.gitattributes` and `.gitignore`
    need are added. Only these files are ever staged or committed.

    Args:
        name: the recording, a file or a folder of segments.
        commit: commit the files, too.
        push: commit, and push the current branch with what it has in Git LFS.
        message: of the commit.
        overwrite: replace an archive that is there and not committed.
        on_progress: see `OnProgress`.

    Raises:
        OptionError: there is a message, and nothing to commit.
        EditError: the recording has edits that are not saved.
        RecordingBusy: it is being recorded into, or somebody has it open.
        RecordingExists: there is another archive of that name that is not committed.
        GitError: it is in no git work tree, there is no Git LFS, or git refuses.
        DiskFull, StorageError: the archive cannot be written.
        RecordingNotFound, AmbiguousName, NotARecording, RecordingDamaged, NewerSchema
    """
    if message is not None and not (commit or push):
        raise OptionError(
            "a message is for the commit; add commit=True (--commit), or leave it out"
        )
    if message is not None and not message.strip():
        raise OptionError("the message of the commit is empty; write one, or leave it out")
    recording = path_for_reading(name)
    messages = _check(recording)
    publication = _Publication.of(recording)
    publication.check(commit or push, push)
    progress = _Progress(on_progress, _size(recording))
    poll = progress.repeat
    with publication.folder_there(), locked(publication.archive.parent, poll):
        changed, staged = publication.pack(overwrite, commit or push, progress)
    done = publication.commit_of(staged)
    if done is None and (commit or push):
        text = message or f"Publish {recording.name} ({messages:,} messages)"
        done = publication.commit(staged, text, poll)
    pushed_to = publication.push(poll) if push else None
    return PublishReport(
        publication.archive,
        recording,
        messages,
        _size(recording),
        publication.archive.stat().st_size,
        changed,
        tuple(publication.repository.relative(path) for path in staged),
        done,
        pushed_to,
    )


@dataclass(frozen=True)
class _Publication:
    """A recording, the repository that it is in, and the archive that it is to become."""

    repository: Repository
    recording: Path
    archive: Path

    @classmethod
    def of(cls, recording: Path) -> _Publication:
        folder = Path(os.path.realpath(recording.absolute().parent))
        repository = Repository.around(folder)
        if repository is None:
            raise GitError(
                f"{recording} is in no git work tree; copy it into the data folder of a project "
                "that is in git, and publish it there"
            )
        root = repository.root
        data = data_folder(folder)
        data = root / "data" if data is None else Path(os.path.realpath(data))
        if data != root and root not in data.parents:
            data = root / "data"
        return cls(
            repository, recording, data / ".lfs" / f"{recording.absolute().name}{ARCHIVE_SUFFIX}"
        )

    @property
    def unpacked(self) -> Path:
        """Where the recording is where somebody has fetched it."""
        return self.archive.parent.parent / self.archive.name.removesuffix(ARCHIVE_SUFFIX)

    def check(self, commit: bool, push: bool) -> None:
        """Make sure, as far as looking tells, that nothing will be in the way."""
        self.repository.require_lfs()
        self.repository.refuse_conflicts()
        if commit:
            self.repository.refuse_to_commit_now()
        if push:
            self.repository.remote()
        self._changes(commit)

    def _changes(self, commit: bool) -> list[Change]:
        return needed_changes(self.repository, self.archive, self.unpacked, commit=commit)

    @contextmanager
    def folder_there(self) -> Iterator[None]:
        """The folder of the archives, which is there; created in vain, it goes again."""
        folder = self.archive.parent
        missing = [path for path in (folder, folder.parent) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder} cannot be created: {error.strerror}") from None
        try:
            yield
        except BaseException:
            for path in missing:
                if not os.listdir(path):
                    path.rmdir()
            raise

    def pack(
        self, overwrite: bool, commit: bool, progress: _Progress
    ) -> tuple[bool, tuple[Path, ...]]:
        """Make the archive and stage it, or leave all as it was.

        Returns:
            Whether it is another one than before, and what was staged.
        """
        with working_folder(self.archive.parent.parent / self.archive.name) as folder:
            copy, packed = folder / self.unpacked.name, folder / self.archive.name
            _check_room(self.archive, _size(self.recording))
            compact(self.recording, copy, progress.repeat)
            progress.expect(_size(copy))
            pack(copy, packed, progress.add)
            changed = self._is_new(packed, overwrite)
            with ExitStack() as stack:
                stack.enter_context(self._put(packed, folder / "before"))
                changes = self._changes(commit)
                for change in changes:
                    stack.enter_context(change.made())
                paths = self.archive, *(change.path for change in changes)
                self._stage(paths, progress.repeat)
        return changed, paths

    def _is_new(self, packed: Path, overwrite: bool) -> bool:
        """Whether an archive is another one than that which is there, and may take its place."""
        new, there = _oid(packed), _oid(self.archive) if self.archive.exists() else None
        if not overwrite and self.repository.state_of(self.archive) not in _AS_COMMITTED:
            staged = self.repository.staged(self.archive)
            if {there, None if staged is None else staged.oid} - {None, new}:
                raise RecordingExists(
                    f"{self.archive} has other content that is not committed; commit it first, or "
                    "replace it with --overwrite"
                )
        return there != new

    @contextmanager
    def _put(self, packed: Path, before: Path) -> Iterator[None]:
        """Give the archive its name; an exception in the block puts back what was there."""
        try:
            if self.archive.exists():
                _set_aside(self.archive, before)
            os.replace(packed, self.archive)
            sync_folder(self.archive.parent)
        except OSError as error:
            raise StorageError(f"{self.archive} cannot be written: {error.strerror}") from None
        try:
            yield
        except BaseException:
            if before.exists():
                os.replace(before, self.archive)
            else:
                self.archive.unlink()
            raise

    def _stage(self, paths: Sequence[Path], on_poll: OnPoll) -> None:
        if not is_in_lfs(self.repository, self.archive):
            raise GitError(
                f"{self.archive} would not go to Git LFS; another .gitattributes than "
                f"{self.repository.root / '.gitattributes'} takes it: remove that line there"
            )
        self.repository.run(
            *("add", "--force", "--", *map(self.repository.spec, paths)),
            failed=f"{self.archive} cannot be staged",
            then="publish it again when that is solved",
            on_poll=on_poll,
        )
        if self.repository.staged(self.archive) is None:
            spec = self.repository.spec(self.archive)
            self.repository.ask("rm", "--cached", "--quiet", "--", spec)
            raise GitError(
                f"git would keep all of {self.archive} itself, so it is not staged; "
                "set up Git LFS with: git lfs install --force"
            )

    def commit(self, paths: Sequence[Path], message: str, on_poll: OnPoll) -> str:
        """Commit what was staged, and nothing else; return the commit."""
        self.repository.run(
            *("commit", "--quiet", "--message", message, "--", *self._specs(paths)),
            failed=f"{self.archive} is staged and cannot be committed",
            then="commit it when that is solved: git commit",
            on_poll=on_poll,
        )
        return self._last_commit() or ""

    def commit_of(self, paths: Sequence[Path]) -> str | None:
        """The commit that has the archive; None while something of these files is in none."""
        same = self.repository.ask("diff", "--quiet", "HEAD", "--", *self._specs(paths))
        return None if same is None else self._last_commit()

    def _last_commit(self) -> str | None:
        return self.repository.ask(
            "log", "-1", "--format=%h", "--", self.repository.spec(self.archive)
        )

    def _specs(self, paths: Sequence[Path]) -> list[str]:
        return [self.repository.spec(path) for path in paths]

    def push(self, on_poll: OnPoll) -> str:
        """Push what the branch has in Git LFS, and then the branch; return where to."""
        remote, branch = self.repository.remote(), self.repository.branch()
        then = (
            "it is committed; when that is solved (where the remote has newer commits, with: "
            "git pull --rebase), push it with: dimos-record publish "
            f"{shlex.quote(str(self.recording))} --push"
        )
        self.repository.run(
            *("lfs", "push", remote, str(branch)),
            failed=f"{self.archive.name} cannot be pushed to Git LFS of {remote}",
            then=then,
            on_poll=on_poll,
        )
        has_upstream = self.repository.ask("config", f"branch.{branch}.merge") is not None
        self.repository.run(
            *("push", "--quiet", *([] if has_upstream else ["--set-upstream"])),
            *(remote, f"refs/heads/{branch}"),
            failed=f"{branch} cannot be pushed to {remote}",
            then=then,
            on_poll=on_poll,
        )
        return f"{remote}/{branch}"


def _check(recording: Path) -> int:
    """Make sure that a recording can be published, and count its messages."""
    with open_as_recorded(recording) as reader:
        refuse_if_busy(recording, reader.sessions())
        count = sum(reader.count_between(name, None, None) for name in reader.streams)
    refuse_if_edited(recording)
    refuse_if_used(recording, segments_of(recording) if recording.is_dir() else [recording])
    return count


def _size(recording: Path) -> int:
    """Bytes of a recording, with what lies beside its files."""
    files = segments_of(recording) if recording.is_dir() else [recording]
    return sum(part.stat().st_size for file in files for part in recording_files(file))


def _check_room(archive: Path, size: int) -> None:
    needed, free = size + _SPARE_BYTES, shutil.disk_usage(archive.parent).free
    if needed > free:
        raise DiskFull(
            f"{archive} needs {needed / 1e6:,.0f} MB while it is packed, and {free / 1e6:,.0f} MB "
            f"are free in {archive.parent}; free some space"
        )


def _set_aside(file: Path, name: Path) -> None:
    """Give a file another name; where the file system can, it keeps its own for the time being."""
    try:
        os.link(file, name)
    except OSError:
        file.rename(name)


def _oid(file: Path) -> str:
    """What Git LFS calls a file, whether it is there or only its pointer."""
    pointer = pointer_at(file)
    if pointer is not None:
        return pointer.oid
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class _Progress:
    """Bytes packed so far; said again and again, also while nothing is packed."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._done = 0
        self.expect(total)

    def expect(self, total: int) -> None:
        """There will be so many."""
        self._total = max(1, total)

    def add(self, size: int) -> None:
        """So many more are packed."""
        self._done += size
        self.repeat()

    def repeat(self) -> None:
        """Pass on how far it is: who watches may cancel."""
        if self._on_progress is not None:
            self._on_progress(min(self._done, self._total), self._total)

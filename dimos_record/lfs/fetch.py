"""Fetching: a published recording is pulled from Git LFS and unpacked into the data folder."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from dimos_record.edit.replacing import Replaceable, put_new
from dimos_record.errors import (
    DimosRecordError,
    DiskFull,
    GitError,
    NotARecording,
    NotSqlite,
    RecordingExists,
    RecordingNotFound,
    StorageError,
)
from dimos_record.lfs.archive import unpack
from dimos_record.lfs.folder import locked, working_folder
from dimos_record.lfs.git import Pointer, Repository, pointer_at
from dimos_record.store import open_recording
from dimos_record.store.compare import compare
from dimos_record.store.open_segments import segments_of
from dimos_record.store.paths import ARCHIVE_SUFFIX, archive_for, data_folder
from dimos_record.store.segments import edits_file

OnProgress = Callable[[int, int], None]
"""Called with (bytes pulled and unpacked, bytes in all), many times a second; what it raises
cancels."""

_log = logging.getLogger("dimos_record")


def fetch(
    name: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Pull and unpack a recording that somebody has published, unless that was done before.

    Several processes may do so at once.

    Args:
        name: `walk`, `walk.db`, `data/walk.db`, or the archive, `data/.lfs/walk.db.tar.gz`.
        overwrite: replace a recording that is there and another one.
        on_progress: see `OnProgress`.

    Returns:
        Where it is: `data/walk.db`.

    Raises:
        RecordingNotFound: there is no such archive.
        RecordingExists: there is another recording of that name.
        NotARecording: the archive holds something else than a recording.
        GitError: it cannot be pulled.
        RecordingBusy: what is to be replaced is in use.
        DiskFull, StorageError
    """
    archive = _archive(name)
    target = archive.parent.parent / archive.name.removesuffix(ARCHIVE_SUFFIX)
    progress = _Progress(on_progress, archive)
    was_there = os.path.lexists(target)
    with locked(archive.parent, progress.poll):
        if not was_there and os.path.lexists(target):  # another process was faster
            return target
        pointer = pointer_at(archive)
        if pointer is not None:
            progress.expect_pull(pointer)
            _pull(archive, pointer, progress)
        with working_folder(target) as folder:
            unpacked = unpack(archive, folder, progress.unpacked)
            _check(unpacked, archive)
            _put(unpacked, target, archive, overwrite)
    _log.info("%s is unpacked from %s", target, archive)
    return target


def _archive(name: str | os.PathLike[str]) -> Path:
    path = Path(name).expanduser()
    if path.name.endswith(ARCHIVE_SUFFIX) and path.parent.name == ".lfs" and path.is_file():
        return path
    archive = archive_for(name)
    if archive is not None:
        return archive
    folder = data_folder() if path.parent == Path() else path.parent
    if folder is None or not (folder / ".lfs").is_dir():
        raise RecordingNotFound(
            f"there is no data/.lfs here or above {Path.cwd()} to fetch {name} from; "
            "go to the project that has it"
        )
    archives = (folder / ".lfs").glob(f"*{ARCHIVE_SUFFIX}")
    found = sorted(one.name.removesuffix(ARCHIVE_SUFFIX) for one in archives)
    has = f"it has {', '.join(found)}" if found else "it has none; is the project up to date?"
    raise RecordingNotFound(f"there is no {path.name} in {folder / '.lfs'}: {has}")


class _Progress:
    """Bytes pulled and unpacked, together; both are those of the archive."""

    def __init__(self, on_progress: OnProgress | None, archive: Path) -> None:
        self._on_progress = on_progress
        self._pulled = 0
        self._unpacked = 0
        self._total = max(1, archive.stat().st_size)

    def expect_pull(self, pointer: Pointer) -> None:
        self._total = max(1, 2 * pointer.size)

    def poll(self) -> None:
        if self._on_progress is not None:
            self._on_progress(min(self._pulled + self._unpacked, self._total), self._total)

    def pulled(self, size: int) -> None:
        self._pulled = size
        self.poll()

    def unpacked(self, size: int) -> None:
        self._unpacked += size
        self.poll()


def _pull(archive: Path, pointer: Pointer, progress: _Progress) -> None:
    """Let Git LFS put the archive in the place of its pointer."""
    folder = Path(os.path.realpath(archive.parent))
    repository = Repository.around(folder)
    if repository is None:
        raise GitError(
            f"{archive} is only a pointer to Git LFS, and in no git work tree; "
            "get the project with git clone"
        )
    repository.require_lfs()
    _check_room(archive, pointer)
    relative = repository.relative(folder / archive.name)
    if any(letter in relative for letter in ",*?[\\"):
        raise GitError(f"git lfs cannot pull {relative!r} alone; pull all with: git lfs pull")
    size = f"{pointer.size / 1e6:,.1f} MB" if pointer.size >= 1e5 else f"{pointer.size:,} bytes"
    _log.warning("pulling %s, %s, with Git LFS", archive, size)
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary, "progress")
        repository.run(
            # --exclude= since projects exclude data/.lfs from what every clone pulls
            *("lfs", "pull", "--include", relative, "--exclude="),
            failed=f"{archive} cannot be pulled with Git LFS",
            then="fetch it again when that is solved",
            on_poll=lambda: progress.pulled(_downloaded(log)),
            env={"GIT_LFS_PROGRESS": str(log)},
        )
    progress.pulled(pointer.size)
    if pointer_at(archive) is not None:
        raise GitError(
            f"{archive} is still a pointer after git lfs pull; was it pushed with: "
            f"git lfs push? (git lfs pull --include {relative} says more)"
        )


def _downloaded(log: Path) -> int:
    """Bytes so far, from the last of lines like `download 1/1 1024/4096 walk.db.tar.gz`."""
    try:
        lines = log.read_text(errors="replace").splitlines()
        return int(lines[-1].split()[2].partition("/")[0])
    except (OSError, IndexError, ValueError):  # nothing yet, or half a line
        return 0


def _check_room(archive: Path, pointer: Pointer) -> None:
    free = shutil.disk_usage(archive.parent).free
    if 2 * pointer.size > free:
        raise DiskFull(
            f"{archive} has {pointer.size / 1e6:,.0f} MB, which Git LFS keeps twice, and "
            f"{free / 1e6:,.0f} MB are free; free some space"
        )


def _check(unpacked: Path, archive: Path) -> None:
    try:
        open_recording(unpacked).close()
    except NotSqlite:  # whose advice is about a file that stays
        what = f"{unpacked.name} is not an SQLite file"
        raise NotARecording(f"{archive} is no packed recording: {what}") from None
    except DimosRecordError as error:
        what = str(error).replace(str(unpacked), unpacked.name)
        raise NotARecording(f"{archive} is no packed recording: {what}") from None


def _put(unpacked: Path, target: Path, archive: Path, overwrite: bool) -> None:
    """Give a recording its name, unless it has it already."""
    try:
        put_new(unpacked, target)
        return
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from None
    if _is_same(unpacked, target):
        return
    if not overwrite:
        raise RecordingExists(
            f"{target} is there already, and another one than in {archive}; rename it, or replace "
            "it with --overwrite"
        )
    with Replaceable(target, _files(target)) as replaceable:
        replaceable.replace(unpacked)


def _files(recording: Path) -> list[Path]:
    if not recording.is_dir():
        return [recording]
    return [*segments_of(recording), *filter(Path.exists, [edits_file(recording)])]


def _is_same(one: Path, other: Path) -> bool:
    """Whether two recordings hold the same messages at the same times, and the same markers."""
    with open_recording(one) as a, open_recording(other) as b:
        comparison = compare(a, b, lambda channel: True)
        same_markers = list(a.markers()) == list(b.markers())
    timings = [stream.timing for stream in comparison.streams if stream.timing is not None]
    same_times = not comparison.offset_ns and not any(timing.max_ns for timing in timings)
    return comparison.equal and same_times and same_markers

"""Files and folders of other formats that get their names when they are complete."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dimos_record.edit.replacing import put_new
from dimos_record.errors import (
    DimosRecordError,
    DiskFull,
    OptionError,
    RecordingBusy,
    RecordingExists,
    StorageError,
)
from dimos_record.store.unfinished import clean_up, remove, replaced_path, unfinished_path

_SQLITE = b"SQLite format 3\x00"
_LOCK = threading.Lock()
_WRITTEN: set[str] = set()
"""What threads of this process are writing."""


class NewExport:
    """A file or folder that is being written under another name.

    Args:
        path: what it will be called.
        suffix: that of the files in a folder that may be replaced: `.csv`.
        overwrite: whether it replaces what is there.
    """

    def __init__(self, path: Path, suffix: str, overwrite: bool) -> None:
        self.path, self.unfinished = path, unfinished_path(path)
        self._suffix, self._overwrite = suffix, overwrite
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Have it open, once it is there: what is open is not left over from a killed process."""
        if self._descriptor is None and self.unfinished.exists():
            self._descriptor = os.open(self.unfinished, os.O_RDONLY)

    def release(self) -> None:
        """End `hold`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def check(self) -> None:
        """Refuse what must not be replaced.

        Raises:
            RecordingExists: there is something of that name, and it is to stay.
        """
        if not os.path.lexists(self.path):
            return
        if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
            raise RecordingExists(f"{self.path} is no file but a device or pipe; write to a file")
        if not self._overwrite:
            raise RecordingExists(
                f"{self.path} exists already; replace it with --overwrite, or choose another name"
            )
        if self.path.is_dir():
            self._check_folder()
        elif _is_recording(self.path):
            raise RecordingExists(
                f"{self.path} is a recording, which an export does not replace; choose another name"
            )

    def _check_folder(self) -> None:
        """Only a folder that has nothing but files as an export writes them may go."""
        for found in sorted(self.path.iterdir()):
            if found.is_dir() or found.suffix != self._suffix:
                raise RecordingExists(
                    f"{self.path} is a folder with other things in it, such as {found.name}; "
                    "choose another name"
                )

    def put(self) -> int:
        """Give what was written its name, once it is on the disk; its size in bytes."""
        size = sum(map(_sync, _files(self.unfinished)))
        self.check()
        if not os.path.lexists(self.path):
            put_new(self.unfinished, self.path)
        elif self.path.is_dir() and not self.path.is_symlink():
            aside = replaced_path(self.path)
            self.path.rename(aside)
            self.unfinished.rename(self.path)  # killed before this, `clean_up` puts the old back
            remove(aside)
        else:
            if self.unfinished.is_dir() and self.path.is_file():
                self.path.unlink()
            os.replace(self.unfinished, self.path)
        return size


@contextmanager
def new_export(path: Path, suffix: str, overwrite: bool) -> Iterator[NewExport]:
    """A file or folder to write; nothing is left of it when this ends with an error.

    Raises:
        OptionError: the name is empty.
        RecordingExists: there is something of that name that is not to be replaced.
        RecordingBusy: another thread of this process writes it.
        StorageError: there is no such folder, or it may not be written.
    """
    if not path.name:
        raise OptionError(f"{str(path)!r} is no name for a file; write for example walk{suffix}")
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {path.parent}; create it first")
    new = NewExport(path, suffix, overwrite)
    with only_writer(path):
        with writing(path):
            clean_up(path)
            new.check()
            remove(new.unfinished)  # of a killed process that had our number
        try:
            with naming(path, new.unfinished):
                yield new
        except BaseException:
            remove(new.unfinished)
            raise
        finally:
            new.release()


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Be the only thread of this process that writes a file: unfinished, it has one name only.

    Raises:
        RecordingBusy: another thread writes it.
    """
    written = os.path.realpath(path)
    with _LOCK:
        if written in _WRITTEN:
            raise RecordingBusy(f"{path} is being written already by this process")
        _WRITTEN.add(written)
    try:
        yield
    finally:
        with _LOCK:
            _WRITTEN.discard(written)


@contextmanager
def naming(path: Path, unfinished: Path) -> Iterator[None]:
    """Let errors name what is to be written, and not the unfinished file, which will be gone."""
    try:
        yield
    except StorageError as error:
        raise type(error)(str(error).replace(str(unfinished), str(path))) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the system into ours, naming the file that is written.

    Raises:
        DiskFull, StorageError
    """
    try:
        yield
    except DimosRecordError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: the disk is full; free some space, or write elsewhere") from (
                error
            )
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _is_recording(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _files(path: Path) -> list[Path]:
    return [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]


def _sync(path: Path) -> int:
    """Wait until a file is on the disk; its size."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size

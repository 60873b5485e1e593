"""Putting a finished file or folder where another one is, at one stroke."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from dimos_record.errors import RecordingBusy, StorageError
from dimos_record.store.connection import (
    connect_for_editing,
    descriptor_of,
    errors_about,
    has_log,
)
from dimos_record.store.edits import Edit, load_edits
from dimos_record.store.in_use import refuse_if_used
from dimos_record.store.recording_file import sync_folder
from dimos_record.store.segments import segments_of
from dimos_record.store.unfinished import remove, replaced_path

_AT_FDCWD = -100
_NO_REPLACE, _EXCHANGE = 1, 2  # RENAME_NOREPLACE, RENAME_EXCHANGE in linux/fs.h
_NOT_POSSIBLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_TRACES = b"replaced by a newer recording; open that one\n"


class Replaceable:
    """Recording files that nobody else writes to, and then nobody opens, until they are replaced.

    Args:
        recording: a file, or a folder of segments.
        files: the file, or the segments.

    Raises:
        RecordingBusy: somebody has them open.
        StorageError: they are read-only.
    """

    def __init__(self, recording: Path, files: Sequence[Path]) -> None:
        self.path = recording
        self._files = files
        self._stack = ExitStack()
        self._locks: list[sqlite3.Connection] = []
        _refuse_read_only(recording, files)
        refuse_if_used(recording, files)
        with errors_about(recording), ExitStack() as stack:
            for file in files:
                connection = connect_for_editing(file)
                stack.callback(connection.close)
                _leave_wal(connection, recording)
                connection.execute("BEGIN IMMEDIATE")  # others may read, until we are ready
                self._locks.append(connection)
            self._stack = stack.pop_all()
        self._versions = [_version(lock) for lock in self._locks]

    def __enter__(self) -> Replaceable:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def connections(self) -> Sequence[sqlite3.Connection]:
        """What holds the files, to look into them."""
        return self._locks

    def replace(self, new: Path) -> None:
        """Put a finished file or folder in the place of this recording.

        Raises:
            RecordingBusy: somebody has opened it meanwhile, or written to it.
            StorageError: it cannot be replaced. In both cases it is as it was.
        """
        with errors_about(self.path):
            self._lock_out_everybody()
        try:
            copy_rights(self.path, new)
            descriptors = [descriptor_of(file) for file in self._files]
            _put_in_place(new, self.path)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be replaced: {error.strerror}") from None
        sync_folder(self.path.parent)
        remove(new)  # a folder has been exchanged for the old one
        for descriptor in descriptors:
            _make_useless(descriptor)

    def _lock_out_everybody(self) -> None:
        for lock, version in zip(self._locks, self._versions, strict=True):
            lock.execute("ROLLBACK")
            lock.execute("BEGIN EXCLUSIVE")
            if _version(lock) != version:
                raise RecordingBusy(f"{self.path} was changed meanwhile by another process")
        appeared = set(segments_of(self.path)).difference(self._files) if self.path.is_dir() else ()
        if appeared or any(map(has_log, self._files)):
            raise RecordingBusy(f"{self.path} is being written to by another process")
        refuse_if_used(self.path, self._files, own=len(self._files))


def refuse_if_edited_meanwhile(
    path: Path, connection: sqlite3.Connection, edits: list[Edit]
) -> None:
    """Raise if the edits that a recording keeps are others than those that were looked at.

    Raises:
        RecordingBusy: another program has edited it.
    """
    if load_edits(connection) != edits:
        raise RecordingBusy(f"{path} was edited meanwhile by another program; look at it again")


def _refuse_read_only(recording: Path, files: Sequence[Path]) -> None:
    if not all(os.access(path, os.W_OK) for path in (*files, recording.parent)):
        raise StorageError(
            f"{recording} is read-only and cannot be replaced; write another file with save_as()"
        )


def _leave_wal(connection: sqlite3.Connection, recording: Path) -> None:
    """Make a file one file, which only works while nobody else has it open."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "wal":
            raise RecordingBusy(f"{recording} is in use by another process; close it there first")


def _version(lock: sqlite3.Connection) -> int:
    return int(lock.execute("PRAGMA data_version").fetchone()[0])


def _make_useless(descriptor: int | None) -> None:
    """Overwrite the header of a file that has lost its last name.

    Who has opened it before and waited for its lock must not write into it: that would be lost,
    and its log would lie beside the new file. A file with another name is left alone.
    """
    if descriptor is not None and not os.fstat(descriptor).st_nlink:
        os.pwrite(descriptor, _TRACES, 0)


def copy_rights(old: Path, new: Path) -> None:
    """Give a new file or folder the mode and, where that is allowed, the owner of the old one."""
    status = os.stat(old)
    shutil.copymode(old, new)
    if (status.st_uid, status.st_gid) != (os.stat(new).st_uid, os.stat(new).st_gid):
        try:
            os.chown(new, status.st_uid, status.st_gid)
        except PermissionError:
            pass  # only root may give files away


def put_new(new: Path, target: Path) -> None:
    """Give a finished recording its name, which nothing has.

    Raises:
        FileExistsError: something has.
    """
    if not _rename_with(_NO_REPLACE, new, target):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        new.rename(target)
    sync_folder(target.parent)


def _put_in_place(new: Path, target: Path) -> None:
    if not target.is_dir() and not new.is_dir():
        os.replace(new, target)
    elif not _rename_with(_EXCHANGE, new, target):
        aside = replaced_path(target)
        target.rename(aside)
        new.rename(target)  # killed before this, `clean_up` puts the old one back
        sync_folder(target.parent)
        remove(aside)


def _rename_with(flag: int, source: Path, target: Path) -> bool:
    """Rename in a way that only Linux has; False where the file system cannot do it."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(source), os.fsencode(target)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_POSSIBLE:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))

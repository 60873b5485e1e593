"""The data folder of a project: recordings in it, and their archives in `.lfs`."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dimos_record.errors import StorageError
from dimos_record.store.unfinished import clean_up, remove, unfinished_path

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL, errno.ENOSYS)
"""What network file systems say that have no locks for folders."""
_TRY_AGAIN_S = 0.05


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Be the only process that packs into a folder, or unpacks from it.

    Where the file system has no such locks, several may be at it: what they write is complete even
    then, but they do the work more than once.

    Args:
        on_wait: called now and then while another one is at it; what it raises ends the waiting.

    Raises:
        StorageError: there is no such folder, or it may not be read.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}") from None
    try:
        while not _lock(descriptor):
            on_wait()
            time.sleep(_TRY_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


@contextmanager
def working_folder(target: Path) -> Iterator[Path]:
    """A folder beside something that is being made, for this process alone; gone afterwards.

    Raises:
        StorageError: it cannot be created.
    """
    clean_up(target)
    folder = unfinished_path(target)
    try:
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)  # tells others that somebody is at it
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        remove(folder)
        os.close(descriptor)

"""The pages of an SQLite file that may be damaged, one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path

from dimos_record.errors import RecordingNotFound, StorageError
from dimos_record.store import wal
from dimos_record.store.connection import PAGE_SIZE, is_wal
from dimos_record.store.in_use import refuse_if_used
from dimos_record.store.salvage.btree import is_leaf

_SIZES = (PAGE_SIZE, 32768, 4096, 65536, 8192, 2048, 1024, 512)
_SAMPLES = 500


class Pages:
    """The pages of a file, as its log has left them. They are numbered from 1."""

    def __init__(self, file: int, log: int | None) -> None:
        self._file, self._log = file, log
        self._bytes = os.fstat(file).st_size
        self.size = self._find_size()
        self.log = wal.NOTHING if log is None else wal.read_log(log, self.size)
        """What of the log beside the file can be used."""
        self._in_file = -(-self._bytes // self.size)
        self.count = max((self._in_file, *self.log.pages))
        """How many there are, whatever the header of the file says."""

    @classmethod
    @contextmanager
    def of(cls, path: Path) -> Iterator[Pages]:
        """Those of a file that nobody has open.

        Raises:
            RecordingNotFound, StorageError
            RecordingBusy: somebody has it open.
        """
        refuse_if_used(path, [path])
        with ExitStack() as stack:
            file = _open(path)
            stack.callback(os.close, file)
            log = None
            if os.path.exists(f"{path}-wal"):
                log = _open(Path(f"{path}-wal"))
                stack.callback(os.close, log)
            yield cls(file, log)

    def with_unproven(self) -> Pages:
        """The same, with pages of the log that may be damaged, which hide older content."""
        other = copy(self)
        other.log = self.log._replace(pages=self.log.unproven)
        other.count = max(self.count, min(max(self.log.unproven), 2 * self.count))
        return other

    def numbers(self) -> Iterator[int]:
        """Those that there can be something on, in order: a log may say any number."""
        yield from range(1, self._in_file + 1)
        yield from sorted(number for number in self.log.pages if number > self._in_file)

    @property
    def log_is_missing(self) -> bool:
        """Whether changes went through a log, and there is none."""
        return self._log is None and is_wal(self.begin(1, 100))

    def __getitem__(self, number: int) -> bytes:
        """A page; no bytes where it is missing or cut off."""
        at = self.log.pages.get(number)
        if at is not None:
            return self.in_log(at)
        if not 1 <= number <= self.count:
            return b""
        return self.in_file(number)

    def in_log(self, at: int) -> bytes:
        """The page at a place in the log."""
        return os.pread(self._log, self.size, at) if self._log is not None else b""

    def in_file(self, number: int) -> bytes:
        """A page as the file has it beneath the log; no bytes where that has none."""
        page = os.pread(self._file, self.size, (number - 1) * self.size)
        return page if len(page) == self.size else b""

    def begin(self, number: int, size: int) -> bytes:
        """The first bytes of a page."""
        if number in self.log.pages:
            return self[number][:size]
        return os.pread(self._file, size, (number - 1) * self.size)

    def _find_size(self) -> int:
        """The size of a page: what the header says, if the pages look like that."""
        header = os.pread(self._file, 100, 0)
        said = int.from_bytes(header[16:18], "big")
        likely = [65536 if said == 1 else said, wal.page_size(self._log) or 0]
        sizes = [size for size in dict.fromkeys((*likely, *_SIZES)) if size in _SIZES]
        found = {size: self._leaves(size) * size for size in sizes}
        best = max(found.values())
        return next(size for size in sizes if 2 * found[size] >= best)

    def _leaves(self, size: int) -> int:
        """How many of the pages look like leaves, if they are of this size."""
        count = self._bytes // size
        step = max(1, count // _SAMPLES)
        numbers = range(1, count, step)
        return sum(is_leaf(os.pread(self._file, size, number * size)) for number in numbers) * step


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RecordingNotFound(f"there is no recording {path}; check the name") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None

"""The one place that opens SQLite connections.

Everything here and elsewhere, sqlite-utils included, uses connections from this module: two SQLite
libraries in one process would break each other's file locks.

For the same reason nothing opens a recording with `open()`: closing any descriptor of a file drops
all locks that the process holds on it, also SQLite's, and whoever opens the file next then takes
the log of a running recording away (https://sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from dimos_record.errors import (
    DimosRecordError,
    DiskFull,
    NotARecording,
    NotSqlite,
    RecordingBusy,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
    reason,
)
from dimos_record.store.foreign_code import read_schema, refuse_foreign_code
from dimos_record.store.wal import has_commit

PAGE_SIZE = 16384
BUSY_TIMEOUT_S = 10.0
_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
_DAMAGE = ("malformed", "corrupt", "no such", "UTF-8", "unsupported file", "already exists")
"""What SQLite says of files whose content cannot be right."""
_INDEX_LOCK = 128  # UNIX_SHM_DMS in SQLite's os_unix.c: locked by everyone who uses the log
_WITHOUT_LOCKS = "mode=ro&vfs=unix-none"

Opened = TypeVar("Opened", bound=sqlite3.Connection)

_State = tuple[tuple[int, int, int], ...]
"""(inode, size, time of change) of a file and of its log"""


class ReadConnection(sqlite3.Connection):
    """A connection for reading, which may be to a file that nobody else has open."""

    path: Path
    frozen: _State | None = None
    """What the file looked like when it was opened without locks; None with locks."""
    without_locks = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.own_views: set[str] = set()
        """Temporary views that we made: those of the file itself are refused."""

    def is_outdated(self) -> bool:
        """Whether somebody began to write to a file that was opened without locks."""
        return self.frozen is not None and self.frozen != _state_of(self.path)

    def close(self) -> None:
        """Release the file."""
        if self.without_locks and descriptor_of(f"{self.path}-shm") is not None:
            _PARKED.append(self)
        else:
            super().close()


_OPENING = threading.Lock()  # so that nobody locks a file between a look at it and its closing
_PARKED: list[ReadConnection] = []
"""Closed while this process writes to the file: really closing them would drop the writer's locks.
"""


def connect_for_reading(path: Path) -> ReadConnection:
    """Open a recording so that nothing on disk changes, whoever else is using it.

    Works for finished files, files that another process is recording into, files left by a killed
    process, and all of these in read-only folders. A WAL-mode file that nobody has open is read
    without locks, since SQLite would write an index beside it; see `ReadConnection.is_outdated`.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, StorageError
    """
    with _OPENING, errors_about(path):
        _close_parked()
        return _opened(path, _open_for_reading)


def _open_for_reading(path: Path) -> ReadConnection:
    if _size(f"{path}-journal"):
        _take_back(path)
    state = _state_of(path)
    mode = _read_mode(path, read_header(path))
    connection = _connect(path, mode, ReadConnection)
    connection.path = path
    connection.frozen = None if mode == "mode=ro" else state
    connection.without_locks = mode == _WITHOUT_LOCKS
    try:
        if connection.without_locks:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # the index is then in memory
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def _take_back(path: Path) -> None:
    """Let SQLite take back a change that a killed process or a power cut has left half done.

    This is the one thing that reading changes: before it, there is nothing that could be read. If
    somebody is making that change right now, it waits for that.
    """
    read_header(path)
    connection = _connect(path, "mode=rw", sqlite3.Connection)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        connection.close()


def _opened(path: Path, open_it: Callable[[Path], Opened]) -> Opened:
    """Open a file that may be replaced at this moment by `save`, which makes everybody wait.

    After that, what was opened is the file that was replaced.
    """
    while True:
        before = identity(path)
        try:
            connection = open_it(path)
        except sqlite3.DatabaseError:
            if identity(path) != before:  # replaced, or deleted, which the next look will tell
                continue
            raise
        try:
            read_schema(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.DatabaseError) and identity(path) != before:
                continue
            raise
        if identity(path) == before:
            return connection
        connection.close()


def identity(path: Path | str) -> tuple[int, int] | None:
    """What tells a file from another that has taken its name; None if there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _close_parked() -> None:
    parked = _PARKED[:]
    _PARKED.clear()
    for connection in parked:
        connection.close()


def connect_for_writing(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a recording for writing, in WAL mode.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, StorageError
    """
    with _OPENING, errors_about(path):
        connection = _create(path) if create else _opened(path, _open_to_change)
        try:
            if create:
                connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
            _configure_writer(connection)
            connection.execute("PRAGMA journal_mode=WAL")
        except BaseException:
            connection.close()
            raise
    return connection


def _open_to_change(path: Path) -> sqlite3.Connection:
    read_header(path)
    return _connect(path, "mode=rw", sqlite3.Connection)


def _create(path: Path) -> sqlite3.Connection:
    return _connect(path, "mode=rwc", sqlite3.Connection)


def connect_for_editing(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a small file, or a finished recording, to change a few rows: without a log beside it.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, StorageError
    """
    with _OPENING, errors_about(path):
        connection = _create(path) if create else _opened(path, _open_to_change)
        connection.execute("PRAGMA synchronous=FULL")
    return connection


def connect_in_memory() -> sqlite3.Connection:
    """A database that lives as long as its connection."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def _configure_writer(connection: sqlite3.Connection) -> None:
    """Settings of every connection that writes: checkpoints and fsyncs are ours to schedule."""
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA cache_size=-32768")
    connection.execute("PRAGMA temp_store=MEMORY")
    # Debian's SQLite overwrites deleted rows with zeros, which would write the spool twice
    connection.execute("PRAGMA secure_delete=OFF")


def file_uri(path: Path, mode: str) -> str:
    """How SQLite is told to open a file in a certain way."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{mode}"


def _connect(path: Path, mode: str, factory: type[Opened]) -> Opened:
    connection = sqlite3.connect(
        file_uri(path, mode),
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=factory,
    )
    own_views = connection.own_views if isinstance(connection, ReadConnection) else ()
    refuse_foreign_code(connection, own_views)
    return connection


def read_header(path: Path) -> bytes:
    """The first 100 bytes of an SQLite file, checked.

    Raises:
        RecordingNotFound: there is no such file.
        NotARecording: it is a folder, or something else than SQLite.
        RecordingDamaged: it is shorter than its header says.
        StorageError: it cannot be read.
    """
    try:
        header, size = _read_start(path)
    except FileNotFoundError:
        raise RecordingNotFound(
            f"there is no recording {path}; check the name, or record one with: "
            f"dimos-record record {path}"
        ) from None
    except IsADirectoryError:
        raise NotARecording(f"{path} is a folder and not a recording") from None
    except PermissionError:
        raise StorageError(f"{path} cannot be read: permission denied") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise StorageError(f"{str(path)!r} cannot be a file: {error}") from None
    if not header.startswith(_MAGIC):
        if size:
            raise _not_sqlite(path)
        raise NotARecording(f"{path} is not a recording: it is empty")
    _check_length(path, header, size)
    return header


def _read_start(path: Path) -> tuple[bytes, int]:
    """The first bytes of a file, and its size."""
    descriptor = descriptor_of(path)
    if descriptor is not None:
        return os.pread(descriptor, _HEADER_BYTES, 0), os.fstat(descriptor).st_size
    if not path.is_file() and path.exists() and not path.is_dir():
        raise OSError("it is not a regular file")  # reading a pipe would wait for its writer
    with open(path, "rb") as file:
        return file.read(_HEADER_BYTES), os.fstat(file.fileno()).st_size


def descriptor_of(path: Path | str) -> int | None:
    """A descriptor of a file that this process has open already; None where it has none."""
    try:
        wanted = os.stat(path)
        descriptors = os.listdir("/proc/self/fd")
    except (OSError, ValueError):
        return None
    for descriptor in map(int, descriptors):
        try:
            found = os.fstat(descriptor)
        except OSError:  # closed since it was listed
            continue
        if (found.st_ino, found.st_dev) == (wanted.st_ino, wanted.st_dev):
            return descriptor
    return None


def _check_length(path: Path, header: bytes, size: int) -> None:
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    counters_agree = header[24:28] == header[92:96]
    expected = int.from_bytes(header[28:32], "big") * page_size
    if len(header) < _HEADER_BYTES or size < page_size:
        expected = max(512, page_size)  # SQLite would delete the log of a file without a page
    elif not counters_agree or _size(f"{path}-wal"):
        return  # the header does not know the size
    if size < expected:
        raise RecordingDamaged(
            f"{path} is truncated: {size:,} of {expected:,} bytes are there; "
            f"copy it again from where it came from, or save what is left with: "
            f"dimos-record recover {path}"
        )


def is_wal(header: bytes) -> bool:
    """Whether a file header says that changes go through a write-ahead log."""
    return header[18:20] == b"\x02\x02"


def has_log(path: Path) -> bool:
    """Whether a part of a recording is still in the log beside it."""
    return _size(f"{path}-wal") > 0


def _read_mode(path: Path, header: bytes) -> str:
    """URI parameters that read a file in whatever state it is.

    A WAL-mode file that nobody uses is complete in itself, or together with a log that a crash
    left. SQLite would create an index beside it, or write to the one that is there. So such a file
    is opened as one that nobody else opens: with no log as immutable, with one without locks. A
    log that SQLite finds nothing in (its beginning is damaged) is as none.
    """
    if not (is_wal(header) or _size(f"{path}-wal")) or _is_in_use(f"{path}-shm"):
        return "mode=ro"
    return _WITHOUT_LOCKS if has_commit(f"{path}-wal") else "mode=ro&immutable=1"


def _is_in_use(index: str) -> bool:
    """Whether anyone, this process included, uses the log that an index belongs to."""
    if descriptor_of(index) is not None:
        return True
    if not sys.platform.startswith("linux"):  # whose struct flock is asked with below
        return os.path.exists(index)
    try:
        descriptor = os.open(index, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        # struct flock: type, whence, start, length, process
        asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, _INDEX_LOCK, 1, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
        return bool(struct.unpack("hhqqi", answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except (OSError, ValueError):
        return 0


def _state_of(path: Path) -> _State:
    found = []
    for name in (str(path), f"{path}-wal"):
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            found.append((0, 0, 0))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def _not_sqlite(path: Path | str) -> NotSqlite:
    return NotSqlite(
        f"{path} is not a recording: it is not an SQLite file; if it was one, "
        f"`dimos-record doctor {path}` tells what is left"
    )


class BadContent(ValueError):
    """Something in a recording is not what can be there."""


@contextmanager
def errors_about(path: Path | str) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
    except UnicodeDecodeError as error:  # in a message of SQLite's about a broken schema
        raise damaged(path, "its table names are not text") from error
    except BadContent as error:
        raise damaged(path, error) from error


@contextmanager
def only_numbers(path: Path | str) -> Iterator[None]:
    """Call a recording damaged in which something else stands where there has to be a number."""
    try:
        yield
    except (ArithmeticError, TypeError) as error:
        raise damaged(path, f"there is no number where one has to be: {reason(error)}") from error


def translate(error: sqlite3.Error, path: Path | str) -> DimosRecordError:
    """The error of ours that says what an SQLite error means for a recording."""
    text = " ".join(str(error).split())  # it may quote lines of a broken schema
    if "is full" in text or ("disk I/O" in text and _is_disk_full(path)):
        return DiskFull(f"{path}: the disk is full; free some space, or record to another disk")
    if "locked" in text or "busy" in text:
        return RecordingBusy(f"{path} is in use by another process; wait until it has finished")
    if "closed database" in text:
        return StorageError(f"{path} was closed meanwhile; open it again")
    if "not a database" in text:
        return _not_sqlite(path)
    if "readonly" in text:
        return StorageError(f"{path} is read-only; copy it to a folder where you may write")
    if "not authorized" in text or "prohibited" in text or "unsafe use" in text:
        return damaged(path, "there is a view or a trigger of its own, which is not executed")
    if "unable to open" in text:
        return StorageError(f"{path} cannot be opened; check the permissions of it and its folder")
    if "disk I/O" in text:
        return StorageError(f"{path}: {text}; check the disk")
    if isinstance(error, sqlite3.IntegrityError):
        return StorageError(f"{path}: another program wrote into a stream of it, too ({text})")
    if any(phrase in text for phrase in _DAMAGE):
        return damaged(path, text)
    return StorageError(f"{path}: {text}")


def damaged(path: Path | str, what: object) -> RecordingDamaged:
    """The error for a recording whose content cannot be right."""
    return RecordingDamaged(
        f"{path} is damaged ({what}); save what is left with: dimos-record recover {path}"
    )


def _is_disk_full(path: Path | str) -> bool:
    folder = Path(path).parent
    return folder.is_dir() and shutil.disk_usage(folder).free < 4 * PAGE_SIZE


def quote_name(name: str) -> str:
    """A table or column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

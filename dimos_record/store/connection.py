"""The one place that opens SQLite connections.

Everything here and elsewhere, sqlite-utils included, uses connections from this module: two SQLite
libraries in one process would break each other's file locks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dimos_record.errors import (
    DimosRecordError,
    DiskFull,
    NotARecording,
    RecordingBusy,
    RecordingDamaged,
    RecordingNotFound,
    StorageError,
)

PAGE_SIZE = 32768
BUSY_TIMEOUT_S = 10.0
_MAGIC = b"SQLite format 3\x00"


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open a recording so that nothing on disk changes, whoever else is using it.

    Works for finished files, files that another process is recording into, files left by a killed
    process, and all of these in read-only folders.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, StorageError
    """
    header = read_header(path)
    with errors_about(path):
        connection = _connect(f"file:{quote(str(path.absolute()))}?{_read_mode(path, header)}")
        if "unix-none" in _read_mode(path, header):
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def connect_for_writing(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a recording for writing, in WAL mode with an fsync at every checkpoint.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, StorageError
    """
    if not create:
        read_header(path)
    mode = "rwc" if create else "rw"
    with errors_about(path):
        connection = _connect(f"file:{quote(str(path.absolute()))}?mode={mode}")
        if create:
            connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        configure_writer(connection)
        connection.execute("PRAGMA journal_mode=WAL")
    return connection


def connect_in_memory() -> sqlite3.Connection:
    """A database that lives as long as its connection."""
    connection = _connect("file::memory:")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def configure_writer(connection: sqlite3.Connection) -> None:
    """Settings of every connection that writes: checkpoints and fsyncs are ours to schedule."""
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute("PRAGMA temp_store=MEMORY")


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )


def read_header(path: Path) -> bytes:
    """The first 100 bytes of an SQLite file, checked.

    Raises:
        RecordingNotFound: there is no such file.
        NotARecording: it is a folder, or something else than SQLite.
        RecordingDamaged: it is shorter than its header says.
        StorageError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(100)
            size = file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        raise RecordingNotFound(
            f"there is no recording {path}; check the name, or record one with: "
            f"dimos-record record {path}"
        ) from None
    except IsADirectoryError:
        raise NotARecording(f"{path} is a folder without any recording in it") from None
    except PermissionError:
        raise StorageError(f"{path} cannot be read: permission denied") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    if not header.startswith(_MAGIC):
        what = "is empty" if not size else "is not an SQLite file"
        raise NotARecording(f"{path} is not a recording: it {what}")
    _check_length(path, header, size)
    return header


def _check_length(path: Path, header: bytes, size: int) -> None:
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    counters_agree = header[24:28] == header[92:96]
    expected = int.from_bytes(header[28:32], "big") * page_size
    if len(header) < 100 or (counters_agree and size < expected and not _wal_size(path)):
        raise RecordingDamaged(
            f"{path} is truncated: {size:,} of {expected:,} bytes are there; "
            f"copy it again from where it came from"
        )


def is_wal(header: bytes) -> bool:
    """Whether a file header says that changes go through a write-ahead log."""
    return header[18:20] == b"\x02\x02"


def _wal_size(path: Path) -> int:
    try:
        return os.path.getsize(f"{path}-wal")
    except OSError:
        return 0


def _read_mode(path: Path, header: bytes) -> str:
    """URI parameters that read a file in whatever state it is.

    A WAL-mode file without a log is complete in itself, but SQLite would create a log and an index
    beside it: so it is opened as immutable. A log without its index was left by a crash and copied
    here: nobody holds locks on it, and the index is built in memory.
    """
    if not is_wal(header):
        return "mode=ro"
    if not _wal_size(path):
        return "mode=ro&immutable=1" if not os.path.exists(f"{path}-shm") else "mode=ro"
    return "mode=ro" if os.path.exists(f"{path}-shm") else "mode=ro&vfs=unix-none"


@contextmanager
def errors_about(path: Path | str) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise translate(error, path) from error


def translate(error: sqlite3.DatabaseError, path: Path | str) -> DimosRecordError:
    """The error of ours that says what an SQLite error means for a recording."""
    text = str(error)
    if "full" in text:
        return DiskFull(f"{path}: the disk is full; free some space, or record to another disk")
    if "locked" in text or "busy" in text:
        return RecordingBusy(f"{path} is in use by another process; wait until it has finished")
    if "not a database" in text:
        return NotARecording(f"{path} is not a recording: it is not an SQLite file")
    if "malformed" in text:
        return RecordingDamaged(
            f"{path} is damaged ({text}); try: sqlite3 {path} .recover | sqlite3 rescued.db"
        )
    if "readonly" in text:
        return StorageError(f"{path} is read-only; copy it to a folder where you may write")
    if "unable to open" in text:
        return StorageError(f"{path} cannot be opened; check the permissions of it and its folder")
    if isinstance(error, sqlite3.OperationalError) and "disk I/O" in text:
        return StorageError(f"{path}: {text}; check the disk")
    return StorageError(f"{path}: {text}")


def quote_name(name: str) -> str:
    """A table or column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

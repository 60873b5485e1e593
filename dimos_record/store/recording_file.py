"""Recording files as files: what lies beside them, and looks at them before they are changed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dimos_record.errors import NotARecording, RecordingBusy, RecordingExists
from dimos_record.store import schema
from dimos_record.store.base import SessionInfo
from dimos_record.store.connection import connect_for_reading, errors_about
from dimos_record.store.sessions import load_sessions


def already_exists(path: Path, *, may_append: bool = True) -> RecordingExists:
    """The error for a recording that is to be created where there is something."""
    append = "add to it with --append, " if may_append else ""
    return RecordingExists(
        f"{path} exists already; {append}replace it with --overwrite, or choose another name"
    )


def recording_files(path: Path) -> list[Path]:
    """A recording file with what lies beside it: its log and index."""
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
    return [file for file in files if file.exists()]


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some file systems cannot, or need not
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_recording_file(path: Path) -> None:
    """Delete a recording file with its log and index."""
    for file in recording_files(path):
        file.unlink(missing_ok=True)


def check_may_be_written(path: Path) -> None:
    """Make sure that a file is a recording that nobody records into; nothing on disk changes.

    Raises:
        RecordingBusy: a running process records into it.
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
    """
    connection = connect_for_reading(path)
    try:
        with errors_about(path):
            if schema.check(connection, path):
                refuse_if_busy(path, load_sessions(connection))
    finally:
        connection.close()


def refuse_if_busy(where: Path | str, sessions: list[SessionInfo]) -> None:
    """Raise if a running process records into a recording.

    Raises:
        RecordingBusy: it does; the message names the process.
    """
    for session in sessions:
        if session.state == "recording":
            raise RecordingBusy(
                f"{where} is being recorded into by process {session.meta.get('pid')}; "
                f"stop that one first, or record to another file"
            )


def is_unborn(path: Path) -> bool:
    """Whether a recording file was being created when its process was killed: it holds nothing."""
    try:
        connection = connect_for_reading(path)
    except NotARecording:
        if path.stat().st_size:
            raise
        return True
    try:
        return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()

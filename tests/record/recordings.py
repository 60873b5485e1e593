"""Recording sessions that the tests of recording share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.record.options import RecordOptions
from dimos_record.record.session import RecordingSession
from dimos_record.store import open_recording
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import open_target

PLENTY = {"min_free_bytes": 0}


def session_on(
    bus: Bus,
    path: Path,
    *topics: str,
    append: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> RecordingSession:
    """A session that records into a path; start it, or use it as a context manager."""
    chosen = RecordOptions(**PLENTY | options)
    target = open_target(
        path, split=chosen.is_split, append=append, overwrite=overwrite, ring=chosen.is_ring
    )
    return RecordingSession(bus, target, Selection.of(topics or ("*",)), chosen)


@contextmanager
def memory_bus(name: str) -> Iterator[Bus]:
    """A bus within this process, so that nothing is lost on the way."""
    with open_bus(f"memory://{name}") as bus:
        yield bus


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition; it is an error if it does not come true."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.005)


def written(session: RecordingSession) -> int:
    """How many messages a session has committed."""
    return session.progress().total.written


def payloads(path: Path, stream: str) -> list[bytes]:
    """What a recording holds of a stream."""
    with open_recording(path) as reader:
        return [row.data for row in reader.rows(stream)]


def threads() -> set[str]:
    """Names of the threads that recording starts and that are running."""
    return {t.name for t in threading.enumerate() if t.name.startswith("dimos-record")}


def check_integrity(path: Path) -> None:
    """Raise if plain SQLite finds a fault in a file."""
    import sqlite3

    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = connection.execute("PRAGMA integrity_check").fetchone()
    finally:
        connection.close()
    if found != ("ok",):
        raise ValueError(f"{path}: {found}")


def only_session(path: Path) -> Any:
    """The one session of a recording."""
    with open_recording(path) as reader:
        (session,) = reader.sessions()
    return session


def reader_of(path: Path) -> RecordingReader:
    """A file opened for reading."""
    return RecordingReader.open(path)

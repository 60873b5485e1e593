"""How far a recording has got that another thread or process records into."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import NotARecording, RecordingNotFound
from dimos_record.store import schema
from dimos_record.store.connection import connect_for_reading, errors_about
from dimos_record.store.open_segments import segments_of
from dimos_record.store.sessions import load_sessions
from dimos_record.store.writer import COMPLETE_UNTIL

_POLL_S = 0.02

log = logging.getLogger("dimos_record")


class _Standing(NamedTuple):
    is_recording: bool
    complete_until_ns: int | None
    """Receive time up to which everything that was received is written."""
    clock: tuple[int, int] | None
    """A receive time, and how far the wall clock was ahead of receive times then."""


def wait_until_written(path: Path, at_ns: int | None, timeout_s: float) -> int | None:
    """Wait until everything is written that a recorder had received at a moment.

    Args:
        path: a file, or a folder of segments.
        at_ns: the moment, a receive time; None is now.
        timeout_s: how long to wait at most; then it goes on with what is there, and says so.

    Returns:
        The moment; None if it was now, and nobody records.

    Raises:
        RecordingNotFound, NotARecording, RecordingDamaged, NewerSchema, StorageError
    """
    asked_ns, asked_s = time.time_ns(), time.monotonic()
    first: _Standing | None = None
    while True:
        standing = _standing(path)
        if not standing.is_recording:
            return at_ns
        first = first or standing
        until_ns = at_ns
        if until_ns is None and standing.clock is not None:
            ago_ns = round((time.monotonic() - asked_s) * 1e9)
            until_ns = time.time_ns() - ago_ns - standing.clock[1]
        # what the recorder said before the call may be from before a step of the wall clock
        is_certain = at_ns is not None or standing.clock != first.clock
        if is_certain and until_ns is not None and (standing.complete_until_ns or 0) >= until_ns:
            return until_ns
        if time.monotonic() > asked_s + timeout_s:
            log.warning(
                "%s: its recorder has not written for %g s; what it holds is missing",
                path,
                timeout_s,
            )
            return asked_ns if until_ns is None else until_ns
        time.sleep(_POLL_S)


def _standing(path: Path) -> _Standing:
    """How the newest session stands, which may have no file of its own yet."""
    files = segments_of(path) if os.path.isdir(path) else [path]
    for file in reversed(files):
        try:
            with closing(connect_for_reading(file)) as connection, errors_about(file):
                found = _standing_in(connection) if schema.check(connection, file) else None
        except (RecordingNotFound, NotARecording):
            if file == files[-1] and len(files) > 1:  # in the making
                continue
            raise
        if found is not None:
            return found
    return _Standing(False, None, None)


def _standing_in(connection: sqlite3.Connection) -> _Standing | None:
    sessions = load_sessions(connection)
    if not sessions:
        return None
    known = connection.execute("SELECT value FROM _dr_meta WHERE key = ?", (COMPLETE_UNTIL,))
    complete = known.fetchone()
    clocks = connection.execute(
        "SELECT ts_ns, wall_ns - ts_ns FROM _dr_clock WHERE session = ? "
        "ORDER BY ts_ns DESC LIMIT 1",
        (sessions[-1].id,),
    ).fetchone()
    return _Standing(
        sessions[-1].state == "recording",
        complete[0] if complete is not None and isinstance(complete[0], int) else None,
        clocks,
    )

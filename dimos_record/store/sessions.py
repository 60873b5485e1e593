"""Recording sessions and their accounts, as rows of `_dr_sessions` and `_dr_account`."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from dimos_record.store.base import LogLine, SessionInfo, StreamAccount
from dimos_record.store.connection import BadContent

_LAST_PID = 2**31 - 1
_COUNTS = [field.name for field in fields(StreamAccount)]
_counts_of = attrgetter(*_COUNTS)  # `dataclasses.astuple` copies every number, which takes long


def process_identity() -> dict[str, Any]:
    """What tells this process from every other, also after its number was used again."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "pid_started": _start_of(pid)}


def is_alive(meta: dict[str, Any]) -> bool:
    """Whether the process that a session's meta names still runs on this machine."""
    pid = meta.get("pid")
    if not isinstance(pid, int) or not 0 < pid <= _LAST_PID:
        return False
    if meta.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(_start_of(pid) == meta.get("pid_started"))


def _start_of(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    # a zombie has ended; its number is only waiting to be read
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def start_session(connection: sqlite3.Connection, start_ns: int, meta: dict[str, Any]) -> int:
    """Write the row of a new session and return its number."""
    cursor = connection.execute(
        "INSERT INTO _dr_sessions (start_ns, state, meta) VALUES (?, 'recording', ?)",
        (start_ns, json.dumps(meta)),
    )
    return int(cursor.lastrowid or 0)


def save_meta(connection: sqlite3.Connection, session: int, meta: dict[str, Any]) -> None:
    """Write down what has become of a session's meta."""
    update = "UPDATE _dr_sessions SET meta = ? WHERE id = ?"
    connection.execute(update, (json.dumps(meta), session))


def save_accounts(
    connection: sqlite3.Connection, session: int, accounts: Iterable[tuple[int, StreamAccount]]
) -> None:
    """Write the account of each topic (by topic number) of a session."""
    connection.executemany(
        "INSERT OR REPLACE INTO _dr_account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(session, topic, *_counts_of(account)) for topic, account in accounts],
    )


def save_log(connection: sqlite3.Connection, session: int, lines: Iterable[LogLine]) -> None:
    """Write lines that were logged during a session."""
    connection.executemany(
        "INSERT INTO _dr_log (session, ts_ns, level, source, line) VALUES (?, ?, ?, ?, ?)",
        [(session, *line) for line in lines],
    )


def log_page(
    connection: sqlite3.Connection, after: int, limit: int
) -> Sequence[tuple[int, LogLine]]:
    """The next lines that were logged, with their numbers, in the order of writing."""
    found = connection.execute(
        "SELECT id, CAST(ts_ns AS INTEGER), CAST(level AS TEXT), CAST(source AS TEXT), "
        "CAST(line AS TEXT) FROM _dr_log WHERE id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )
    return [(number, LogLine(*values)) for number, *values in found]


def load_sessions(connection: sqlite3.Connection) -> list[SessionInfo]:
    """Read the sessions of a recording; one whose process has died counts as killed."""
    names = dict(connection.execute("SELECT id, CAST(stream AS TEXT) FROM _dr_topics"))
    sessions = []
    for number, start, stop, state, reason, lost, jumps, meta in connection.execute(
        "SELECT id, start_ns, stop_ns, CAST(state AS TEXT), CAST(reason AS TEXT), "
        "CAST(lost_before_reception AS INTEGER), CAST(coalesce(clock_jumps, 0) AS INTEGER), meta "
        "FROM _dr_sessions ORDER BY id"
    ):
        if not isinstance(number, int) or not isinstance(start, int) or not _is_time(stop):
            raise BadContent(f"session {number} has no time")
        details = _details(meta)
        if state == "recording" and not is_alive(details):
            state = "killed"
        sessions.append(SessionInfo(number, start, stop, state, reason, lost, jumps, details))
    by_number = {session.id: session for session in sessions}
    query = f"SELECT session, topic, {', '.join(_COUNTS)} FROM _dr_account"
    for number, topic, *counts in connection.execute(query):
        account = StreamAccount(*counts)
        if number in by_number and topic in names and _is_sound(account):
            by_number[number].accounts[names[topic]] = account
    return sessions


def _is_time(value: object) -> bool:
    return value is None or isinstance(value, int)


def _is_sound(account: StreamAccount) -> bool:
    """Whether an account has numbers where they should be: somebody else may have written it."""
    at_ns = account.largest_gap_at_ns
    counts = (getattr(account, name) for name in _COUNTS if name != "largest_gap_at_ns")
    return all(isinstance(count, int) for count in counts) and _is_time(at_ns)


def _details(meta: str) -> dict[str, Any]:
    try:
        details = json.loads(meta)
    except (TypeError, ValueError, RecursionError):
        details = None
    return details if isinstance(details, dict) else {}

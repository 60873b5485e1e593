"""What goes along with the messages: sessions, accounts, clocks, logs, markers, skips."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dimos_record.edit.new_file import made
from dimos_record.edit.plan import FilePlan, has_table
from dimos_record.store.base import Marker, SessionInfo, StreamAccount, add_accounts
from dimos_record.store.carried import KEY
from dimos_record.store.edited import EditedReader
from dimos_record.store.senders import joined_meta
from dimos_record.store.sessions import save_accounts
from dimos_record.store.writer import COMPLETE_UNTIL

_NOT_KEPT = ("schema_version", "origin_ns", KEY, COMPLETE_UNTIL)


@dataclass(frozen=True)
class Timeline:
    """What a new recording says of itself, besides its messages."""

    origin_ns: int
    """Position 0."""
    skips: Sequence[tuple[int, int]]
    markers: Sequence[Marker]
    meta: Mapping[str, Any] = field(default_factory=dict)
    """For `_dr_meta`."""

    @classmethod
    def of(cls, reader: EditedReader) -> Timeline:
        """The timeline of a recording as its edits leave it."""
        return cls(reader.origin_ns(), reader.skips(), reader.markers())

    def with_meta(self, meta: Mapping[str, Any]) -> Timeline:
        """The same, of a recording that says this of itself."""
        return replace(self, meta=meta)


def same_recording(plan: FilePlan) -> dict[str, Any]:
    """`_dr_meta` of a recording that is saved: it stays the one that it was."""
    return {key: value for key, value in plan.meta.items() if key not in _NOT_KEPT}


def another_recording(plans: Sequence[FilePlan]) -> dict[str, Any]:
    """`_dr_meta` of a recording that is made from others."""
    origins = [str(plan.meta.get("recording_id", plan.path.name)) for plan in plans]
    return {
        "recording_id": uuid.uuid4().hex,
        "created_ns": time.time_ns(),
        "derived_from": json.dumps(list(dict.fromkeys(origins))),
    }


class Sessions:
    """The sessions of several files as those of one: their parts are put together."""

    def __init__(self, plans: Sequence[FilePlan]) -> None:
        self._numbers: dict[tuple[int, int], int] = {}
        """(index of the plan, number in its file) to the number in the new file."""
        self._sessions: list[SessionInfo] = []
        found: dict[tuple[str, int], SessionInfo] = {}
        parts: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for index, plan in enumerate(plans):
            for session in plan.sessions:
                part = _ended(_moved(session, plan), plan)
                key = str(part.meta.get("session", f"{index}:{part.id}")), plan.shift_ns
                found[key] = _put_together(found[key], part) if key in found else part
                parts.setdefault(key, []).append((index, part.id))
        for number, key in enumerate(sorted(found, key=lambda key: found[key].start_ns), 1):
            self._sessions.append(replace(found[key], id=number))
            self._numbers |= dict.fromkeys(parts[key], number)

    def carry(self, connection: sqlite3.Connection, index: int, plan: FilePlan) -> None:
        """Copy clock and log of one file; the new file is attached to its connection.

        Log lines from sections that were cut stay behind.
        """
        numbers = {number: new for (of, number), new in self._numbers.items() if of == index}
        connection.create_function("dr_session", 1, numbers.get)
        connection.create_function("dr_is_cut", 1, lambda time_ns: time_ns in plan.cut)
        known = "dr_session(session) IS NOT NULL"
        if has_table(connection, "_dr_clock"):
            connection.execute(
                f"INSERT OR IGNORE INTO {made('_dr_clock')} "
                f"SELECT dr_session(session), ts_ns + ?, wall_ns FROM main._dr_clock WHERE {known}",
                (plan.shift_ns,),
            )
        if has_table(connection, "_dr_log"):
            connection.execute(
                f"INSERT INTO {made('_dr_log')} (session, ts_ns, level, source, line) "
                f"SELECT dr_session(session), ts_ns + ?, level, source, line FROM main._dr_log "
                f"WHERE {known} AND NOT dr_is_cut(ts_ns) ORDER BY id",
                (plan.shift_ns,),
            )

    def write(self, connection: sqlite3.Connection, topics: Mapping[str, int]) -> None:
        """Write sessions and their accounts.

        Args:
            connection: the new file.
            topics: topic numbers by stream name, of the topics that are there still.
        """
        for session in self._sessions:
            connection.execute(
                "INSERT INTO _dr_sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    session.id,
                    session.start_ns,
                    session.stop_ns,
                    session.state,
                    session.reason,
                    session.lost_before_reception,
                    session.clock_jumps,
                    json.dumps(session.meta),
                ),
            )
            accounts = [
                (topics[name], account)
                for name, account in session.accounts.items()
                if name in topics
            ]
            save_accounts(connection, session.id, accounts)


def _moved(session: SessionInfo, plan: FilePlan) -> SessionInfo:
    """A session with times and names of streams as they are from now on."""
    names = {stream.edits.source: stream.name for stream in plan.streams}
    stop_ns = session.stop_ns
    return replace(
        session,
        start_ns=session.start_ns + plan.shift_ns,
        stop_ns=None if stop_ns is None else stop_ns + plan.shift_ns,
        accounts={
            names[source]: _gap_moved(account, plan.shift_ns)
            for source, account in session.accounts.items()
            if source in names
        },
    )


def _gap_moved(account: StreamAccount, by_ns: int) -> StreamAccount:
    at_ns = account.largest_gap_at_ns
    return replace(account, largest_gap_at_ns=None if at_ns is None else at_ns + by_ns)


def _ended(session: SessionInfo, plan: FilePlan) -> SessionInfo:
    """A session that has an end: nobody records into the new file."""
    if session.stop_ns is not None and session.state != "recording":
        return session
    running = session.state == "recording"
    return replace(
        session,
        stop_ns=max(session.start_ns, plan.last_ns + plan.shift_ns),
        state="finished" if running else "killed",
        reason="saved while it was recorded" if running else "killed; its messages were recovered",
    )


def _put_together(whole: SessionInfo, part: SessionInfo) -> SessionInfo:
    """A session of which several files have a part, or the same."""
    if (whole.start_ns, whole.stop_ns, whole.reason) == (part.start_ns, part.stop_ns, part.reason):
        return replace(whole, accounts={**part.accounts, **whole.accounts})
    lost = [n for n in (whole.lost_before_reception, part.lost_before_reception) if n is not None]
    return replace(
        whole,
        stop_ns=part.stop_ns,
        state=part.state,
        reason=part.reason,
        lost_before_reception=sum(lost) if lost else None,
        clock_jumps=whole.clock_jumps + part.clock_jumps,
        meta=joined_meta(whole.meta, part.meta),
        accounts=add_accounts(whole.accounts, part.accounts),
    )


def write_timeline(connection: sqlite3.Connection, timeline: Timeline) -> None:
    """Write markers, skips and what the file says of itself.

    Args:
        connection: the new file.
    """
    connection.executemany(
        "INSERT INTO _dr_markers (id, at_ns, until_ns, label, data) VALUES (?, ?, ?, ?, ?)",
        [
            (one.id, one.at_ns, one.until_ns, one.label, _as_json(one.data))
            for one in timeline.markers
        ],
    )
    connection.executemany("INSERT INTO _dr_skips VALUES (?, ?)", timeline.skips)
    meta = {**timeline.meta, "origin_ns": timeline.origin_ns}
    connection.executemany("INSERT OR REPLACE INTO _dr_meta VALUES (?, ?)", meta.items())


def _as_json(data: Any) -> str | None:
    return None if data is None else json.dumps(data)

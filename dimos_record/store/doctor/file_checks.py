"""What can be wrong with a recording file as a whole."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from dimos_record.errors import RecordingDamaged
from dimos_record.store import edits, schema
from dimos_record.store.base import SessionInfo
from dimos_record.store.carried import copies, load_carried
from dimos_record.store.connection import has_log, is_wal, read_header
from dimos_record.store.doctor.findings import Finding, messages
from dimos_record.store.table import StreamTable

_LISTED = 3
_OF_INDEXES = re.compile(r"missing from index|entries in index|entry in index")


class FileChecks:
    """Checks one file.

    Args:
        connection: reads it.
        tables: its streams.
        sessions: its sessions.
        in_use: whether a process records into it at this moment.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        tables: list[StreamTable],
        sessions: list[SessionInfo],
    ) -> None:
        self._connection = connection
        self._path = path
        self._tables = tables
        self._sessions = sessions
        self.in_use = any(session.state == "recording" for session in sessions)

    def integrity(self, remedy: str) -> Iterator[Finding]:
        """Whether SQLite finds its pages in order."""
        found = self._check("integrity_check") or self._check("quick_check") or []
        of_indexes = [line for line in found if _OF_INDEXES.search(line)]
        others = [line for line in found if line not in of_indexes and line != "ok"]
        if others:
            what = f"SQLite finds pages that cannot be right: {_some(others)}"
            yield Finding("damage", "integrity", what, remedy, count=len(others))
        if of_indexes:
            what = (
                f"an index does not fit its table, so that queries miss rows: {_some(of_indexes)}"
            )
            command = f"sqlite3 {self._path} REINDEX"
            yield Finding("problem", "indexes", what, command, count=len(of_indexes))

    def _check(self, how: str) -> list[str] | None:
        """What SQLite says; None if it cannot look into an index that dimos made (before 3.45)."""
        try:
            return [str(row[0]) for row in self._connection.execute(f"PRAGMA {how}")]
        except sqlite3.OperationalError as error:
            if "JSON" in str(error):
                return None
            raise

    def quick(self) -> Iterator[Finding]:
        """What is seen without reading messages."""
        yield from self._unfinished()
        yield from self._schema()
        if schema.version(self._connection) >= schema.EDITS_SINCE:
            yield from self._edits()

    def _unfinished(self) -> Iterator[Finding]:
        if self.in_use:
            what = "it is being recorded into; its messages have not been read"
            yield Finding("note", "unfinished", what)
            return
        remedy = f"dimos-record recover {self._path}"
        killed = [one for one in self._sessions if one.state == "killed" and one.stop_ns is None]
        if killed:
            what = "its recorder was killed or the power failed; what it had committed is there"
            yield Finding("problem", "unfinished", what, remedy, count=len(killed))
        log = f"{self._path.name}-wal"
        if is_wal(read_header(self._path)) and killed and not os.path.exists(f"{self._path}-wal"):
            what = f"its log, {log}, is missing, and what was committed last with it"
            yield Finding("damage", "log", what, f"copy it again together with {log}, or: {remedy}")
        elif is_wal(read_header(self._path)):
            what = "it is not one self-contained file: do not copy it without what lies beside it"
            if has_log(self._path):
                what = f"a part of it is in {log}: do not copy it without that"
            yield Finding("problem", "log", what, remedy)
        spooled = self._spooled()
        if spooled and not killed:
            what = f"{messages(spooled)} not in the tables of their streams yet"
            yield Finding("problem", "spool", what, remedy, count=spooled)

    def _spooled(self) -> int:
        if not schema.version(self._connection):
            return 0
        return int(self._connection.execute("SELECT count(*) FROM _dr_spool").fetchone()[0])

    def _schema(self) -> Iterator[Finding]:
        version = schema.version(self._connection)
        if not version:
            what = "dimos wrote it: it has no account of what was lost, and no checksums"
            yield Finding("note", "schema", what)
            return
        if version < schema.SCHEMA_VERSION:
            what = f"it has schema version {version}; writing brings it to {schema.SCHEMA_VERSION}"
            yield Finding("note", "schema", what)
        known = {table.info.name.lower() for table in self._tables}
        named = {str(row[0]) for row in self._connection.execute("SELECT stream FROM _dr_topics")}
        for name in sorted(name for name in named if name.lower() not in known):
            what = f"its list of topics names the stream {name}, which has no table"
            yield Finding("damage", "schema", what, f"dimos-record recover {self._path}")
        yield from self._foreign(known)

    def _foreign(self, streams: set[str]) -> Iterator[Finding]:
        """Tables that no recording has: another program's."""
        ours = ("sqlite_", "_dr_", "_streams")
        foreign = sorted(
            name
            for name in schema.tables(self._connection)
            if not name.startswith(ours) and not _belongs_to(name, streams)
        )
        if foreign:
            what = f"it has tables that are no part of a recording: {', '.join(foreign)}"
            yield Finding("note", "schema", what, count=len(foreign))

    def _edits(self) -> Iterator[Finding]:
        for what, load in (
            ("unsaved edits", edits.load_edits),
            ("markers", edits.load_markers),
            ("skips", edits.load_skips),
        ):
            try:
                load(self._connection)
            except RecordingDamaged as error:
                sentence = f"its {what} cannot be read, so that nothing opens it: {error}"
                yield Finding("damage", "edits", sentence, f"dimos-record recover {self._path}")

    def account(self) -> Iterator[Finding]:
        """Whether there are as many messages as the account says."""
        if self.in_use or not schema.version(self._connection) or self._is_derived():
            return
        carried = load_carried(self._connection)
        for table in self._tables:
            accounts = [
                session.accounts[table.info.name]
                for session in self._sessions
                if table.info.name in session.accounts
            ]
            written = sum(account.written for account in accounts)
            copied = copies(self._connection, carried, table.info.name)
            there = table.figures(self._connection)[0] - copied
            if any(one.received != one.written + one.dropped for one in accounts):
                what = "its account does not add up: received is not written and dropped"
                yield Finding("problem", "account", what, topic=table.info.topic)
            if there < written:
                what = f"{written - there:,} of {messages(written)} that were written not there"
                remedy = "look for an earlier copy; what is not in the file cannot be recovered"
                topic = table.info.topic
                yield Finding("problem", "account", what, remedy, None, topic, written - there)

    def _is_derived(self) -> bool:
        """Whether it was made from another recording, which its accounts are about."""
        query = "SELECT 1 FROM _dr_meta WHERE key = 'derived_from'"
        if self._connection.execute(query).fetchone():
            return True
        return any("derived_from" in session.meta for session in self._sessions) or bool(
            schema.version(self._connection) >= schema.EDITS_SINCE
            and self._connection.execute("SELECT 1 FROM _dr_skips LIMIT 1").fetchone()
        )


def _some(lines: list[str]) -> str:
    """The first of several lines."""
    shown = "; ".join(" ".join(line.split()) for line in lines[:_LISTED])
    return f"{shown} and {len(lines) - _LISTED:,} more" if len(lines) > _LISTED else shown


def _belongs_to(table: str, streams: set[str]) -> bool:
    return any(
        table == name or table.startswith((f"{name}_blob", f"{name}_rtree", f"{name}_vec"))
        for name in streams
    )

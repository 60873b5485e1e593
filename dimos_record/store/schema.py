"""The tables of a recording, and their version.

`docs/reference/file-format.md` describes the format for readers in other languages.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dimos_record.errors import NewerSchema, NotARecording
from dimos_record.store.connection import damaged, quote_name
from dimos_record.store.foreign_code import find_disguised

SCHEMA_VERSION = 5
"""Version of the `_dr_` tables. A file of dimos's own has none, which counts as 0."""

DIMOS_COLUMNS = (
    "id INTEGER PRIMARY KEY, ts REAL NOT NULL, value NUMERIC, "
    "pose_x REAL, pose_y REAL, pose_z REAL, "
    "pose_qx REAL, pose_qy REAL, pose_qz REAL, pose_qw REAL, "
    # dimos's default, jsonb('{}'), as the byte that it yields: SQLite before 3.45 lacks jsonb()
    "tags BLOB DEFAULT x'0C'"
)
STREAM_COLUMNS = {column.split()[0] for column in DIMOS_COLUMNS.split(", ")}
"""Names of the columns that every stream has."""
CHECKSUM_COLUMN = "crc INTEGER"
OUR_COLUMNS = ("seq INTEGER", "ts_ns INTEGER", "stamp_ns INTEGER", CHECKSUM_COLUMN)

TABLES_V1 = """
CREATE TABLE IF NOT EXISTS _streams (name TEXT PRIMARY KEY, config TEXT NOT NULL);
CREATE TABLE _dr_meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE _dr_migrations (version INTEGER PRIMARY KEY, applied_ns INTEGER NOT NULL);
CREATE TABLE _dr_topics (
  id INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE COLLATE NOCASE,
  topic TEXT NOT NULL, channel TEXT NOT NULL, bus TEXT, type_name TEXT, fingerprint TEXT,
  module TEXT, codec TEXT NOT NULL, latched INTEGER NOT NULL DEFAULT 0);
CREATE TABLE _dr_sessions (
  id INTEGER PRIMARY KEY, start_ns INTEGER NOT NULL, stop_ns INTEGER, state TEXT NOT NULL,
  reason TEXT, lost_before_reception INTEGER, clock_jumps INTEGER NOT NULL DEFAULT 0,
  meta TEXT NOT NULL DEFAULT '{}');
CREATE TABLE _dr_clock (
  session INTEGER NOT NULL, ts_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
  PRIMARY KEY (session, ts_ns)) WITHOUT ROWID;
CREATE TABLE _dr_account (
  session INTEGER NOT NULL, topic INTEGER NOT NULL, received INTEGER NOT NULL,
  written INTEGER NOT NULL, dropped INTEGER NOT NULL, bytes INTEGER NOT NULL,
  largest_gap_ns INTEGER NOT NULL, largest_gap_at_ns INTEGER, out_of_order INTEGER NOT NULL,
  frozen INTEGER NOT NULL, stamp_jumps INTEGER NOT NULL,
  PRIMARY KEY (session, topic)) WITHOUT ROWID;
CREATE TABLE _dr_spool (
  seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, id INTEGER NOT NULL, ts_ns INTEGER NOT NULL,
  stamp_ns INTEGER, data BLOB NOT NULL);
"""
LOG_SINCE = 2
"""The first version with `_dr_log`."""
TABLES_V2 = """
CREATE TABLE _dr_log (
  id INTEGER PRIMARY KEY, session INTEGER NOT NULL, ts_ns INTEGER NOT NULL,
  level TEXT, source TEXT, line TEXT NOT NULL);
"""
EDITS_SINCE = 3
"""The first version with edits, markers and skips."""
EDITS_TABLE = """
CREATE TABLE _dr_edits (
  id INTEGER PRIMARY KEY, made_ns INTEGER NOT NULL, kind TEXT NOT NULL, args TEXT NOT NULL,
  undone INTEGER NOT NULL DEFAULT 0);
"""
TABLES_V3 = (
    EDITS_TABLE
    + """
CREATE TABLE _dr_markers (
  id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, until_ns INTEGER, label TEXT NOT NULL, data TEXT);
CREATE TABLE _dr_skips (a_ns INTEGER PRIMARY KEY, b_ns INTEGER NOT NULL);
"""
)

INDEX_V4 = """
CREATE INDEX _dr_topics_copy ON _dr_topics (
  stream, topic, channel, bus, type_name, fingerprint, module, codec, latched);
"""
"""What the streams are, once more on another page: without it their messages are worth little."""


def is_recording(connection: sqlite3.Connection) -> bool:
    """Whether a database has the tables of a recording, ours or dimos's."""
    return _has_table(connection, "_streams") or _has_table(connection, "_dr_topics")


def version(connection: sqlite3.Connection) -> int:
    """Schema version of a recording; 0 for a file that dimos wrote."""
    if not _has_table(connection, "_dr_meta"):
        return 0
    row = connection.execute("SELECT value FROM _dr_meta WHERE key = 'schema_version'").fetchone()
    return row[0] if row and isinstance(row[0], int) else 0


def check(connection: sqlite3.Connection, path: Path | str) -> int:
    """Return the schema version of a recording that this release can read.

    Raises:
        NotARecording: the database holds something else.
        NewerSchema: a newer release wrote it.
        RecordingDamaged: its schema is not what it says it is.
    """
    disguised = find_disguised(connection)
    if disguised is not None:
        raise damaged(path, f"{disguised!r} in its schema is not what it says it is")
    if not is_recording(connection):
        raise NotARecording(f"{path} is an SQLite database but not a recording: no _streams table")
    found = version(connection)
    if found > SCHEMA_VERSION:
        raise NewerSchema(
            f"{path} has schema version {found} and this release reads up to {SCHEMA_VERSION}; "
            f"upgrade with: pip install -U dimos-record"
        )
    return found


def create_stream(connection: sqlite3.Connection, name: str) -> None:
    """Create the tables of a stream. It gets an index on time when it needs one: see `order`."""
    columns = ", ".join((DIMOS_COLUMNS, *OUR_COLUMNS))
    connection.execute(f"CREATE TABLE {quote_name(name)} ({columns})")
    connection.execute(
        f"CREATE TABLE {quote_name(name + '_blob')} (id INTEGER PRIMARY KEY, data BLOB NOT NULL)"
    )


def create_time_index(connection: sqlite3.Connection, name: str) -> None:
    """Create the index that makes seeking O(log n), where it is missing."""
    connection.execute(
        f"CREATE INDEX IF NOT EXISTS {quote_name(time_index(name))} ON {quote_name(name)} (ts_ns)"
    )


def time_index(name: str) -> str:
    """What the index on the time of a stream is called; no stream can be called that."""
    return f"_dr_time_{name}"


def tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """The names of ordinary tables, in lower case, with the names of their columns."""
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND m.sql LIKE 'CREATE TABLE%'"
    ):
        found.setdefault(str(table).lower(), set()).add(str(column))
    return found


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ? LIMIT 1"
    return connection.execute(query, (name,)).fetchone() is not None

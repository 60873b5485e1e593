"""How new, older and foreign files become current recordings."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from dimos_record.store import catalog, schema
from dimos_record.store.connection import quote_name
from dimos_record.store.sql_time import to_ns


def migrate(connection: sqlite3.Connection, path: Path | str) -> list[int]:
    """Bring a new, older or foreign file to the current schema, in one transaction each.

    Returns:
        The versions that were applied, an empty list for a current file.

    Raises:
        NewerSchema: a newer release wrote it.
    """
    found = schema.version(connection)
    if found > schema.SCHEMA_VERSION:
        schema.check(connection, path)
    applied = []
    for target, step in _MIGRATIONS.items():
        if target <= found:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if schema.version(connection) < target:  # another process may have been faster
                _apply(connection, target, step)
                applied.append(target)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back itself after some errors
                connection.execute("ROLLBACK")
            raise
    return applied


def _apply(
    connection: sqlite3.Connection, target: int, step: Callable[[sqlite3.Connection], None]
) -> None:
    step(connection)
    connection.execute("INSERT OR REPLACE INTO _dr_meta VALUES ('schema_version', ?)", (target,))
    connection.execute("INSERT INTO _dr_migrations VALUES (?, ?)", (target, time.time_ns()))


def _create(connection: sqlite3.Connection, tables: str) -> None:
    for statement in tables.split(";"):
        if statement.strip():
            connection.execute(statement)


def _first_version(connection: sqlite3.Connection) -> None:
    _create(connection, schema.TABLES_V1)
    columns = schema.tables(connection)
    for table in catalog.load_tables(connection):
        name = table.info.name
        _adopt_dimos_stream(connection, name, columns[name.lower()])
        catalog.save_topic(connection, table.info)


def _adopt_dimos_stream(connection: sqlite3.Connection, name: str, existing: set[str]) -> None:
    """Add our columns and the time index to a stream that dimos wrote."""
    for column in schema.OUR_COLUMNS:
        if column.split()[0] not in existing:
            connection.execute(f"ALTER TABLE {quote_name(name)} ADD COLUMN {column}")
    connection.execute(f"UPDATE {quote_name(name)} SET ts_ns = {to_ns('ts')}, seq = id")
    schema.create_time_index(connection, name)


def _second_version(connection: sqlite3.Connection) -> None:
    _create(connection, schema.TABLES_V2)


def _third_version(connection: sqlite3.Connection) -> None:
    _create(connection, schema.TABLES_V3)


def _fourth_version(connection: sqlite3.Connection) -> None:
    columns = schema.tables(connection)
    streams = [info.name for _, info in catalog.load_topics(connection)]
    for name in ("_dr_spool", *streams):
        if "crc" not in columns.get(name.lower(), {"crc"}):
            connection.execute(
                f"ALTER TABLE {quote_name(name)} ADD COLUMN {schema.CHECKSUM_COLUMN}"
            )
    _create(connection, schema.INDEX_V4)


def _fifth_version(connection: sqlite3.Connection) -> None:
    """From now on a stream without its index is in order; nothing is rewritten."""
    columns = schema.tables(connection)
    for _, info in catalog.load_topics(connection):
        if "ts_ns" in columns.get(info.name.lower(), ()):
            schema.create_time_index(connection, info.name)


_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {
    1: _first_version,
    2: _second_version,
    3: _third_version,
    4: _fourth_version,
    5: _fifth_version,
}

"""What streams a recording has: `_dr_topics` of ours, `_streams` of dimos's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from dimos_record.messages import is_latched
from dimos_record.store import order, schema
from dimos_record.store.base import StreamInfo, StreamSource
from dimos_record.store.connection import BadContent, quote_name
from dimos_record.store.dimos_types import payload_class, payload_fingerprint, type_of_payload
from dimos_record.store.names import is_identifier
from dimos_record.store.sql_time import to_ns
from dimos_record.store.table import StreamTable

_TOPIC_COLUMNS = "stream, topic, channel, type_name, codec, latched, module, bus, fingerprint"


def load_topics(connection: sqlite3.Connection) -> list[tuple[int, StreamInfo]]:
    """The streams that `_dr_topics` describes, with their topic numbers."""
    rows = connection.execute(f"SELECT id, {_TOPIC_COLUMNS} FROM _dr_topics ORDER BY id").fetchall()
    if not all(isinstance(row[0], int) for row in rows):
        raise BadContent("a topic has no number")
    return [(row[0], _from_row(row[1:])) for row in rows]


def load_tables(connection: sqlite3.Connection) -> list[StreamTable]:
    """Every stream of a recording with its tables: those we described, then dimos's.

    The content of a file is not to be trusted: only what is named and built like a stream counts.
    """
    columns = schema.tables(connection)
    topics = load_topics(connection) if schema.version(connection) else []
    described = {info.name.lower() for _, info in topics}
    found: list[tuple[int | None, StreamInfo]] = [*topics]
    if "_streams" in columns:
        rows = connection.execute("SELECT name, config FROM _streams ORDER BY name").fetchall()
        found += [
            (None, describe(str(name), str(config)))
            for name, config in rows
            if str(name).lower() not in described
        ]
    return [
        StreamTable(
            info,
            topic,
            ours=(ours := _is_ours(connection, info.name, columns)),
            has_blobs={"id", "data"} <= columns.get(f"{info.name}_blob".lower(), set()),
            checked=ours and "crc" in columns[info.name.lower()],
            in_order=ours and topic is not None and order.is_in_order(connection, info.name),
        )
        for topic, info in found
        if is_identifier(info.name)
        and columns.get(info.name.lower(), set()) >= schema.STREAM_COLUMNS
    ]


def _is_ours(connection: sqlite3.Connection, name: str, columns: dict[str, set[str]]) -> bool:
    """Whether every row has our columns; dimos leaves them empty where it adds to our files."""
    if not {"seq", "ts_ns", "stamp_ns"} <= columns[name.lower()]:
        return False
    return not _has_incomplete_rows(connection, name)


def _has_incomplete_rows(connection: sqlite3.Connection, name: str) -> bool:
    """Whether dimos has added rows that nobody has completed; they come last."""
    query = f"SELECT 1 FROM {quote_name(name)} WHERE ts_ns IS NULL LIMIT 1"
    if order.is_in_order(connection, name):
        last = f"SELECT ts_ns FROM {quote_name(name)} ORDER BY id DESC LIMIT 1"
        query = f"SELECT 1 FROM ({last}) WHERE ts_ns IS NULL"
    return connection.execute(query).fetchone() is not None


def _from_row(row: tuple[Any, ...]) -> StreamInfo:
    name, topic, channel, type_name, codec, latched, module, bus, mark = row
    try:
        number = int(mark, 16) if mark else None
    except (TypeError, ValueError):
        number = None
    texts = str(name), str(topic), str(channel), type_name and str(type_name), str(codec)
    sources = module and str(module), bus and str(bus)
    return StreamInfo(*texts, bool(latched), *sources, number)


def describe(name: str, config: str) -> StreamInfo:
    """A stream as dimos's config JSON describes it."""
    try:
        settings = json.loads(config.replace("dimos.memory2.", "dimos.memory."))
    except (ValueError, RecursionError):
        settings = None
    settings = settings if isinstance(settings, dict) else {}
    payload = str(settings.get("payload_module", ""))
    type_name = type_of_payload(payload)
    topic = f"/{name}"
    scalar = payload in ("builtins.int", "builtins.float", "builtins.bool")
    return StreamInfo(
        name=name,
        topic=topic,
        channel=f"{topic}#{type_name}" if type_name else topic,
        type_name=type_name,
        codec="scalar" if scalar else str(settings.get("codec_id", "lcm")),
        latched=is_latched(topic, type_name),
        fingerprint=payload_fingerprint(payload),
    )


def save_topic(
    connection: sqlite3.Connection, info: StreamInfo, source: StreamSource | None = None
) -> int:
    """Describe a stream in `_dr_topics`, and in `_streams` where dimos can open it.

    Args:
        source: what is known of where it comes from.

    Returns:
        The topic's number.
    """
    mark = None if info.fingerprint is None else f"{info.fingerprint:016x}"
    cursor = connection.execute(
        f"INSERT INTO _dr_topics ({_TOPIC_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*info[:5], int(info.latched), info.module, info.bus, mark),
    )
    payload = source.payload if source is not None else None
    payload = payload or payload_class(info.type_name, info.fingerprint)
    if payload is not None:
        config = {
            "payload_module": payload,
            "codec_id": (source.dimos_codec if source is not None else None) or info.codec,
            "eager_blobs": False,
            "page_size": 256,
        }
        connection.execute(
            "INSERT OR IGNORE INTO _streams VALUES (?, ?)", (info.name, json.dumps(config))
        )
    return int(cursor.lastrowid or 0)


def name_modules(connection: sqlite3.Connection, sources: Mapping[str, StreamSource]) -> None:
    """Write down the modules of topics that were not known at their first message."""
    connection.executemany(
        "UPDATE _dr_topics SET module = ? WHERE channel = ? AND module IS NULL",
        [(source.module, channel) for channel, source in list(sources.items()) if source.module],
    )


def last_id(connection: sqlite3.Connection, name: str, topic: int | None) -> int:
    """The highest message id of a stream, in its table or, where there is one, in the spool."""
    found = [connection.execute(f"SELECT max(id) FROM {quote_name(name)}").fetchone()[0]]
    if topic is not None:
        query = "SELECT max(id) FROM _dr_spool WHERE topic = ?"
        found += connection.execute(query, (topic,)).fetchone()
    return max(number or 0 for number in found)


def last_seq(connection: sqlite3.Connection) -> int:
    """The highest arrival number of a recording."""
    highest = connection.execute("SELECT max(seq) FROM _dr_spool").fetchone()[0] or 0
    for _, info in load_topics(connection):
        query = f"SELECT seq FROM {quote_name(info.name)} ORDER BY id DESC LIMIT 1"
        row = connection.execute(query).fetchone()
        if row is not None and isinstance(row[0], int):
            highest = max(highest, row[0])
    return int(highest)


def spooled(
    connection: sqlite3.Connection,
) -> dict[int, list[tuple[int, int, int, int | None, int | None, bytes]]]:
    """What waits in the spool, by topic: (seq, id, ts_ns, stamp_ns, checksum, stored payload)."""
    query = "SELECT topic, seq, id, ts_ns, stamp_ns, crc, data FROM _dr_spool ORDER BY seq"
    found: dict[int, list[Any]] = {}
    for topic, *row in connection.execute(query):
        found.setdefault(topic, []).append(tuple(row))
    return found


def taken_names(connection: sqlite3.Connection) -> set[str]:
    """Names that no new stream can have, in lower case: of tables, indexes and dimos's streams."""
    query = "SELECT lower(name) FROM sqlite_master UNION SELECT lower(name) FROM _streams"
    return {str(name) for (name,) in connection.execute(query)}


def complete_rows(connection: sqlite3.Connection, name: str) -> bool:
    """Fill in our columns of what dimos has added to a stream.

    Returns:
        Whether dimos made the table.
    """
    table = quote_name(name)
    if _has_incomplete_rows(connection, name):
        connection.execute(
            f"UPDATE {table} SET ts_ns = {to_ns('ts')}, "
            f"seq = id + (SELECT coalesce(max(seq), 0) FROM {table}) WHERE ts_ns IS NULL"
        )
        order.ensure(connection, name)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {quote_name(f'{name}_blob')} "
        f"(id INTEGER PRIMARY KEY, data BLOB NOT NULL)"
    )
    defaults = {row[1]: row[4] for row in connection.execute(f"PRAGMA table_info({table})")}
    return bool(defaults.get("tags") != "x'0C'")


def close_killed_sessions(connection: sqlite3.Connection) -> None:
    """Give sessions whose process died an end: the time of their last message."""
    names = [info.name for _, info in load_topics(connection)]
    last = 0
    for name in names:
        if order.is_in_order(connection, name):
            newest = order.ends(connection, quote_name(name))[1]
        else:
            newest = connection.execute(f"SELECT max(ts_ns) FROM {quote_name(name)}").fetchone()[0]
        if isinstance(newest, int):
            last = max(last, newest)
    connection.execute(
        "UPDATE _dr_sessions SET stop_ns = max(start_ns, ?), state = 'killed', "
        "reason = 'killed; its messages were recovered' WHERE state = 'recording'",
        (last,),
    )


def set_poses(
    connection: sqlite3.Connection, name: str, poses: Sequence[tuple[float, ...]]
) -> None:
    """Write poses (id, x, y, z, qx, qy, qz, qw) of messages, and their entries in the R*Tree."""
    connection.executemany(
        f"UPDATE {quote_name(name)} SET pose_x = ?2, pose_y = ?3, pose_z = ?4, "
        f"pose_qx = ?5, pose_qy = ?6, pose_qz = ?7, pose_qw = ?8 WHERE id = ?1",
        poses,
    )
    if _ensure_rtree(connection, name):
        connection.executemany(
            f"INSERT OR REPLACE INTO {quote_name(name + '_rtree')} VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(number, x, x, y, y, z, z) for number, x, y, z, *_ in poses],
        )


def _ensure_rtree(connection: sqlite3.Connection, name: str) -> bool:
    """Create the R*Tree of a stream's positions, as dimos does.

    Returns:
        Whether there is one: not every SQLite has R*Trees. Our own queries do without.
    """
    try:
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {quote_name(name + '_rtree')} "
            f"USING rtree(id, x_min, x_max, y_min, y_max, z_min, z_max)"
        )
    except sqlite3.OperationalError as error:
        if "no such module" in str(error):
            return False
        raise
    return True

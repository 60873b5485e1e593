"""A memory-store file as dimos 0.0.15 writes it, made by hand: no dimos and no JSONB needed."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame

from dimos_record.store import jpeg
from tests.store.samples import image, pose

FIRST_S = 1_700_000_000.25
COLUMNS = (
    "id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL, value NUMERIC, "
    "pose_x REAL, pose_y REAL, pose_z REAL, pose_qx REAL, pose_qy REAL, pose_qz REAL, "
    "pose_qw REAL, tags BLOB DEFAULT (jsonb('{}'))"
)
LONG = "x" * 300
# what SQLite 3.51 makes of {"n":7,"label":"xxx ... (300)","nested":{"a":[1,2.5,null,true]}}
NESTED_TAGS = (
    b"\xdc\x01L\x17n\x137Wlabel\xd7\x01," + LONG.encode() + b"gnested\xbc\x17a\x8b\x13152.5\x00\x01"
)
TAGS = {"n": 7, "label": LONG, "nested": {"a": [1, 2.5, None, True]}}


class DimosStream(NamedTuple):
    """A stream as dimos stores it; scalars are its values, everything else is a blob."""

    name: str
    payload_module: str
    codec: str
    payloads: list[Any]
    tags: list[bytes | str | None] = [b"\x0c"]  # noqa: RUF012 - never changed
    """Of the first message, the second ...; the last one is that of all others."""


ODOM = DimosStream(
    "odom",
    "dimos.msgs.geometry_msgs.PoseStamped.PoseStamped",
    "lcm",
    [pose(10**9 * (i + 1), i) for i in range(5)],
    [b"\x0c", NESTED_TAGS, '{"as": "text"}', None, b"\x0c"],
)
DEPTH = DimosStream(
    "depth",
    "dimos.msgs.sensor_msgs.Image.Image",
    "lz4+lcm",
    [lz4.frame.compress(image("32FC1", bytes(4 * 6), 3, 2))],
)
CAMERA = DimosStream(
    "camera",
    "dimos.msgs.sensor_msgs.Image.Image",
    "jpeg",
    [jpeg.encode(image("rgb8", b"\xc8\x64\x32" * 64, 8, 8))],
)
TEXT = DimosStream("text", "dimos.msgs.std_msgs.String.String", "json", ["grüß dich".encode()])
SPEED = DimosStream("speed", "builtins.float", "pickle", [0.5, -1.25, 3])
THINGS = DimosStream("things", "builtins.dict", "pickle", [pickle.dumps({"a": 1})])
OLD = DimosStream(
    "old", "dimos.memory2.type.observation.Thing", "pickle", [pickle.dumps("never loaded")]
)
MISSING_TYPE = DimosStream("missing", "no.such.module.Thing", "lcm", [b"raw bytes"])
UNKNOWN_CODEC = DimosStream("zstd", "dimos.msgs.std_msgs.String.String", "zstd+lcm", [b"?"])
ALL = [ODOM, DEPTH, CAMERA, TEXT, SPEED, THINGS, OLD, MISSING_TYPE, UNKNOWN_CODEC]


def write_dimos_file(path: Path, streams: list[DimosStream], *, tag_indexes: bool = True) -> Path:
    """Write a file of these streams, one message a second, without our tables or any index."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE _streams (name TEXT PRIMARY KEY, config TEXT NOT NULL)")
    for stream in streams:
        config = {"payload_module": stream.payload_module, "codec_id": stream.codec}
        connection.execute("INSERT INTO _streams VALUES (?, ?)", (stream.name, json.dumps(config)))
        connection.execute(f'CREATE TABLE "{stream.name}" ({COLUMNS})')
        for i, payload in enumerate(stream.payloads):
            _insert(connection, stream, i, payload)
    if tag_indexes and any(stream.name == "odom" for stream in streams):
        # dimos makes one per tag; SQLite before 3.45 cannot fill it, but must live with it
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("CREATE INDEX odom_tag_n ON odom(json_extract('{}', '$.n'))")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '''{}''', 'tags') "
            "WHERE name = 'odom_tag_n'"
        )
    connection.commit()
    connection.close()
    return path


def _insert(connection: sqlite3.Connection, stream: DimosStream, i: int, payload: Any) -> None:
    value = payload if isinstance(payload, (int, float)) else None
    tags = stream.tags[min(i, len(stream.tags) - 1)]
    connection.execute(
        f'INSERT INTO "{stream.name}" (ts, value, tags) VALUES (?, ?, ?)',
        (FIRST_S + i, value, tags),
    )
    if value is None:
        connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{stream.name}_blob" '
            f"(id INTEGER PRIMARY KEY, data BLOB NOT NULL)"
        )
        connection.execute(f'INSERT INTO "{stream.name}_blob" VALUES (?, ?)', (i + 1, payload))

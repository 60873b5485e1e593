"""Stored recordings: rows, JSON, tables and schema changed by hand, and everything done with them.

The first byte chooses the recording, the second what is done with it; the rest says what is
changed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from dimos_record import RecordReplay
from soaking.fuzz_targets.choices import TEXTS, Choices
from soaking.fuzz_targets.places import scratch
from soaking.fuzz_targets.using import GROUPS
from tests.edit.recordings import segmented, walk
from tests.store.dimos_files import ALL, write_dimos_file
from tests.store.samples import killed

_EDITS = (
    "cut",
    "trim",
    "delete",
    "shift",
    "rename",
    "codec",
    "mark",
    "unmark",
)
_JSON = ("args", "meta", "config", "data", "tags", "value")
"""Columns that hold JSON."""
_MOST_CHANGES = 6


def _edited(path: Path) -> Path:
    """One with poses, tags, markers and edits that are not saved."""
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        raw = rec.stream("raw", codec="lz4+lcm")
        for i in range(12):
            ts_ns = 1_700_000_000_000_000_000 + i * 100_000_000
            odom.append(bytes(80), ts_ns=ts_ns, pose=(i / 2, 0.0, 0.0), tags={"lap": i % 3})
            raw.append(b"payload" * i, ts_ns=ts_ns + 1)
        rec.add_marker(0.5, "fall", until=0.9, data={"by": "hand"})
        rec.save()
        rec.delete_section((0.2, 0.35))
        rec.add_marker(1.0, "end")
    return path


def _killed(path: Path) -> Path:
    killed(path, batches=3)
    return path


_MAKERS: tuple[Callable[[Path], Any], ...] = (
    _edited,
    lambda path: walk(path, seconds=1),
    _killed,
    lambda path: write_dimos_file(path, ALL),
    lambda path: segmented(path, seconds=3, each=1),
)


@lru_cache(maxsize=len(_MAKERS))
def _base(number: int) -> dict[str, bytes]:
    """The files of a recording, by their names; of a folder, below it."""
    with scratch() as folder:
        _MAKERS[number](folder / "odd.db")
        return {
            str(file.relative_to(folder)): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }


def seeds() -> list[bytes]:
    """Each recording with each thing done, without and with changes."""
    plain = [bytes([base, group]) for base in range(len(_MAKERS)) for group in range(len(GROUPS))]
    changed = [
        bytes([base, group, 1 + base, *(7 * i + 11 * group & 255 for i in range(60))])
        for base in range(len(_MAKERS))
        for group in range(len(GROUPS))
    ]
    return [*plain[:: len(GROUPS) + 1], *changed]


def run(data: bytes) -> None:
    """Change a recording, and use it."""
    choices = Choices(data)
    base, use = choices.below(len(_MAKERS)), choices.pick(GROUPS)
    with scratch() as folder:
        for name, content in _base(base).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        path = folder / "odd.db"
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        databases = [file for file in files if file.suffix == ".db"]
        for _ in range(choices.below(_MOST_CHANGES)):
            _change(choices.pick(databases), choices)
        use(path)


def _change(file: Path, choices: Choices) -> None:
    """Change one thing; what SQLite does not do stays as it is."""
    change = choices.pick(_CHANGES)
    if change is _swap_file:
        _swap_file(file)
        return
    refused = contextlib.suppress(sqlite3.Error, OverflowError, ValueError)
    with refused, closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        change(connection, choices)
        connection.commit()


def _tables(connection: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    return [name for (name,) in connection.execute(query)]


def _table(connection: sqlite3.Connection, choices: Choices) -> str:
    tables = _tables(connection)
    ours = [name for name in tables if name.startswith(("_dr_", "_streams"))]
    found: str = choices.pick(ours if ours and choices.yes() else tables)
    return '"' + found.replace('"', '""') + '"'


def _column(connection: sqlite3.Connection, table: str, choices: Choices) -> str:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    return '"' + choices.pick(columns or ["rowid"]) + '"'


def _rows(connection: sqlite3.Connection, table: str, choices: Choices) -> str:
    """A WHERE for one row, or all."""
    if choices.below(3) == 0:
        return ""
    try:
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        skip = choices.below(max(1, min(count, 256)))
        found = connection.execute(f"SELECT rowid FROM {table} LIMIT 1 OFFSET {skip}").fetchone()
    except sqlite3.Error:
        return ""
    return f"WHERE rowid = {found[0]}" if found else ""


def _set_value(connection: sqlite3.Connection, choices: Choices) -> None:
    table = _table(connection, choices)
    column, value = _column(connection, table, choices), choices.value()
    rows = _rows(connection, table, choices)
    connection.execute(f"UPDATE {table} SET {column} = ? {rows}", (value,))


def _set_json(connection: sqlite3.Connection, choices: Choices) -> None:
    """Change something inside of JSON."""
    places = [
        (table, row[1])
        for table in _tables(connection)
        for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        if row[1] in _JSON and table[:1] == "_"
    ]
    if not places:
        return
    table, column = choices.pick(places)
    found = connection.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()
    texts = [(rowid, text) for rowid, text in found if isinstance(text, str)]
    if not texts:
        return
    rowid, text = choices.pick(texts[:256])
    try:
        changed = json.dumps(_changed(json.loads(text), choices))
    except ValueError:
        changed = choices.pick(TEXTS)
    connection.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (changed, rowid))


def _changed(value: Any, choices: Choices) -> Any:
    """JSON with one thing in it replaced."""
    deeper = choices.below(4)
    if deeper and isinstance(value, dict) and value:
        key = choices.pick(sorted(value))
        if deeper == 1:
            return {**value, choices.text(): choices.pick((None, [], {}, True, -1))}
        if deeper == 2 and choices.yes():
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _changed(value[key], choices)}
    if deeper and isinstance(value, list) and value:
        at = choices.below(min(len(value), 256))
        return [*value[:at], _changed(value[at], choices), *value[at + 1 :]]
    return choices.pick((choices.integer(), choices.text(), None, [], {}, 1e300, True, [[[]]]))


def _delete_rows(connection: sqlite3.Connection, choices: Choices) -> None:
    table = _table(connection, choices)
    connection.execute(f"DELETE FROM {table} {_rows(connection, table, choices)}")


def _copy_row(connection: sqlite3.Connection, choices: Choices) -> None:
    """Another row like one that is there, with a value of its own."""
    table = _table(connection, choices)
    rows = _rows(connection, table, choices)
    row = connection.execute(f"SELECT * FROM {table} {rows} LIMIT 1").fetchone()
    if row is None:
        return
    values = [choices.value() if choices.below(3) == 0 else value for value in row]
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)


def _change_table(connection: sqlite3.Connection, choices: Choices) -> None:
    table, kind = _table(connection, choices), choices.below(5)
    column = _column(connection, table, choices)
    if kind == 0:
        connection.execute(f"DROP TABLE {table}")
    elif kind == 1:
        connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    elif kind == 2:
        connection.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    elif kind == 3:
        name = choices.text().replace('"', '""')
        connection.execute(f'ALTER TABLE {table} RENAME TO "{name}"')
    else:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {choices.pick(('more', 'crc', 'seq'))}")


def _change_schema(connection: sqlite3.Connection, choices: Choices) -> None:
    """Change what the file says of its tables, without changing the tables."""
    table = _table(connection, choices).strip('"')
    old, new = choices.pick(
        (
            (" NOT NULL", ""),
            (" INTEGER", " TEXT"),
            (" TEXT", " BLOB"),
            (" BLOB", " INTEGER"),
            (" REAL", ""),
            ("PRIMARY KEY", ""),
            ("WITHOUT ROWID", ""),
            (" UNIQUE", ""),
            ("ts_ns", "ts"),
        )
    )
    connection.execute("PRAGMA writable_schema=ON")
    update = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?"
    connection.execute(update, (old, new, table))


def _add_edit(connection: sqlite3.Connection, choices: Choices) -> None:
    kind = choices.pick(_EDITS)
    streams = [name for name in _tables(connection) if name[:1] != "_"] + ["none"]
    stream, number = choices.pick(streams), choices.integer()
    marker = {"id": number, "at": choices.integer(), "label": choices.text() or "x"}
    args: dict[str, Any] = {
        "cut": {"a": number, "b": choices.integer(), "streams": choices.pick((None, [stream]))},
        "trim": {"a": choices.integer(), "b": number, "streams": choices.pick((None, [stream]))},
        "delete": {"streams": [stream]},
        "shift": {"stream": stream, "ns": number},
        "rename": {"stream": stream, "topic": choices.text(), "channel": choices.text()},
        "codec": {"stream": stream, "codec": choices.pick(("lcm", "lz4+lcm", "jpeg", "pickle"))},
        "mark": {"markers": [{**marker, "until": None, "data": choices.value() is None}]},
        "unmark": {"ids": [number]},
    }[kind]
    connection.execute(
        "INSERT INTO _dr_edits (made_ns, kind, args, undone) VALUES (?, ?, ?, ?)",
        (choices.integer(), kind, json.dumps(args), choices.pick((0, 0, 0, 1, "x"))),
    )


def _add_something(connection: sqlite3.Connection, choices: Choices) -> None:
    """A view, trigger, index or table with a name that means something."""
    table = _table(connection, choices)
    name = '"' + (choices.text() or "x").replace('"', '""') + '"'
    statement = choices.pick(
        (
            f"CREATE VIEW {name} AS SELECT * FROM {table}",
            f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, ts REAL, value)",
            f"CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
            f"CREATE INDEX {name} ON {table} ({_column(connection, table, choices)})",
        )
    )
    connection.execute(statement)


def _set_pragma(connection: sqlite3.Connection, choices: Choices) -> None:
    name = choices.pick(("user_version", "application_id", "schema_version", "journal_mode"))
    value = choices.pick(("WAL", "DELETE", "0", "1", "-1", "2147483647"))
    connection.execute(f"PRAGMA {name} = {value}").fetchall()


def _swap_file(file: Path) -> None:
    """Leave a log beside it that is of another file."""
    shutil.copy(file, f"{file}-journal")


_CHANGES: tuple[Callable[..., None], ...] = (
    _set_value,
    _set_value,
    _set_value,
    _set_json,
    _set_json,
    _delete_rows,
    _copy_row,
    _change_table,
    _change_schema,
    _add_edit,
    _add_edit,
    _add_something,
    _set_pragma,
    _swap_file,
)

"""What a damaged recording says beside its messages: sessions, accounts, markers, logs ..."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from dimos_record.errors import RecordingDamaged
from dimos_record.store import edits
from dimos_record.store.salvage.btree import Record
from dimos_record.store.salvage.trees import Trees

_COLUMNS = {
    "_dr_sessions": "iiItTIit",
    "_dr_account": "iiiiiiiIiii",
    "_dr_clock": "iii",
    "_dr_log": "iiiTTt",
    "_dr_edits": "iitti",
    "_dr_markers": "iiItT",
    "_dr_skips": "ii",
    "_dr_meta": "t*",
}
"""What is in the columns of each table: integers, texts; capitals where it may be nothing."""
_CALLED = {
    "_dr_sessions": "sessions",
    "_dr_account": "accounts",
    "_dr_clock": "readings of the clock",
    "_dr_log": "lines of the log",
    "_dr_edits": "unsaved edits",
    "_dr_markers": "markers",
    "_dr_skips": "skips",
    "_dr_meta": "notes on the recording",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "i": (int,),
    "I": (int, type(None)),
    "t": (str,),
    "T": (str, type(None)),
    "*": (object,),
}
_YEAR_1980_NS = 315_532_800 * 10**9
_META = ("origin_ns", "carried")


class Others:
    """The rows of the small tables that can be right."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._rows: dict[str, list[Record]] = {}
        self.lost: list[str] = []
        """What of it is lost, in sentences."""
        for table, columns in _COLUMNS.items():
            self._rows[table] = list(self._read(table, columns))
        self.meta: dict[str, Any] = dict(self._rows["_dr_meta"])

    def _read(self, table: str, columns: str) -> Iterator[Record]:
        tree, wrong = self._trees.tree(table), 0
        if table not in self._trees.names and not self._trees.list_is_whole:
            yield from self._trees.look_for(lambda row: _is_of(table, row, columns))
        for row in self._trees.records(tree):
            if _fits(row, columns) and (table != "_dr_account" or row[2] == row[3] + row[4]):
                yield row
            else:
                wrong += 1
        if wrong or tree.broken:
            self.lost.append(f"not all of its {_CALLED[table]} can be read")

    @property
    def carried(self) -> Mapping[str, int]:
        """Up to which number of each stream a segment has copies of earlier messages."""
        try:
            found = json.loads(self.meta.get("carried", "{}"))
        except (TypeError, ValueError, RecursionError):
            found = {}
        return found if isinstance(found, dict) else {}

    @property
    def was_killed(self) -> bool:
        """Whether its recorder has not ended it."""
        return any(row[3] == "recording" for row in self._rows["_dr_sessions"])

    def written(self) -> dict[int, int]:
        """Messages that were written, by topic number, in all sessions; what was edited has none.

        A recording that was made from another one has that one's accounts.
        """
        total: dict[int, int] = {}
        derived = "derived_from" in self.meta or len(self._rows["_dr_skips"]) > 0
        derived = derived or any('"derived_from"' in row[7] for row in self._rows["_dr_sessions"])
        for row in () if derived else self._rows["_dr_account"]:
            total[row[1]] = total.get(row[1], 0) + row[3]
        return total

    def write(
        self, connection: sqlite3.Connection, topics: Mapping[int, int], last_ns: int
    ) -> None:
        """Write them into a new recording, which has its streams already, in a transaction.

        Args:
            topics: the new number of each topic, by its old one.
            last_ns: when the last message was received: the end of sessions that have none.
        """
        for row in self._rows["_dr_sessions"]:
            number, start, stop, state, reason, lost, jumps, details = row
            if state != "finished" or stop is None:
                state, stop, reason = "killed", stop or max(start, last_ns), reason or "salvaged"
            values = (number, start, stop, state, reason, lost, jumps, _json_or_nothing(details))
            _insert(connection, "_dr_sessions", values)
        for row in self._rows["_dr_account"]:
            if row[1] in topics:
                _insert(connection, "_dr_account", (row[0], topics[row[1]], *row[2:]))
        for key in _META:
            if key in self.meta:
                _insert(connection, "_dr_meta", (key, self.meta[key]))
        for table in ("_dr_clock", "_dr_log", "_dr_edits", "_dr_markers", "_dr_skips"):
            for row in self._rows[table]:
                _insert(connection, table, row)
        self._drop_what_cannot_be_read(connection)

    def _drop_what_cannot_be_read(self, connection: sqlite3.Connection) -> None:
        for table, load in (
            ("_dr_edits", edits.load_edits),
            ("_dr_markers", edits.load_markers),
            ("_dr_skips", edits.load_skips),
        ):
            try:
                load(connection)
            except RecordingDamaged:
                connection.execute(f"DELETE FROM {table}")
                self.lost.append(f"its {_CALLED[table]} cannot be read")


def _is_of(table: str, row: Record, columns: str) -> bool:
    """Whether a row from nowhere is of a table: several have columns of the same kinds."""
    if not _fits(row, columns):
        return False
    if table == "_dr_meta":
        return row[0] in ("schema_version", "recording_id", "created_ns", "derived_from", *_META)
    if table == "_dr_skips":
        return bool(_YEAR_1980_NS < row[0] < row[1])
    if table == "_dr_clock":
        return bool(min(row[1:]) > _YEAR_1980_NS)
    return table != "_dr_account" or bool(row[2] == row[3] + row[4])


def _fits(row: Record, columns: str) -> bool:
    return len(row) == len(columns) and all(
        isinstance(value, _KINDS[kind]) for value, kind in zip(row, columns, strict=True)
    )


def _insert(connection: sqlite3.Connection, table: str, row: Record) -> None:
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", row)


def _json_or_nothing(text: str) -> str:
    try:
        readable = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        readable = False
    return text if readable else "{}"

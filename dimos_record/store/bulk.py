"""Inserting many rows with few calls into SQLite: a call costs as much as a small row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

ROWS = 32
"""Rows per call; more would hardly save more. SQLite allows 999 parameters, at least."""


def insert_rows(
    connection: sqlite3.Connection, into: str, values: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows, in order.

    Args:
        into: `INSERT INTO table (columns)`.
        values: the values of one row, in brackets, with a `?` for each item of a row.
    """
    bulk = len(rows) - len(rows) % ROWS
    if bulk:
        items = list(chain.from_iterable(rows[:bulk]))
        step = len(rows[0]) * ROWS
        groups = [items[i : i + step] for i in range(0, len(items), step)]
        connection.executemany(f"{into} VALUES {', '.join([values] * ROWS)}", groups)
    connection.executemany(f"{into} VALUES {values}", rows[bulk:])

"""Embeddings that dimos has stored beside messages, in tables of the extension sqlite-vec."""

from __future__ import annotations

import importlib
import re
import sqlite3

from dimos_record.edit.new_file import made
from dimos_record.edit.plan import StreamPlan, has_table
from dimos_record.errors import MissingExtra, StorageError
from dimos_record.store.connection import quote_name

_VEC0 = re.compile(r"USING\s+(vec0\(embedding float\[\d+\] distance_metric=\w+\))\s*\Z", re.I)
"""How dimos makes such a table. What else a file says is not to be executed."""


def has_embeddings(connection: sqlite3.Connection, plan: StreamPlan) -> bool:
    """Whether a file has embeddings of a stream."""
    return has_table(connection, f"{plan.table.info.name}_vec")


def copy_embeddings(connection: sqlite3.Connection, plan: StreamPlan, first_id: int) -> None:
    """Copy the embeddings of the messages that are copied, if the file has any.

    Args:
        connection: reads the file; the new one is attached to it.
        first_id: the number of the first message in the new file.

    Raises:
        MissingExtra, StorageError: they cannot be read here.
    """
    if not has_embeddings(connection, plan):
        return
    old = f"{plan.table.info.name}_vec"
    query = "SELECT sql FROM main.sqlite_master WHERE lower(name) = lower(?)"
    kind = _VEC0.search(connection.execute(query, (old,)).fetchone()[0])
    if kind is None:
        raise StorageError(f"table {old} is not made as dimos makes it; delete it first")
    _load_extension(connection)
    table, new = f"main.{quote_name(old)}", made(f"{plan.name}_vec")
    connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {new} USING {kind[1]}")
    for run in plan.runs:
        # sqlite-vec looks up one number at once, and reads all embeddings for more
        within = f"= {run.first}" if run.size == 1 else f"BETWEEN {run.first} AND {run.last}"
        connection.execute(
            f"INSERT INTO {new} (rowid, embedding) "
            f"SELECT rowid + ?, embedding FROM {table} WHERE rowid {within}",
            (first_id - run.first,),
        )
        first_id += run.size


def _load_extension(connection: sqlite3.Connection) -> None:
    try:
        extension = importlib.import_module("sqlite_vec")
        connection.enable_load_extension(True)
    except ImportError:
        raise MissingExtra("taking along the embeddings that dimos stored", "dimos") from None
    except AttributeError:
        raise StorageError(
            "the recording has embeddings that dimos stored, and this Python's SQLite cannot load "
            "the extension that reads them; use the Python that dimos runs in"
        ) from None
    extension.load(connection)
    connection.enable_load_extension(False)

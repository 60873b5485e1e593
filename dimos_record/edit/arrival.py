"""Numbering the messages of a merged recording anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from dimos_record.store.checksum import moved, seed_of
from dimos_record.store.connection import quote_name


def number_by_arrival(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Number the messages of all streams anew (`seq`) in the order of time.

    Args:
        connection: the new file, in a transaction.
    """
    connection.execute(
        "CREATE TEMP TABLE messages (ts_ns INTEGER, seq INTEGER, stream INTEGER, id INTEGER)"
    )
    for stream, name in enumerate(names):
        connection.execute(
            f"INSERT INTO temp.messages SELECT ts_ns, seq, ?, id FROM main.{quote_name(name)}",
            (stream,),
        )
    connection.execute(
        "CREATE TEMP TABLE arrival (stream INTEGER, id INTEGER, seq INTEGER, "
        "PRIMARY KEY (stream, id)) WITHOUT ROWID"
    )
    connection.execute(
        "INSERT INTO temp.arrival SELECT stream, id, "
        "row_number() OVER (ORDER BY ts_ns, seq, stream, id) FROM temp.messages"
    )
    for stream, name in enumerate(names):
        connection.create_function("dr_renumbered", 5, partial(_renumbered, seed_of(name)))
        connection.execute(
            f"UPDATE main.{quote_name(name)} AS message SET seq = arrival.seq, "
            f"crc = dr_renumbered(crc, message.id, ts_ns, message.seq, arrival.seq) "
            f"FROM temp.arrival WHERE arrival.stream = ? AND arrival.id = message.id",
            (stream,),
        )


def _renumbered(seed: int, crc: object, number: int, ts_ns: int, seq: int, new: int) -> int | None:
    return moved(crc, (seed, number, seq, ts_ns), (seed, number, new, ts_ns))

"""A recording is data: nothing that stands in a file is executed, whoever made it.

An SQLite file can hold views, triggers, virtual tables and expressions, which SQLite runs when
their tables are used (https://www.sqlite.org/security.html). No recording has any under the names
that are used here, so every connection refuses them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Container

_PLAIN = {"table": ("CREATE TABLE ",), "index": ("CREATE INDEX ", "CREATE UNIQUE INDEX ")}
_OTHERS = {
    "table": ("CREATE VIRTUAL TABLE ",),
    "view": ("CREATE VIEW ",),
    "trigger": ("CREATE TRIGGER ",),
}
_NAME = re.compile(r"[A-Za-z0-9_$\u0080-\U0010ffff]")
"""What goes on with a name that is not quoted."""
_QUOTES = {'"': '"', "[": "]", "`": "`", "'": "'"}


def refuse_foreign_code(connection: sqlite3.Connection, own_views: Container[str] = ()) -> None:
    """Let a connection run no view or trigger of its file, and no function of ours from its schema.

    Using one is then an error of SQLite's: "not authorized".

    Args:
        own_views: names of temporary views that we make, live.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA ignore_check_constraints=ON")

    def authorize(action: int, _1: object, _2: object, _3: object, code: str | None) -> int:
        if code is None or code in own_views:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)


def read_schema(connection: sqlite3.Connection) -> None:
    """Make SQLite read the schema of the file; waits for whoever is replacing the file.

    dimos indexes tags by `json_extract`, which SQLite before 3.41 does not count as harmless.
    """
    look = "SELECT count(*) FROM sqlite_master"
    try:
        connection.execute(look).fetchone()
    except sqlite3.DatabaseError as error:
        if "unsafe use of json" not in str(error):
            raise
        connection.execute("PRAGMA trusted_schema=ON")
        connection.execute(look).fetchone()


def find_disguised(connection: sqlite3.Connection) -> str | None:
    """The name of something that is not what it says it is; None in a file that SQLite has made.

    The columns of the schema are what we go by, and its SQL is what SQLite goes by: a file that was
    made by hand can have a table of ours whose SQL makes another one, or a virtual one.
    """
    usual = " OR ".join(
        f"(type = '{kind}' AND substr(sql, 1, length(name) + {len(made) + 2}) = "
        f"'{made}\"' || name || '\"')"
        for kind, (made, *_) in _PLAIN.items()
    )
    columns = "CAST(type AS BLOB), CAST(name AS BLOB), CAST(sql AS BLOB)"
    others = f"SELECT {columns} FROM sqlite_master WHERE sql IS NOT NULL AND ({usual}) IS NOT 1"
    for found in connection.execute(others):
        kind, name, sql = (bytes(one or b"").decode(errors="replace") for one in found)
        ours = name.lower().startswith("_dr_") or name.lower() == "_streams"
        allowed = _PLAIN.get(kind, ()) + (() if ours else _OTHERS.get(kind, ()))
        if not any(_makes(sql, prefix, name) for prefix in allowed):
            return name
    return None


def _makes(sql: str, prefix: str, name: str) -> bool:
    """Whether a statement of a schema, which SQLite writes in one form, makes what has a name."""
    if not sql.startswith(prefix):
        return False
    rest = sql[len(prefix) :]
    closing = _QUOTES.get(rest[:1])
    if closing is None:
        return rest.startswith(name) and not _NAME.match(rest, len(name))
    quoted = name if closing == "]" else name.replace(closing, closing * 2)
    return rest[1:].startswith(quoted + closing)

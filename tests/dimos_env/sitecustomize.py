"""Gives `sqlite3` a newer SQLite in the tests with dimos, where Python's own is too old for it.

dimos's memory store needs JSONB (SQLite 3.45) and loadable extensions. Python imports this file at
its start, in worker processes too, because `scripts/test` puts its folder on PYTHONPATH. As a
script it tells by its exit code whether Python's own `sqlite3` will do.
"""

from __future__ import annotations

import os
import sqlite3
import sys


def is_enough_for_dimos() -> bool:
    """Whether dimos's memory store works with Python's own `sqlite3`."""
    return sqlite3.sqlite_version_info >= (3, 45) and hasattr(
        sqlite3.Connection, "enable_load_extension"
    )


if __name__ == "__main__":
    sys.exit(not is_enough_for_dimos())
if os.environ.get("DIMOS_RECORD_TEST_DIMOS") == "1" and not is_enough_for_dimos():
    import pysqlite3
    import pysqlite3.dbapi2

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

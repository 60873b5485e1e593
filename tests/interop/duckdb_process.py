"""DuckDB in a process of its own: where it is loaded, it prints a page when the process ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_ASK = """
import duckdb, json, sys
print(json.dumps(duckdb.sql(sys.stdin.read()).fetchall()))
"""


def ask(query: str) -> list[tuple[Any, ...]]:
    """The rows that a query has; their values are what JSON has."""
    result = subprocess.run(
        [sys.executable, "-c", _ASK], input=query, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return [tuple(row) for row in json.loads(result.stdout)]

"""Stream names: what a topic's table is called."""

from __future__ import annotations

import re
from collections.abc import Container

_VALID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# virtual tables keep theirs in NAME_rtree_node, NAME_vec_chunks and the like
_RESERVED = re.compile(
    r"(sqlite_.*|_dr_.*|_streams|.*_(blob|rtree|vec|rtree_(node|parent|rowid)"
    r"|vec_(auxiliary|chunks|info|rowids|vector_chunks\d+)))\Z",
    re.IGNORECASE,
)


def is_identifier(name: str) -> bool:
    """Whether a name can be that of a stream in a file that somebody else wrote."""
    return bool(_VALID.match(name)) and not name.lower().startswith(("sqlite_", "_dr_"))


def is_valid(name: str) -> bool:
    """Whether a name may be a stream: an identifier that no other table uses."""
    return bool(_VALID.match(name)) and not _RESERVED.match(name)


def stream_name(topic: str, taken: Container[str]) -> str:
    """A stream name for a topic, unique without regard to case.

    Args:
        taken: names that others have, in lower case.

    >>> stream_name("/robot1/odom", ())
    'robot1__odom'
    >>> stream_name("/Odom", {"odom"})
    'Odom_2'
    """
    base = re.sub(r"[^A-Za-z0-9_]", "_", topic.strip("/").replace("/", "__")) or "stream"
    if not _VALID.match(base):
        base = f"_{base}"
    if base.lower().startswith(("sqlite_", "_dr_")):
        base = f"s{base}"
    if _RESERVED.match(base):
        base = f"{base}_"
    stem = f"s{base}" if _RESERVED.match(f"{base}_2") else base  # as with /sqlite and /SQLITE
    name, number = base, 2
    while name.lower() in taken:
        name, number = f"{stem}_{number}", number + 1
    return name

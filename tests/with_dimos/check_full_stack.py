"""What of the full stack is in a recording, ours or dimos's, byte by byte.

Usage: python -m tests.with_dimos.check_full_stack RECORDING NOTES

It prints, as JSON, for each topic how many messages were published and what became of them.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import lz4.frame
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from tests.with_dimos.full_stack import TOPICS, published


@dataclass
class Kept:
    """What a recording has of one topic."""

    published: int
    stored: int = 0
    """Different messages."""
    doubled: int = 0
    misplaced: int = 0
    """Messages that come after one with a higher number."""
    changed: int = 0
    """Messages whose bytes are not those that were published."""
    lost_at_start: int = 0
    """Messages before the first one that is there."""
    lost_later: int = 0


def check(recording: Path, notes: Path) -> dict[str, Kept]:
    """Compare a recording with what was published, by topic.

    Raises:
        RuntimeError: not everything was published.
    """
    counts = published(notes)
    if counts is None:
        raise RuntimeError(f"{notes}: not every sensor has said how much it published")
    with sqlite3.connect(f"file:{recording}?mode=ro", uri=True) as db:
        names = {name for (name,) in db.execute("SELECT name FROM _streams")}
        return {name: _check(db, name, count, name in names) for name, count in counts.items()}


def _check(db: sqlite3.Connection, name: str, count: int, is_there: bool) -> Kept:
    kept, topic = Kept(count), TOPICS[name]
    seen: set[int] = set()
    largest = 0
    for stamp_s, data in _messages(db, name) if is_there else ():
        number = topic.number(stamp_s)
        kept.doubled += number in seen
        kept.misplaced += number < largest
        kept.changed += data != topic.message(number).lcm_encode()
        largest = max(largest, number)
        seen.add(number)
    kept.stored = len(seen)
    kept.lost_at_start = min(seen) - 1 if seen else count
    kept.lost_later = count - kept.stored - kept.lost_at_start
    return kept


def _messages(db: sqlite3.Connection, name: str) -> Iterator[tuple[float, bytes]]:
    """(header stamp, bytes) of each message, in the order in which they were stored."""
    (config,) = db.execute("SELECT config FROM _streams WHERE name = ?", (name,)).fetchone()
    is_packed = json.loads(config)["codec_id"] == "lz4+lcm"
    columns = [row[1] for row in db.execute(f'PRAGMA table_info("{name}")')]
    stamp = "stamp_ns / 1e9" if "stamp_ns" in columns else "ts"  # dimos keeps header stamps there
    rows = db.execute(
        f'SELECT {stamp}, data FROM "{name}" JOIN "{name}_blob" USING (id) ORDER BY id'
    )
    for stamp_s, data in rows:
        if name == "tf":  # it has no header, but a stamp in each transform
            stamp_s = TFMessage.lcm_decode(data).transforms[0].ts
        yield stamp_s, lz4.frame.decompress(data) if is_packed else data


if __name__ == "__main__":
    found = check(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({name: asdict(kept) for name, kept in found.items()}))

"""`durability` says when what is committed is flushed to the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.errors import OptionError
from tests.record.recordings import memory_bus, session_on, wait_until, written

FLUSHED_WITH_CHECKPOINTS, FLUSHED_WITH_COMMITS = 1, 2
"""`PRAGMA synchronous`: NORMAL and FULL."""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, FLUSHED_WITH_CHECKPOINTS),
        ({"durability": "normal"}, FLUSHED_WITH_CHECKPOINTS),
        ({"durability": "full"}, FLUSHED_WITH_COMMITS),
    ],
)
def test_full_flushes_every_commit_of_every_segment(
    tmp_path: Path, options: dict[str, str], expected: int
) -> None:
    with (
        memory_bus("durability") as bus,
        session_on(bus, tmp_path / "long", split_s=0.05, **options) as session,
    ):
        found: dict[object, int] = {}
        while len(found) < 3:
            writer = session.writer
            with writer.lock:
                if not writer.superseded:
                    query = writer.connection.execute("PRAGMA synchronous")
                    found[writer.path] = query.fetchone()[0]
            before = written(session)
            bus.publish("/a", b"1")
            wait_until(lambda before=before: written(session) > before)
    assert set(found.values()) == {expected}


def test_another_durability_is_refused(tmp_path: Path) -> None:
    with memory_bus("durability") as bus, pytest.raises(OptionError, match="normal or full, not"):
        session_on(bus, tmp_path / "walk.db", durability="ful")

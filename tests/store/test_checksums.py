"""Every message has a checksum that still holds after edits, merges and other codecs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.edit.merge import merge
from dimos_record.store.checksum import checksum, moved, seed_of
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import ODOM, START_NS, begin, messages, pose, record

SECOND = 1_000_000_000


def checked(path: Path) -> dict[str, int]:
    """How many messages of each stream have the checksum that belongs to them, of all that are."""
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT stream FROM _dr_topics").fetchall():
            rows = connection.execute(
                f"SELECT m.crc, m.id, m.seq, m.ts_ns, b.data "
                f"FROM {name} m JOIN {name}_blob b ON b.id = m.id"
            ).fetchall()
            assert [crc for crc, *_ in rows] == [
                checksum(seed_of(name), *message) for _, *message in rows
            ]
            found[name] = len(rows)
    return found


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """50 small messages on /a, 50 poses, and 3 that are too large for the spool."""
    poses = [(START_NS + i * SECOND, ODOM, pose(START_NS + i, float(i))) for i in range(50)]
    large = messages(3, "/large", 100_000)
    return record(tmp_path / "walk.db", [messages(50), poses, large])


def test_what_is_recorded_has_checksums(walk: Path) -> None:
    assert checked(walk) == {"a": 50, "odom": 50, "large": 3}


def test_messages_that_are_still_in_the_spool_have_them_too(tmp_path: Path) -> None:
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"))
    writer.write(messages(5))
    query = "SELECT crc, id, seq, ts_ns, data FROM _dr_spool"
    rows = writer.connection.execute(query).fetchall()
    assert [row[0] for row in rows] == [checksum(seed_of("a"), *row[1:]) for row in rows]
    writer.close()
    assert checked(tmp_path / "walk.db") == {"a": 5}


def test_they_hold_after_cuts_shifts_renames_and_other_codecs(walk: Path, tmp_path: Path) -> None:
    with RecordReplay(walk) as rec:
        rec.delete_section((10, 20))
        rec.shift("/odom", -0.25)
        rec.rename_topic("/a", "/b")
        rec.set_codec("/large", "lz4+lcm")
        rec.save_as(tmp_path / "edited.db")
    assert checked(tmp_path / "edited.db") == {"b": 50, "odom": 40, "large": 3}


def test_they_hold_after_a_merge(walk: Path, tmp_path: Path) -> None:
    other = record(tmp_path / "other.db", [messages(30, first=5), messages(3, "/large", 90_000)])
    merge([walk, other], tmp_path / "both.db")
    assert checked(tmp_path / "both.db") == {"a": 80, "odom": 50, "large": 6}


def test_they_hold_where_two_codecs_are_merged_into_one_stream(tmp_path: Path) -> None:
    record(tmp_path / "one.db", [messages(20)])
    with RecordReplay(record(tmp_path / "two.db", [messages(20)])) as rec:
        rec.set_codec("/a", "lz4+lcm")
        rec.save()
    merge([tmp_path / "one.db", tmp_path / "two.db"], tmp_path / "both.db")
    assert checked(tmp_path / "both.db") == {"a": 40}


def test_a_recording_of_version_3_gets_them_for_what_is_added(walk: Path) -> None:
    with closing(sqlite3.connect(walk)) as connection:
        for table in ("a", "odom", "large", "_dr_spool"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        connection.execute("DROP INDEX _dr_topics_copy")
        connection.execute("UPDATE _dr_meta SET value = 3 WHERE key = 'schema_version'")
        connection.execute("DELETE FROM _dr_migrations WHERE version >= 4")
        connection.commit()
    with RecordReplay(walk) as rec:
        assert rec.streams.a.count() == 50
        rec.save_as(walk.with_name("copy.db"))
        rec.stream("a", topic="/a").append(b"new")
    with closing(sqlite3.connect(walk)) as connection:
        found = connection.execute("SELECT id, crc IS NULL FROM a WHERE id >= 50").fetchall()
    assert found == [(50, 1), (51, 0)]


def test_no_change_of_one_byte_keeps_a_checksum() -> None:
    seed, data = seed_of("odom"), bytes(range(100))
    right = checksum(seed, 7, 8, START_NS, data)
    assert moved(right, (seed, 7, 8, START_NS), (seed, 9, 1, 5)) == checksum(seed, 9, 1, 5, data)
    wrong = {
        checksum(seed_of("odom2"), 7, 8, START_NS, data),
        checksum(seed, 8, 8, START_NS, data),
        checksum(seed, 7, 9, START_NS, data),
        checksum(seed, 7, 8, START_NS ^ 1, data),
        checksum(seed, 7, 8, START_NS, data[:-1]),
        *(checksum(seed, 7, 8, START_NS, data[:i] + b"\xff" + data[i + 1 :]) for i in range(100)),
    }
    assert right not in wrong

"""Files become current recordings in one step, or stay as they were."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dimos_record.errors import DiskFull
from dimos_record.store import migrations, schema
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.store.dimos_files import ALL, FIRST_S, ODOM, write_dimos_file
from tests.store.samples import messages, record

EVERY_VERSION = [(version,) for version in range(1, schema.SCHEMA_VERSION + 1)]


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_new_recording_notes_its_schema_and_its_birth(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(1)])
    assert rows(path, "SELECT version FROM _dr_migrations") == EVERY_VERSION
    meta = dict(rows(path, "SELECT key, value FROM _dr_meta"))  # type: ignore[arg-type]
    assert meta["schema_version"] == schema.SCHEMA_VERSION
    assert len(str(meta["recording_id"])) == 32
    assert isinstance(meta["created_ns"], int)


def test_what_another_process_has_just_migrated_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dimos_file(tmp_path / "memory.db", ALL)
    RecordingWriter.append(path).close()
    found, seen_before = schema.version, [0]
    monkeypatch.setattr(schema, "version", lambda c: seen_before.pop() if seen_before else found(c))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        assert migrations.migrate(connection, path) == []
    finally:
        connection.close()
    assert rows(path, "SELECT version FROM _dr_migrations") == EVERY_VERSION


def test_every_migration_leads_to_the_version_that_is_written() -> None:
    assert list(migrations._MIGRATIONS) == list(range(1, schema.SCHEMA_VERSION + 1))


def test_dimos_files_are_migrated_once(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "memory.db", ALL)
    for _ in range(3):
        RecordingWriter.append(path).close()
    assert rows(path, "SELECT version FROM _dr_migrations") == EVERY_VERSION
    assert rows(path, "SELECT seq, ts_ns FROM odom WHERE id = 2") == [
        (2, round((FIRST_S + 1) * 1e9))
    ]
    assert rows(path, "SELECT name FROM sqlite_master WHERE name = '_dr_time_odom'")


@pytest.mark.parametrize("after", ["tables", "columns", "everything"])
def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    path = write_dimos_file(tmp_path / "memory.db", [ODOM])
    dump = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    before = (
        rows(path, dump),
        rows(path, "SELECT * FROM odom"),
        rows(path, "SELECT * FROM _streams"),
    )

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    if after == "tables":
        monkeypatch.setattr(migrations, "_adopt_dimos_stream", fail)
    elif after == "columns":
        monkeypatch.setattr(schema, "create_time_index", fail)
    else:
        monkeypatch.setattr(migrations.time, "time_ns", fail)
    with pytest.raises(KeyboardInterrupt):
        RecordingWriter.append(path)
    assert before == (
        rows(path, dump),
        rows(path, "SELECT * FROM odom"),
        rows(path, "SELECT * FROM _streams"),
    )
    monkeypatch.undo()
    RecordingWriter.append(path).close()
    with RecordingReader.open(path) as reader:
        assert reader.stats("odom").count == 5


def test_creating_a_recording_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setitem(migrations._MIGRATIONS, 1, fail)
    with pytest.raises(DiskFull):
        RecordingWriter.create(tmp_path / "walk.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def of_version_1(tmp_path: Path) -> Path:
    """A recording as the first release wrote it."""
    path = record(tmp_path / "walk.db", [messages(3)])
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        DROP INDEX _dr_topics_copy;
        DROP TABLE _dr_log; DROP TABLE _dr_edits; DROP TABLE _dr_markers; DROP TABLE _dr_skips;
        ALTER TABLE a DROP COLUMN crc; ALTER TABLE _dr_spool DROP COLUMN crc;
        DELETE FROM _dr_migrations WHERE version > 1;
        UPDATE _dr_meta SET value = 1 WHERE key = 'schema_version';
        """
    )
    connection.close()
    assert not rows(path, "SELECT 1 FROM sqlite_master WHERE name = '_dr_log'")
    return path


def test_reading_a_recording_of_version_1_changes_nothing(of_version_1: Path) -> None:
    before = of_version_1.read_bytes()
    with RecordingReader.open(of_version_1) as reader:
        assert reader.schema_version == 1
        assert sum(reader.stats(name).count for name in reader.streams) == 3
        assert list(reader.log_lines()) == []
        assert len(reader.sessions()) == 1
    assert of_version_1.read_bytes() == before


def test_adding_to_a_recording_of_version_1_brings_it_to_the_current_version(
    of_version_1: Path,
) -> None:
    with RecordingReader.open(of_version_1) as reader:
        before = [row for name in reader.streams for row in reader.rows(name)]
    RecordingWriter.append(of_version_1).close()
    assert rows(of_version_1, "SELECT version FROM _dr_migrations") == EVERY_VERSION
    with RecordingReader.open(of_version_1) as reader:
        assert reader.schema_version == schema.SCHEMA_VERSION
        assert [row for name in reader.streams for row in reader.rows(name)] == before


def test_a_step_from_version_1_that_fails_leaves_version_1(
    of_version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        migrations._second_version(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as failing:
        failing.setitem(migrations._MIGRATIONS, 2, fail)
        with pytest.raises(KeyboardInterrupt):
            RecordingWriter.append(of_version_1)
    assert rows(of_version_1, "SELECT version FROM _dr_migrations") == [(1,)]
    with RecordingReader.open(of_version_1) as reader:
        assert reader.schema_version == 1

"""Views, triggers, virtual tables, expressions and pickles in a file are not executed."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

import lz4.frame
import pytest

from dimos_record import RecordReplay
from dimos_record.errors import CodecError, DimosRecordError, RecordingDamaged
from dimos_record.store import open_recording
from dimos_record.store.codecs import MAX_MESSAGE_BYTES, codec_for
from dimos_record.store.connection import connect_for_reading
from dimos_record.store.doctor import diagnose
from tests.hostile.recordings import POSE, write, write_pickles
from tests.store.samples import START_NS

pytestmark = pytest.mark.once

ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT "
DISGUISED = [
    ["ALTER TABLE _dr_sessions RENAME TO s", "CREATE VIEW _dr_sessions AS SELECT * FROM s"],
    [
        "DROP TABLE _dr_markers",
        "CREATE VIRTUAL TABLE _dr_markers USING fts5(at_ns, until_ns, label, data)",
    ],
    ["DROP TABLE _streams", f"CREATE VIEW _streams AS {ENDLESS} x AS name, x AS config FROM r"],
    [
        "CREATE TABLE other (id INTEGER PRIMARY KEY, a_ns, b_ns)",
        "PRAGMA writable_schema=ON",
        "DELETE FROM sqlite_master WHERE name = '_dr_skips'",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE _dr_skips (a_ns, b_ns)' WHERE name = 'other'",
    ],
    [
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = 'CREATE VIEW _dr_edits AS SELECT 1 AS id' "
        "WHERE name = '_dr_edits'",
    ],
    [
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE _dr_log_2 (id INTEGER PRIMARY KEY)' "
        "WHERE name = '_dr_log'",
    ],
]


def changed(path: Path, statements: list[str]) -> Path:
    """A recording on which statements were executed."""
    write(path, (f"/odom#{POSE}",))
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize("statements", DISGUISED, ids=lambda statements: statements[-1][:50])
def test_a_table_of_ours_that_is_something_else_is_refused(
    tmp_path: Path, statements: list[str]
) -> None:
    path = changed(tmp_path / "walk.db", statements)
    before = path.read_bytes()
    with pytest.raises(RecordingDamaged, match=r"walk\.db is damaged"):
        open_recording(path)
    assert path.read_bytes() == before


def test_a_view_in_place_of_a_stream_is_not_read(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "walk.db",
        ["ALTER TABLE odom RENAME TO o", f"CREATE VIEW odom AS {ENDLESS} * FROM o, r"],
    )
    with open_recording(path) as reader:
        assert list(reader.streams) == []
    connection = connect_for_reading(path)
    with pytest.raises(sqlite3.DatabaseError, match=r"prohibited|not authorized"):
        connection.execute("SELECT * FROM odom").fetchone()
    connection.close()


def test_a_view_in_place_of_payloads_is_not_read(tmp_path: Path) -> None:
    endless = f"CREATE VIEW odom_blob AS {ENDLESS} x AS id, x'00' AS data FROM r"
    path = changed(tmp_path / "walk.db", ["DROP TABLE odom_blob", endless])
    with open_recording(path) as reader, pytest.raises(RecordingDamaged):
        list(reader.rows("odom"))


@pytest.mark.parametrize("table", ["odom", "odom_blob", "_dr_sessions", "_dr_spool", "_dr_edits"])
def test_a_trigger_refuses_what_would_set_it_off(tmp_path: Path, table: str) -> None:
    trigger = f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM odom_blob; END"
    path = changed(tmp_path / "walk.db", [trigger])
    with open_recording(path) as reader:
        before = [row.data for row in reader.rows("odom")]
    with suppress(DimosRecordError), RecordReplay(path) as rec:
        rec.delete_section((0.0, 0.005))
        rec.stream("odom", type_name=POSE).append(before[0], ts_ns=START_NS + 10**9)
    with sqlite3.connect(path) as connection:
        kept = connection.execute("SELECT count(*) FROM odom_blob").fetchone()[0]
    connection.close()
    assert kept >= len(before) == 20


def test_columns_that_compute_something_are_no_payloads(tmp_path: Path) -> None:
    path = changed(
        tmp_path / "walk.db",
        [
            "DROP TABLE odom_blob",
            "CREATE TABLE odom_blob (id INTEGER PRIMARY KEY, data AS (zeroblob(900000000)))",
        ],
    )
    with open_recording(path) as reader, pytest.raises(RecordingDamaged):
        list(reader.rows("odom"))


def test_nothing_that_a_file_names_is_imported_or_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    path = write_pickles(tmp_path / "walk.db", trap)
    monkeypatch.syspath_prepend(str(tmp_path))
    with RecordReplay(path, bus="memory://pickles") as rec:
        for message in rec.view():
            with suppress(DimosRecordError):
                _ = message.data
        rec.play(float("inf"), block=True)
        for name in ("out.mcap", "out.log", "csv", "parquet"):
            with suppress(DimosRecordError):
                rec.export(tmp_path / name)
        rec.delete_section((0.0, 0.01))
        rec.save()
    diagnose(path)
    assert not trap.exists()


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_payload_unpacks_to_no_more_than_a_message_may_have(says_its_size: bool) -> None:
    codec = codec_for("lz4+lcm", "/odom")
    largest = lz4.frame.compress(bytes(MAX_MESSAGE_BYTES), store_size=says_its_size)
    assert len(codec.decode(largest)) == MAX_MESSAGE_BYTES
    larger = lz4.frame.compress(bytes(MAX_MESSAGE_BYTES + 1), store_size=says_its_size)
    with pytest.raises(CodecError, match="more than 268,435,456 bytes"):
        codec.decode(larger)
    with pytest.raises(CodecError, match="not a valid LZ4 frame"):
        codec.decode(lz4.frame.compress(b"odometry" * 99, store_size=says_its_size)[:-9])

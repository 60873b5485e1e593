"""The doctor finds what is wrong with a recording, and changes nothing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record.errors import NotARecording, RecordingDamaged
from dimos_record.store.connection import PAGE_SIZE
from dimos_record.store.doctor import Diagnosis, diagnose
from dimos_record.store.writer import RecordingWriter
from tests.store.damage import write_killed
from tests.store.dimos_files import ALL, write_dimos_file
from tests.store.samples import MS, ODOM, START_NS, begin, killed, messages, pose, record, snapshot

PAGE = PAGE_SIZE


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """100 messages of /a, 20 poses, and 5 large ones of /big."""
    poses = [(START_NS + i * MS, ODOM, pose(START_NS + i, float(i))) for i in range(20)]
    return record(tmp_path / "walk.db", [messages(100), poses, messages(5, "/big", 50_000)])


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def found(diagnosis: Diagnosis) -> set[tuple[str, str, str | None, int]]:
    """severity, check, topic, count"""
    return {(one.severity, one.check, one.topic, one.count) for one in diagnosis.findings}


def test_a_recording_that_is_in_order_has_no_findings(walk: Path) -> None:
    before = snapshot(walk.parent)
    diagnosis = diagnose(walk)
    assert diagnosis == Diagnosis(walk, (), 125, 125)
    assert diagnosis.healthy
    assert snapshot(walk.parent) == before


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM a_blob WHERE id IN (3, 4)", ("damage", "orphans", "/a", 2)),
        ("DELETE FROM a WHERE id = 9", ("damage", "orphans", "/a", 1)),
        ("UPDATE big_blob SET data = zeroblob(7) WHERE id = 2", ("damage", "checksums", "/big", 1)),
        ("UPDATE a SET ts_ns = ts_ns + 1 WHERE id = 2", ("damage", "checksums", "/a", 1)),
        ("UPDATE a SET ts = ts + 1 WHERE id < 6", ("damage", "times", "/a", 5)),
        ("UPDATE a SET ts_ns = 5, ts = 5e-9 WHERE id = 1", ("problem", "times", "/a", 1)),
        ("UPDATE a SET seq = 1 WHERE id = 50", ("problem", "order", "/a", 1)),
        ("UPDATE odom SET stamp_ns = 5 WHERE id < 4", ("note", "stamps", "/odom", 3)),
        (
            f"UPDATE odom SET stamp_ns = {START_NS + 10**15} WHERE id = 1",
            ("problem", "stamps", "/odom", 1),
        ),
        ("UPDATE a SET ts_ns = ts_ns + 10000000000 WHERE id = 3", ("problem", "indexes", "/a", 1)),
        ("UPDATE a SET crc = NULL WHERE id < 11", ("note", "checksums", None, 10)),
        ("INSERT INTO _dr_edits VALUES (1, 2, 'fly', '{}', 0)", ("damage", "edits", None, 1)),
        ("CREATE TABLE cats (name)", ("note", "schema", None, 1)),
        ("DROP TABLE big", ("damage", "schema", None, 1)),
        ("UPDATE _dr_account SET received = received + 1", ("problem", "account", "/a", 1)),
    ],
)
def test_what_is_wrong_is_found(
    walk: Path, statement: str, expected: tuple[str, str, str | None, int]
) -> None:
    sql(walk, statement)
    before = snapshot(walk.parent)
    diagnosis = diagnose(walk)
    assert expected in found(diagnosis)
    assert diagnosis.damaged == any(one.severity == "damage" for one in diagnosis.findings)
    assert diagnosis.healthy == all(one.severity == "note" for one in diagnosis.findings)
    assert snapshot(walk.parent) == before


def test_messages_of_the_future_are_found(tmp_path: Path) -> None:
    late_ns = time.time_ns() + 10**17
    path = record(tmp_path / "walk.db", [[(late_ns, "/a", b"1")]])
    assert ("problem", "times", "/a", 1) in found(diagnose(path))


def test_messages_that_the_account_has_and_the_file_has_not_are_found(walk: Path) -> None:
    sql(walk, "DELETE FROM a WHERE id > 90", "DELETE FROM a_blob WHERE id > 90")
    diagnosis = diagnose(walk)
    assert found(diagnosis) == {("problem", "account", "/a", 10)}
    assert not diagnosis.damaged


def test_damaged_pages_are_found_unless_in_a_hurry(walk: Path) -> None:
    data = bytearray(walk.read_bytes())
    at = data.find(b"4" + b"." * 1_000)
    data[at] ^= 1
    walk.write_bytes(data)
    assert ("damage", "checksums", "/big", 1) in found(diagnose(walk))
    assert diagnose(walk, quick=True).healthy


def test_a_killed_recording_is_a_problem_that_recover_solves(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db")
    before = snapshot(tmp_path)
    diagnosis = diagnose(path)
    assert {(one.severity, one.check) for one in diagnosis.findings} == {
        ("problem", "unfinished"),
        ("problem", "log"),
    }
    assert {one.remedy for one in diagnosis.findings} == {f"dimos-record recover {path}"}
    assert (diagnosis.messages, diagnosis.checked) == (60, 60)
    assert {name: one[0] for name, one in snapshot(tmp_path).items()} == {
        name: one[0] for name, one in before.items()
    }


def test_a_killed_recording_without_its_log_is_damaged(tmp_path: Path) -> None:
    path = write_killed(tmp_path / "walk.db")
    Path(f"{path}-wal").unlink()
    assert ("damage", "log", None, 1) in found(diagnose(path))


def test_a_log_of_which_sqlite_sees_only_the_beginning_is_damaged(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db")
    log = bytearray(Path(f"{path}-wal").read_bytes())
    log[32 + 3 * (PAGE + 24) + 1000] ^= 1
    Path(f"{path}-wal").write_bytes(log)
    assert any(one.check == "log" and one.severity == "damage" for one in diagnose(path).findings)


def test_a_recording_in_progress_is_no_problem(tmp_path: Path) -> None:
    from dimos_record.store.sessions import process_identity

    writer = begin(RecordingWriter.create(tmp_path / "walk.db"), **process_identity())
    writer.write(messages(5))
    diagnosis = diagnose(tmp_path / "walk.db")
    assert diagnosis.healthy
    assert {one.check for one in diagnosis.findings} == {"unfinished"}
    writer.close()


def test_what_dimos_wrote_is_in_order(tmp_path: Path) -> None:
    diagnosis = diagnose(write_dimos_file(tmp_path / "memory.db", ALL))
    assert not diagnosis.damaged  # an index of its has rows that only some SQLite can evaluate
    assert {one.check for one in diagnosis.findings} - {"indexes"} == {"schema", "checksums"}


def test_every_segment_is_looked_over_and_one_that_is_missing_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in (1, 2, 4):
        record(folder / f"segment-{number:05d}.db", [messages(5)])
    sql(folder / "segment-00002.db", "DELETE FROM a_blob WHERE id = 1")
    diagnosis = diagnose(folder)
    assert diagnosis.messages == 15
    assert ("problem", "segments", None, 1) in found(diagnosis)
    assert {one.file for one in diagnosis.findings if one.check == "orphans"} == {
        folder / "segment-00002.db"
    }


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no recording " * 10_000)
    with pytest.raises(NotARecording, match=r"text\.db"):
        diagnose(tmp_path / "text.db")


def test_a_recording_without_its_first_page_is_recognised(walk: Path) -> None:
    data = bytearray(walk.read_bytes())
    data[:PAGE] = bytes(PAGE)
    walk.write_bytes(data)
    with pytest.raises(RecordingDamaged, match=f"dimos-record recover {walk}"):
        diagnose(walk)


def test_checking_can_be_cancelled(walk: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(walk, on_progress=cancel)


def test_an_index_that_does_not_fit_its_table_is_no_damage(walk: Path) -> None:
    sql(
        walk,
        "CREATE INDEX _dr_time_a ON a (ts_ns)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX _dr_time_a ON a (seq)' "
        "WHERE name = '_dr_time_a'",
    )
    diagnosis = diagnose(walk)
    assert not diagnosis.damaged
    assert [(one.severity, one.check) for one in diagnosis.findings] == [("problem", "indexes")]
    assert diagnosis.findings[0].remedy == f"sqlite3 {walk} REINDEX"

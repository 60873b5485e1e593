"""The log of a file stays short while it is written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from dimos_record.errors import StorageError
from dimos_record.store import log_copier
from dimos_record.store.log_copier import LogCopier
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.record.recordings import wait_until
from tests.store.samples import begin, end, messages, record

SIZE = 100_000
pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_copier, "STEP_BYTES", 4 * SIZE)
    monkeypatch.setattr(log_copier, "REST_BYTES", 4 * SIZE)
    monkeypatch.setattr(log_copier, "LIMIT_BYTES", 16 * SIZE)


def write(path: Path, count: int, after_commit: Callable[[LogCopier], None] | None = None) -> int:
    """Write messages, one a batch; returns the bytes of the log at the end."""
    writer = begin(RecordingWriter.create(path))
    copier = LogCopier(writer)
    copier.start()
    for number in range(count):
        writer.write(messages(1, size=SIZE, first=number))
        copier.after_commit()
        if after_commit is not None:
            after_commit(copier)
    copier.close()
    copier.close()
    log_bytes = Path(f"{path}-wal").stat().st_size
    end(writer)
    return log_bytes


def wait_for_copying(copier: LogCopier) -> None:
    wait_until(lambda: not copier._at_work.is_set())


def check(path: Path, count: int) -> None:
    with RecordingReader.open(path) as reader:
        assert [row.id for row in reader.rows("a")] == list(range(1, count + 1))
        assert reader.self_contained


def test_a_log_starts_over_when_the_thread_has_copied_it(tmp_path: Path) -> None:
    assert write(tmp_path / "walk.db", 200, wait_for_copying) < 100 * SIZE
    check(tmp_path / "walk.db", 200)


def test_a_writer_that_is_faster_than_the_copying_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecordingWriter, "copy_log", lambda self: None)
    monkeypatch.setattr(log_copier, "REST_BYTES", 0)  # there is always more than that
    assert 16 * SIZE < write(tmp_path / "walk.db", 200, wait_for_copying) < 100 * SIZE
    check(tmp_path / "walk.db", 200)


def test_a_copying_that_fails_is_a_warning_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: RecordingWriter) -> None:
        raise StorageError(f"{self.path}: no luck")

    monkeypatch.setattr(RecordingWriter, "copy_log", fail)
    with caplog.at_level(logging.WARNING, "dimos_record"):
        write(tmp_path / "walk.db", 50, wait_for_copying)
    assert "no luck" in caplog.text
    check(tmp_path / "walk.db", 50)


def test_a_file_that_takes_the_place_of_ours_is_left_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "walk.db", record(tmp_path / "other.db", [messages(3)])
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5))
    before = other.read_bytes()
    other.replace(path)
    writer.copy_log()
    assert path.read_bytes() == before
    writer.abandon()


def test_a_log_that_a_reader_needs_grows_and_starts_over_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(1, size=SIZE))
    copier = LogCopier(writer)
    copier.start()
    with RecordingReader.open(path) as reader:
        with reader._reading():
            reader._connection.execute("SELECT count(*) FROM a").fetchone()
            for number in range(1, 100):
                writer.write(messages(1, size=SIZE, first=number))
                copier.after_commit()
                wait_for_copying(copier)
            held = Path(f"{path}-wal").stat().st_size
        assert held > 90 * SIZE
        for number in range(100, 300):
            writer.write(messages(1, size=SIZE, first=number))
            copier.after_commit()
            wait_for_copying(copier)
        assert Path(f"{path}-wal").stat().st_size < held + 100 * SIZE
    copier.close()
    end(writer)
    check(path, 300)

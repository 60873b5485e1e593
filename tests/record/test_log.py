"""The write-ahead log is kept short while recording, and the file complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dimos_record.record import keep_loop
from dimos_record.store import log_copier
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writable import WritableFile
from tests.record.recordings import (
    check_integrity,
    memory_bus,
    only_session,
    session_on,
    wait_until,
    written,
)

SIZE = 200_000


@pytest.fixture
def busy_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_loop, "KEEP_S", 0.02)
    monkeypatch.setattr(log_copier, "STEP_BYTES", 1_000_000)
    monkeypatch.setattr(log_copier, "REST_BYTES", 1_000_000)
    monkeypatch.setattr(log_copier, "LIMIT_BYTES", 4_000_000)


@pytest.mark.once
@pytest.mark.usefixtures("busy_keeper")
def test_a_long_log_is_copied_into_the_file_and_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with (
        memory_bus("log") as bus,
        session_on(bus, path) as session,
        RecordingReader.open(path) as r,
    ):
        for i in range(300):
            bus.publish("/a", b"%08d" % i + bytes(SIZE))
            if i % 10 == 9:
                wait_until(lambda n=i: written(session) == n + 1)  # type: ignore[misc]
                wait_until(lambda: not session._loop._copier._at_work.is_set())
                assert r.stats("a").count >= i + 1
        log_bytes = Path(f"{path}-wal").stat().st_size
        file_bytes = path.stat().st_size
        assert log_bytes + file_bytes < 2 * 300 * SIZE
        assert file_bytes > 100 * SIZE
        assert log_bytes < 150 * SIZE
    with RecordingReader.open(path) as reader:
        assert [int(row.data[:8]) for row in reader.rows("a")] == list(range(300))
    check_integrity(path)


@pytest.mark.usefixtures("busy_keeper")
def test_copying_the_log_never_keeps_the_file_from_being_finished(tmp_path: Path) -> None:
    for i in range(10):
        path = tmp_path / f"{i}.db"
        with memory_bus("finish") as bus:
            session = session_on(bus, path).start()
            for number in range(30 + i):
                bus.publish("/a", b"%08d" % number + bytes(SIZE))
            wait_until(lambda: written(session) > 20)  # noqa: B023
            assert session.stop().self_contained
        check_integrity(path)


def test_the_log_and_its_folder_are_flushed_while_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    path = tmp_path / "walk.db"
    with memory_bus("sync") as bus, session_on(bus, path):
        bus.publish("/a", b"1")
        wait_until(lambda: f"{path}-wal" in synced and str(tmp_path) in synced)
    assert only_session(path).state == "finished"


def test_a_finished_file_is_not_opened_again_by_the_keeper(tmp_path: Path) -> None:
    with memory_bus("closed") as bus, session_on(bus, tmp_path / "walk.db") as session:
        bus.publish("/a", b"1")
    writer: WritableFile = session.writer
    before = sorted(tmp_path.iterdir())
    writer.copy_log()
    assert writer.close() is True
    assert sorted(tmp_path.iterdir()) == before

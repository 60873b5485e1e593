"""Disks that are full, databases that are locked, code that fails: nothing ends in silence."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dimos_record.bus.memory import MemoryBus
from dimos_record.errors import DimosRecordError, DiskFull, RecordingBusy, StorageError
from dimos_record.record import keep_loop, keeper, write_loop
from dimos_record.record.session import RecordingSession
from dimos_record.store import open_recording
from dimos_record.store.connection import PAGE_SIZE
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.leftovers import nothing_left_behind
from tests.record.recordings import (
    check_integrity,
    memory_bus,
    only_session,
    session_on,
    threads,
    wait_until,
    written,
)

MB = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB, where this machine lets a test mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def check_account(path: Path, session: RecordingSession, sent: int) -> int:
    """What was committed is there, once and in order; return how many messages that is."""
    check_integrity(path)
    with RecordingReader.open(path) as reader:
        numbers = [int(row.data[:8]) for row in reader.rows("a")]
    assert numbers == sorted(set(numbers))
    account = session.progress().accounts["a"]
    assert account.written == len(numbers)
    assert account.received == account.written + account.dropped <= sent
    return len(numbers)


def publish_until_ended(bus: MemoryBus, session: RecordingSession, size: int) -> int:
    sent = session.progress().total.written
    while not session.wait(0.001):
        for _ in range(5):
            bus.publish("/a", b"%08d" % sent + bytes(size))
            sent += 1
    return sent


@pytest.fixture
def no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches the free disk, so that it really gets full."""
    monkeypatch.setattr(keep_loop, "KEEP_S", 1000.0)


@pytest.mark.once
@pytest.mark.usefixtures("no_keeper")
@pytest.mark.parametrize("size", [100, 5000, 1_000_000], ids=["100 B", "5 kB", "1 MB"])
def test_a_disk_that_gets_full_ends_the_recording_cleanly(small_disk: Path, size: int) -> None:
    path = small_disk / "walk.db"
    with nothing_left_behind(), MemoryBus("memory://full") as bus:
        session = session_on(bus, path, buffer_bytes=8 * MB).start()
        sent = publish_until_ended(bus, session, size)
        for _ in range(2):
            with pytest.raises(DiskFull, match=r"walk.db: the disk is full; free some space"):
                session.stop()
    assert session.progress().reason == "disk full"
    assert check_account(path, session, sent) > 0
    assert threads() == set()
    info = only_session(path)
    assert info.state == "finished"
    assert info.reason == "disk full"


@pytest.mark.usefixtures("no_keeper")
def test_a_recording_from_a_full_disk_can_be_finished_elsewhere(
    small_disk: Path, tmp_path: Path
) -> None:
    with MemoryBus("memory://move") as bus:
        session = session_on(bus, small_disk / "walk.db").start()
        sent = publish_until_ended(bus, session, 100_000)
        with pytest.raises(DiskFull):
            session.stop()
    (tmp_path / "roomy").mkdir()
    for file in small_disk.iterdir():
        shutil.copy(file, tmp_path / "roomy")
    path = tmp_path / "roomy" / "walk.db"
    RecordingWriter.append(path).close()
    check_account(path, session, sent)
    with RecordingReader.open(path) as reader:
        assert reader.self_contained


@pytest.mark.usefixtures("no_keeper")
def test_a_full_disk_ends_a_split_recording_cleanly(small_disk: Path) -> None:
    with MemoryBus("memory://split") as bus:
        session = session_on(bus, small_disk / "long", split_bytes=3 * MB).start()
        publish_until_ended(bus, session, 50_000)
        with pytest.raises(DiskFull):
            session.stop()
    assert threads() == set()
    with open_recording(small_disk / "long") as reader:
        numbers = [int(row.data[:8]) for row in reader.rows("a")]
    assert numbers == sorted(set(numbers))
    assert session.progress().total.written == len(numbers) > 0


@pytest.mark.parametrize("size", [100, 200_000], ids=["spooled", "large"])
def test_a_database_that_may_not_grow_ends_the_recording_cleanly(tmp_path: Path, size: int) -> None:
    path = tmp_path / "walk.db"
    with MemoryBus("memory://limit") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"%08d" % 0)
        wait_until(lambda: written(session) == 1)
        pages = session.writer.size_bytes // PAGE_SIZE
        session.writer.connection.execute(f"PRAGMA max_page_count={pages + 30}")
        sent = publish_until_ended(bus, session, size)
        with pytest.raises(DiskFull):
            session.stop()
    assert check_account(path, session, sent) > 0
    assert threads() == set()


def test_a_disk_that_is_nearly_full_stops_the_recording_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "walk.db"
    free = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(keeper.shutil, "disk_usage", lambda folder: free)
    with MemoryBus("memory://nearly") as bus:
        session = session_on(bus, path, min_free_bytes=10**8).start()
        bus.publish("/a", b"%08d" % 0)
        wait_until(lambda: written(session) == 1)
        free = free._replace(free=10**8 - 1)
        assert session.wait(60)
        assert session.stop().reason == "disk nearly full"
    assert "recording stops, since less than 100 MB are free" in caplog.text
    assert only_session(path).reason == "disk nearly full"
    with RecordingReader.open(path) as reader:
        assert reader.self_contained
        assert reader.stats("a").count == 1


def test_a_foreign_lock_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("lock") as bus, session_on(bus, path) as session:
        bus.publish("/a", b"%08d" % 0)
        wait_until(lambda: written(session) == 1)
        other = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys, time\n"
                "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                "c.execute('BEGIN IMMEDIATE')\n"
                "print('locked', flush=True)\n"
                "time.sleep(1.5)\n"
                "c.execute('COMMIT')",
                str(path),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        for i in range(1, 5000):
            bus.publish("/a", b"%08d" % i)
        assert other.wait(60) == 0
        other.stdout.close()
    assert session.progress().lost == 0
    assert check_account(path, session, 5000) == 5000


def test_a_lock_longer_than_sqlite_waits_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("longlock") as bus:
        session = session_on(bus, path).start()
        session.writer.connection.execute("PRAGMA busy_timeout=100")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        for i in range(100):
            bus.publish("/a", b"%08d" % i)
        wait_until(lambda: caplog.text.count("trying again") >= 3)
        blocker.execute("COMMIT")
        blocker.close()
        session.stop()
    assert check_account(path, session, 100) == 100


def test_a_lock_while_nothing_arrives_is_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(write_loop, "DRAIN_S", 0)
    path = tmp_path / "walk.db"
    with memory_bus("idlelock") as bus:
        session = session_on(bus, path).start()
        session.writer.connection.execute("PRAGMA busy_timeout=100")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        wait_until(lambda: caplog.text.count("trying again") >= 3)
        blocker.execute("COMMIT")
        blocker.close()
        bus.publish("/a", b"%08d" % 0)
        session.stop()
    assert check_account(path, session, 1) == 1


def test_an_error_at_the_very_end_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with memory_bus("end") as bus:
        session = session_on(bus, tmp_path / "walk.db").start()

        def fail(*end: object) -> None:
            raise ValueError("a bug")

        monkeypatch.setattr(session.writer, "end_session", fail)
        with pytest.raises(StorageError, match="a bug"):
            session.stop()
    assert threads() == set()


def test_a_lock_that_outlives_the_session_is_an_error_that_counts_the_loss(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("lockedout") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"%08d" % 0)
        wait_until(lambda: written(session) == 1)
        session.writer.connection.execute("PRAGMA busy_timeout=100")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        for i in range(1, 100):
            bus.publish("/a", b"%08d" % i)
        with pytest.raises(RecordingBusy):
            session.stop()
        blocker.execute("COMMIT")
        blocker.close()
    assert threads() == set()
    account = session.progress().accounts["a"]
    assert (account.written, account.dropped, account.received) == (1, 99, 100)
    with RecordingReader.open(path) as reader:
        assert reader.stats("a").count == 1


@pytest.mark.parametrize("error", [ValueError("a bug"), sqlite3.OperationalError("disk I/O error")])
def test_an_error_in_the_writer_is_raised_and_leaves_no_thread(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    path = tmp_path / "walk.db"
    with nothing_left_behind(), memory_bus("broken") as bus:
        session = session_on(bus, path).start()
        for i in range(100):
            bus.publish("/a", b"%08d" % i)
        wait_until(lambda: written(session) == 100)

        def fail(batch: object) -> None:
            raise error

        monkeypatch.setattr(session.writer, "_take", fail)
        bus.publish("/a", b"%08d" % 100)
        assert session.wait(60)
        bus.publish("/a", b"%08d" % 101)
        with pytest.raises(StorageError, match=r"walk.db"):
            session.stop()
    assert "what was written before is safe" in caplog.text
    assert threads() == set()
    assert check_account(path, session, 102) == 100
    assert session.progress().accounts["a"].dropped == 1
    assert only_session(path).reason == "error"


def test_a_segment_that_cannot_be_created_ends_the_recording(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    with memory_bus("nosegment") as bus:
        session = session_on(bus, folder, split_s=0.3).start()
        for i in range(100):
            bus.publish("/a", b"%08d" % i)
        (folder / "segment-00002.db").mkdir()
        assert session.wait(60)
        with pytest.raises(DimosRecordError, match=r"segment-00002\.db"):
            session.stop()
    assert threads() == set()
    (folder / "segment-00002.db").rmdir()
    with open_recording(folder) as reader:
        assert reader.stats("a").count == 100
        (info,) = reader.sessions()
    assert (info.state, info.reason) == ("finished", "error")


def test_a_bus_that_fails_at_the_end_does_not_keep_the_file_from_being_finished(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walk.db"
    bus = MemoryBus("memory://gone")
    session = session_on(bus, path).start()
    bus.publish("/a", b"%08d" % 0)
    bus.close()
    session.stop()
    assert check_account(path, session, 1) == 1


def test_readers_of_the_progress_are_never_in_the_way(tmp_path: Path) -> None:
    faults: list[str] = []
    with memory_bus("progress") as bus:
        session = session_on(bus, tmp_path / "long", split_s=0.05).start()
        stop = threading.Event()

        def watch() -> None:
            last = 0
            while not stop.is_set():
                total = session.progress().total
                if total.written < last or total.received < total.written:
                    faults.append(f"{last} then {total.written} of {total.received}")
                last = total.written

        thread = threading.Thread(target=watch)
        thread.start()
        for i in range(20_000):
            bus.publish("/a", b"%08d" % i)
        wait_until(lambda: session.progress().segments > 5)
        session.stop()
        stop.set()
        thread.join()
    assert not faults
    assert session.progress().total.written == 20_000


def test_a_file_that_vanishes_while_recording_is_an_error_not_a_crash(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with memory_bus("vanish") as bus:
        session = session_on(bus, folder / "walk.db").start()
        bus.publish("/a", b"%08d" % 0)
        wait_until(lambda: written(session) == 1)
        shutil.rmtree(folder)
        for i in range(1, 100):
            bus.publish("/a", b"%08d" % i)
        session.wait(3)
        with suppress(StorageError):
            session.stop()
    assert threads() == set()
    assert os.listdir(tmp_path) == []

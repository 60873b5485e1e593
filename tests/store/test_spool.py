"""Small messages wait in one table before they are moved; readers see no difference."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from dimos_record.errors import DimosRecordError
from dimos_record.store import writer as writer_module
from dimos_record.store.meta import Where
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import START_NS, begin, end, killed, messages


def spooled(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    count: int = connection.execute("SELECT count(*) FROM _dr_spool").fetchone()[0]
    connection.close()
    return count


def seen(path: Path, stream: str = "a") -> list[tuple[int, int, int, bytes]]:
    with RecordingReader.open(path) as reader:
        rows = [(r.id, r.seq, r.ts_ns, r.data) for r in reader.rows(stream)]
        assert (
            rows
            == [(r.id, r.seq, r.ts_ns, r.data) for r in reader.rows(stream, reverse=True)][::-1]
        )
        assert reader.stats(stream).count == len(rows)
        assert reader.count_between(stream, None, None) == len(rows)
        assert reader.count_where(stream, Where()) == len(rows)
        assert [row.id for row in reader.meta_rows(stream, Where())] == [row[0] for row in rows]
        assert [reader.payload(stream, row[0]) for row in rows] == [row[3] for row in rows]
        assert reader.last_at(stream, rows[-1][2]) is not None
    return rows


def test_messages_are_read_alike_before_during_and_after_moving(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(100))
    assert spooled(path) == 100
    before = seen(path)
    writer.drain()
    assert spooled(path) == 0
    assert seen(path) == before
    writer.write(messages(100, first=100))
    between = seen(path)
    assert between[:100] == before
    end(writer)
    assert seen(path) == between


def test_a_stream_that_grows_large_moves_what_is_in_the_spool_first(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5) + messages(5, "/b"))
    writer.write(messages(5, size=50_000, first=5))
    assert spooled(path) == 5  # those of /b
    writer.write(messages(5, first=10))
    assert [row[0] for row in seen(path)] == list(range(1, 16))
    end(writer)
    assert [int(row[3].rstrip(b".")) for row in seen(path)] == list(range(15))


def test_a_reader_sees_every_message_once_while_another_connection_moves_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(1))
    stop = threading.Event()
    faults: list[str] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        with RecordingReader.open(path) as reader:
            while not stop.is_set():
                looks += 1
                low = reader.stats("a").count
                ids = [row.id for row in reader.rows("a")]
                high = reader.count_between("a", None, None)
                if ids != list(range(1, len(ids) + 1)) or not low <= len(ids) <= high:
                    faults.append(f"{low} <= {len(ids)} <= {high}: {ids[:3]} ... {ids[-3:]}")
                last = reader.last_at("a", 2**62)
                if last is None or last.id < len(ids) or not reader.payload("a", last.id):
                    faults.append(f"last is {last and last.id} after {len(ids)}")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for i in range(1, 400):
            writer.write(messages(3, first=3 * i))
            writer.drain()
            if faults:
                break
    finally:
        stop.set()
        thread.join()
    end(writer)
    assert not faults
    assert looks > 1


def test_what_a_killed_recorder_left_in_the_spool_is_read_and_then_moved(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db", 30)
    assert spooled(path) == 30
    before = seen(path)
    writer = RecordingWriter.append(path)
    assert spooled(path) == 0
    writer.close()
    assert seen(path) == before
    with RecordingReader.open(path) as reader:
        (session,) = reader.sessions()
    assert session.state == "killed"
    assert session.stop_ns == before[-1][2]
    assert "recovered" in (session.reason or "")


def test_a_spool_that_gets_large_is_moved_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SPOOL_BYTES", 100_000)
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    sizes = []
    for i in range(50):
        writer.write(messages(20, first=20 * i))
        sizes.append(spooled(path))
    end(writer)
    assert 0 in sizes
    assert max(sizes) < 400
    assert [row[0] for row in seen(path)] == list(range(1, 1001))


def test_what_has_left_the_spool_does_not_count_towards_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SPOOL_BYTES", 10_000)
    writer = begin(RecordingWriter.create(path := tmp_path / "walk.db"))
    for i in range(0, 60, 20):
        writer.write(messages(19, first=i))
        assert spooled(path) == 19
        writer.write(messages(1, size=50_000, first=i + 19))
        assert spooled(path) == 0
    for i in range(60, 120, 20):
        writer.write(messages(20, first=i))
        assert spooled(path) == 20
        writer.drain()
    end(writer)


def test_a_batch_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5) + messages(1, "/big", 50_000))
    before, account = seen(path), writer.accounts()["a"]

    class Broken(bytes):
        def __len__(self) -> int:
            raise MemoryError("no more memory")

    with pytest.raises(MemoryError):
        writer.write([*messages(5, first=5), *messages(3, "/new"), (START_NS, "/a", Broken())])
    assert seen(path) == before
    assert writer.accounts()["a"] == account
    with RecordingReader.open(path) as reader:
        assert set(reader.streams) == {"a", "big"}
    writer.write([*messages(5, first=5), *messages(3, "/new")])
    end(writer)
    assert [int(row[3].rstrip(b".")) for row in seen(path)] == list(range(10))
    assert [row[0] for row in seen(path, "new")] == [1, 2, 3]


def test_a_failed_commit_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5))
    pages = writer.connection.execute("PRAGMA page_count").fetchone()[0]
    writer.connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DimosRecordError, match="disk is full"):
        writer.write(messages(5, size=100_000, first=5))
    writer.connection.execute("PRAGMA max_page_count=1000000")
    writer.write(messages(5, size=100_000, first=5))
    account = writer.accounts()["a"]
    assert (account.received, account.written, account.largest_gap_ns) == (10, 10, 10_000_000)
    end(writer)
    assert [int(row[3].rstrip(b".")) for row in seen(path)] == list(range(10))

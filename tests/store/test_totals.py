"""How much a finished recording holds is known without counting, and counted where it is not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.store.reader import RecordingReader
from dimos_record.store.totals import Totals, save_totals, totals_of
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import START_NS, begin, end, messages

pytestmark = pytest.mark.once


def record(path: Path, count: int, channels: tuple[str, ...] = ("/a", "/b")) -> Path:
    writer = begin(RecordingWriter.append(path) if path.exists() else RecordingWriter.create(path))
    for channel in channels:
        for first in range(0, count, 5000):
            writer.write(messages(min(5000, count - first), channel, first=first))
    end(writer)
    writer.close()
    return path


def counted(path: Path) -> tuple[int, int]:
    with RecordReplay(path) as rec:
        summary = rec.info()
    return summary.count, summary.bytes


def by_hand(path: Path, *streams: str) -> tuple[int, int]:
    count = size = 0
    with closing(sqlite3.connect(path)) as connection:
        for stream in streams or ("a", "b"):
            query = f"SELECT count(*), total(length(data)) FROM {stream}_blob"
            more, more_bytes = connection.execute(query).fetchone()
            count, size = count + more, size + int(more_bytes)
    return count, size


def steps(path: Path, look: Callable[[RecordingReader], object]) -> int:
    """How many steps SQLite's machine takes for something, in tens."""
    taken = 0

    def count_one() -> int:
        nonlocal taken
        taken += 1
        return 0

    with RecordingReader.open(path) as reader:
        reader._connection.set_progress_handler(count_one, 10)
        look(reader)
        reader._connection.set_progress_handler(None, 0)
    return taken


@pytest.fixture(scope="module")
def short_and_long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lengths")
    return record(folder / "short.db", 1000), record(folder / "long.db", 20_000)


@pytest.mark.parametrize(
    "look",
    [
        lambda reader: reader.stats("a"),
        lambda reader: reader.span_ns(),
        lambda reader: reader.origin_ns(),
        lambda reader: reader.known(),
        lambda reader: next(reader.rows("a", start_ns=START_NS + 5_000_000_000)),
        lambda reader: reader.last_at("a", START_NS + 5_000_000_000),
    ],
    ids=["stats", "span", "origin", "known", "seek", "last_at"],
)
def test_what_is_asked_most_does_not_depend_on_the_length(
    short_and_long: tuple[Path, Path], look: Callable[[RecordingReader], object]
) -> None:
    short, long = short_and_long
    assert steps(long, look) < steps(short, look) + 50


def test_opening_does_not_depend_on_the_length(short_and_long: tuple[Path, Path]) -> None:
    def reopen(reader: RecordingReader) -> None:
        reader._tables_version = None
        assert len(reader.streams) == 2

    short, long = short_and_long
    assert steps(long, reopen) < steps(short, reopen) + 50


def test_totals_follow_what_is_recorded_appended_edited_and_saved(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", 100)
    assert totals_of(path) == {"a": (100, 10_000), "b": (100, 10_000)}
    record(path, 50, ("/a", "/c"))
    assert totals_of(path) == {"a": (150, 15_000), "b": (100, 10_000), "c": (50, 5000)}
    with RecordReplay(path) as rec:
        rec.stream("d").append(b"12345")
    with RecordReplay(path) as rec:
        rec.delete_section((0.2, 0.3))
        assert totals_of(path) is not None
        rec.save()
    assert totals_of(path) is not None
    assert counted(path) == by_hand(path, "a", "b", "c", "d")
    with RecordReplay(path) as rec:
        rec.save_as(tmp_path / "copy.db")
    assert totals_of(tmp_path / "copy.db") == totals_of(path)


def test_totals_of_a_stream_with_another_codec_are_what_is_stored(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", 100)
    with RecordReplay(path) as rec:
        rec.set_codec("/a", "lz4+lcm")
        rec.save()
    assert totals_of(path) is not None
    assert counted(path) == by_hand(path)


def delete_one(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM a WHERE id = 50")
    connection.execute("DELETE FROM a_blob WHERE id = 50")


def delete_one_by_a_log(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    delete_one(connection)
    connection.execute("PRAGMA journal_mode=DELETE")


def delete_one_and_keep_a_log(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    delete_one(connection)


@pytest.mark.parametrize(
    "change", [delete_one, delete_one_by_a_log, delete_one_and_keep_a_log], ids=lambda f: f.__name__
)
def test_what_another_program_has_changed_is_counted(
    tmp_path: Path, change: Callable[[sqlite3.Connection], None]
) -> None:
    path = record(tmp_path / "walk.db", 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        change(connection)
    assert totals_of(path) is None
    assert counted(path) == by_hand(path) == (199, 19_900)
    record(path, 10)  # and it is not forgotten when more is recorded
    assert totals_of(path) is None
    assert counted(path) == by_hand(path) == (219, 21_900)


def test_a_change_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", 100)
    with RecordReplay(path) as rec:
        assert rec.info().count == 200
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            delete_one(connection)
        assert rec.info().count == 199


def test_they_are_written_so_that_a_power_cut_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[object, ...]] = []

    def save(connection: sqlite3.Connection, path: Path, totals: Totals) -> None:
        settings = ("journal_mode", "synchronous")
        found.extend(connection.execute(f"PRAGMA {setting}").fetchone() for setting in settings)
        save_totals(connection, path, totals)

    monkeypatch.setattr("dimos_record.store.writer.save_totals", save)
    assert totals_of(record(tmp_path / "walk.db", 1)) is not None
    full = 2
    assert found == [("delete",), (full,)]


def test_who_has_it_open_counts_when_it_is_renamed(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", 100)
    with RecordingReader.open(path) as reader:
        path.rename(tmp_path / "other.db")
        assert reader.stats("a").count == 100
        assert reader.ranks("a", [START_NS + 1]) == [1]


def test_what_another_program_writes_while_it_is_recorded_into_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(100))
    writer.drain()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        delete_one(connection)
    end(writer)
    writer.close()
    assert totals_of(path) is None
    assert counted(path) == by_hand(path, "a") == (99, 9900)


def test_what_a_killed_recorder_left_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(100))
    writer.abandon()
    assert totals_of(path) is None
    assert counted(path) == (100, 10_000)
    RecordingWriter.append(path).close()
    assert counted(path) == by_hand(path, "a") == (100, 10_000)


def test_a_batch_that_was_taken_back_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(10))
    with pytest.raises(TypeError):
        writer.write([*messages(5, first=10), (START_NS, "/a", None)])  # type: ignore[list-item]
    end(writer)
    writer.close()
    assert totals_of(path) == {"a": (10, 1000)}


@pytest.mark.parametrize(
    "streams",
    [{"a": [5, 1], "b": [100, 10_000]}, {"a": "many"}, {"a": [1]}, {"a": [None, None]}, [], None],
)
def test_totals_that_cannot_be_right_are_not_believed(tmp_path: Path, streams: object) -> None:
    path = record(tmp_path / "walk.db", 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        changes = int.from_bytes(path.read_bytes()[24:28], "big")
        content = json.dumps({"changes": changes + 1, "streams": streams})
        connection.execute("UPDATE _dr_meta SET value = ? WHERE key = 'totals'", (content,))
    assert counted(path) == (200, 20_000)

"""Streams in order have no index on time, and answer every query as if they had one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dimos_record.edit.merge import merge
from dimos_record.errors import RecordingDamaged
from dimos_record.store import open_recording, order, schema
from dimos_record.store.memory import MemoryStore
from dimos_record.store.meta import Where
from dimos_record.store.order import Key
from dimos_record.store.queries import StreamQuery
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import segments_of
from dimos_record.store.target import open_target
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import MS, START_NS, begin, end, messages, record

S = 1_000_000_000


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(query).fetchall()


def indexed(path: Path) -> set[str]:
    """The streams that have an index on time."""
    found = rows(
        path, "SELECT tbl_name FROM sqlite_master WHERE name LIKE '$_dr$_time$_%' ESCAPE '$'"
    )
    return {name for (name,) in found}


def indexed_by(writer: RecordingWriter) -> set[str]:
    """The indexes on time as the writer sees them."""
    query = "SELECT name FROM sqlite_master WHERE name LIKE '$_dr$_time$_%' ESCAPE '$'"
    return {name for (name,) in writer.connection.execute(query)}


# --- both forms answer alike


def answers(reader: Any, at: list[int]) -> Iterator[Any]:
    """What every way of asking says about stream a."""
    info = reader.find("/a")
    limits = [None, *at]
    yield reader.stats("a"), reader.ends("a"), reader.ranks("a", sorted(at))
    yield [reader.last_at("a", time) for time in at]
    for start in limits:
        for stop in limits:
            for reverse in (False, True):
                yield list(reader.rows("a", start_ns=start, end_ns=stop, reverse=reverse))
            yield reader.ends("a", start, stop), reader.count_between("a", start, stop)
            yield reader.bytes_between("a", start, stop)
    query = StreamQuery(reader, info)
    for time in at:
        t = time / 1e9
        for narrowed in (query.after(t), query.before(t), query.at(t, 0.05), query):
            found = [narrowed, narrowed.order_by("ts"), narrowed.order_by("ts", desc=True)]
            yield [[(o.id, o.ts, o.seq) for o in one.limit(5)] for one in found]
            yield narrowed.count()
        yield [o.id for o in query.time_range(t, t + 0.1)]
        where = Where("ts_ns >= ?", (time,), shift_ns=7, low_ns=time)
        yield list(reader.meta_rows("a", where)), reader.count_where("a", where)


BATCHES = st.lists(st.lists(st.sampled_from([0, 0, 1, 10, 500]), max_size=12), max_size=8)


@pytest.mark.once
@given(
    batches=BATCHES,
    drained=st.integers(0, 8),
    deleted=st.sets(st.integers(1, 40), max_size=3),
    asked=st.lists(st.integers(-2, 3000), min_size=1, max_size=3),
)
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
def test_a_stream_answers_alike_with_and_without_its_index(
    batches: list[list[int]], drained: int, deleted: set[int], asked: list[int]
) -> None:
    store = MemoryStore()
    writer, now = begin(store.target().writer), START_NS
    writer.write([(now, "/a", b"first")])
    for number, steps in enumerate(batches):
        batch = []
        for step in steps:
            now += step * MS
            batch.append((now, "/a", b"%d" % now))
        writer.write(batch)
        if number == drained:
            writer.drain()
    for number in deleted:
        writer.connection.execute("DELETE FROM a WHERE id = ?", (number,))
        writer.connection.execute("DELETE FROM a_blob WHERE id = ?", (number,))
    at = [START_NS + one * MS for one in asked] + [now, now + 1]
    with store.reader() as reader:
        without = list(answers(reader, at))
        schema.create_time_index(writer.connection, "a")
        assert list(answers(reader, at)) == without
    store.close()


@pytest.mark.once
@given(
    steps=st.lists(st.sampled_from([0, 1, 2, 3_600_000]), min_size=1, max_size=300),
    deleted=st.sets(st.integers(1, 300)),
    ahead=st.integers(-2, 2),
    near=st.none() | st.integers(0, 301),
    chosen=st.integers(0, 299),
)
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_a_place_is_found_whatever_the_times_and_numbers(
    steps: list[int], deleted: set[int], ahead: int, near: int | None, chosen: int
) -> None:
    times = [sum(steps[: i + 1]) for i in range(len(steps))]
    stored = [(i, t) for i, t in enumerate(times, 1) if i not in deleted]
    key = Key(times[chosen % len(times)] + ahead, chosen)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, ts_ns INTEGER)")
        connection.executemany("INSERT INTO a VALUES (?, ?)", stored)
        found = order.place(connection, "a", key, near)
    assert [i for i, _ in stored if i >= found] == [i for i, t in stored if (t, i) >= key]


def test_a_place_among_many_is_found_with_few_looks(tmp_path: Path) -> None:
    looks: list[str] = []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, ts_ns INTEGER)")
        pauses = ((i, i * MS + (i // 30_000) * 3600 * S) for i in range(1, 200_001))
        connection.executemany("INSERT INTO a VALUES (?, ?)", pauses)
        connection.set_trace_callback(looks.append)
        for number in range(1, 200_001, 9_973):
            at = number * MS + (number // 30_000) * 3600 * S
            assert order.place(connection, "a", Key(at, 0)) == number
            assert len(looks) <= 45  # 200,000 are less than 2**18
            looks.clear()


# --- who makes the index


def test_a_recording_in_order_has_no_index(tmp_path: Path) -> None:
    path = record(
        tmp_path / "walk.db", [messages(50), messages(9, "/big", 50_000), messages(3, "/b")]
    )
    assert indexed(path) == set()


@pytest.mark.parametrize("size", [10, 50_000])
def test_the_first_older_message_makes_the_index(tmp_path: Path, size: int) -> None:
    path = tmp_path / "walk.db"
    record(path, [messages(5, size=size, first=5) + messages(5, "/b"), messages(3, size=size)])
    assert indexed(path) == {"a"}
    with open_recording(path) as reader:
        assert [row.id for row in reader.rows("a")] == [6, 7, 8, 1, 2, 3, 4, 5]
        assert reader.last_at("a", START_NS + 15 * MS).id == 7


def test_an_older_message_inside_a_batch_makes_it(tmp_path: Path) -> None:
    one, two, three = messages(3)
    assert indexed(record(tmp_path / "walk.db", [[one, three, two]])) == {"a"}


def test_a_transaction_that_fails_takes_the_index_back(tmp_path: Path) -> None:
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"))
    writer.write(messages(5, first=5))

    def interrupted() -> None:
        with writer.transaction():
            writer.write(messages(3))
            assert indexed_by(writer) == {"_dr_time_a"}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert indexed_by(writer) == set()
    writer.write(messages(5, first=20))
    writer.drain()
    assert indexed(tmp_path / "walk.db") == set()
    writer.write(messages(1))
    end(writer)
    assert indexed(tmp_path / "walk.db") == {"a"}


def test_a_session_that_begins_earlier_than_the_last_one_ended_makes_it_first(
    tmp_path: Path,
) -> None:
    path = record(tmp_path / "walk.db", [messages(5), messages(5, "/b")])
    writer = begin(RecordingWriter.append(path), START_NS + 20 * MS)
    assert indexed(path) == {"a", "b"}
    end(writer)


def test_a_reader_under_way_stays_right_when_the_order_ends(tmp_path: Path) -> None:
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"))
    writer.write(messages(100, first=100))
    writer.drain()
    with open_recording(tmp_path / "walk.db") as reader:
        under_way = reader.rows("a", reverse=True)
        assert [next(under_way).id for _ in range(16)] == list(range(100, 84, -1))
        writer.write(messages(50))
        rest = [row.id for row in under_way]
        assert rest == [*range(84, 0, -1), *range(150, 100, -1)]
    end(writer)


def test_what_dimos_adds_later_keeps_the_rule(tmp_path: Path) -> None:
    path = record(tmp_path / "walk.db", [messages(5), messages(5, "/b")])
    for name, ts in (("a", START_NS / 1e9 + 60), ("b", START_NS / 1e9 - 60)):
        rows(path, f"INSERT INTO {name} (ts) VALUES ({ts!r})")
        rows(path, f"INSERT INTO {name}_blob VALUES (6, x'00')")
    with open_recording(path) as reader:
        assert [[row.id for row in reader.rows(name)] for name in "ab"] == [
            [1, 2, 3, 4, 5, 6],
            [6, 1, 2, 3, 4, 5],
        ]
    RecordingWriter.append(path).close()
    assert indexed(path) == {"b"}
    with open_recording(path) as reader:
        assert [row.id for row in reader.rows("a")] == [1, 2, 3, 4, 5, 6]
        assert [row.id for row in reader.rows("b")] == [6, 1, 2, 3, 4, 5]


def test_segments_with_state_from_before_need_none(tmp_path: Path) -> None:
    target = open_target(tmp_path / "walk", split=True)
    channel = "/tf_static#tf2_msgs.TFMessage"
    writer = begin(target.writer)
    writer.write(messages(7, channel) + messages(7))
    later = target.next_writer(writer)
    end(writer)
    begin(later, START_NS + S).write(messages(3, channel, first=200) + messages(3, first=200))
    end(later, START_NS + 9 * S)
    assert [indexed(path) for path in segments_of(tmp_path / "walk")] == [set(), set()]
    with open_recording(tmp_path / "walk") as reader:
        assert reader.count_between("a", None, None) == 10
        assert [row.id for row in reader.rows("a", start_ns=START_NS + 2 * S)] == [8, 9, 10]


def test_a_merge_has_one_only_where_it_is_needed(tmp_path: Path) -> None:
    parts = [
        record(tmp_path / "one.db", [messages(10)]),
        record(tmp_path / "two.db", [messages(10, first=5) + messages(5, "/b")]),
    ]
    merge(parts, tmp_path / "both.db")
    assert indexed(tmp_path / "both.db") == set()
    back = record(tmp_path / "back.db", [messages(5, first=90), messages(5)])
    merge([back, parts[1]], tmp_path / "other.db", "end to end")
    assert indexed(tmp_path / "other.db") == {"a"}
    with open_recording(tmp_path / "other.db") as reader:
        assert [row.ts_ns for row in reader.rows("a")] == sorted(
            row.ts_ns for row in reader.rows("a")
        )


def test_a_recording_of_version_4_keeps_its_index_and_gets_it_where_it_is_missing(
    tmp_path: Path,
) -> None:
    path = record(tmp_path / "walk.db", [messages(5), messages(5, "/b")])
    rows(path, "CREATE INDEX _dr_time_a ON a (ts_ns)")
    rows(path, "UPDATE b SET ts_ns = ts_ns - 10000000000, ts = ts - 10 WHERE id = 4")
    rows(path, "UPDATE _dr_meta SET value = 4 WHERE key = 'schema_version'")
    rows(path, "DELETE FROM _dr_migrations WHERE version = 5")
    with open_recording(path) as reader:
        assert [row.id for row in reader.rows("b")] == [4, 1, 2, 3, 5]
    RecordingWriter.append(path).close()
    assert indexed(path) == {"a", "b"}
    with open_recording(path) as reader:
        assert [row.id for row in reader.rows("b")] == [4, 1, 2, 3, 5]


@pytest.mark.parametrize("change", ["ts_ns = ? - ts_ns", "ts_ns = abs(ts_ns * 7919) % ?"])
def test_an_order_that_somebody_has_broken_by_hand_ends_in_a_sentence(
    tmp_path: Path, change: str
) -> None:
    path = record(tmp_path / "walk.db", [messages(5000)])
    rows(path, f"UPDATE a SET {change.replace('?', str(2 * START_NS))}")
    with RecordingReader.open(path) as reader:
        with suppress(RecordingDamaged):
            assert len(list(reader.rows("a"))) <= 5000
        with suppress(RecordingDamaged):
            list(reader.rows("a", start_ns=START_NS, reverse=True))
        with suppress(RecordingDamaged):
            reader.last_at("a", START_NS)
        assert reader.count_between("a", START_NS, START_NS + S) >= 0

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import Point, Pose

from dimos_record.bus import split_channel
from dimos_record.errors import OptionError
from dimos_record.store import open_recording
from dimos_record.store.base import StreamInfo
from dimos_record.store.memory import MemoryStore
from dimos_record.store.observation import Observation
from dimos_record.store.queries import StreamQuery
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import Target, open_target
from dimos_record.store.writer import RecordingWriter

S = 1_000_000_000
T0 = 1_700_000_000 * S
X = StreamInfo("x", "/x", "/x", None)
Q = StreamInfo("q", "/q", "/q", None)
COUNT, WITH_META = 12, 8
LAYOUTS = ["memory", "file", "being recorded", "segments", "dimos"]


def tags_of(i: int) -> dict[str, Any]:
    """The tags of message i; the last ones have none."""
    if i >= WITH_META:
        return {}
    tags = {"n": i, "even": i % 2 == 0, "room": "hall" if i < 4 else "lab", "half": i / 2}
    return tags | ({"seen": {"who": ["ann", i]}, "none": None} if i < 3 else {})


def pose_of(i: int) -> tuple[float, ...] | None:
    return (float(i), 0.0, i / 10, 0.0, 0.0, 0.0, 1.0) if i < WITH_META and i != 5 else None


def write(writer: RecordingWriter, i: int) -> None:
    writer.declare(X)
    if i < WITH_META:
        writer.append_one("/x", T0 + i * S // 10, b"%d" % i, pose=pose_of(i), tags=tags_of(i))
    else:
        writer.write([(T0 + i * S // 10, "/x", b"%d" % i)])
    writer.write([(T0 + i * S // 10 + S // 50, "/q", b"q%d" % i)])


def write_all(target: Target, *, split: bool = False) -> RecordingWriter:
    writer = target.writer
    writer.begin_session(T0, {"pid": 0}, split=split_channel)
    for i in range(COUNT):
        if split and i in (3, 4, 9):
            full, writer = writer, target.next_writer(writer)
            full.end_session(T0 + i * S, "split", None, 0)
            full.close()
            writer.begin_session(T0 + i * S, {"pid": 0}, split=split_channel)
        write(writer, i)
    return writer


def write_as_dimos(path: Path) -> None:
    """Without our columns and tables, and with tags as text: SQLite before 3.45 has no JSONB."""
    finish(write_all(open_target(path)))
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE _dr_meta; DROP TABLE _dr_topics; DROP TABLE _dr_spool;")
    connection.execute("DELETE FROM _streams")
    for name in ("x", "q"):
        connection.execute('INSERT INTO _streams VALUES (?, \'{"codec_id": "lcm"}\')', (name,))
        connection.execute(f"DROP INDEX IF EXISTS _dr_time_{name}")
        for column in ("seq", "ts_ns", "stamp_ns"):
            connection.execute(f"ALTER TABLE {name} DROP COLUMN {column}")
    connection.commit()
    connection.close()


def finish(writer: RecordingWriter) -> None:
    writer.end_session(T0 + COUNT * S, "stopped", None, 0)
    writer.close()


@pytest.fixture(params=LAYOUTS)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The same messages in every form that a recording can have."""
    path = tmp_path / "x.db"
    with ExitStack() as stack:
        if request.param == "memory":
            store = MemoryStore()
            stack.callback(store.close)
            write_all(store.target()).drain()
            yield store.reader()
            return
        if request.param == "dimos":
            write_as_dimos(path)
        else:
            split = request.param == "segments"
            writer = write_all(open_target(path, split=split), split=split)
            if request.param == "being recorded":
                stack.callback(writer.close)
            else:
                finish(writer)
        opened = stack.enter_context(open_recording(path))
        yield opened


@pytest.fixture
def x(reader: Any) -> StreamQuery:
    return StreamQuery(reader, reader.find("/x"))


@pytest.fixture
def memory() -> Iterator[StreamQuery]:
    """The same in memory, for what does not depend on how it is stored."""
    store = MemoryStore()
    write_all(store.target()).drain()
    reader = store.reader()
    yield StreamQuery(reader, reader.find("/x"))
    store.close()


def numbers(query: StreamQuery) -> list[int]:
    """Which messages a query finds, after a check that all its results agree."""
    found = [int(observation.raw) for observation in query]
    assert query.count() == len(found)
    assert query.exists() == bool(found)
    assert [int(one.raw) for one in query.to_list()] == found
    if found and query.limit_to is None:
        assert int(query.first().raw) == found[0]
    return found


def test_everything_comes_in_the_order_of_recording(x: StreamQuery) -> None:
    assert numbers(x) == list(range(COUNT))
    for i, one in enumerate(x):
        assert (one.id, one.ts_ns, one.topic) == (i + 1, T0 + i * S // 10, "/x")
        assert one.tags == tags_of(i)
        assert one.pose == pose_of(i)
    assert int(x.last().raw) == COUNT - 1


def test_after_and_before_exclude_their_bound_and_time_range_includes_both(x: StreamQuery) -> None:
    for one in x:
        i = int(one.raw)
        assert numbers(x.after(one.ts)) == list(range(i + 1, COUNT))
        assert numbers(x.before(one.ts)) == list(range(i))
        assert numbers(x.time_range(one.ts, one.ts)) == [i]
        step = math.ulp(one.ts)
        assert numbers(x.after(one.ts - step).before(one.ts + step)) == [i]
    assert numbers(x.time_range(x.first().ts, x.last().ts)) == list(range(COUNT))
    assert numbers(x.after(1.7e9 + 0.25).before(1.7e9 + 0.65)) == [3, 4, 5, 6]


def test_at_finds_what_is_within_a_tolerance(x: StreamQuery) -> None:
    assert numbers(x.at(1.7e9 + 0.31, tolerance=0.105)) == [3, 4]
    assert numbers(x.at(1.7e9 + 0.6)) == list(range(COUNT))
    assert numbers(x.at(1.7e9 + 0.31, tolerance=0.0)) == []
    assert numbers(x.at(x.last().ts, tolerance=0.0)) == [COUNT - 1]


def test_near_finds_what_was_observed_around_a_place(x: StreamQuery) -> None:
    assert numbers(x.near((3, 0, 0.3), 1.5)) == [2, 3, 4]
    assert numbers(x.near((3, 0, 0.3), 0)) == [3]
    assert numbers(x.near((3, 1, 0.3), 1.0)) == [3]
    assert numbers(x.near((3, 0, 0.3), 100)) == [0, 1, 2, 3, 4, 6, 7]
    assert numbers(x.near(Pose(position=Point(x=6.0, z=0.6)), 0.1)) == [6]


def test_tags_are_compared_as_python_compares_them(x: StreamQuery) -> None:
    assert numbers(x.tags(n=3)) == [3]
    assert numbers(x.tags(n=3.0)) == [3]
    assert numbers(x.tags(n="3")) == []
    assert numbers(x.tags(even=True)) == [0, 2, 4, 6]
    assert numbers(x.tags(even=0)) == [1, 3, 5, 7]
    assert numbers(x.tags(half=1.5)) == [3]
    assert numbers(x.tags(half=1)) == [2]
    assert numbers(x.tags(room="lab", even=True)) == [4, 6]
    assert numbers(x.tags(room="lab").tags(n=5)) == [5]
    assert numbers(x.tags(seen={"who": ["ann", 1]})) == [1]
    assert numbers(x.tags(seen={"who": ("ann", 2.0)})) == [2]
    assert numbers(x.tags(none=None)) == list(range(COUNT))
    assert numbers(x.tags(room=None)) == list(range(WITH_META, COUNT))
    assert numbers(x.tags(nowhere=1)) == []
    assert numbers(x.tags(n=2**70)) == []
    assert numbers(x.tags()) == list(range(COUNT))


def test_results_can_be_ordered_and_what_has_no_value_comes_first(x: StreamQuery) -> None:
    backwards = list(reversed(range(COUNT)))
    assert numbers(x.order_by("ts", desc=True)) == backwards
    assert numbers(x.order_by("id", desc=True)) == backwards
    assert numbers(x.order_by("seq")) == list(range(COUNT))
    without = [i for i in range(COUNT) if pose_of(i) is None]
    with_pose = [i for i in range(COUNT) if pose_of(i) is not None]
    assert numbers(x.order_by("pose_x")) == without + with_pose
    assert numbers(x.order_by("pose_x", desc=True)) == with_pose[::-1] + without[::-1]
    assert numbers(x.order_by("pose_z", desc=True).limit(2)) == [7, 6]


def test_offset_and_limit_apply_after_filter_and_order_wherever_they_stand(x: StreamQuery) -> None:
    assert numbers(x.limit(3)) == [0, 1, 2]
    assert numbers(x.offset(10)) == [10, 11]
    assert numbers(x.offset(2).limit(3)) == [2, 3, 4]
    assert numbers(x.limit(3).offset(2)) == [2, 3, 4]
    assert numbers(x.limit(3).limit(5)) == [0, 1, 2, 3, 4]
    assert numbers(x.limit(2).after(1.7e9 + 0.45)) == [5, 6]
    assert numbers(x.limit(2).filter(lambda one: int(one.raw) > 4)) == [5, 6]
    assert numbers(x.offset(1).limit(2).tags(even=True).order_by("ts", desc=True)) == [4, 2]
    assert numbers(x.limit(0)) == []
    assert numbers(x.offset(100)) == []


def test_last_is_the_last_of_all_that_match(x: StreamQuery) -> None:
    assert int(x.limit(3).last().raw) == COUNT - 1
    assert int(x.tags(even=True).last().raw) == 6
    assert int(x.filter(lambda one: int(one.raw) < 5).last().raw) == 4
    assert int(x.order_by("pose_x").last().raw) == COUNT - 1


def test_nothing_found_is_an_empty_list_and_a_lookup_error(x: StreamQuery) -> None:
    nothing = x.after(2e9)
    assert numbers(nothing) == []
    for result in (nothing.first, nothing.last, nothing.filter(bool).first, nothing.map(id).last):
        with pytest.raises(LookupError, match="/x"):
            result()


def test_filters_see_the_whole_observation(x: StreamQuery) -> None:
    assert numbers(x.filter(lambda one: one.tags.get("room") == "lab")) == [4, 5, 6, 7]
    assert numbers(x.filter(lambda one: one.data > b"5").after(1.7e9 + 0.65)) == [7, 8, 9]


def test_map_replaces_and_drops(x: StreamQuery) -> None:
    def double_even(one: Observation) -> Observation | None:
        number = int(one.raw)
        return None if number % 2 else one.derive(data=b"%d" % (2 * number))

    assert numbers(x.map(double_even)) == [0, 4, 8, 12, 16, 20]
    assert numbers(x.map(double_even).limit(2)) == [0, 4]
    assert numbers(x.limit(3).map(double_even)) == [0, 4]
    assert numbers(x.map(double_even).filter(lambda one: one.raw > b"4").limit(1)) == [8]


def test_what_was_changed_is_queried_as_it_is_now(x: StreamQuery) -> None:
    moved = x.map(lambda one: one.with_pose((100 + one.id, 0, 0)).tag(n=-one.id))
    assert numbers(moved.near((105, 0, 0), 0.5)) == [4]
    assert numbers(moved.tags(n=-3)) == [2]
    later = x.map(lambda one: one.derive(data=one.raw, ts_ns=one.ts_ns + 10 * S))
    assert numbers(later.after(1.7e9 + 11.05)) == [11]
    assert numbers(later.at(1.7e9 + 10.3, tolerance=0.01)) == [3]
    assert numbers(moved.order_by("pose_x", desc=True).offset(1).limit(2)) == [10, 9]
    assert int(later.order_by("id", desc=True).first().raw) == 11
    assert int(later.last().raw) == 11


def test_transform_gets_and_gives_a_whole_sequence(x: StreamQuery) -> None:
    def pairs(upstream: Iterator[Observation]) -> Iterator[Observation]:
        for one in upstream:
            yield one.derive(data=one.raw + next(upstream).raw)

    assert [one.raw for one in x.limit(4).transform(pairs)] == [b"01", b"23"]
    assert [one.data for one in x.limit(2).map_data(lambda one: int(one.raw) + 1)] == [1, 2]


def test_align_pairs_with_the_nearest_in_time(reader: Any, x: StreamQuery) -> None:
    q = StreamQuery(reader, reader.find("q"))
    pairs = x.align(q, tolerance=0.05).to_list()
    assert [(int(p.data.x.raw), p.data.q.raw) for p in pairs] == [
        (i, b"q%d" % i) for i in range(COUNT)
    ]
    assert [p.ts_ns for p in pairs] == [one.ts_ns for one in x]
    assert x.align(q, tolerance=0.01).count() == 0
    # 80 ms to the one before, 120 ms to the one after
    assert [p.data[1].raw for p in q.align(x.offset(2), tolerance=1).limit(3)] == [b"2", b"2", b"2"]
    assert x.align(x, tolerance=0).first().data._fields == ("primary", "secondary")


def test_observable_gives_the_same_and_ends(x: StreamQuery) -> None:
    found: list[int] = []
    done = threading.Event()
    x.limit(5).observable().subscribe(lambda one: found.append(int(one.raw)), on_completed=done.set)
    assert done.wait(60)
    assert found == [0, 1, 2, 3, 4]


def test_an_error_while_reading_reaches_the_observer(memory: StreamQuery) -> None:
    errors: list[Exception] = []
    done = threading.Event()

    def failed(error: Exception) -> None:
        errors.append(error)
        done.set()

    memory.map(lambda one: one.derive(data=1 / (one.id - 3))).observable().subscribe(
        on_error=failed
    )
    assert done.wait(60)
    assert isinstance(errors[0], ZeroDivisionError)


def test_an_observer_can_leave_early(memory: StreamQuery) -> None:
    before = set(threading.enumerate())
    seen: list[int] = []
    left = threading.Event()

    def leave(one: Observation) -> None:
        seen.append(one.id)
        if one.id == 3:
            subscription.dispose()
            left.set()

    ready = threading.Event()

    def patient(one: Observation) -> Observation:
        ready.wait(60)  # until the subscription is there to be disposed of
        return one

    subscription = memory.map(patient).observable().subscribe(leave)
    ready.set()
    assert left.wait(60)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda x: x.limit(-1), "negative"),
        (lambda x: x.offset(-1), "negative"),
        (lambda x: x.order_by("name"), "use one of id, ts"),
        (lambda x: x.order_by('ts"; --'), "use one of"),
        (lambda x: x.tags(**{"a b": 1}), "not a name"),
        (lambda x: x.tags(a=object()), "tag a cannot be"),
        (lambda x: x.near("kitchen", 1), "not a pose"),
        (lambda x: x.near(None, 1), "needs a place"),
        (lambda x: x.after(math.nan), "not a number"),
    ],
)
def test_nonsense_is_refused(
    memory: StreamQuery, wrong: Callable[[StreamQuery], object], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        wrong(memory)


def test_times_beyond_all_time_find_all_or_nothing(x: StreamQuery) -> None:
    for early in (-math.inf, -1e300, 0.0):
        assert numbers(x.after(early)) == list(range(COUNT))
        assert numbers(x.before(early)) == []
    for late in (math.inf, 1e300):
        assert numbers(x.after(late)) == []
        assert numbers(x.time_range(0, late)) == list(range(COUNT))


def test_a_query_is_reusable_and_changes_nothing(x: StreamQuery) -> None:
    query = x.after(1.7e9 + 0.85)
    assert numbers(query) == numbers(query) == [9, 10, 11]
    assert numbers(x) == list(range(COUNT))
    calls: list[int] = []
    assert len(list(x.filter(lambda one: calls.append(one.id) or True))) == COUNT
    assert len(calls) == COUNT  # list() must not count first


def test_what_is_recorded_meanwhile_is_found_once(tmp_path: Path) -> None:
    target = open_target(tmp_path / "x.db")
    target.writer.begin_session(T0, {"pid": 0}, split=split_channel)
    write(target.writer, 0)
    with RecordingReader.open(tmp_path / "x.db") as reader:
        query = StreamQuery(reader, reader.find("x"))
        iterator = iter(query)
        found = [int(next(iterator).raw)]
        for i in range(1, 300):
            target.writer.write([(T0 + i * S, "/x", b"%d" % i)])
            if i % 50 == 0:
                target.writer.drain()
        assert numbers(query) == list(range(300))
        found += [int(one.raw) for one in iterator]
        assert found == sorted(set(found))
        assert int(query.last().raw) == 299
    finish(target.writer)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    target = open_target(tmp_path / "many.db")
    target.writer.begin_session(T0, {"pid": 0}, split=split_channel)
    for start in range(0, 20_000, 2000):
        target.writer.write(
            [(T0 + i * 1_000_000, "/x", b"%d" % i) for i in range(start, start + 2000)]
        )
    target.writer.drain()
    target.writer.write([(T0 + 30 * S, "/x", b"spooled")])
    finish(target.writer)
    return tmp_path / "many.db"


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.first(),
        lambda x: x.last(),
        lambda x: x.exists(),
        lambda x: x.limit(5).to_list(),
        lambda x: x.filter(lambda one: True).first(),
        lambda x: x.map(lambda one: one).limit(3).to_list(),
        lambda x: x.order_by("ts", desc=True).limit(5).to_list(),
        lambda x: next(iter(x)),
    ],
)
def test_a_few_results_cost_little_however_long_the_recording(
    many: Path, ask: Callable[[StreamQuery], object]
) -> None:
    with RecordingReader.open(many) as reader:
        query = StreamQuery(reader, reader.find("x"))
        steps = [0]

        def count() -> int:
            steps[0] += 1
            return 0

        reader._connection.set_progress_handler(count, 100)  # instructions of SQLite
        ask(query)
        # 20,001 messages: to look at each of them would be 2,000 at the very least
        assert steps[0] < 200


def test_payloads_are_read_only_when_asked_for(many: Path) -> None:
    with RecordingReader.open(many) as reader:
        statements: list[str] = []
        reader._connection.set_trace_callback(statements.append)
        query = StreamQuery(reader, reader.find("x"))
        found = query.offset(100).limit(50).to_list()
        assert not any("x_blob" in statement for statement in statements)
        assert found[0].raw == b"100"
        assert sum("x_blob" in statement for statement in statements) == 1

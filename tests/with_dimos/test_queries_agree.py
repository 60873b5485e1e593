"""Our queries find what dimos's own find, on a file that dimos wrote."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos.memory.store.memory import MemoryStore
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Vector3 import Vector3

from dimos_record.store.queries import StreamQuery
from dimos_record.store.reader import RecordingReader
from tests.with_dimos import messages

pytestmark = pytest.mark.dimos

COUNT = 40
T0 = 1_763_600_000.0
RANDOM = random.Random(7)
# any float: most of them do not survive a round trip through nanoseconds
TIMES = [T0 + i + RANDOM.random() / 3 for i in range(COUNT)]


def tags_of(i: int) -> dict[str, Any]:
    rooms = ["hall", "küche", "lab"]
    tags = {"n": i, "room": rooms[i % 3], "even": i % 2 == 0, "share": i / 8}
    return tags | ({"deep": {"a": [1, i]}, "nothing": None} if i % 5 == 0 else {})


def pose_of(i: int) -> tuple[float, float, float] | None:
    return (float(i % 7), i / 2, 0.25) if i % 4 else None


def fill(store: Any) -> Any:
    """Poses as messages, with tags and poses beside them; the last ones have neither."""
    stream = store.stream("odom", PoseStamped)
    for i, ts in enumerate(TIMES):
        if i < 32:
            stream.append(messages.pose(i), ts=ts, pose=pose_of(i), tags=tags_of(i))
        else:
            stream.append(messages.pose(i), ts=ts)
    other = store.stream("imu", PoseStamped)
    for i, ts in enumerate(TIMES[::2]):
        other.append(messages.pose(i), ts=ts + 0.3)
    return stream


@pytest.fixture
def both(tmp_path: Path, open_store: Callable[[Path], Any]) -> Iterator[tuple[Any, StreamQuery]]:
    store = open_store(tmp_path / "theirs.db")
    theirs = fill(store)
    with RecordingReader.open(tmp_path / "theirs.db") as reader:
        yield theirs, StreamQuery(reader, reader.find("odom"))


QUERIES: dict[str, Callable[[Any], Any]] = {
    "everything": lambda s: s,
    "after": lambda s: s.after(TIMES[20]),
    "just before": lambda s: s.after(math.nextafter(TIMES[20], 0)),
    "before": lambda s: s.before(TIMES[20]),
    "range": lambda s: s.time_range(TIMES[3], TIMES[9]),
    "at": lambda s: s.at(TIMES[11] + 0.5, tolerance=1.0),
    "exactly at": lambda s: s.at(TIMES[11], tolerance=0.0),
    "at an edge": lambda s: s.at(TIMES[11] + 0.1, tolerance=0.1),
    "near": lambda s: s.near((3.0, 5.0, 0.25), 2.0),
    "near a vector": lambda s: s.near(Vector3(3.0, 5.0, 0.25), 1.0),
    "near a pose": lambda s: s.near(messages.pose(3), 2.5),
    "near nothing": lambda s: s.near((100.0, 0.0, 0.0), 1.0),
    "tag int": lambda s: s.tags(n=5),
    "tag int as float": lambda s: s.tags(n=5.0),
    "tag text": lambda s: s.tags(room="küche"),
    "tag number as text": lambda s: s.tags(n="5"),
    "tag true": lambda s: s.tags(even=True),
    "tag false": lambda s: s.tags(even=False),
    "tag one": lambda s: s.tags(even=1),
    "tag float": lambda s: s.tags(share=1.125),
    "tags": lambda s: s.tags(room="hall", even=True),
    "unknown tag": lambda s: s.tags(colour="red"),
    "order": lambda s: s.order_by("ts", desc=True),
    "order by pose": lambda s: s.order_by("pose_y", desc=True).limit(10),
    "limit": lambda s: s.limit(5),
    "offset": lambda s: s.offset(35),
    "limit and offset": lambda s: s.offset(3).limit(4),
    "limit twice": lambda s: s.limit(3).limit(5),
    "limit, then after": lambda s: s.limit(5).after(TIMES[10]),
    "limit, then filter": lambda s: s.limit(5).filter(lambda o: o.id % 3 == 0),
    "limit, then order": lambda s: s.limit(5).order_by("ts", desc=True),
    "filter on data": lambda s: s.filter(lambda o: o.tags.get("n", 0) > 20).limit(3),
    "map": lambda s: s.map(lambda o: o.tag(n=-o.id)).tags(n=-4),
    "map to none": lambda s: s.map(lambda o: o if o.id % 2 else None).offset(2).limit(3),
    "limit, then map": lambda s: s.limit(4).map(lambda o: o).after(TIMES[1]),
    "with pose": lambda s: s.map(lambda o: o.with_pose((o.id, 0, 0))).near((4, 0, 0), 1),
    "transform": lambda s: s.transform(lambda up: (o for o in up if o.id > 7)).limit(2),
    "order what was mapped": lambda s: s.map(lambda o: o).order_by("ts", desc=True).limit(3),
}


@pytest.mark.parametrize("name", QUERIES)
def test_both_find_the_same(both: tuple[Any, StreamQuery], name: str) -> None:
    theirs, ours = (list(QUERIES[name](stream)) for stream in both)
    assert [one.id for one in ours] == [one.id for one in theirs]
    assert [one.ts for one in ours] == [one.ts for one in theirs]
    assert [one.tags for one in ours] == [one.tags for one in theirs]
    assert [one.pose for one in ours] == [one.pose_tuple for one in theirs]


@pytest.mark.parametrize("name", QUERIES)
def test_first_last_and_exists_agree(both: tuple[Any, StreamQuery], name: str) -> None:
    theirs, ours = (QUERIES[name](stream) for stream in both)
    assert ours.exists() == theirs.exists()
    for result in ("first", "last"):
        try:
            expected = getattr(theirs, result)().id
        except LookupError:
            with pytest.raises(LookupError):
                getattr(ours, result)()
        else:
            assert getattr(ours, result)().id == expected


def test_count_agrees_where_dimos_counts_what_it_finds(both: tuple[Any, StreamQuery]) -> None:
    for name, query in QUERIES.items():
        theirs, ours = map(query, both)
        assert ours.count() == len(list(ours)) == len(list(theirs)), name


def test_tags_that_dimos_cannot_ask_sqlite_for_agree_with_its_memory_store(
    both: tuple[Any, StreamQuery],
) -> None:
    _, ours = both
    store = MemoryStore()
    store.start()
    theirs = fill(store)
    for wanted in ({"nothing": None}, {"room": None}, {"deep": {"a": [1, 5]}}):
        expected = [one.ts for one in theirs.tags(**wanted)]
        assert [one.ts for one in ours.tags(**wanted)] == expected
    store.stop()


def test_aligned_pairs_agree(both: tuple[Any, StreamQuery], open_store: Any) -> None:
    theirs, ours = both
    imu = StreamQuery(ours.reader, ours.reader.find("imu"))
    store = open_store(Path(ours.reader.name))
    for tolerance in (0.1, 0.35, 1.0):
        expected = list(theirs.align(store.stream("imu"), tolerance=tolerance))
        found = list(ours.align(imu, tolerance=tolerance))
        assert [(p.ts, p.data.odom.id, p.data.imu.id) for p in found] == [
            (p.ts, p.data.odom.id, p.data.imu.id) for p in expected
        ]
        assert bool(found) == (tolerance > 0.3)

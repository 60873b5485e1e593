"""`RecordReplay(store=...)` takes the stores of dimos's memory, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos.memory.store.memory import MemoryStore
from dimos.memory.store.sqlite import SqliteStore
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import OptionError, RecordingExists
from dimos_record.testing import Collector
from tests.with_dimos.messages import pose, same_value

pytestmark = pytest.mark.dimos

ODOM = "/odom#geometry_msgs.PoseStamped"
T0 = 1_700_000_000.0


@pytest.fixture
def memory() -> Iterator[MemoryStore]:
    store = MemoryStore()
    store.start()
    yield store
    store.stop()


def append(store: Any, count: int, start: int = 0) -> None:
    odom = store.stream("odom", PoseStamped)
    for i in range(start, start + count):
        odom.append(pose(i), ts=T0 + i, pose=(i, 0.0, 0.0), tags={"i": i})


def test_what_dimos_holds_in_memory_is_a_recording(memory: MemoryStore) -> None:
    append(memory, 5)
    memory.stream("battery", float).append(0.5, ts=T0)
    memory.stream("note", dict).append({"a": 1}, ts=T0)
    with RecordReplay(store=memory) as rec:
        assert rec.duration == 4.0
        assert [one.raw for one in rec.streams.odom] == [pose(i).lcm_encode() for i in range(5)]
        assert rec.streams.odom.tags(i=3).first().pose[:3] == (3.0, 0.0, 0.0)
        assert {info.name: info.codec for info in rec.reader.streams.values()} == {
            "odom": "lcm",
            "battery": "scalar",
            "note": "pickle",
        }
        assert rec.reader.payload("battery", 1) == b"0.5"


def test_what_dimos_adds_later_is_found_when_it_is_looked_at_anew(memory: MemoryStore) -> None:
    append(memory, 2)
    rec = RecordReplay(store=memory)
    assert rec.streams.odom.count() == 2
    rec.close()
    append(memory, 3, start=2)
    assert [o.id for o in rec.streams.odom] == [1, 2, 3, 4, 5]
    rec.close()


def test_what_dimos_holds_in_memory_is_played(memory: MemoryStore) -> None:
    append(memory, 3)
    url = "memory://dimos-stores"
    with open_bus(url) as bus, Collector(bus) as heard, RecordReplay(store=memory, bus=url) as rec:
        rec.play(speed=1000.0, block=True)
        assert heard.wait_for(3) == [(ODOM, pose(i).lcm_encode()) for i in range(3)]


def test_what_is_recorded_is_in_dimos_streams(memory: MemoryStore) -> None:
    url = "memory://dimos-stores-recorded"
    with RecordReplay(store=memory, bus=url) as rec, open_bus(url) as robot:
        with rec.recording():
            for i in range(3):
                robot.publish(ODOM, pose(i).lcm_encode())
            robot.publish("/raw", b"nobody knows")
            robot.publish("/broken#geometry_msgs.PoseStamped", b"too short")
        found = memory.stream("odom").to_list()
        assert [same_value(one.data, pose(i)) for i, one in enumerate(found)] == [True] * 3
        assert [one.ts for one in found] == [row.ts_ns / 1e9 for row in rec.reader.rows("odom")]
        assert memory.list_streams() == ["odom"]
        assert {name: rec.account[name].written for name in rec.streams} == {
            "odom": 3,
            "raw": 1,
            "broken": 1,
        }
        assert rec.streams.odom.count() == 3


def test_what_is_there_is_not_overwritten(memory: MemoryStore) -> None:
    append(memory, 1)
    with RecordReplay(store=memory, bus="memory://dimos-stores-kept") as rec:
        with pytest.raises(RecordingExists, match="append"):
            rec.start_recording()
        with pytest.raises(OptionError, match="cannot be overwritten"):
            rec.start_recording(overwrite=True)
        rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(
            pose(1).lcm_encode(), ts_ns=round((T0 + 1) * 1e9), pose=(1, 0, 0), tags={"i": 1}
        )
    assert memory.stream("odom").tags(i=1).first().pose_tuple[:3] == (1.0, 0.0, 0.0)


def test_a_file_of_dimos_is_its_file(tmp_path: Path) -> None:
    store = SqliteStore(path=str(tmp_path / "memory.db"))
    store.start()
    append(store, 4)
    with RecordReplay(store=store) as rec:
        assert rec.store.name == str(tmp_path / "memory.db")
        assert rec.streams.odom.count() == 4
    store.stop()

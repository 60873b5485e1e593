from __future__ import annotations

import pytest
from dimos_lcm.geometry_msgs import Point, Pose, PoseStamped, Quaternion
from dimos_lcm.std_msgs import Header, Time

from dimos_record import MemoryStore, RecordReplay
from dimos_record.bus import open_bus
from dimos_record.bus.base import OnMessage, Selection, Subscription
from dimos_record.bus.memory import MemoryBus
from dimos_record.errors import BusError, OptionError, RecordingExists


def record(rec: RecordReplay, *messages: bytes, **options: object) -> None:
    with rec.recording(**options):
        for message in messages:
            rec.bus.publish("/a", message)


def contents(rec: RecordReplay) -> list[bytes]:
    return [one.raw for one in rec.streams.a]


def test_it_is_recorded_into_read_and_played_like_a_file() -> None:
    with RecordReplay(store=MemoryStore(), bus="memory://store") as rec:
        record(rec, b"1", b"2")
        assert contents(rec) == [b"1", b"2"]
        assert rec.topics.a.count == 2
        assert rec.account["a"].written == 2
        received: list[bytes] = []
        with open_bus("memory://store") as bus:
            bus.subscribe(Selection(), lambda _, data: received.append(data))
            rec.play(speed=float("inf"), listen_s=0, block=True)
        assert received == [b"1", b"2"]


def test_it_lasts_as_long_as_the_store_and_not_as_long_as_the_object() -> None:
    store = MemoryStore()
    assert not store.exists()
    with RecordReplay(store=store, bus="memory://store") as rec:
        record(rec, b"1")
    assert store.exists()
    with RecordReplay(store=store) as again:
        assert contents(again) == [b"1"]
    store.close()


def test_it_is_appended_to_or_overwritten_only_when_told() -> None:
    with RecordReplay(store=MemoryStore(), bus="memory://store") as rec:
        record(rec, b"1")
        with pytest.raises(RecordingExists, match="append, or overwrite"):
            rec.start_recording()
        record(rec, b"2", append=True)
        assert contents(rec) == [b"1", b"2"]
        assert len(rec.info().sessions) == 2
        record(rec, b"3", overwrite=True)
        assert contents(rec) == [b"3"]


def test_it_cannot_be_split() -> None:
    with (
        RecordReplay(store=MemoryStore(), bus="memory://store") as rec,
        pytest.raises(OptionError, match="memory cannot be split"),
    ):
        rec.start_recording(split_s=1)


class DeafBus(MemoryBus):
    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        raise BusError("the bus is deaf")


@pytest.mark.parametrize("how", ["append", "overwrite"])
def test_a_session_that_cannot_start_leaves_what_was_there(how: str) -> None:
    store = MemoryStore()
    with RecordReplay(store=store, bus="memory://store") as rec:
        record(rec, b"1")
    with DeafBus("memory://deaf") as bus, RecordReplay(store=store, bus=bus) as rec:
        with pytest.raises(BusError, match="deaf"):
            rec.start_recording(**{how: True})
        assert contents(rec) == [b"1"]
        assert [session.state for session in rec.info().sessions] == ["finished"]
    with RecordReplay(store=store, bus="memory://store") as rec:
        record(rec, b"2", append=True)
        assert contents(rec) == [b"1", b"2"]
    store.close()


def test_poses_are_filled_in_and_found() -> None:
    with RecordReplay(store=MemoryStore()) as rec:
        poses = rec.stream("pose", type_name="geometry_msgs.PoseStamped")
        for i in range(5):
            here = Pose(position=Point(x=float(i)), orientation=Quaternion(w=1.0))
            header = Header(stamp=Time(sec=i + 1))
            poses.append(PoseStamped(header=header, pose=here), ts_ns=(i + 1) * 10**9)
            rec.stream("picture").append(b"%d" % i, ts_ns=(i + 1) * 10**9)
        assert rec.fill_poses() == {"/pose": 5, "/picture": 5}
        assert [one.raw for one in rec.streams.picture.near((3, 0, 0), 1)] == [b"2", b"3", b"4"]

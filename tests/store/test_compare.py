"""Whether two recordings hold the same messages: same streams, counts, bytes and order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.errors import RecordingNotFound, UnknownTopic
from dimos_record.store import compare as comparing
from dimos_record.store.compare import Comparison, StreamComparison, Timing, compare
from dimos_record.store.memory import MemoryStore
from dimos_record.store.stores import Store

S = 1_000_000_000
MS = 1_000_000


def recording(*messages: tuple[str, bytes, int]) -> RecordReplay:
    """A recording in memory of (topic, data, ts_ns)."""
    rec = RecordReplay(store=MemoryStore())
    for topic, data, ts_ns in messages:
        rec.stream(topic.strip("/"), topic=topic).append(data, ts_ns=ts_ns)
    return rec


def odom(*data: object, start_ns: int = S, topic: str = "/odom") -> list[tuple[str, bytes, int]]:
    """Ten messages per second with these payloads."""
    return [(topic, str(one).encode(), start_ns + i * S // 10) for i, one in enumerate(data)]


def compared(
    a: Iterable[tuple[str, bytes, int]], b: Iterable[tuple[str, bytes, int]]
) -> Comparison:
    with recording(*a) as first, recording(*b) as second:
        return first.compare(second)


def one_stream(comparison: Comparison) -> StreamComparison:
    (stream,) = comparison.streams
    return stream


def test_the_same_messages_are_equal_whenever_they_were_received() -> None:
    found = compared(odom(*range(100)), odom(*range(100), start_ns=500 * S))
    assert found.equal
    stream = one_stream(found)
    assert (stream.topic, stream.count_a, stream.count_b) == ("/odom", 100, 100)
    assert stream.bytes_a == stream.bytes_b == 190
    assert (stream.only_a, stream.only_b, stream.first_difference) == (0, 0, None)
    assert found.offset_ns == 499 * S
    assert stream.timing is not None
    assert stream.timing == Timing(0, 0, 0)


def test_messages_of_different_streams_may_be_interleaved_in_another_way() -> None:
    a = [("/x", b"1", 10), ("/y", b"2", 20)]
    b = [("/y", b"2", 10), ("/x", b"1", 20)]
    assert compared(a, b).equal


def test_what_one_side_misses_is_counted_and_the_rest_still_compared() -> None:
    a = odom(*range(100))
    b = [message for i, message in enumerate(a) if i not in (0, 1, 50, 99)]
    stream = one_stream(compared(a, b))
    assert not stream.equal
    assert (stream.only_a, stream.only_b) == (4, 0)
    assert stream.first_difference is not None
    assert (stream.first_difference.number_a, stream.first_difference.number_b) == (1, None)
    assert stream.timing is not None
    assert stream.timing.max_ns == 0, "the others are on time"
    mirrored = one_stream(compared(b, a))
    assert (mirrored.only_a, mirrored.only_b) == (0, 4)


def test_a_message_with_other_bytes_is_found() -> None:
    stream = one_stream(compared(odom(*range(10)), odom(0, 1, 2, "x", *range(4, 10))))
    assert (stream.only_a, stream.only_b, stream.reordered) == (1, 1, False)
    first = stream.first_difference
    assert first is not None
    assert (first.number_a, first.number_b, first.what) == (4, 4, "the bytes differ")


def test_the_same_messages_in_another_order_are_not_equal() -> None:
    stream = one_stream(compared(odom(1, 2, 3, 4), odom(1, 3, 2, 4)))
    assert not stream.equal
    assert stream.reordered
    assert stream.first_difference is not None
    assert stream.first_difference.number_a == 2


def test_messages_that_repeat_are_counted_one_by_one() -> None:
    stream = one_stream(compared(odom(*"xxxxx"), odom(*"xxx")))
    assert (stream.only_a, stream.only_b) == (2, 0)
    assert not stream.reordered


def test_a_topic_of_another_type_or_on_one_side_only_differs() -> None:
    with recording() as a, recording() as b:
        a.stream("odom", type_name="nav_msgs.Odometry").append(b"1", ts_ns=S)
        b.stream("odom", type_name="geometry_msgs.PoseStamped").append(b"1", ts_ns=S)
        found = a.compare(b)
    assert not found.equal
    assert [(one.type_name, one.count_a, one.count_b) for one in found.streams] == [
        ("nav_msgs.Odometry", 1, 0),
        ("geometry_msgs.PoseStamped", 0, 1),
    ]


def test_a_stream_without_messages_does_not_count() -> None:
    with recording(*odom(1)) as a, recording(*odom(1)) as b:
        b.stream("empty")
        assert a.compare(b).equal


def test_times_are_compared_without_the_offset_that_all_share() -> None:
    delays_ns = [0] * 90 + [2 * MS] * 8 + [30 * MS, -5 * MS]
    a = odom(*range(100))
    b = [(topic, data, ts + 7 * S + delays_ns[i]) for i, (topic, data, ts) in enumerate(a)]
    found = compared(a, b)
    assert found.equal
    assert found.offset_ns == 7 * S
    timing = one_stream(found).timing
    assert timing is not None
    assert (timing.p50_ns, timing.p99_ns, timing.max_ns) == (0, 5 * MS, 30 * MS)


def test_the_pace_of_both_can_be_told() -> None:
    a = odom(*range(101))
    b = [(topic, data, ts // 20) for topic, data, ts in a]
    found = compared(a, b)
    assert (found.duration_a_s, found.duration_b_s) == (10.0, 0.5)


def test_random_losses_on_both_sides_are_counted_exactly() -> None:
    chance = random.Random(3)
    whole = odom(*range(3000))
    a = [one for one in whole if chance.random() > 0.05]
    b = [one for one in whole if chance.random() > 0.1]
    stream = one_stream(compared(a, b))
    assert stream.only_a == len(set(a) - set(b))
    assert stream.only_b == len(set(b) - set(a))


def test_little_is_held_in_memory_where_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "LOOK_AHEAD", 50)
    held = []
    fetch = comparing._Side._fetch

    def watched(side: comparing._Side, wanted: int) -> None:
        fetch(side, wanted)
        held.append(len(side._ahead))

    monkeypatch.setattr(comparing._Side, "_fetch", watched)
    stream = one_stream(compared(odom(*range(500)), odom(*range(1000, 1500))))
    assert (stream.only_a, stream.only_b) == (500, 500)
    assert max(held) <= 50


def test_percentiles_come_from_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "SAMPLES", 64)
    a = odom(*range(5000))
    b = [(topic, data, ts + i % 100 * MS) for i, (topic, data, ts) in enumerate(a)]
    timing = one_stream(compared(a, b)).timing
    assert timing is not None
    assert 40 * MS <= timing.max_ns <= 60 * MS
    assert timing.p50_ns <= timing.p99_ns <= timing.max_ns


def test_topics_can_be_chosen_and_must_exist(tmp_path: Path) -> None:
    with (
        recording(*odom(1), *odom(2, topic="/other")) as a,
        recording(*odom(1), *odom(3, topic="/other")) as b,
    ):
        assert not a.compare(b).equal
        assert a.compare(b, topics="/odom").equal
        assert a.compare(b, exclude=["/other"]).equal
        with pytest.raises(UnknownTopic, match="/nope"):
            a.compare(b, topics=["/odom", "/nope"])
        with pytest.raises(RecordingNotFound):
            a.compare(tmp_path / "missing.db")


def test_a_recording_can_be_compared_with_a_file_by_name(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "a.db") as rec:
        for topic, data, ts_ns in odom(*range(10)):
            rec.stream("odom", topic=topic).append(data, ts_ns=ts_ns)
    with recording(*odom(*range(10))) as rec:
        assert rec.compare(tmp_path / "a.db").equal


def test_readers_of_stores_can_be_compared() -> None:
    store: Store = MemoryStore()
    with RecordReplay(store=store) as rec:
        rec.stream("a").append(b"1", ts_ns=S)
        assert compare(rec.reader, rec.reader, lambda channel: True).equal

from __future__ import annotations

import random

import pytest

from dimos_record.bus.base import Selection
from dimos_record.replay import Timeline
from dimos_record.replay.pacing import StampPaced
from dimos_record.store.base import Row
from tests.replay.fakes import T0, ListReader, S, recording, stream

IMAGE = stream("/image#sensor_msgs.Image")
ODOM = stream("/odom#geometry_msgs.PoseStamped")
RAW = stream("/raw")


def paced(*messages: tuple[float, Row | object, float | None]) -> ListReader:
    """A recording of (received, stream, stamp); the data are the number of the message."""
    rows = [(received, info, b"%d" % i) for i, (received, info, _) in enumerate(messages)]
    stamps = {
        b"%d" % i: T0 + round(stamp * S)
        for i, (_, _, stamp) in enumerate(messages)
        if stamp is not None
    }
    return recording(rows, stamps)  # type: ignore[arg-type]


def placed(source: StampPaced, **interval: int) -> list[tuple[bytes, float]]:
    return [(row.data, (row.ts_ns - T0) / S) for row in source.rows(**interval)]


def test_rows_are_placed_and_ordered_by_their_stamps() -> None:
    source = StampPaced(
        Timeline(paced((1.0, ODOM, 1.0), (1.5, ODOM, 1.45), (1.6, IMAGE, 1.2), (2.0, RAW, None)))
    )
    assert placed(source) == [(b"0", 1.0), (b"2", 1.2), (b"1", 1.45), (b"3", 2.0)]


def test_one_stamp_of_1970_falls_back_to_the_receive_time_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = StampPaced(
        Timeline(paced((1, ODOM, 1), (2, ODOM, -T0 / S), (3, ODOM, 2.9), (4, ODOM, 1e8)))
    )
    assert placed(source) == [(b"0", 1.0), (b"1", 2.0), (b"2", 2.9), (b"3", 4.0)]
    assert source.skipped_stamps == 2
    assert caplog.text.count("far from its receive time") == 1


def test_a_first_stamp_of_1970_does_not_set_the_clock() -> None:
    source = StampPaced(
        Timeline(paced((0, ODOM, -T0 / S), (1, ODOM, 0.9), (2, ODOM, 1.9), (3, ODOM, 3)))
    )
    assert placed(source) == [(b"0", 0.0), (b"1", 0.9), (b"2", 1.9), (b"3", 3.0)]


def test_a_robot_whose_clock_was_never_set_is_paced_by_its_own_clock() -> None:
    boot = -1e9
    source = StampPaced(
        Timeline(
            paced((0, ODOM, boot), (1.3, ODOM, boot + 1.0), (2, ODOM, boot + 2), (3, RAW, None))
        )
    )
    assert placed(source) == [(b"0", 0.0), (b"1", 1.0), (b"2", 2.0), (b"3", 3.0)]
    assert source.skipped_stamps == 0


def test_seeking_gives_exactly_the_rows_that_playing_through_gives() -> None:
    rng = random.Random(1)
    received = sorted(rng.uniform(0, 20) for _ in range(500))
    source = StampPaced(
        Timeline(paced(*((t, (ODOM, IMAGE)[i % 2], t - rng.uniform(-4, 4)) for i, t in
                         enumerate(received))))
    )  # fmt: skip
    whole = list(source.rows())
    times = [row.ts_ns for row in whole]
    assert times == sorted(times)
    for cut in (3 * S, 9 * S, 16 * S):
        before = list(source.rows(end_ns=T0 + cut))
        assert before + list(source.rows(start_ns=T0 + cut)) == whole
        assert [row.ts_ns for row in source.rows(end_ns=T0 + cut, reverse=True)] == [
            row.ts_ns for row in reversed(before)
        ]


def test_nothing_is_placed_outside_the_recording() -> None:
    source = StampPaced(Timeline(paced((1, ODOM, 0.2), (2, ODOM, 3.5))))
    assert placed(source) == [(b"0", 1.0), (b"1", 2.0)]


def test_a_latched_row_that_its_stamp_puts_before_the_playhead_is_part_of_the_state() -> None:
    source = StampPaced(Timeline(paced((0, ODOM, 0), (5, ODOM, 4.5), (6, RAW, None))))
    state = source.latched_before(T0 + round(4.7 * S), Selection.of(["/odom"]))
    assert [row.data for row in state] == [b"0", b"1"]

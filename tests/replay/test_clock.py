from __future__ import annotations

import math

import pytest
from dimos_lcm.builtin_interfaces import Time as BuiltinTime
from dimos_lcm.std_msgs import Time as StdTime

from dimos_record.errors import OptionError
from dimos_record.replay.clock import PlaybackClock, clock_channel, clock_encoder
from tests.replay.fakes import T0, FakeTime, S


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def test_it_stands_until_it_is_resumed(time: FakeTime) -> None:
    clock = PlaybackClock(T0, 1.0, time.monotonic_ns)
    time.now_ns += S
    assert clock.position_ns == T0
    assert clock.due_ns(T0) is None
    clock.resume()
    time.now_ns += S
    assert clock.position_ns == T0 + S


def test_it_runs_at_its_rate_and_tells_when_a_position_is_due(time: FakeTime) -> None:
    clock = PlaybackClock(T0, 4.0, time.monotonic_ns)
    clock.resume()
    begun = time.now_ns
    time.now_ns += S
    assert clock.position_ns == T0 + 4 * S
    assert clock.due_ns(T0 + 8 * S) == begun + 2 * S
    assert clock.due_ns(T0) == begun


def test_changing_the_rate_changes_the_future_only(time: FakeTime) -> None:
    clock = PlaybackClock(T0, 1.0, time.monotonic_ns)
    clock.resume()
    time.now_ns += 2 * S
    clock.set_rate(0.5)
    assert clock.position_ns == T0 + 2 * S
    time.now_ns += 2 * S
    assert clock.position_ns == T0 + 3 * S


def test_pause_and_seek(time: FakeTime) -> None:
    clock = PlaybackClock(T0, 1.0, time.monotonic_ns)
    clock.resume()
    time.now_ns += S
    clock.pause()
    time.now_ns += S
    assert clock.position_ns == T0 + S
    clock.seek(T0 + 10 * S)
    clock.resume()
    time.now_ns += S
    assert clock.position_ns == T0 + 11 * S


def test_at_an_infinite_rate_everything_is_due_and_messages_move_the_clock(time: FakeTime) -> None:
    clock = PlaybackClock(T0, math.inf, time.monotonic_ns)
    clock.resume()
    due = clock.due_ns(T0 + 1000 * S)
    assert due is not None
    assert due <= time.now_ns
    clock.reached(T0 + 7 * S)
    time.now_ns += S
    assert clock.position_ns == T0 + 7 * S
    clock.set_rate(1.0)
    time.now_ns += S
    assert clock.position_ns == T0 + 8 * S


def test_no_drift_after_hours(time: FakeTime) -> None:
    clock = PlaybackClock(T0, 1.0, time.monotonic_ns)
    clock.resume()
    begun = time.now_ns
    assert clock.due_ns(T0 + 36_000 * S + 1) == begun + 36_000 * S + 1


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_that_makes_no_sense_is_refused(rate: float, time: FakeTime) -> None:
    clock = PlaybackClock(T0, 1.0, time.monotonic_ns)
    with pytest.raises(OptionError, match="playback rate"):
        clock.set_rate(rate)
    assert clock.rate == 1.0


def test_the_time_is_encoded_as_the_types_say() -> None:
    std = StdTime.lcm_decode(clock_encoder("/clock#std_msgs.Time")(T0 + 5))
    assert (std.sec, std.nsec) == (T0 // S, 5)
    builtin = BuiltinTime.lcm_decode(clock_encoder("/clock#builtin_interfaces.Time")(T0 + 5))
    assert (builtin.sec, builtin.nanosec) == (T0 // S, 5)


def test_a_clock_topic_gets_its_type_and_refuses_others() -> None:
    assert clock_channel("/clock") == "/clock#std_msgs.Time"
    assert clock_channel("/t#builtin_interfaces.Time") == "/t#builtin_interfaces.Time"
    with pytest.raises(OptionError, match=r"--clock '/t#std_msgs.String'"):
        clock_channel("/t#std_msgs.String")

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import PoseStamped
from dimos_lcm.std_msgs import Header, Time

from dimos_record.bus.base import Selection
from dimos_record.errors import ChannelTooLong, DimosRecordError, OptionError
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.store.base import Row
from tests.leftovers import nothing_left_behind
from tests.replay.fakes import T0, ListBus, ListReader, S, recording, stream

A, B = stream("/a#std_msgs.Header"), stream("/b")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def ten() -> ListReader:
    """Messages 0 to 9, one per second, on two topics."""
    return recording([(t, (A, B)[t % 2], b"%d" % t) for t in range(10)])


def player_of(reader: ListReader, bus: ListBus, **options: Any) -> Player:
    options.setdefault("check_conflicts", False)
    return Player(Timeline(reader), bus, PlayOptions(**options), time=bus.time)


def play(reader: ListReader, bus: ListBus, **options: Any) -> Player:
    """Play to the end."""
    with player_of(reader, bus, **options) as player:
        player.start()
        assert player.wait(60)
    return player


def text(bus: ListBus) -> str:
    return b"".join(bus.data).decode()


def test_messages_go_out_in_order_at_their_times_on_their_channels(bus: ListBus) -> None:
    reader = recording([(0, A, b"0"), (0.25, B, b"1"), (0.25, A, b"2"), (7, B, b"3")])
    player = play(reader, bus)
    assert bus.published == [(A.channel, b"0"), ("/b", b"1"), (A.channel, b"2"), ("/b", b"3")]
    assert bus.seconds == [0, 0.25, 0.25, 7]
    assert player.state == "finished"
    assert player.position == player.duration == 7


@pytest.mark.parametrize(("speed", "factor"), [(2.0, 0.5), (0.1, 10), (math.inf, 0)])
def test_the_speed_scales_the_times(bus: ListBus, speed: float, factor: float) -> None:
    play(ten(), bus, speed=speed)
    assert bus.seconds == [pytest.approx(t * factor) for t in range(10)]


def test_there_is_no_drift(bus: ListBus) -> None:
    reader = recording([(t / 3, A, b"") for t in range(3000)])
    bus_times = [round(t / 3, 6) for t in range(3000)]
    play(reader, bus, speed=1.0)
    assert bus.seconds == bus_times


def test_start_and_end_offsets(bus: ListBus) -> None:
    play(ten(), bus, start_s=2.5, end_s=6.0)
    assert text(bus) == "345"


def test_the_delay_comes_before_the_first_message(bus: ListBus) -> None:
    begun = bus.time.now_ns
    play(ten(), bus, delay_s=3.0)
    assert bus.times_ns[0] == begun + 3 * S
    assert bus.seconds[-1] == 9


def test_only_the_selected_topics_are_published(bus: ListBus) -> None:
    timeline = Timeline(ten(), Selection.of(["/b"]))
    with Player(timeline, bus, PlayOptions(check_conflicts=False), time=bus.time) as player:
        player.start()
        player.wait(60)
    assert text(bus) == "13579"
    assert bus.seconds == [0, 2, 4, 6, 8]


def test_an_empty_recording_finishes_at_once(bus: ListBus) -> None:
    player = play(recording([]), bus)
    assert (player.state, player.position, player.duration) == ("finished", 0, 0)


def test_nothing_is_published_between_pause_and_resume(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        paused = threading.Event()
        bus.on_message(4, lambda: (player.pause(), paused.set()))
        player.start()
        assert paused.wait(60)
        assert player.state == "paused"
        assert player.position == 3
        bus.time.now_ns += 100 * S
        assert text(bus) == "0123"
        player.resume()
        assert player.wait(60)
    assert text(bus) == "0123456789"
    assert bus.seconds[3:6] == [3, 104, 105]
    assert player.stats.late == 0


def test_starting_paused_publishes_nothing_until_resumed(bus: ListBus) -> None:
    with player_of(ten(), bus, paused=True) as player:
        player.start()
        assert player.state == "paused"
        assert not player.wait(0.05)
        assert bus.published == []
        player.toggle()
        assert player.wait(60)
    assert text(bus) == "0123456789"


def test_the_rate_can_be_changed_while_playing(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        bus.on_message(3, lambda: player.set_rate(4.0))
        bus.on_message(7, lambda: player.set_rate(math.inf))
        bus.on_message(9, lambda: player.set_rate(0.5))
        player.start()
        assert player.wait(60)
        assert player.rate == 0.5
    assert bus.seconds == [0, 1, 2, 2.25, 2.5, 2.75, 3, 3, 3, 5]


def test_after_a_seek_nothing_of_the_old_position_is_published(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        bus.on_message(3, lambda: player.seek(7.5))
        bus.on_message(5, lambda: player.seek(0))
        player.start()
        assert player.wait(60)
    assert text(bus) == "012890123456789"
    assert bus.seconds[2:7] == [2, 2.5, 3.5, 3.5, 4.5]


def test_a_seek_while_paused_stays_paused(bus: ListBus) -> None:
    with player_of(ten(), bus, paused=True) as player:
        player.start()
        player.seek(4)
        assert (player.state, player.position) == ("paused", 4)
        player.seek(-3)
        assert player.position == 0
        player.seek(1e9)
        assert player.position == 9
        player.seek(8)
        player.resume()
        assert player.wait(60)
    assert text(bus) == "89"


def test_a_seek_before_the_start_is_where_playback_begins(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        player.seek(8)
        player.start()
        assert player.wait(60)
    assert text(bus) == "89"


def test_the_latched_state_is_republished_first_when_beginning_in_the_middle(bus: ListBus) -> None:
    reader = recording([(0, MAP, b"m"), (1, A, b"1"), (2, MAP, b"n"), (3, B, b"3"), (4, A, b"4")])
    play(reader, bus, start_s=2.5, latched=("/a",))
    assert text(bus) == "1n34"
    assert bus.seconds == [0, 0, 0.5, 1.5]


def test_the_latched_state_is_republished_first_after_a_seek(bus: ListBus) -> None:
    reader = recording([(0, MAP, b"m"), (1, A, b"1"), (2, MAP, b"n"), (3, B, b"3"), (4, A, b"4")])
    with player_of(reader, bus) as player:
        bus.on_message(3, lambda: player.seek(0.5))
        player.start()
        assert player.wait(60)
    assert text(bus) == "m1n" + "m" + "1n34"


def test_a_loop_starts_again_at_the_start_offset_and_restores_the_state(bus: ListBus) -> None:
    reader = recording([(0, MAP, b"m"), (1, A, b"1"), (2, A, b"2"), (3, A, b"3")])
    with player_of(reader, bus, loop=True, start_s=0.5, end_s=2.5) as player:
        bus.on_message(9, player.stop)
        player.start()
        assert player.wait(60)
    assert text(bus) == "m12" * 3
    assert bus.seconds == [0, 0.5, 1.5, 2, 2.5, 3.5, 4, 4.5, 5.5]


def test_an_a_b_loop_begins_at_a_and_can_be_ended(bus: ListBus) -> None:
    with player_of(ten(), bus, loop=(3.0, 5.0)) as player:
        bus.on_message(5, lambda: player.loop(None))
        player.start()
        assert player.wait(60)
    assert text(bus) == "34343456789"[:5] + "456789"
    assert bus.seconds[:5] == [0, 1, 2, 3, 4]


def test_a_loop_can_be_set_while_playing(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        bus.on_message(5, lambda: player.loop(3, 6))
        bus.on_message(10, lambda: player.loop(8))
        bus.on_message(17, lambda: player.loop(None))
        player.start()
        assert player.wait(60)
    assert text(bus) == "012345" + "345" + "3456789" + "89"


def test_a_loop_over_a_single_moment_does_not_flood_the_bus(bus: ListBus) -> None:
    with player_of(recording([(0, A, b"0")]), bus, loop=True) as player:
        bus.on_message(5, player.stop)
        player.start()
        assert player.wait(60)
    assert bus.seconds == [0, 0.01, 0.02, 0.03, 0.04]


def test_play_next_publishes_single_messages(bus: ListBus) -> None:
    reader = recording([(0, A, b"0"), (1, A, b"1"), (1, B, b"2"), (1, A, b"3"), (5, A, b"4")])
    with player_of(reader, bus, paused=True) as player:
        player.start()
        assert player.play_next() == 1
        assert player.play_next() == 1
        assert player.position == 1
        assert player.play_next(2) == 2
        assert text(bus) == "0123"
        assert player.play_next(10) == 1
        assert player.play_next() == 0
        assert player.position == 5
        player.resume()
        assert player.wait(60)
    assert text(bus) == "01234"


def test_play_previous_publishes_backwards_and_ends_before_them(bus: ListBus) -> None:
    reader = recording([(0, A, b"0"), (1, A, b"1"), (1, B, b"2"), (1, A, b"3"), (5, A, b"4")])
    with player_of(reader, bus, paused=True) as player:
        player.start()
        player.seek(5)
        assert player.play_previous(2) == 2
        assert text(bus) == "32"
        assert player.play_next() == 1, "the one that was just played again"
        assert text(bus) == "322"
        assert player.play_previous(9) == 3
        assert text(bus) == "322" + "210"
        assert player.play_previous() == 0
        assert player.position == 0
        player.resume()
        assert player.wait(60)
    assert text(bus) == "322210" + "01234"


def test_stepping_pauses_and_playing_goes_on_behind_the_step(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        stepped = threading.Event()
        bus.on_message(3, lambda: (player.play_next(2), stepped.set()))
        player.start()
        assert stepped.wait(60)
        assert (player.state, player.position) == ("paused", 4)
        player.resume()
        assert player.wait(60)
    assert text(bus) == "0123456789"


def test_a_step_after_a_seek_restores_the_state_first(bus: ListBus) -> None:
    reader = recording([(0, MAP, b"m"), (1, A, b"1"), (2, A, b"2")])
    with player_of(reader, bus, paused=True) as player:
        player.start()
        player.seek(1.5)
        assert player.play_next() == 1
        assert player.play_previous(2) == 2
        assert text(bus) == "m2" + "21"


def test_stepping_back_from_the_end_and_playing_again(bus: ListBus) -> None:
    with player_of(ten(), bus) as player:
        player.start()
        assert player.wait(60)
        assert player.play_previous() == 1
        assert player.state == "paused"
        player.resume()
        assert player.wait(60)
    assert text(bus) == "0123456789" + "9" + "9"


def test_resume_at_the_end_plays_again_from_the_start_offset(bus: ListBus) -> None:
    finished: list[str] = []
    options = PlayOptions(start_s=7, check_conflicts=False)
    with Player(
        Timeline(ten()), bus, options, time=bus.time, on_finished=lambda: finished.append(text(bus))
    ) as player:
        player.start()
        assert player.wait(60)
        player.resume()
        assert player.wait(60)
    assert finished == ["789", "789789"]


def test_a_remapped_topic_keeps_its_type(bus: ListBus) -> None:
    player = play(ten(), bus, remap={"/a": "/replay/a"})
    assert {channel for channel, _ in bus.published} == {"/replay/a#std_msgs.Header", "/b"}
    assert player.stats.topics == {"/replay/a": 5, "/b": 5}


def test_a_name_the_bus_cannot_carry_is_refused_before_anything_is_published() -> None:
    bus = ListBus(max_channel=25)
    player = player_of(ten(), bus, remap={"/a": "/a/much/longer/name"})
    with pytest.raises(ChannelTooLong, match="/a/much/longer/name"):
        player.start()
    player.close()
    assert bus.published == []


def pose(seconds: float) -> bytes:
    ns = T0 + round(seconds * S)
    data: bytes = PoseStamped(header=Header(1, Time(ns // S, ns % S), "f")).lcm_encode()
    return data


def test_restamped_headers_move_to_now_and_forward_over_loops(bus: ListBus) -> None:
    info = stream("/p#geometry_msgs.PoseStamped")
    reader = recording([(0, info, pose(-0.1)), (1, info, pose(0.9)), (1.5, info, pose(1.4))])
    with player_of(reader, bus, restamp=True, loop=True, speed=0.5) as player:
        bus.on_message(7, player.stop)
        player.start()
        assert player.wait(60)
    stamps = [PoseStamped.lcm_decode(data).header.stamp for data in bus.data]
    ages = [
        at + bus.time.wall_offset_ns - (stamp.sec * S + stamp.nsec)
        for at, stamp in zip(bus.times_ns, stamps, strict=True)
    ]
    assert ages == [S // 10] * 7, "each is as old as it was when it was recorded"
    times = [stamp.sec * S + stamp.nsec for stamp in stamps]
    assert times == sorted(times)
    assert PoseStamped.lcm_decode(bus.data[0]).header.frame_id == "f"


def test_bytes_whose_stamps_cannot_be_shifted_go_out_as_they_are_and_are_counted(
    bus: ListBus,
) -> None:
    info = stream("/p#geometry_msgs.PoseStamped")
    player = play(recording([(0, info, b"broken")]), bus, restamp=True)
    assert bus.data == [b"broken"]
    assert player.stats.unshifted == 1


def test_the_clock_topic_tells_the_time_of_playback_in_real_time_steps(bus: ListBus) -> None:
    play(recording([(0, B, b"x"), (2, B, b"y")]), bus, clock_topic="/clock", clock_hz=10, speed=2)
    ticks = [
        (Time.lcm_decode(data), at)
        for (channel, data), at in zip(bus.published, bus.times_ns, strict=True)
        if channel == "/clock#std_msgs.Time"
    ]
    begun = bus.times_ns[bus.published.index(("/b", b"x"))]
    assert len(ticks) >= 10
    for time, at in ticks[:-1]:
        assert time.sec * S + time.nsec == T0 + (at - begun) * 2
    gaps = [late[1] - early[1] for early, late in pairwise(ticks)]
    assert max(gaps) <= S // 10 + 2_000_000


def test_the_clock_is_published_on_seek_and_pause(bus: ListBus) -> None:
    with player_of(ten(), bus, clock_topic="/clock", paused=True) as player:
        player.start()
        player.seek(4)
        channel, data = bus.published[-1]
        assert channel == "/clock#std_msgs.Time"
        assert Time.lcm_decode(data).sec == T0 // S + 4
        player.play_next(2)
        assert Time.lcm_decode(bus.data[-1]).sec == T0 // S + 5


def test_lateness_is_counted_and_nothing_is_left_out(
    bus: ListBus, caplog: pytest.LogCaptureFixture
) -> None:
    reader = recording([(t / 10, B, b"%d" % t) for t in range(10)])

    def stall() -> None:
        bus.time.now_ns += S // 4

    bus.on_message(3, stall)
    player = play(reader, bus)
    stats = player.stats
    assert text(bus) == "0123456789"
    assert bus.seconds == [0, 0.1, 0.2, 0.45, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert stats.late == 2
    assert stats.max_late_s == pytest.approx(0.15)
    assert stats.mean_late_s == pytest.approx(0.1)
    assert "published late, /b by 150 ms" in caplog.text


def test_at_max_speed_nothing_is_late(bus: ListBus) -> None:
    bus.on_message(3, lambda: setattr(bus.time, "now_ns", bus.time.now_ns + S))
    assert play(ten(), bus, speed=math.inf).stats.late == 0


def test_stats_tell_position_rate_and_time_to_the_next_message(bus: ListBus) -> None:
    reader = recording([(0, B, b"00"), (0.5, B, b"11"), (10, B, b"22")])
    with player_of(reader, bus, speed=2.0) as player:
        seen: list[Any] = []
        reached = threading.Event()
        bus.on_message(2, lambda: (seen.append(player.stats), player.pause(), reached.set()))
        player.start()
        assert reached.wait(60)
        stats = seen[0]
        assert (stats.state, stats.position_s, stats.duration_s) == ("playing", 0.5, 10)
        assert (stats.rate, stats.bytes, dict(stats.topics)) == (2.0, 2, {"/b": 1})
        with player._condition:
            assert player._condition.wait_for(lambda: player.stats.next_due_s is not None, 60)
        assert player.stats.next_due_s == pytest.approx(4.75)
        player.resume()
        assert player.wait(60)
    assert (player.stats.published, player.stats.state) == (3, "finished")


def test_pacing_on_stamps(bus: ListBus) -> None:
    reader = recording(
        [(0, B, b"0"), (1, B, b"1"), (2, B, b"2"), (3, B, b"3")],
        stamps={b"0": T0, b"1": T0 + S // 2, b"2": 0, b"3": T0 + 3 * S},
    )
    player = play(reader, bus, pace="stamp")
    assert bus.seconds == [0, 0.5, 2, 3]
    assert player.stats.skipped_stamps == 1


class Broken(Timeline):
    """A recording that cannot be read beyond its third message."""

    def rows(self, *args: Any, **kwargs: Any) -> Iterator[Row]:
        for count, row in enumerate(super().rows(*args, **kwargs)):
            if count == 3:
                raise DimosRecordError("list.db is damaged")
            yield row


def test_an_error_while_reading_is_raised_by_wait_after_what_could_be_read(bus: ListBus) -> None:
    player = Player(Broken(ten()), bus, PlayOptions(check_conflicts=False), time=bus.time)
    player.start()
    with pytest.raises(DimosRecordError, match="damaged"):
        player.wait(60)
    assert text(bus) == "012"
    assert player.state == "stopped"
    player.stop()


def test_an_error_while_publishing_is_raised_by_the_end_of_the_with_block(bus: ListBus) -> None:
    def fail() -> None:
        raise DimosRecordError("the bus is closed")

    def play_until_stopped() -> None:
        with player_of(ten(), bus) as player:
            player.start()
            with player._condition:
                player._condition.wait_for(lambda: player.state == "stopped", 60)

    bus.on_message(2, fail)
    with pytest.raises(DimosRecordError, match="the bus is closed"):
        play_until_stopped()
    assert text(bus) == "01"


def test_an_error_is_told_also_after_the_end_was_reached_once(bus: ListBus) -> None:
    def fail() -> None:
        raise DimosRecordError("the bus is closed")

    failures = list[Exception]()
    options = PlayOptions(check_conflicts=False)
    player = Player(Timeline(ten()), bus, options, time=bus.time, on_failed=failures.append)
    player.start()
    assert player.wait(60)
    assert failures == []
    bus.on_message(12, fail)
    player.resume()
    with pytest.raises(DimosRecordError, match="the bus is closed") as raised:
        player.wait(60)
    player.close()
    assert failures == [raised.value]


@pytest.mark.parametrize("loop", [(10.0, 12.0), (9.5, 10.0)])
def test_positions_beyond_the_end_are_refused(bus: ListBus, loop: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match=r"beyond the end of list.db"):
        player_of(ten(), bus, loop=loop)
    with pytest.raises(OptionError, match=r"--start \(20 s\) lies beyond the end of list.db"):
        player_of(ten(), bus, start_s=20)


def test_commands_before_start_and_after_stop_say_what_to_do(bus: ListBus) -> None:
    player = player_of(ten(), bus)
    with pytest.raises(DimosRecordError, match="call start"):
        player.play_next()
    player.start()
    player.stop()
    for command in (player.resume, player.pause, player.play_next, lambda: player.seek(1)):
        with pytest.raises(DimosRecordError, match="make a new one"):
            command()
    with pytest.raises(DimosRecordError, match="started once"):
        player.start()
    with pytest.raises(OptionError, match="0 messages"):
        player.play_next(0)
    player.close()


def test_a_large_recording_is_read_ahead_only_so_far(bus: ListBus) -> None:
    reader = recording([(t, B, bytes(1_000_000)) for t in range(200)])
    with player_of(reader, bus) as player:
        full = threading.Event()
        bus.on_message(1, lambda: (player.pause(), full.set()))
        player.start()
        assert full.wait(60)
        ahead = player._read_ahead
        with player._condition:
            player._condition.wait_for(
                lambda: ahead._reading is not None and ahead._is_full(ahead._reading), 1
            )
        assert reader.fetched <= 70

"""Sections that were cut: playback jumps over them, and keeps the state that what follows needs."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import PoseStamped
from dimos_lcm.std_msgs import Header, Time

from dimos_record.errors import OptionError
from dimos_record.replay import Timeline
from dimos_record.replay.pacing import StampPaced
from dimos_record.replay.publishable import Publishable
from tests.replay.fakes import T0, ListBus, ListReader, S, recording, stream
from tests.replay.playing import play, player_of, text

A, B = stream("/a"), stream("/b")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)
INFO = stream("/info", latched=True)


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def cut(
    *skips: tuple[float, float], state: tuple[tuple[float, Any, bytes], ...] = ()
) -> ListReader:
    """Messages 0 to 9, one per second on two topics, less some sections; state is kept in there."""
    messages = [(float(t), (A, B)[t % 2], b"%d" % t) for t in range(10)]
    left = [one for one in messages if not any(a <= one[0] < b for a, b in skips)]
    ordered = sorted([*left, *state], key=lambda one: one[0])
    return recording(ordered, skips=skips, origin=0)


def test_playback_jumps_over_a_skip_without_waiting(bus: ListBus) -> None:
    player = play(cut((2.5, 6)), bus)
    assert text(bus) == "0126789"
    assert bus.seconds == [0, 1, 2, 2.5, 3.5, 4.5, 5.5]
    assert player.stats.late == 0
    assert player.position == player.duration == 9, "nothing is renumbered"


def test_the_clock_of_playback_jumps_with_it(bus: ListBus) -> None:
    positions = []
    with player_of(cut((2.5, 6)), bus, speed=2) as player:
        for count in range(1, 8):
            bus.on_message(count, lambda: positions.append(player.position))
        player.start()
        assert player.wait(30)
    assert positions == [0, 1, 2, 6, 7, 8, 9]
    assert bus.seconds == [0, 0.5, 1, 1.25, 1.75, 2.25, 2.75]


def test_many_skips_do_not_add_up_to_any_drift(bus: ListBus) -> None:
    skips = [(t + 0.25, t + 0.75) for t in range(200)]
    reader = recording([(t, A, b"") for t in range(201)], skips=skips)
    play(reader, bus)
    assert bus.seconds == [t / 2 for t in range(201)]


def test_as_fast_as_possible_skips_cost_nothing(bus: ListBus) -> None:
    play(cut((1.5, 3), (6, 9)), bus, speed=math.inf)
    assert text(bus) == "013459"
    assert bus.seconds == [0] * 6


def test_only_what_changed_in_a_skip_is_published_when_it_is_passed(bus: ListBus) -> None:
    reader = recording(
        [(0, INFO, b"i"), (0, MAP, b"m"), (1, A, b"1"), (3, MAP, b"n"), (6, A, b"6"), (7, A, b"7")],
        skips=[(2, 6)],
    )
    play(reader, bus)
    assert text(bus) == "im1" + "n67", "the map of the skip just before what follows, once"
    assert bus.seconds == [0, 0, 1, 2, 2, 3]


def test_after_a_seek_all_of_the_state_before_it_is_published(bus: ListBus) -> None:
    reader = recording(
        [(0, INFO, b"i"), (0, MAP, b"m"), (1, A, b"1"), (3, MAP, b"n"), (6, A, b"6"), (7, A, b"7")],
        skips=[(2, 6)],
    )
    with player_of(reader, bus, paused=True) as player:
        player.start()
        player.seek(4)
        assert player.position == 6, "in a skip it lands behind it"
        player.resume()
        assert player.wait(30)
    assert text(bus) == "in67"


def test_a_trimmed_recording_begins_where_it_begins_and_keeps_its_positions(bus: ListBus) -> None:
    reader = recording([(1, MAP, b"m"), (5.5, A, b"5"), (7, A, b"7")], skips=[(0, 5)], origin=0)
    with player_of(reader, bus, paused=True) as player:
        assert (player.position, player.duration) == (5.5, 7)
        player.start()
        player.seek(0)
        assert player.position == 5
        player.resume()
        assert player.wait(30)
    assert text(bus) == "m57"
    assert bus.seconds == [0, 0.5, 2]


def test_what_was_moved_to_before_the_beginning_is_played_and_has_a_negative_position(
    bus: ListBus,
) -> None:
    reader = recording([(-2, A, b"a"), (0, A, b"b"), (1, A, b"c")], origin=0)
    with player_of(reader, bus, paused=True) as player:
        player.start()
        assert (player.position, player.duration) == (-2, 1)
        player.seek(0.5)
        player.seek(-10)
        assert player.position == -2
        player.resume()
        assert player.wait(30)
    assert text(bus) == "abc"


def test_a_seek_into_a_skip_at_the_end_lands_at_its_start(bus: ListBus) -> None:
    with player_of(cut((7, 12)), bus, paused=True) as player:
        player.start()
        player.seek(8)
        assert player.position == 6
        player.resume()
        assert player.wait(30)
    assert text(bus) == ""


def test_steps_pass_a_skip_in_both_directions(bus: ListBus) -> None:
    reader = cut((2.5, 6), state=((4, MAP, b"m"),))
    with player_of(reader, bus, paused=True) as player:
        player.start()
        assert player.play_next(4) == 4
        assert text(bus) == "012" + "m" + "6"
        assert player.position == 6
        assert player.play_previous(3) == 3
        assert text(bus) == "012m6" + "621"
        assert player.next_position() == 2
        assert player.play_next(3) == 3
        player.resume()
        assert player.wait(30)
    assert text(bus) == "012m6621" + "12m6" + "789"


@pytest.mark.parametrize(
    ("options", "published"),
    [
        ({"start_s": 3}, "6789"),
        ({"end_s": 4}, "012"),
        ({"end_s": 6}, "012"),
        ({"start_s": 1, "end_s": 7}, "126"),
    ],
)
def test_start_and_end_may_lie_in_a_skip(
    bus: ListBus, options: dict[str, float], published: str
) -> None:
    player = play(cut((2.5, 6)), bus, **options)
    assert text(bus) == published
    assert player.state == "finished"


def test_an_end_in_a_skip_is_the_start_of_the_skip(bus: ListBus) -> None:
    assert play(cut((2.5, 6)), bus, end_s=5).position == 2.5


@pytest.mark.parametrize("options", [{"start_s": 3, "end_s": 5}, {"loop": (3.0, 5.0)}])
def test_a_section_of_which_nothing_is_left_is_refused(
    bus: ListBus, options: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match=r"list\.db is left to .*that was cut"):
        player_of(cut((2.5, 6)), bus, **options)


def test_an_end_before_a_trimmed_start_is_refused(bus: ListBus) -> None:
    reader = recording([(5.5, A, b"5"), (7, A, b"7")], skips=[(0, 5)], origin=0)
    with pytest.raises(OptionError, match=r"--end \(3 s\) lies before the first message .*5.500 s"):
        player_of(reader, bus, end_s=3)


def test_a_loop_jumps_over_a_skip_in_every_pass(bus: ListBus) -> None:
    with player_of(cut((2.5, 6), state=((4, MAP, b"m"),)), bus, loop=(1.0, 8.0)) as player:
        bus.on_message(15, player.stop)
        player.start()
        assert player.wait(30)
    assert text(bus) == "12m67" * 3
    assert bus.seconds[:6] == [0, 1, 1.5, 1.5, 2.5, 3.5]


def test_the_ends_of_a_loop_move_out_of_a_skip(bus: ListBus) -> None:
    with player_of(cut((2.5, 6), state=((3, MAP, b"m"),)), bus) as player:
        bus.on_message(2, lambda: player.loop(0, 4))
        bus.on_message(6, lambda: player.loop(5, 7))
        bus.on_message(12, lambda: player.loop(None))
        player.start()
        assert player.wait(30)
    assert text(bus) == "012" + "012" + "m6" * 3 + "789", "the map belongs to what is behind"


def test_state_that_is_looped_over_is_not_played_as_messages(bus: ListBus) -> None:
    reader = recording([(0, A, b"0"), (1, MAP, b"m"), (4, MAP, b"n"), (5, A, b"5")], skips=[(1, 5)])
    timeline = Publishable(Timeline(reader))
    assert [row.data for row in timeline.rows()] == [b"0", b"5"]
    assert [row.data for row in timeline.rows(reverse=True)] == [b"5", b"0"]
    assert [row.data for row in timeline.rows(T0 + S, T0 + 5 * S)] == []
    assert [row.data for row in timeline.latched_before(T0 + 5 * S)] == [b"n"]


def test_pausing_and_changing_the_rate_around_a_skip(bus: ListBus) -> None:
    paused = threading.Event()
    with player_of(cut((2.5, 6)), bus) as player:
        bus.on_message(3, lambda: (player.pause(), paused.set()))
        bus.on_message(4, lambda: player.set_rate(4))
        player.start()
        assert paused.wait(30)
        assert player.position == 2
        bus.time.now_ns += 100 * S
        player.resume()
        assert player.wait(30)
    assert text(bus) == "0126789"
    assert bus.seconds[2:] == [2, 102.5, 102.75, 103, 103.25]


def test_a_command_while_the_state_of_a_skip_goes_out_is_obeyed(bus: ListBus) -> None:
    state = ((3, MAP, b"m"), (4, INFO, b"i"))
    with player_of(cut((2.5, 6), state=state), bus) as player:
        bus.on_message(4, lambda: player.seek(8))
        player.start()
        assert player.wait(30)
    assert text(bus) == "012" + "m" + "mi89"


def test_state_that_a_command_has_interrupted_is_published_before_playing_goes_on(
    bus: ListBus,
) -> None:
    state = ((3, MAP, b"m"), (4, INFO, b"i"))
    with player_of(cut((2.5, 6), state=state), bus) as player:
        bus.on_message(4, lambda: player.loop(None))
        bus.on_message(6, lambda: player.loop(None))
        player.start()
        assert player.wait(30)
    assert text(bus) == "012" + "m" + "mi6789", "the second command came with the last of it"


def test_paced_on_stamps_no_message_is_moved_into_a_skip_or_over_it(bus: ListBus) -> None:
    reader = recording(
        [(0, A, b"0"), (2, A, b"1"), (2.4, MAP, b"m"), (6, A, b"2"), (7, A, b"3")],
        {b"0": T0, b"1": T0 + 3 * S, b"2": T0 + 5 * S, b"3": T0 + 7 * S},
        skips=[(2.2, 6)],
    )
    play(reader, bus, pace="stamp")
    assert text(bus) == "01m23"
    assert bus.seconds == pytest.approx([0, 2.2, 2.2, 2.2, 3.2], abs=1e-6)
    paced = StampPaced(Publishable(Timeline(reader)))
    assert [row.data for row in paced.rows(reverse=True)] == [b"3", b"2", b"1", b"0"]


def pose(seconds: float) -> bytes:
    ns = T0 + round(seconds * S)
    data: bytes = PoseStamped(header=Header(1, Time(ns // S, ns % S), "f")).lcm_encode()
    return data


def test_restamped_headers_move_forward_continuously_over_a_skip(bus: ListBus) -> None:
    info = stream("/p#geometry_msgs.PoseStamped")
    kept = stream("/goal#geometry_msgs.PoseStamped", latched=True)
    reader = recording(
        [(0, info, pose(-0.1)), (1, info, pose(0.9)), (3, kept, pose(2.9)), (5, info, pose(4.9))],
        skips=[(1.5, 5)],
    )
    play(reader, bus, restamp=True)
    assert bus.seconds == [0, 1, 1.5, 1.5]
    stamps = [PoseStamped.lcm_decode(data).header.stamp for data in bus.data]
    ages = [
        at + bus.time.wall_offset_ns - (stamp.sec * S + stamp.nsec)
        for at, stamp in zip(bus.times_ns, stamps, strict=True)
    ]
    assert ages == [S // 10] * 4


def test_the_clock_topic_jumps_too(bus: ListBus) -> None:
    play(recording([(0, A, b""), (9, A, b"")], skips=[(1, 8)]), bus, clock_topic="/clock")
    times = [Time.lcm_decode(data) for channel, data in bus.published if "clock" in channel]
    seconds = [time.sec - T0 // S + time.nsec / S for time in times]
    assert seconds == sorted(seconds)
    assert not [at for at in seconds if 1 < at < 8]
    assert 8 in seconds, "told at once"


def test_a_skip_with_nothing_behind_it_is_passed_as_well(bus: ListBus) -> None:
    reader = recording([(0, A, b"0"), (1, A, b"1"), (9, A, b"9")], skips=[(2, 8)])
    with player_of(reader, bus, loop=(0.0, 8.5)) as player:
        bus.on_message(6, player.stop)
        player.start()
        assert player.wait(30)
    assert text(bus) == "010101"
    assert bus.seconds == [0, 1, 2.5, 3.5, 5, 6], "half a second of the loop is behind the skip"

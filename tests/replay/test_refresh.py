"""Edits while a recording is played: `Player.refresh` obeys them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.bus.played import Watch
from dimos_record.errors import CommandsRefused
from dimos_record.replay import Player, PlayOptions
from dimos_record.testing import Collector
from tests.replay.fakes import ListBus, ListReader, recording, stream
from tests.replay.playing import Edited, player_of, text

A, B = stream("/a"), stream("/b")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def digits(*skips: tuple[float, float], but: str = "") -> ListReader:
    """A map, then 1 to 9, one per second on two topics, less some sections and some digits."""
    messages = [(0.0, MAP, b"m"), *((float(t), (A, B)[t % 2], b"%d" % t) for t in range(1, 10))]
    left = [
        one
        for one in messages
        if one[2].decode() not in but and not any(a <= one[0] < b for a, b in skips)
    ]
    return recording(left, skips=skips, origin=0)


def edit(source: Edited, player: Player, after: ListReader) -> Callable[[], None]:
    def change() -> None:
        source.reader = after
        player.refresh()

    return change


def test_a_cut_ahead_is_jumped_over_and_no_state_is_repeated(bus: ListBus) -> None:
    source = Edited(digits())
    with player_of(source, bus) as player:
        bus.on_message(3, edit(source, player, digits((4.5, 8))))
        player.start()
        assert player.wait(30)
    assert text(bus) == "m12" + "34" + "89"
    assert bus.seconds == [0, 1, 2, 3, 4, 4.5, 5.5]


def test_what_was_read_ahead_of_an_edit_is_not_published(bus: ListBus) -> None:
    source = Edited(digits())
    with player_of(source, bus, speed=math.inf) as player:
        bus.on_message(2, edit(source, player, digits(but="2468")))
        player.start()
        assert player.wait(30)
    assert text(bus) == "m13579"


def test_a_playhead_in_what_is_cut_goes_behind_it_and_the_state_is_restored(bus: ListBus) -> None:
    source = Edited(digits())
    with player_of(source, bus) as player:
        bus.on_message(5, edit(source, player, digits((2.5, 7.5))))
        player.start()
        assert player.wait(30)
    assert text(bus) == "m1234" + "m" + "89"
    assert bus.seconds[4:] == [4, 4, 4.5, 5.5]


def test_a_paused_player_stays_paused(bus: ListBus) -> None:
    source = Edited(digits())
    paused = threading.Event()
    with player_of(source, bus) as player:
        bus.on_message(4, lambda: (player.pause(), paused.set()))
        player.start()
        assert paused.wait(30)
        edit(source, player, digits((5, 7)))()
        assert (player.state, player.position) == ("paused", 3)
        assert player._read_ahead._reading is None, "what was read ahead is let go"
        edit(source, player, digits((2.5, 7)))()
        assert (player.state, player.position) == ("paused", 7)
        edit(source, player, digits())()
        assert (player.state, player.position) == ("paused", 7)
        assert text(bus) == "m123"
        player.resume()
        assert player.wait(30)
    assert text(bus) == "m123" + "m" + "789"


def test_an_undo_brings_back_what_lies_ahead_and_not_what_is_over(bus: ListBus) -> None:
    source = Edited(digits(but="23456"))
    with player_of(source, bus) as player:
        rolling = threading.Event()
        bus.on_message(2, lambda: (player.pause(), rolling.set()))
        player.start()
        assert rolling.wait(30)
        player.seek(3.5)
        edit(source, player, digits())()
        player.resume()
        assert player.wait(30)
    assert text(bus) == "m1" + "m" + "456789"


def test_what_came_back_between_the_last_message_and_the_playhead_is_not_played_late(
    bus: ListBus,
) -> None:
    source = Edited(digits(but="23456"))
    with player_of(source, bus) as player:
        undo = edit(source, player, digits())
        waiting = bus.time.wait

        def undo_at_four_and_a_half(condition: threading.Condition, timeout_ns: Any) -> None:
            if text(bus) == "m1" and player.position < 4 and timeout_ns is not None:
                bus.time.now_ns += 3_500_000_000
                undo()
            else:
                waiting(condition, timeout_ns)

        bus.time.wait = undo_at_four_and_a_half  # type: ignore[method-assign]
        player.start()
        assert player.wait(30)
    assert text(bus) == "m1" + "56789"
    assert bus.seconds == [0, 1, 5, 6, 7, 8, 9]
    assert player.stats.late == 0


def test_messages_at_the_very_time_of_the_playhead_are_told_apart(bus: ListBus) -> None:
    def ties(but: str = "") -> ListReader:
        infos = (A, B, A, B)
        rows = recording([(1, infos[i], b"%d" % i) for i in range(4)] + [(2, A, b"4")])
        kept = [row for rows in rows._rows.values() for row in rows if row.data.decode() not in but]
        return ListReader(sorted(kept, key=lambda row: (row.ts_ns, row.seq)))

    source = Edited(ties())
    with player_of(source, bus, paused=True) as player:
        player.start()
        assert player.play_next(2) == 2
        edit(source, player, ties(but="0"))()
        assert player.play_next() == 1
        edit(source, player, ties())()
        assert player.play_next(2) == 2
        assert player.play_previous(3) == 3
        edit(source, player, ties(but="03"))()
        player.resume()
        assert player.wait(30)
    assert text(bus) == "01" + "2" + "34" + "432" + "24"


def test_when_nothing_is_left_the_end_is_reached(bus: ListBus) -> None:
    finished = []
    source = Edited(digits())
    options = PlayOptions(check_conflicts=False)
    with Player(
        source, bus, options, time=bus.time, on_finished=lambda: finished.append(text(bus))
    ) as player:
        bus.on_message(7, edit(source, player, digits((3.5, 10))))
        player.start()
        assert player.wait(30)
        assert finished == ["m123456"]
        assert player.position == player.duration == 3
        player.resume()
        assert player.wait(30)
    assert finished == ["m123456", "m123456m123"]


def test_a_finished_player_stays_finished_and_plays_what_there_is_then(bus: ListBus) -> None:
    source = Edited(digits((4, 10)))
    with player_of(source, bus) as player:
        player.start()
        assert player.wait(30)
        edit(source, player, digits((2, 8)))()
        assert (player.state, player.duration) == ("finished", 9)
        player.resume()
        assert player.wait(30)
    assert text(bus) == "m123" + "m189"


def test_a_loop_follows_the_edits(bus: ListBus) -> None:
    source = Edited(digits())
    with player_of(source, bus, loop=(2.0, 5.0)) as player:
        bus.on_message(6, edit(source, player, digits((2.5, 4))))
        bus.on_message(9, edit(source, player, digits((1, 6))))
        player.start()
        assert player.wait(30)
        assert text(bus) == "m234" + "m24" + "m2" + "m6789", "nothing of it is left: it ends"
        edit(source, player, digits())()
        bus.on_message(22, player.stop)
        player.resume()
        assert player.wait(30)
    assert text(bus)[14:] == "m234" * 2, "after an undo it is there again"


def test_before_the_start_the_beginning_follows_and_a_seek_is_kept(bus: ListBus) -> None:
    source = Edited(digits())
    player = player_of(source, bus)
    edit(source, player, digits((0, 5)))()
    assert (player.position, player.streams) == (5, (B, A))
    player.seek(7.5)
    edit(source, player, digits((0, 6)))()
    assert player.position == 7.5
    with player:
        player.start()
        assert player.wait(30)
    assert text(bus) == "89"
    player.refresh()
    assert player.closed


def test_topics_that_come_back_are_published_under_their_names(bus: ListBus) -> None:
    source = Edited(digits(but="13579"))
    with player_of(source, bus, remap={"*": "/sim/*"}) as player:
        bus.on_message(2, edit(source, player, digits(but="m2468")))
        player.start()
        assert player.wait(30)
        assert {info.topic for info in player.streams} == {"/b"}
        assert player.stats.topics == {"/sim/a": 1, "/sim/b": 4, "/sim/map": 1}
    assert text(bus) == "m2" + "3579"


def test_commands_that_come_by_an_edit_end_playback_before_anything_of_them_is_published(
    bus: ListBus,
) -> None:
    bus.is_local = False
    source = Edited(digits())
    command = recording([(0, MAP, b"m"), (5, stream("/cmd_vel"), b"!")])
    paused = threading.Event()
    with player_of(source, bus) as player:
        bus.on_message(2, lambda: (player.pause(), paused.set()))
        player.start()
        assert paused.wait(30)
        with pytest.raises(CommandsRefused, match=r"list\.db would publish commands on /cmd_vel"):
            edit(source, player, command)()
        assert player.closed
    assert text(bus) == "m1"


def test_mutes_and_solos_survive_an_edit(bus: ListBus) -> None:
    source = Edited(digits())
    with player_of(source, bus) as player:
        player.solo("/b")
        bus.on_message(1, edit(source, player, digits(but="123456789")))
        player.start()
        assert player.wait(30)
        assert text(bus) == "1", "the only other topic that is left is the map of the beginning"
        assert player.soloed == {"/b"}
        edit(source, player, digits())()
        player.resume()
        assert player.wait(30)
    assert text(bus) == "1" + "13579"


def test_edits_from_another_thread_at_full_speed_lose_and_double_nothing(bus: ListBus) -> None:
    messages = [(t / 1000, (A, B)[t % 2], b"%d," % t) for t in range(20_000)]
    whole, part = recording(messages), recording(messages, skips=[(5, 15)])
    source = Edited(whole)
    with player_of(source, bus, speed=math.inf) as player:
        player.start()
        while not player.wait(0):
            published = len(bus.data)
            edit(source, player, part)()
            edit(source, player, whole)()
            while len(bus.data) == published and not player.wait(0.001):
                pass  # edits without a pause would let nothing be played between them
    numbers = [int(one) for one in text(bus).split(",")[:-1]]
    assert numbers == sorted(set(numbers))
    assert {*range(5000), *range(15000, 20000)} <= set(numbers)


# --- with the edits of a real recording


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    """Messages 0 to 59 in three seconds on /a and /b, and a map at the very beginning."""
    with (
        open_bus(f"memory://{os.urandom(4).hex()}") as bus,
        RecordReplay(tmp_path / "walk.db", bus=bus) as rec,
    ):
        start_ns = 1_700_000_000_000_000_000
        rec.stream("map", topic="/map", latched=True).append(b"map", ts_ns=start_ns)
        for i in range(60):
            rec.stream("ab"[i % 2]).append(b"%d" % i, ts_ns=start_ns + i * 50_000_000)
        yield rec


def test_edits_of_a_recording_are_obeyed_while_it_is_played(rec: RecordReplay) -> None:
    with Collector(rec.bus) as heard:
        player = rec.play(check_conflicts=False, paused=True, topics=["/a", "/b", "/map"])
        player.play_next(3)
        rec.delete_section((0.2, 2.8))
        rec.delete_topic("/b")
        assert player.position == 0.05
        player.resume()
        assert player.wait(30)
        messages = heard.wait_for(3 + 1 + 2)
    assert messages == [
        ("/map", b"map"),
        ("/a", b"0"),
        ("/b", b"1"),
        ("/a", b"2"),
        ("/a", b"56"),
        ("/a", b"58"),
    ]
    rec.stop_playback()


def test_a_renamed_topic_goes_out_under_its_new_name_and_recorders_leave_it_out(
    rec: RecordReplay,
) -> None:
    watch = Watch(rec.bus, lambda: None)
    with Collector(rec.bus) as heard:
        player = rec.play(check_conflicts=False, paused=True)
        player.play_next(3)
        rec.rename_topic("/a", "/c")
        assert {"/a", "/b", "/c"} <= watch.channels
        player.set_rate(math.inf)
        player.resume()
        assert player.wait(30)
        messages = heard.wait_for(61)
    assert messages[2:5] == [("/b", b"1"), ("/c", b"2"), ("/b", b"3")]
    rec.stop_playback()
    watch.close()
    assert watch.channels == frozenset()


def test_a_topic_that_was_selected_by_name_may_be_deleted_and_come_back(rec: RecordReplay) -> None:
    with Collector(rec.bus) as heard:
        player = rec.play(check_conflicts=False, paused=True, topics="/a")
        assert player.play_next(2) == 2
        rec.delete_topic("/a")
        assert player.streams == ()
        assert player.play_next() == 0
        rec.undo()
        assert player.play_next() == 1
        assert [data for _, data in heard.wait_for(3)] == [b"0", b"2", b"4"]
    rec.stop_playback()

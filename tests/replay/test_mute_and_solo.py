from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import pytest

from dimos_record.errors import DimosRecordError, PatternError, UnknownTopic
from dimos_record.replay import Player
from tests.replay.fakes import ListBus, ListReader, recording, stream
from tests.replay.playing import player_of, text

A, B = stream("/a#std_msgs.Header"), stream("/b")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def letters() -> ListReader:
    """A map, then A and B by turns, and another map in the middle."""
    messages = [(float(t), (A, B)[t % 2], b"%d" % t) for t in range(1, 9)]
    return recording([(0, MAP, b"m"), *messages[:4], (4.5, MAP, b"n"), *messages[4:]])


def play_on(player: Player) -> None:
    player.resume()
    assert player.wait(30)


def test_muted_topics_are_not_published_while_their_time_goes_on(bus: ListBus) -> None:
    with player_of(letters(), bus) as player:
        player.mute("/b", "/map")
        assert player.muted == {"/b", "/map"}
        begun_ns = bus.time.now_ns
        player.start()
        assert player.wait(30)
        assert text(bus) == "2468", "/b is odd"
        assert bus.times_ns[0] - begun_ns == 2_000_000_000
        assert player.stats.published == 4
        assert "/b" not in {topic for topic, count in player.stats.topics.items() if count}
        assert player.position == 8


def test_a_mute_takes_effect_before_it_returns(bus: ListBus) -> None:
    with player_of(letters(), bus) as player:
        bus.on_message(2, lambda: player.mute("/a"))
        bus.on_message(5, lambda: player.unmute("/a"))
        player.start()
        assert player.wait(30)
    assert text(bus) == "m1" + "3n5" + "678"


def test_what_is_unmuted_has_its_latched_state_republished(bus: ListBus) -> None:
    with player_of(letters(), bus) as player:
        player.mute("/map")
        stopped = threading.Event()
        bus.on_message(5, lambda: (player.pause(), stopped.set()))
        player.start()
        assert stopped.wait(30)
        assert text(bus) == "12345"
        player.unmute("/map")
        assert text(bus) == "12345" + "n"
        player.unmute("/map")
        play_on(player)
    assert text(bus) == "12345n" + "678"


def test_state_that_was_passed_at_this_very_time_is_republished_too(bus: ListBus) -> None:
    reader = recording([(0, MAP, b"m"), (1, MAP, b"n"), (1, A, b"a"), (2, A, b"b")])
    with player_of(reader, bus) as player:
        player.mute("/map")
        bus.on_message(1, lambda: player.unmute("/map"))
        player.start()
        assert player.wait(30)
    assert text(bus) == "a" + "n" + "b"


def test_before_the_first_message_nothing_is_republished_twice(bus: ListBus) -> None:
    with player_of(letters(), bus, paused=True, start_s=5.5) as player:
        player.start()
        player.mute("/map")
        player.unmute("/map")
        assert bus.published == []
        play_on(player)
    assert text(bus) == "n678"


def test_only_what_is_soloed_is_heard_and_the_last_unsolo_brings_all_back(bus: ListBus) -> None:
    with player_of(letters(), bus) as player:
        player.solo("/a")
        bus.on_message(2, lambda: player.solo("/b"))
        bus.on_message(4, lambda: player.unsolo("/a"))
        bus.on_message(5, lambda: player.unsolo("/b"))
        player.start()
        assert player.wait(30)
    assert text(bus) == "24" + "56" + "7" + "n" + "8", "the map comes back with its state"
    assert player.soloed == frozenset()


def test_what_is_muted_stays_silent_also_when_soloed(bus: ListBus) -> None:
    with player_of(letters(), bus) as player:
        player.solo("/a", "/b")
        player.mute("/a")
        player.start()
        assert player.wait(30)
    assert text(bus) == "1357"


def test_topics_are_named_as_recorded_and_by_pattern(bus: ListBus) -> None:
    with player_of(letters(), bus, remap={"*": "/sim/*"}) as player:
        player.mute("/{a,b}")
        assert player.muted == {"/a", "/b"}
        player.unmute("a")
        assert player.muted == {"/b"}
        player.solo("*")
        player.unmute("*")
        assert (player.muted, player.soloed) == (frozenset(), {"/a", "/b", "/map"})
        player.start()
        assert player.wait(30)
    assert text(bus) == "m1234n5678"
    assert bus.published[1][0] == "/sim/b"


def test_a_topic_that_is_not_there_is_an_error_that_names_those_that_are(bus: ListBus) -> None:
    player = player_of(letters(), bus)
    for command in (player.mute, player.unmute, player.solo, player.unsolo):
        with pytest.raises(UnknownTopic, match=r"'/c'; list.db plays /a, /b, /map"):
            command("/a", "/c")
    with pytest.raises(PatternError):
        player.mute("/a[")
    assert (player.muted, player.soloed) == (frozenset(), frozenset())
    player.close()
    with pytest.raises(DimosRecordError, match="make a new one"):
        player.mute("/a")


def test_a_seek_restores_only_state_that_is_heard(bus: ListBus) -> None:
    with player_of(letters(), bus, paused=True) as player:
        player.start()
        player.mute("/map")
        player.seek(6)
        play_on(player)
    assert text(bus) == "678"


def test_as_fast_as_possible_muting_works_as_well(bus: ListBus) -> None:
    with player_of(letters(), bus, speed=math.inf) as player:
        player.solo("/map")
        player.start()
        assert player.wait(30)
    assert text(bus) == "mn"


def test_steps_go_by_what_is_heard(bus: ListBus) -> None:
    with player_of(letters(), bus, paused=True) as player:
        player.start()
        player.mute("/b", "/map")
        assert player.play_next(2) == 2
        assert (text(bus), player.position) == ("24", 4)
        assert player.play_previous() == 1
        assert player.play_next() == 1
        assert text(bus) == "2444"
        play_on(player)
    assert text(bus) == "2444" + "68"

"""Steps by the messages of some topics, and positions of messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dimos_record.errors import DimosRecordError, UnknownTopic
from tests.replay.fakes import ListBus, ListReader, recording, stream
from tests.replay.playing import player_of, text

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


def ties() -> ListReader:
    """Several messages at the times 1 and 3, on three topics."""
    return recording(
        [
            (0, MAP, b"m"),
            (1, A, b"1"),
            (1, B, b"2"),
            (1, A, b"3"),
            (2, A, b"4"),
            (3, B, b"5"),
            (3, A, b"6"),
            (3, B, b"7"),
            (5, A, b"8"),
        ]
    )


def test_a_step_to_a_topic_publishes_just_its_message(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        assert player.play_next(topics="/b") == 1
        assert (text(bus), player.position, player.state) == ("2", 1, "paused")
        assert player.play_next(2, topics=["/b"]) == 2
        assert (text(bus), player.position) == ("257", 3)
        assert player.play_next(topics="/b") == 0
        assert player.position == 3, "there is none, so it stays"
        assert player.play_previous(2, topics="/b") == 2
        assert text(bus) == "257" + "75"
        assert player.play_next(topics="/a") == 1
        assert text(bus) == "25775" + "6"


def test_playing_goes_on_behind_such_a_step_with_the_state_that_was_passed(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        player.play_next(topics="/b")
        player.resume()
        assert player.wait(30)
    assert text(bus) == "2" + "m" + "345678"


def test_plain_steps_and_steps_to_a_topic_mix(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        assert player.play_next(3) == 3
        assert player.play_previous(topics="/a") == 1
        assert player.play_previous(1) == 1
        assert player.play_next(2) == 2
    assert text(bus) == "m12" + "1" + "m" + "m" + "m1"


def test_a_step_to_a_muted_topic_goes_there_silently(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        player.mute("/b")
        assert player.play_next(2, topics="/b") == 2
        assert (text(bus), player.position) == ("", 3)


def test_steps_to_all_topics_are_plain_steps_that_restore_nothing(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        player.seek(2)
        assert player.play_next(2, topics="*") == 2
    assert text(bus) == "45"


def test_positions_of_messages_are_told_for_showing_them(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        assert player.next_position() == 1, "the first is where it stands, also before the start"
        player.start()
        seen = [player.position]
        while (at := player.next_position()) is not None:
            player.seek(at)
            seen.append(at)
        assert seen == [0, 1, 2, 3, 5]
        assert player.next_position("/b") is None
        assert player.previous_position("/b") == 3
        assert player.previous_position(["/map", "/b"]) == 3
        player.seek(1)
        assert player.previous_position() == 0
        assert player.previous_position("/a") is None
        assert player.next_position("/b") == 3
        player.seek(2.5)
        assert (player.previous_position(), player.next_position()) == (2, 3)
    assert bus.published == []


def test_positions_of_messages_leave_out_state_in_skips(bus: ListBus) -> None:
    reader = recording([(1, MAP, b"m"), (5, A, b"5"), (7, A, b"7")], skips=[(0, 5)], origin=0)
    with player_of(reader, bus, paused=True) as player:
        player.start()
        assert (player.previous_position(), player.next_position("*")) == (None, 7)


def test_a_topic_that_is_not_there_is_an_error(bus: ListBus) -> None:
    with player_of(ties(), bus, paused=True) as player:
        player.start()
        with pytest.raises(UnknownTopic, match=r"'/c'; list.db plays /a, /b, /map"):
            player.play_next(topics="/c")
        with pytest.raises(UnknownTopic):
            player.play_previous(topics=["/a", "/c"])
        with pytest.raises(UnknownTopic):
            player.next_position("/c")
        assert player.state == "paused"
    with pytest.raises(DimosRecordError, match="make a new one"):
        player.next_position()


def test_only_the_streams_that_are_wanted_are_read(bus: ListBus) -> None:
    reader = recording([(t / 100, B, b"") for t in range(5000)] + [(60, A, b"a")])
    with player_of(reader, bus, paused=True) as player:
        player.start()
        fetched = reader.fetched
        assert player.next_position("/a") == 60
        assert player.play_next(topics="/a") == 1
        assert reader.fetched - fetched < 20
    assert bus.data == [b"a"]

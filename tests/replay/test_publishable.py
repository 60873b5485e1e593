from __future__ import annotations

import pytest

from dimos_record.bus.base import Selection
from dimos_record.errors import OptionError
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.replay.publishable import check_publishable
from tests.replay.fakes import ListBus, ListReader, recording, stream

ODOM = stream("/odom")
BATTERY = stream("/battery")._replace(codec="scalar", latched=True)


def mixed() -> ListReader:
    return recording([(0, ODOM, b"0"), (1, BATTERY, b""), (2, ODOM, b"2"), (3, BATTERY, b"")])


def player_of(reader: ListReader, bus: ListBus, **options: float) -> Player:
    settings = PlayOptions(check_conflicts=False, **options)  # type: ignore[arg-type]
    return Player(Timeline(reader), bus, settings, time=bus.time)


def test_numbers_without_wire_bytes_are_not_published_but_named() -> None:
    bus = ListBus()
    with player_of(mixed(), bus) as player:
        player.start()
        assert player.wait(60)
    assert bus.published == [("/odom", b"0"), ("/odom", b"2")]
    assert player.left_out == ("/battery",)
    assert [info.topic for info in player.streams] == ["/odom"]
    assert player.duration == 3.0, "positions stay those of the recording"


def test_numbers_are_no_state_to_restore_and_no_step() -> None:
    bus = ListBus()
    with player_of(mixed(), bus, start_s=1.5, paused=True) as player:
        player.start()
        assert player.play_next(5) == 1
        assert player.play_previous(5) == 2
    assert bus.data == [b"2", b"2", b"0"]


def test_a_pattern_that_asks_for_numbers_only_is_an_error() -> None:
    streams = Timeline(mixed()).streams
    check_publishable(streams, Selection.of(["*"]), "list.db")
    check_publishable(streams, Selection.of(["/{odom,battery}"]), "list.db")
    with pytest.raises(OptionError, match=r"list.db: '/bat\*' holds plain numbers"):
        check_publishable(streams, Selection.of(["/odom", "/bat*"]), "list.db")


def test_a_loop_may_go_on_to_the_end() -> None:
    bus = ListBus()
    reader = recording([(t, ODOM, b"%d" % t) for t in range(4)])
    options = PlayOptions(loop=(2.0, float("inf")), check_conflicts=False)
    player = Player(Timeline(reader), bus, options, time=bus.time)
    bus.on_message(5, player.close)
    with player:
        player.start()
        assert player.wait(60)
    assert bus.data == [b"2", b"3", b"2", b"3", b"2"]

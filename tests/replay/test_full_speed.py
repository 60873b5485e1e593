"""As fast as possible, messages are published by the hundred, and everything else is as it was."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from dimos_lcm.std_msgs import Header, Time

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import BusError
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.testing import Collector, free_lcm_url
from tests.leftovers import nothing_left_behind
from tests.replay.fakes import T0, ListBus, ListReader, S, recording, stream
from tests.replay.playing import play, player_of

pytestmark = pytest.mark.once

A, B = stream("/a"), stream("/b")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)
MANY = 2000


class EagerBus(ListBus):
    """A bus that takes all messages there are before it sends the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.on_batch: Callable[[], object] = lambda: None

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        taken = list(messages)
        self.batches.append(len(taken))
        super().publish_all(taken)
        self.on_batch()


@pytest.fixture(params=[ListBus, EagerBus])
def bus(request: pytest.FixtureRequest) -> ListBus:
    made: ListBus = request.param()
    return made


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


def number(t: int) -> bytes:
    return b"%05d" % t


def many(count: int = MANY) -> ListReader:
    """Messages with their numbers, one per second, on two topics; three have each time."""
    return recording([(t // 3, (A, B)[t % 2], number(t)) for t in range(count)])


def numbers(*ranges: range) -> list[bytes]:
    return [number(t) for one in ranges for t in one]


def test_everything_comes_in_order_and_is_counted_exactly(bus: ListBus) -> None:
    player = play(many(), bus, speed=math.inf, remap={"/b": "/c"})
    assert bus.published == [(("/a", "/c")[t % 2], number(t)) for t in range(MANY)]
    stats = player.stats
    assert (stats.published, stats.bytes, stats.late) == (MANY, 5 * MANY, 0)
    assert stats.topics == {"/a": MANY // 2, "/c": MANY // 2}
    assert (stats.state, stats.position_s) == ("finished", (MANY - 1) // 3)


def test_messages_are_given_to_the_bus_by_the_hundred() -> None:
    bus = EagerBus()
    play(recording([(t, A, bytes(100)) for t in range(MANY)]), bus, speed=math.inf)
    assert sum(bus.batches) == MANY
    assert max(bus.batches) >= 32


def test_a_batch_of_large_messages_is_small() -> None:
    bus = EagerBus()
    play(recording([(t, A, bytes(400_000)) for t in range(30)]), bus, speed=math.inf)
    assert sum(bus.batches) == 30
    assert max(bus.batches) <= 5


def test_what_has_come_due_meanwhile_is_published_at_once_at_any_speed() -> None:
    bus = EagerBus()
    bus.on_message(1, lambda: setattr(bus.time, "now_ns", bus.time.now_ns + S))
    player = play(recording([(t / 10, A, number(t)) for t in range(20)]), bus)
    assert bus.data == numbers(range(20))
    assert bus.batches[:2] == [1, 10], "those of the second that was lost"
    assert player.stats.late == 9
    assert bus.seconds[-1] == 1.9


def test_a_pause_in_a_callback_holds_after_that_very_message() -> None:
    bus, paused = ListBus(), threading.Event()
    with player_of(many(), bus, speed=math.inf) as player:
        bus.on_message(700, lambda: (player.pause(), paused.set()))
        player.start()
        assert paused.wait(30)
        assert (player.state, player.position) == ("paused", 699 // 3)
        assert player.stats.published == 700
        assert bus.data == numbers(range(700))
        player.resume()
        assert player.wait(30)
    assert bus.data == numbers(range(MANY))


def test_seeks_steps_loops_and_rates_in_a_callback_end_a_batch() -> None:
    bus, stepped = ListBus(), threading.Event()
    with player_of(many(900), bus, speed=math.inf) as player:
        bus.on_message(100, lambda: player.seek(200))
        bus.on_message(150, lambda: player.loop(260, 270))
        bus.on_message(300, lambda: player.loop(None))
        bus.on_message(310, lambda: (player.play_previous(2), stepped.set()))
        player.start()
        assert stepped.wait(30)
        with player._condition:
            assert bus.data[-2:] == [bus.data[-3], bus.data[-4]]
        player.set_rate(2.0)
        player.resume()
        assert player.wait(30)
    assert bus.data[:150] == numbers(range(100), range(600, 650))
    assert bus.data[150:310] == numbers(range(650, 810))
    assert bus.data[-1] == number(899)
    assert bus.seconds[-1] > 0, "the last ones were not played at full speed"


def test_mute_and_stop_in_a_callback_take_effect_at_once() -> None:
    bus = ListBus()
    with player_of(many(), bus, speed=math.inf) as player:
        bus.on_message(10, lambda: player.mute("/a"))
        bus.on_message(20, player.stop)
        player.start()
        assert player.wait(30)
    assert bus.data == numbers(range(10), range(11, 31, 2))


def test_commands_from_another_thread_take_effect_between_batches() -> None:
    begun, bus = threading.Event(), EagerBus()
    bus.on_batch = begun.set
    with player_of(many(), bus, speed=math.inf, loop=True) as player:
        player.start()
        assert begun.wait(30)
        player.pause()
        published = len(bus.published)
        assert (player.state, player.stats.published) == ("paused", published)
        if rest := published % MANY:  # else it is between two passes
            assert player.position == (rest - 1) // 3
        player.loop(None)
        player.seek(200)
        assert len(bus.published) == published, "it has paused for good"
        player.resume()
        assert player.wait(30)
    assert bus.data[:published] == [number(t % MANY) for t in range(published)]
    assert bus.data[published:] == numbers(range(600, MANY))


def test_the_clock_ticks_between_messages(bus: ListBus) -> None:
    for count in (300, 600):
        bus.on_message(count, lambda: setattr(bus.time, "now_ns", bus.time.now_ns + S // 10))
    play(many(), bus, speed=math.inf, clock_topic="/clock", clock_hz=10)
    assert [data for channel, data in bus.published if "clock" not in channel] == numbers(
        range(MANY)
    )
    ticks = [at for at, (channel, _) in enumerate(bus.published) if "clock" in channel]
    if not isinstance(bus, EagerBus):
        assert {300, 600} <= set(ticks), "before the next message"
    assert len(ticks) >= 4


def test_stamps_are_shifted_to_the_time_of_each_message() -> None:
    info = stream("/h#std_msgs.Header")

    def header(t: int) -> bytes:
        data: bytes = Header(t, Time(T0 // S + t, 0), "f").lcm_encode()
        return data

    bus = ListBus()
    for count in range(1, 100):
        bus.on_message(count, lambda: setattr(bus.time, "now_ns", bus.time.now_ns + 1000))
    play(recording([(t, info, header(t)) for t in range(100)]), bus, speed=math.inf, restamp=True)
    stamps = [Header.lcm_decode(data).stamp for data in bus.data]
    assert [stamp.sec * S + stamp.nsec for stamp in stamps] == [
        at_ns + bus.time.wall_offset_ns for at_ns in bus.times_ns
    ]


def test_state_that_a_skip_leaves_comes_where_the_skip_was(bus: ListBus) -> None:
    messages = [(float(t), A, number(t)) for t in range(600) if not 300 <= t < 500]
    reader = recording(
        sorted([*messages, (400.0, MAP, b"map")], key=lambda one: one[0]), skips=[(300, 500)]
    )
    play(reader, bus, speed=math.inf)
    assert bus.data == [*numbers(range(300)), b"map", *numbers(range(500, 600))]


def test_an_error_of_the_bus_leaves_the_account_of_what_was_sent(bus: ListBus) -> None:
    def fail() -> None:
        raise BusError("the network is down")

    bus.on_message(500, fail)
    player = player_of(many(), bus, speed=math.inf)
    player.start()
    with pytest.raises(BusError, match="the network is down"):
        player.wait(30)
    player.close()
    sent = sum(bus.batches[:-1]) if isinstance(bus, EagerBus) else 499
    stats = player.stats
    assert (stats.published, stats.bytes, sum(stats.topics.values())) == (sent, 5 * sent, sent)
    assert 0 < sent < 500
    assert stats.late <= sent
    assert stats.messages_per_s >= 0


def test_a_view_plays_what_it_iterates_over(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db", bus="memory://full-speed") as rec:
        stream = rec.stream("odom", topic="/odom")
        for t in range(1000):
            stream.append(number(t), ts_ns=T0 + t * S // 100)
        view = rec.select("/odom").every(3).filter(lambda one: one.raw[-1:] != b"6")
        with Collector(rec.bus) as received:
            player = view.play(math.inf, check_conflicts=False, block=True)
            wanted = [(one.stream.channel, one.raw) for one in view]
            assert received.wait_for(len(wanted)) == wanted
        assert player.stats.published == len(wanted) > 200


def test_on_lcm_they_arrive_as_they_are() -> None:
    sizes = {50: 100_000, 70: 70_000}
    reader = recording(
        [(t, (A, B)[t % 2], number(t) * (sizes.get(t, 100) // 5)) for t in range(100)]
    )
    with open_bus(free_lcm_url()) as bus, Collector(bus) as received:
        options = PlayOptions(speed=math.inf, check_conflicts=False)
        with Player(Timeline(reader), bus, options) as player:
            player.start()
            assert player.wait(30)
        sent = [(row.stream.channel, row.data) for row in Timeline(reader).rows()]
        assert received.wait_for(len(sent)) == sent

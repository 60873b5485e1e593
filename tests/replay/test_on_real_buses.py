"""The player on the buses that people use: LCM over UDP multicast, and memory."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Iterator

import pytest

from dimos_record.bus import Bus, open_bus
from dimos_record.errors import ChannelTooLong, PublisherConflict
from dimos_record.replay import Player, PlayOptions, Timeline, find_publishers
from dimos_record.testing import Collector, free_lcm_url
from tests.leftovers import nothing_left_behind
from tests.replay.fakes import ListReader, recording, stream
from tests.replay.playing import Edited

ODOM = stream("/odom#geometry_msgs.PoseStamped")
IMAGE = stream("/camera/left#sensor_msgs.Image")
MAP = stream("/map#nav_msgs.OccupancyGrid", latched=True)

FAST = PlayOptions(speed=50.0, check_conflicts=False)


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture(params=["lcm", "memory"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    lcm_url = free_lcm_url() + "&recv_buf_size=4000000"
    url = lcm_url if request.param == "lcm" else "memory://replay"
    with open_bus(url) as bus:
        yield bus


def walk(count: int = 200) -> ListReader:
    messages = [(0.0, MAP, b"map")]
    for i in range(count):
        data = bytes([i % 256]) * (20_000 if i % 10 == 0 else 100)
        messages.append((0.01 * (i // 2), IMAGE if i % 10 == 0 else ODOM, data))
    return recording(messages)


def published(reader: ListReader) -> list[tuple[str, bytes]]:
    return [(row.stream.channel, row.data) for row in Timeline(reader).rows()]


def test_the_bytes_arrive_unchanged_in_the_order_of_the_recording(bus: Bus) -> None:
    reader = walk()
    with Collector(bus) as received, Player(Timeline(reader), bus, FAST) as player:
        player.start()
        assert player.wait(60)
        assert received.wait_for(201) == published(reader)
    assert player.stats.published == 201


def test_as_fast_as_possible_everything_is_published(bus: Bus) -> None:
    options = PlayOptions(speed=math.inf, check_conflicts=False)
    with Player(Timeline(walk(5000)), bus, options) as player:
        player.start()
        assert player.wait(60)
    assert player.stats.published == 5001


def test_after_a_seek_the_map_comes_first_and_nothing_old_follows(bus: Bus) -> None:
    reader = recording([(0, MAP, b"map"), *((t, ODOM, b"%d" % t) for t in range(1, 100))])
    options = PlayOptions(speed=10.0, check_conflicts=False)
    with Collector(bus) as received, Player(Timeline(reader), bus, options) as player:
        player.start()
        received.wait_for(4)
        player.seek(97)
        so_far = player.stats.published
        assert player.wait(60)
        messages = [data for _, data in received.wait_for(so_far + 4)]
    assert messages[so_far:] == [b"map", b"97", b"98", b"99"]
    assert int(messages[so_far - 1]) < 97


def test_after_pause_nothing_is_published_until_a_step(bus: Bus) -> None:
    with Collector(bus) as received, Player(Timeline(walk(2000)), bus, FAST) as player:
        player.start()
        received.wait_for(20)
        player.pause()
        count = player.stats.published
        received.wait_for(count)
        assert not player.wait(0.1)
        assert player.stats.published == count
        assert player.play_next(3) == 3
        assert player.play_previous(2) == 2
        messages = received.wait_for(count + 5)
        assert messages[count + 3 :] == messages[count + 2 : count : -1]


def test_what_was_cut_and_what_is_muted_does_not_arrive(bus: Bus) -> None:
    reader = recording(
        [
            *((t / 10, ODOM, b"%d" % t) for t in range(10)),
            (1.5, MAP, b"map"),
            *((t / 10, (ODOM, IMAGE)[t % 2], b"%d" % t) for t in range(20, 30)),
        ],
        skips=[(1.0, 2.0)],
    )
    with Collector(bus) as received, Player(Timeline(reader), bus, FAST) as player:
        player.mute(IMAGE.topic)
        player.start()
        assert player.wait(60)
        messages = received.wait_for(16)
        assert [data for _, data in messages] == [
            *(b"%d" % t for t in range(10)),
            b"map",
            *(b"%d" % t for t in range(20, 30, 2)),
        ]
        player.unmute(IMAGE.topic)
        assert player.play_previous() == 1
        assert received.wait_for(17)[-1] == (IMAGE.channel, b"29")


def test_a_receiver_can_have_edits_obeyed(bus: Bus) -> None:
    messages = [(t / 10, ODOM, b"%d" % t) for t in range(10)]
    source = Edited(recording(messages))
    obeyed = threading.Event()

    def cut(_channel: str, _data: bytes) -> None:
        if not obeyed.is_set():
            source.reader = recording([*messages[:2], *messages[8:]], skips=[(0.2, 0.8)])
            player.refresh()
            obeyed.set()

    paused = dataclasses.replace(FAST, paused=True)
    with Collector(bus) as received, Player(source, bus, paused) as player:
        subscription = bus.subscribe(received.subscription.selection, cut)
        player.start()
        player.play_next()
        assert obeyed.wait(60)
        player.resume()
        assert player.wait(60)
        assert [data for _, data in received.wait_for(4)] == [b"0", b"1", b"8", b"9"]
        subscription.close()


def test_a_remapped_topic_arrives_under_its_new_name(bus: Bus) -> None:
    options = PlayOptions(
        speed=math.inf, remap={"/camera/*": "/sim/camera/*"}, check_conflicts=False
    )
    with Collector(bus, "/sim/**") as received, Player(Timeline(walk(20)), bus, options) as player:
        player.start()
        assert player.wait(60)
        messages = received.wait_for(2)
    assert [channel for channel, _ in messages] == ["/sim/camera/left#sensor_msgs.Image"] * 2


def test_a_target_too_long_for_the_bus_is_refused_and_nothing_is_published() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus) as received:
        player = Player(Timeline(walk(5)), bus, PlayOptions(remap={"/odom": "/" + "o" * 60}))
        with pytest.raises(ChannelTooLong, match="/ooo"):
            player.start()
        player.close()
        assert received.messages == []


class Publisher:
    """Somebody who publishes a topic all the time."""

    def __init__(self, bus: Bus, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.005):
            self._bus.publish(self._channel, b"live")


def test_a_topic_that_somebody_publishes_is_refused(bus: Bus) -> None:
    with Collector(bus) as received, Publisher(bus, "/odom#nav_msgs.Odometry"):
        player = Player(Timeline(walk(5)), bus, PlayOptions(listen_s=0.3))
        with pytest.raises(PublisherConflict) as refusal:
            player.start()
        player.close()
        assert {data for _, data in received.messages} == {b"live"}
    sentence = str(refusal.value)
    for words in ("/odom (", "messages/s)", "--exclude", "--remap", "--bus", "--force", bus.reach):
        assert words in sentence
    assert "/map" not in sentence


def test_a_refusal_can_be_overridden_or_avoided_by_remapping(bus: Bus) -> None:
    with Publisher(bus, ODOM.channel):
        for options in (
            PlayOptions(speed=math.inf, check_conflicts=False),
            PlayOptions(speed=math.inf, listen_s=0.2, remap={"/odom": "/replay/odom"}),
        ):
            with Player(Timeline(walk(5)), bus, options) as player:
                player.start()
                assert player.wait(60)
            assert player.stats.published == 6


def test_publishers_are_found_by_topic_whatever_the_type_and_others_are_not(bus: Bus) -> None:
    with Publisher(bus, "/a[1]#x.Y"), Publisher(bus, "/ab1c#x.Y"), Publisher(bus, "/other"):
        heard = find_publishers(bus, ["/a[1]#z.Z", "/quiet#x.Y"], 0.3)
    assert list(heard) == ["/a[1]#x.Y"]
    assert heard["/a[1]#x.Y"] > 0


def test_a_receiver_can_stop_the_player_from_its_callback() -> None:
    with open_bus("memory://stopping") as bus:
        player = Player(Timeline(walk()), bus, FAST)
        with Collector(bus) as received:
            subscription = bus.subscribe(
                received.subscription.selection, lambda _channel, _data: player.stop()
            )
            player.start()
            assert player.wait(60)
            assert player.state == "stopped"
            assert len(received.messages) == 1
            subscription.close()
        player.close()


def test_closing_while_playing_ends_both_threads(bus: Bus) -> None:
    player = Player(Timeline(walk(100_000)), bus, FAST)
    with Collector(bus) as received:
        player.start()
        received.wait_for(5)
        names = {thread.name for thread in threading.enumerate()}
        assert {"replay-publisher", "replay-read-ahead"} <= names
        player.close()
        player.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"replay-publisher", "replay-read-ahead"}

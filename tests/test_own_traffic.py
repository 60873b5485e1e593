"""A recorder leaves out what a player of its process publishes, and loses nothing else."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus, Selection, open_bus, played
from dimos_record.replay import Player, PlayOptions, Timeline
from dimos_record.testing import Collector, free_lcm_url, free_zenoh_url
from tests.record.recordings import session_on, wait_until, written
from tests.replay.fakes import T0, ListReader, S, recording, stream


@pytest.fixture(params=["lcm", "zenoh", "memory"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "zenoh":
        pytest.importorskip("zenoh")
        return free_zenoh_url()
    lcm = free_lcm_url() + "&recv_buf_size=8000000"
    return lcm if request.param == "lcm" else f"memory://own-{os.urandom(4).hex()}"


@pytest.fixture
def bus(url: str) -> Iterator[Bus]:
    with open_bus(url) as bus:
        yield bus


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_registry() -> Iterator[None]:
    yield
    assert (played._PLAYING, played._WATCHES) == ([], [])


@pytest.fixture
def rec(tmp_path: Path, bus: Bus) -> Iterator[RecordReplay]:
    """Records what is on the bus into a new file."""
    with RecordReplay(tmp_path / "new.db", bus=bus) as rec, rec.recording():
        yield rec


def walk(count: int = 50, channel: str = "/played") -> ListReader:
    info = stream(channel)
    return recording([(i / 1000, info, b"%d" % i) for i in range(count)])


def options(**more: object) -> PlayOptions:
    return PlayOptions(check_conflicts=False, **{"speed": math.inf, **more})  # type: ignore[arg-type]


def play(bus: Bus, reader: ListReader, **more: object) -> None:
    with Player(Timeline(reader), bus, options(**more)) as player:
        player.start()
        assert player.wait(60)


def left_out(rec: RecordReplay) -> object:
    return rec.reader.sessions()[-1].meta["left_out_played"]


def recorded(rec: RecordReplay) -> dict[str, list[bytes]]:
    return {name: [one.raw for one in rec.streams[name]] for name in rec.reader.streams}


class Outsider:
    """Publishes /live with 0, 1, 2 ... as fast as the bus takes it, and counts."""

    def __init__(self, url: str) -> None:
        self._bus = open_bus(url)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def __enter__(self) -> Outsider:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()
        self._bus.close()

    def _run(self) -> None:
        for i in itertools.count():
            self._bus.publish("/live", b"%d" % i)
            self.sent = i + 1
            if self._end.wait(0.0002):
                return


def test_under_load_nothing_played_is_in_the_file_and_everything_else_is(
    tmp_path: Path, url: str, bus: Bus
) -> None:
    with RecordReplay(tmp_path / "new.db", bus=url) as rec, rec.recording():
        with Collector(bus, "/played") as heard, Outsider(url) as outsider:
            for _ in range(5):
                play(bus, walk(1000), clock_topic="/clock")
            heard.wait_for(5000, timeout_s=30)
        rec.stop_recording()
        assert recorded(rec) == {"live": [b"%d" % i for i in range(outsider.sent)]}
        assert left_out(rec) == ["/clock", "/played"]
        assert rec.info().dropped == 0


def test_once_the_player_is_closed_the_topic_is_recorded_again(rec: RecordReplay, bus: Bus) -> None:
    bus.publish("/played", b"before")
    wait_until(lambda: rec.progress is not None and rec.progress.total.written == 1)
    with Player(Timeline(walk()), bus, options(paused=True)) as player:
        player.start()
        bus.publish("/played", b"hidden by the player")
        bus.publish("/other", b"meanwhile")
    bus.publish("/played", b"after")
    rec.stop_recording()
    assert recorded(rec) == {"played": [b"before", b"after"], "other": [b"meanwhile"]}


def test_single_steps_count_as_played(rec: RecordReplay, bus: Bus) -> None:
    with Collector(bus) as heard, Player(Timeline(walk()), bus, options(paused=True)) as player:
        player.start()
        assert player.play_next(10) == 10
        assert player.play_previous(5) == 5
        heard.wait_for(15)
    rec.stop_recording()
    assert recorded(rec) == {}


def test_a_session_that_begins_while_something_is_played_leaves_it_out(
    tmp_path: Path, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with Collector(bus) as heard, Player(Timeline(walk()), bus, options(paused=True)) as player:
        player.start()
        with session_on(bus, tmp_path / "new.db") as session:
            player.play_next(20)
            bus.publish("/other", b"1")
            heard.wait_for(21)
            wait_until(lambda: written(session) == 1)
    assert "/played: not recorded while this process plays it" in caplog.text
    with RecordReplay(tmp_path / "new.db") as rec:
        assert recorded(rec) == {"other": [b"1"]}


def test_topics_added_by_hand_stay_out_while_they_are_played(rec: RecordReplay, bus: Bus) -> None:
    rec.remove_topic("/played")
    with Collector(bus) as heard, Player(Timeline(walk()), bus, options(paused=True)) as player:
        player.start()
        rec.add_topic("/played", "/other")
        rec.pause_recording()
        rec.resume_recording()
        player.play_next(20)
        bus.publish("/other", b"1")
        heard.wait_for(21)
    rec.stop_recording()
    assert recorded(rec) == {"other": [b"1"]}
    assert left_out(rec) == ["/played"]


def test_what_would_not_be_recorded_anyway_is_not_said_to_be_left_out(
    tmp_path: Path, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with session_on(bus, tmp_path / "new.db", "/other"):
        play(bus, walk())
    assert "not recorded" not in caplog.text
    with RecordReplay(tmp_path / "new.db") as rec:
        assert left_out(rec) == []


def test_the_name_that_is_published_is_left_out(rec: RecordReplay, bus: Bus) -> None:
    remapped = options(paused=True, remap={"/played": "/sim/played"})
    with Collector(bus) as heard, Player(Timeline(walk()), bus, remapped) as player:
        player.start()
        player.play_next(10)
        bus.publish("/played", b"live")
        heard.wait_for(11)
    rec.stop_recording()
    assert recorded(rec) == {"played": [b"live"]}
    assert left_out(rec) == ["/sim/played"]


def test_nothing_that_resembles_what_is_played_is_left_out(rec: RecordReplay, bus: Bus) -> None:
    name = "/a[b]" if bus.url.startswith("zenoh") else "/a*[b]"  # no Zenoh key has an asterisk
    special = Timeline(walk(channel=f"{name}#std_msgs.String"))
    others = {"/axb", "/axxb", "/axbx", "/ab", f"{name}/c", "/x"}
    with Player(special, bus, options(paused=True)) as player:
        player.start()
        for topic in (name, *others):
            bus.publish(topic, b"live")
    rec.stop_recording()
    assert set(rec.topics) == others


def test_two_players_of_one_topic_both_count(rec: RecordReplay, bus: Bus) -> None:
    with (
        Collector(bus) as heard,
        Player(Timeline(walk()), bus, options(paused=True)) as one,
        Player(Timeline(walk()), bus, options(paused=True)) as other,
    ):
        one.start()
        other.start()
        one.close()
        other.play_next(10)
        heard.wait_for(10)
    rec.stop_recording()
    assert recorded(rec) == {}


def test_another_network_is_recorded(tmp_path: Path, bus: Bus) -> None:
    with (
        open_bus(free_lcm_url()) as elsewhere,
        session_on(bus, tmp_path / "new.db") as session,
        Player(Timeline(walk()), elsewhere, options(paused=True)) as player,
    ):
        player.start()
        bus.publish("/played", b"live")
        wait_until(lambda: written(session) == 1)


def test_two_zenoh_networks_of_one_domain_are_two(tmp_path: Path) -> None:
    pytest.importorskip("zenoh")
    with (
        open_bus(free_zenoh_url()) as bus,
        open_bus(free_zenoh_url()) as elsewhere,
        session_on(bus, tmp_path / "new.db") as session,
        Player(Timeline(walk()), elsewhere, options(paused=True)) as player,
    ):
        player.start()
        bus.publish("/played", b"live")
        wait_until(lambda: written(session) == 1)
        with Player(Timeline(walk()), bus, options(paused=True)) as here, Collector(bus) as heard:
            here.start()
            here.play_next(10)
            heard.wait_for(10)
    with RecordReplay(tmp_path / "new.db") as rec:
        assert recorded(rec) == {"played": [b"live"]}


def test_a_bus_that_consists_of_several_is_each_of_them() -> None:
    """As those of a blueprint do, whose streams travel on LCM and on Zenoh."""

    class Joined:
        url = f"{free_zenoh_url()} memory://own-joined"

    with open_bus("memory://own-joined") as bus, open_bus("memory://own-else") as elsewhere:
        watch = played.Watch(Joined(), lambda: None)  # type: ignore[arg-type]
        playing = [played.Playing(bus, ["/here"]), played.Playing(elsewhere, ["/there"])]
        assert watch.channels == {"/here"}
        for one in (watch, *playing):
            one.close()


def test_the_same_network_under_another_url_is_the_same_network(tmp_path: Path) -> None:
    url = free_lcm_url()
    with (
        open_bus(url) as bus,
        open_bus(url + "&recv_buf_size=3000000") as other,
        session_on(bus, tmp_path / "new.db"),
        Collector(bus) as heard,
    ):
        play(other, walk())
        heard.wait_for(50)
    with RecordReplay(tmp_path / "new.db") as rec:
        assert recorded(rec) == {}


@pytest.mark.parametrize("command", [Player.resume, Player.play_next])
def test_a_receiver_may_close_the_player_that_called_it(
    tmp_path: Path, bus: Bus, command: Callable[[Player], object]
) -> None:
    """On a memory bus that is before the recorder, which subscribed later, gets the message."""
    closed = threading.Event()
    player = Player(Timeline(walk()), bus, options(paused=True))

    def close(_channel: str, _data: bytes) -> None:
        player.close()
        closed.set()

    subscription = bus.subscribe(Selection.of(["/played"]), close)
    with session_on(bus, tmp_path / "new.db") as session:
        player.start()
        command(player)
        assert closed.wait(60)
        subscription.close()
        player.close()
        wait_until(lambda: not played._PLAYING)
        bus.publish("/other", b"1")
        wait_until(lambda: written(session) == 1)

        def recorded_again() -> bool:
            bus.publish("/played", b"live")
            return written(session) > 1

        # LCM's callback could not wait for what was on its way: the recorder's keeper did
        wait_until(recorded_again)
    with RecordReplay(tmp_path / "new.db") as rec:
        assert set(recorded(rec)["played"]) == {b"live"}


def test_the_file_says_at_once_what_is_left_out(rec: RecordReplay, bus: Bus) -> None:
    """So that it is known also if the recorder is killed."""
    with Player(Timeline(walk()), bus, options(paused=True)) as player:
        player.start()
        wait_until(lambda: left_out(rec) == ["/played"])


def test_hundreds_of_topics_are_left_out_of_a_long_selection(tmp_path: Path, bus: Bus) -> None:
    names = [f"/a/namespace/of/a/robot/with/long/topics/{i:03}" for i in range(400)]
    reader = recording([(0, stream(name), b"x") for name in names])
    with session_on(bus, tmp_path / "new.db", *names, "/live") as session, Collector(bus) as heard:
        play(bus, reader)
        heard.wait_for(400)
        bus.publish("/live", b"1")
        wait_until(lambda: written(session) == 1)
    with RecordReplay(tmp_path / "new.db") as rec:
        assert recorded(rec) == {"live": [b"1"]}


def test_a_player_that_fails_is_no_longer_in_the_way(rec: RecordReplay, bus: Bus) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    player = Player(Timeline(walk(3)), bus, options(), on_finished=broken)
    player.start()
    wait_until(lambda: "replay-publisher" not in {one.name for one in threading.enumerate()})
    bus.publish("/played", b"live")
    rec.stop_recording()
    with pytest.raises(ZeroDivisionError):
        player.stop()
    assert recorded(rec) == {"played": [b"live"]}


def test_a_refused_player_leaves_nothing_out(rec: RecordReplay, bus: Bus) -> None:
    player = Player(Timeline(walk()), bus, options(remap={"/played": "/" + "x" * 5000}))
    with pytest.raises(Exception, match="shorter topic name"):
        player.start()
    player.close()
    bus.publish("/played", b"live")
    rec.stop_recording()
    assert recorded(rec) == {"played": [b"live"]}


def test_what_another_process_plays_is_recorded(tmp_path: Path) -> None:
    url = free_lcm_url()
    with RecordReplay(tmp_path / "walk.db") as walk:
        for i in range(20):
            walk.stream("played").append(b"%d" % i, ts_ns=T0 + i * S // 100)
    play = ["play", str(tmp_path / "walk.db"), "--bus", url, "--force", "--speed", "max"]
    with RecordReplay(tmp_path / "new.db", bus=url) as rec:
        with rec.recording():
            command = [sys.executable, "-m", "dimos_record.cli.main", *play]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        assert recorded(rec) == {"played": [b"%d" % i for i in range(20)]}
        assert left_out(rec) == []


def test_a_player_may_end_while_the_recording_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_bus("memory://own-both-end") as bus:
        player = Player(Timeline(walk()), bus, options(paused=True))
        player.start()
        session = session_on(bus, tmp_path / "new.db").start()
        subscription, failures = session._subscription, list[Exception]()
        playing_ends = threading.Event()

        def close_player() -> None:
            try:
                player.close()
            except Exception as error:  # noqa: BLE001 - whatever it is, there should be none
                failures.append(error)

        ending = threading.Thread(target=close_player)

        def catch_up(_timeout_s: float) -> bool:
            if threading.current_thread() is ending:
                playing_ends.set()
                wait_until(lambda: session._subscription is None)
            else:  # the recording ends first
                ending.start()
                playing_ends.wait(60)
            return True

        monkeypatch.setattr(subscription, "catch_up", catch_up)
        session.stop()
        ending.join()
        assert failures == []

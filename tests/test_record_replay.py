"""`RecordReplay` from construction to close, as a user drives it."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.std_msgs import String

from dimos_record import MemoryStore, Recorder, RecordReplay
from dimos_record.bus import Bus, open_bus
from dimos_record.errors import (
    AmbiguousName,
    DimosRecordError,
    OptionError,
    PatternError,
    PublisherConflict,
    RecordingBusy,
    RecordingExists,
    RecordingNotFound,
    StorageError,
)
from dimos_record.store.files import FileStore
from dimos_record.store.queries import QueryableReader
from dimos_record.store.target import Target
from dimos_record.testing import Collector, free_lcm_url
from tests.leftovers import nothing_left_behind

S = 1_000_000_000
T0 = 1_700_000_000 * S


@pytest.fixture
def bus() -> Iterator[Bus]:
    with open_bus(f"memory://{os.urandom(4).hex()}") as bus:
        yield bus


@pytest.fixture
def rec(tmp_path: Path, bus: Bus) -> Iterator[RecordReplay]:
    with RecordReplay(tmp_path / "walk.db", bus=bus) as rec:
        yield rec


@pytest.fixture
def ten(rec: RecordReplay) -> RecordReplay:
    """Ten messages a second apart, on /a and /b in turn."""
    for i in range(10):
        rec.stream("ab"[i % 2]).append(b"%d" % i, ts_ns=T0 + i * S)
    return rec


def wait_until(met: Callable[[], object]) -> None:
    for _ in range(60_000):
        if met():
            return
        threading.Event().wait(0.001)
    raise TimeoutError("the condition was not met in 60 s")


def recorded(rec: RecordReplay, stream: str = "a") -> list[bytes]:
    return [one.raw for one in rec.streams[stream]]


def play_all(rec: RecordReplay, **options: Any) -> list[tuple[str, bytes]]:
    with Collector(rec.bus) as seen:
        rec.play(math.inf, block=True, listen_s=0, **options)
        return seen.messages


# --- making one


def test_recorder_is_another_name() -> None:
    assert Recorder is RecordReplay


def test_it_needs_either_a_name_or_a_store() -> None:
    for given in ({}, {"name": "x.db", "store": MemoryStore()}):
        with pytest.raises(OptionError, match="either the name of a recording or a store"):
            RecordReplay(**given)


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "none" / "walk.db", bus="nonsense://")
    rec.add_topic("/odom")
    rec.seek(5)
    rec.every(2).map(lambda one: one).between(6, 7)
    rec.close()
    rec.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "walk.db", bus="memory://x")
    for look in (lambda: rec.span, lambda: rec.duration, lambda: rec.account, rec.info, rec.play):
        with pytest.raises(RecordingNotFound, match=r"walk\.db"):
            look()
    rec.close()


def test_a_bus_that_was_given_stays_open_and_one_of_its_own_is_closed(
    tmp_path: Path, bus: Bus
) -> None:
    with RecordReplay(tmp_path / "a.db", bus=bus) as rec:
        assert rec.bus is bus
    bus.publish("/a", b"still open")
    with RecordReplay(tmp_path / "b.db", bus="memory://own") as rec:
        own = rec.bus
    with pytest.raises(DimosRecordError, match="closed"):
        own.publish("/a", b"")


# --- names


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a data folder, and a folder in it to work in."""
    (tmp_path / "data" / ".lfs").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("DIMOS_RECORD_DATA", raising=False)
    return tmp_path


def make(name: str | Path, content: bytes = b"1") -> None:
    with RecordReplay(name) as rec:
        rec.stream("a").append(content, ts_ns=T0)


def test_a_bare_name_means_the_data_folder_for_writing_and_reading(project: Path) -> None:
    make("walk.db")
    assert (project / "data" / "walk.db").is_file()
    for name in ("walk.db", "walk", project / "data" / "walk.db"):
        with RecordReplay(name) as rec:
            assert recorded(rec) == [b"1"]
    assert list((project / "work").iterdir()) == []


def test_an_environment_variable_names_the_data_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "elsewhere").mkdir()
    monkeypatch.setenv("DIMOS_RECORD_DATA", str(project / "elsewhere"))
    make("walk.db")
    assert (project / "elsewhere" / "walk.db").is_file()


def test_a_bare_name_is_also_found_in_the_current_folder(project: Path) -> None:
    make("./walk.db")
    assert (project / "work" / "walk.db").is_file()
    with RecordReplay("walk") as rec:
        assert recorded(rec) == [b"1"]


def test_two_candidates_are_an_error_that_names_both(project: Path) -> None:
    make("walk.db")
    make("./walk.db")
    with RecordReplay("walk.db") as rec, pytest.raises(AmbiguousName) as error:
        _ = rec.span
    assert str(project / "data" / "walk.db") in str(error.value)
    assert "walk.db; write the path" in str(error.value)


def test_what_is_appended_to_is_found_as_for_reading(project: Path) -> None:
    make("walk.db", b"1")
    make("walk", b"2")
    make("./other.db", b"3")
    make("other", b"4")
    assert sorted(path.name for path in project.glob("*/*.db")) == ["other.db", "walk.db"]
    with RecordReplay("walk.db") as rec:
        assert recorded(rec) == [b"1", b"2"]


def test_a_packed_recording_is_unpacked_when_it_is_needed(project: Path) -> None:
    make("./walk.db")
    archive = project / "data" / ".lfs" / "walk.db.tar.gz"
    subprocess.run(["tar", "-czf", archive, "walk.db"], check=True)
    (project / "work" / "walk.db").unlink()
    with RecordReplay("./walk") as rec, pytest.raises(RecordingNotFound, match="no recording"):
        _ = rec.span
    with RecordReplay("walk") as rec:
        assert recorded(rec) == [b"1"]
    assert (project / "data" / "walk.db").is_file()


# --- what to record


def test_all_topics_are_recorded_unless_some_are_added(rec: RecordReplay, bus: Bus) -> None:
    def publish() -> None:
        for topic in ("/a", "/camera/color", "/camera/depth", "/b"):
            bus.publish(topic, b"x")

    with rec.recording():
        publish()
    assert list(rec.topics) == ["/a", "/camera/color", "/camera/depth", "/b"]
    rec.add_topic("/a", "/camera/*")
    rec.remove_topic("/camera/depth")
    with rec.recording(overwrite=True):
        publish()
    assert list(rec.topics) == ["/a", "/camera/color"]


def test_to_add_while_all_is_recorded_takes_nothing_away(rec: RecordReplay, bus: Bus) -> None:
    with rec.recording():
        rec.add_topic("/a")
        bus.publish("/a", b"x")
        bus.publish("/b", b"x")
    assert list(rec.topics) == ["/a", "/b"]


def test_to_remove_what_was_added_last_does_not_record_all(rec: RecordReplay, bus: Bus) -> None:
    rec.add_topic("/a")
    with rec.recording():
        rec.remove_topic("/a")
        bus.publish("/a", b"x")
        bus.publish("/b", b"x")
        rec.add_topic("/a")
        bus.publish("/a", b"y")
    assert recorded(rec) == [b"y"]
    assert list(rec.topics) == ["/a"]


def test_a_pattern_that_is_none_changes_nothing(rec: RecordReplay) -> None:
    rec.add_topic("/a")
    for change in (rec.add_topic, rec.remove_topic):
        with pytest.raises(PatternError):
            change("/b", "/camera/[")
    assert rec.selection.include == ("/a",)
    assert rec.selection.exclude == ()


def test_changing_topics_on_lcm_loses_nothing_of_the_others(tmp_path: Path) -> None:
    url = free_lcm_url() + "&recv_buf_size=4000000"
    going = threading.Event()
    going.set()
    published = 0

    def robot() -> None:
        nonlocal published
        with open_bus(url) as bus:
            while going.is_set():
                bus.publish("/odom#geometry_msgs.PoseStamped", b"%08d" % published)
                bus.publish("/camera/depth", b"%08d" % published)
                published += 1
                threading.Event().wait(0.0005)

    with RecordReplay(tmp_path / "walk.db", bus=url) as rec:
        rec.add_topic("/odom", "/camera/*")
        rec.start_recording()
        thread = threading.Thread(target=robot)
        thread.start()
        for _ in range(20):
            before = published
            rec.remove_topic("/camera/depth")
            wait_until(lambda n=before: published > n + 10)
            before = published
            rec.add_topic("/camera/depth")
            wait_until(lambda n=before: published > n + 10)
        going.clear()
        thread.join()
        wait_until(lambda: rec.progress.accounts["odom"].received == published)
        rec.stop_recording()
        assert recorded(rec, "odom") == [b"%08d" % i for i in range(published)]
        assert 0 < rec.topics["/camera/depth"].count < published
        assert rec.account["odom"].dropped == 0


# --- sessions


def test_a_recording_is_complete_when_the_block_ends(rec: RecordReplay, bus: Bus) -> None:
    with rec.recording() as same:
        assert same is rec
        bus.publish("/a#std_msgs.String", String(data="hello").lcm_encode())
    assert rec.streams.a.first().data.data == "hello"
    assert rec.topics.a.info.type_name == "std_msgs.String"
    summary = rec.info()
    assert summary.self_contained
    assert [session.state for session in summary.sessions] == ["finished"]


def test_an_error_in_the_block_still_finishes_the_file(rec: RecordReplay, bus: Bus) -> None:
    def fail() -> None:
        with rec.recording():
            bus.publish("/a", b"1")
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    assert recorded(rec) == [b"1"]
    assert rec.info().self_contained
    assert rec.info().sessions[0].reason == "stopped"


def test_an_existing_recording_is_not_overwritten_unless_told(rec: RecordReplay, bus: Bus) -> None:
    with rec.recording():
        bus.publish("/a", b"1")
    with pytest.raises(RecordingExists, match=r"walk\.db exists already"):
        rec.start_recording()
    assert recorded(rec) == [b"1"]
    with rec.recording(append=True):
        bus.publish("/a", b"2")
    assert recorded(rec) == [b"1", b"2"]
    assert len(rec.info().sessions) == 2
    assert rec.account["a"].written == 2
    with rec.recording(overwrite=True):
        bus.publish("/a", b"3")
    assert recorded(rec) == [b"3"]


def test_the_account_counts_the_running_session_and_those_before(
    rec: RecordReplay, bus: Bus
) -> None:
    with rec.recording():
        bus.publish("/a", b"1")
    with rec.recording(append=True):
        bus.publish("/a", b"2")
        bus.publish("/b", b"2")
        wait_until(lambda: rec.progress.total.written == 2)
        assert {name: account.written for name, account in rec.account.items()} == {"a": 2, "b": 1}
    assert {name: account.written for name, account in rec.account.items()} == {"a": 2, "b": 1}


def test_to_start_twice_is_refused_and_the_first_goes_on(rec: RecordReplay, bus: Bus) -> None:
    with rec.recording():
        with pytest.raises(RecordingBusy, match=r"stop_recording\(\) first"):
            rec.start_recording(append=True)
        bus.publish("/a", b"1")
    assert recorded(rec) == [b"1"]


def test_nothing_happens_when_there_is_nothing_to_stop(rec: RecordReplay) -> None:
    assert rec.stop_recording() is None
    rec.pause_recording()
    rec.resume_recording()
    rec.stop_playback()
    assert rec.wait_recording(0)
    assert rec.progress is None


def test_pausing_leaves_out_what_comes_meanwhile(rec: RecordReplay, bus: Bus) -> None:
    with rec.recording():
        bus.publish("/a", b"1")
        rec.pause_recording()
        bus.publish("/a", b"2")
        rec.resume_recording()
        bus.publish("/a", b"3")
    assert recorded(rec) == [b"1", b"3"]


def test_a_session_that_reached_its_limit_is_over(rec: RecordReplay, bus: Bus) -> None:
    rec.start_recording(max_messages=2)
    for i in range(5):
        bus.publish("/a", b"%d" % i)
    assert rec.wait_recording(10)
    rec.stream("a").append(b"later")
    assert recorded(rec) == [b"0", b"1", b"later"]
    rec.start_recording(append=True)


def test_a_session_that_cannot_start_leaves_nothing(tmp_path: Path, bus: Bus) -> None:
    with RecordReplay(tmp_path / "none" / "walk.db", bus=bus) as rec:
        with pytest.raises(StorageError, match="no folder"):
            rec.start_recording()
        assert rec.progress is None
    with RecordReplay(tmp_path / "walk.db", bus=bus) as rec:
        with pytest.raises(OptionError):
            rec.start_recording(duration_s=-1)
        with pytest.raises(OptionError, match="codec"):
            rec.start_recording(codecs={"/a": "mp4"})
        rec.start_recording()
    assert [path.name for path in tmp_path.iterdir()] == ["walk.db"]


def test_what_was_recorded_can_be_read_while_it_goes_on_and_after(
    rec: RecordReplay, bus: Bus
) -> None:
    with rec.recording():
        bus.publish("/a", b"1")
        wait_until(lambda: rec.progress.total.written == 1)
        query, one = rec.streams.a, rec.streams.a.first()
        assert rec.topics.a.count == 1
        bus.publish("/a", b"2")
        wait_until(lambda: query.count() == 2)
    assert one.raw == b"1"  # loaded only now, from the finished file
    assert [found.raw for found in query] == [b"1", b"2"]


def test_span_and_duration_are_of_all_topics(ten: RecordReplay) -> None:
    assert ten.span == (1.7e9, 1.7e9 + 9)
    assert ten.duration == 9.0
    assert ten.info().count == 10


def test_an_empty_recording_has_no_span(rec: RecordReplay) -> None:
    with rec.recording():
        pass
    assert (rec.span, rec.duration) == (None, 0.0)
    assert list(rec.topics) == []
    assert rec.account == {}
    assert list(rec.view()) == []
    rec.play(listen_s=0, block=True)


# --- writing from code


def test_code_can_write_bytes_and_messages_with_poses_and_tags(rec: RecordReplay) -> None:
    raw = rec.stream("raw")
    assert raw.append(b"1", ts_ns=T0, pose=(1, 2, 3), tags={"room": "hall"}) == 1
    assert raw.append(bytearray(b"2")) == 2
    text = rec.stream("text", topic="/robot1/text", type_name="std_msgs.String", latched=True)
    text.append(String(data="hello"), ts_ns=T0 + S)
    one = rec.streams.raw.first()
    assert (one.raw, one.ts_ns, one.pose[:3], one.tags) == (b"1", T0, (1, 2, 3), {"room": "hall"})
    info = rec.topics["/robot1/text"].info
    assert (info.name, info.channel, info.latched) == ("text", "/robot1/text#std_msgs.String", True)
    assert rec.streams.text.first().data.data == "hello"


def test_what_does_not_fit_the_stream_is_refused_and_nothing_is_written(rec: RecordReplay) -> None:
    text = rec.stream("text", type_name="std_msgs.String")
    for wrong, says in (
        ({"data": 5}, "not a message"),
        ({"data": b"", "pose": "here"}, "not a pose"),
        ({"data": b"", "tags": {"a": object()}}, "tags must be JSON"),
        ({"data": b"", "tags": {"a": math.nan}}, "tags must be JSON"),
    ):
        with pytest.raises(OptionError, match=says):
            text.append(**wrong)
    with pytest.raises(OptionError, match=r"holds raw bytes, not std_msgs\.String"):
        rec.stream("raw").append(String(data="x"))
    with pytest.raises(OptionError, match="'mp4' cannot be chosen"):
        rec.stream("film", codec="mp4")
    assert rec.streams.text.count() == 0


def test_a_stream_is_found_again_by_its_name_alone(rec: RecordReplay) -> None:
    rec.stream("text", topic="/t", type_name="std_msgs.String").append(String(data="1"))
    rec.close()
    for name in ("text", "/t", "t"):
        rec.stream(name).append(String(data=name))
    rec.stream("text", type_name="std_msgs.String").append(String(data="2"))
    assert list(rec.streams) == ["text"]
    assert [one.data.data for one in rec.streams.text] == ["1", "text", "/t", "t", "2"]
    rec.stream("text", type_name="std_msgs.Time").append(b"")
    assert list(rec.streams) == ["text", "text_2"]


def test_names_that_cannot_be_streams_become_some(rec: RecordReplay) -> None:
    for name, becomes in (("/robot1/odom", "robot1__odom"), ("a b", "a_b"), ("x_blob", "x_blob_")):
        assert rec.stream(name).info.name == becomes
    assert rec.topics.robot1__odom.name == "/robot1/odom"


def test_code_writes_into_the_running_session(rec: RecordReplay, bus: Bus) -> None:
    before = rec.stream("notes")
    before.append(b"before")
    with rec.recording(append=True):
        bus.publish("/a", b"1")
        before.append(b"during")
        rec.stream("notes").append(b"too")
        rec.stream("a").append(b"2")
        wait_until(lambda: rec.progress.accounts["a"].written == 2)
    before.append(b"after")
    assert recorded(rec, "notes") == [b"before", b"during", b"too", b"after"]
    assert sorted(recorded(rec)) == [b"1", b"2"]


def test_code_writes_at_the_time_of_the_session_whatever_the_wall_clock_says(
    rec: RecordReplay, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rec.recording():
        notes = rec.stream("notes")
        bus.publish("/a", b"1")
        monkeypatch.setattr(time, "time_ns", lambda: 0)
        notes.append(b"2")
        monkeypatch.undo()
    assert rec.streams.notes.first().ts_ns >= rec.streams.a.first().ts_ns


def test_code_goes_on_writing_when_a_new_segment_begins(tmp_path: Path, bus: Bus) -> None:
    with RecordReplay(tmp_path / "walk", bus=bus) as rec:
        with rec.recording(split_bytes=1_000_000):
            notes = rec.stream("notes")
            written = 0
            while rec.progress.segments < 4:
                bus.publish("/big", bytes(100_000))
                notes.append(b"%d" % written)
                written += 1
        found = [one.raw for one in rec.select("/notes")]
        assert sorted(map(int, found)) == list(range(written))


def test_several_threads_write_at_once(rec: RecordReplay, bus: Bus) -> None:
    def write(name: str) -> None:
        stream = rec.stream(name)
        for i in range(50):
            stream.append(b"%d" % i)

    with rec.recording():
        threads = [threading.Thread(target=write, args=(name,)) for name in "wxyz"]
        for thread in threads:
            thread.start()
        for i in range(200):
            bus.publish("/a", b"%d" % i)
        for thread in threads:
            thread.join()
    for name in "wxyz":
        assert recorded(rec, name) == [b"%d" % i for i in range(50)]
    assert recorded(rec) == [b"%d" % i for i in range(200)]
    numbers = [one.seq for one in rec.view()]
    assert len(set(numbers)) == 400


# --- playing


def test_play_returns_at_once_or_waits(ten: RecordReplay) -> None:
    player = ten.play(speed=0.001, listen_s=0)
    assert player is ten.player
    assert player.state == "playing"
    ten.stop_playback()
    assert ten.player is None
    assert play_all(ten.seek(0)) == [(f"/{'ab'[i % 2]}", b"%d" % i) for i in range(10)]
    assert ten.player.state == "finished"


def test_commands_reach_the_player(ten: RecordReplay) -> None:
    with Collector(ten.bus) as seen:
        ten.play(paused=True, listen_s=0)
        assert ten.play_next(3) == 3
        assert ten.get_seek() == 2.0
        assert ten.play_previous(2) == 2
        assert ten.seek(7.5) is ten
        assert ten.get_seek() == 7.5
        ten.play_next()
        ten.loop(1, 3)
        ten.loop(None)
        ten.resume()
        ten.pause()
        assert [data for _, data in seen.messages][:6] == [b"0", b"1", b"2", b"2", b"1", b"8"]


def test_commands_without_a_player_say_so(ten: RecordReplay) -> None:
    for command in (ten.pause, ten.resume, ten.play_next, ten.play_previous, lambda: ten.loop(0)):
        with pytest.raises(OptionError, match=r"call play\(\) first"):
            command()


@pytest.mark.parametrize("seconds", [-math.inf, math.nan, math.inf])
def test_positions_that_are_none_are_refused(ten: RecordReplay, seconds: float) -> None:
    with pytest.raises(OptionError, match="seek"):
        ten.seek(seconds)


def test_seek_before_playing_is_where_playing_begins(ten: RecordReplay) -> None:
    assert ten.seek(6.5).get_seek() == 6.5
    assert [data for _, data in play_all(ten)] == [b"7", b"8", b"9"]


def test_playing_goes_on_where_it_was_stopped_and_begins_anew_at_the_end(ten: RecordReplay) -> None:
    ten.play(paused=True, listen_s=0)
    ten.play_next(4)
    ten.stop_playback()
    assert ten.get_seek() == 3.0
    with Collector(ten.bus) as seen:
        ten.play(paused=True, listen_s=0)
        ten.play(math.inf, listen_s=0, block=True)  # while the other player is still there
        assert [data for _, data in seen.messages][-1] == b"9"
        assert len(seen.messages) == 7
    assert len(play_all(ten)) == 10


def test_seek_counts_after_the_player_itself_was_stopped(ten: RecordReplay) -> None:
    with ten.play(paused=True, listen_s=0):
        ten.play_next(4)
    assert ten.seek(6.5).get_seek() == 6.5
    assert [data for _, data in play_all(ten)] == [b"7", b"8", b"9"]


def test_a_chain_begins_where_seek_was_and_not_where_playing_stopped(ten: RecordReplay) -> None:
    ten.play(paused=True, listen_s=0)
    ten.play_next(4)
    assert ten.every(1).count() == 10
    ten.stop_playback()
    assert ten.every(1).count() == 10
    assert ten.seek(4).every(1).count() == 6
    assert ten.seek(0).every(1).count() == 10


def test_topics_are_chosen_with_patterns(ten: RecordReplay) -> None:
    assert {topic for topic, _ in play_all(ten, topics="/a")} == {"/a"}
    assert {topic for topic, _ in play_all(ten, exclude="/a")} == {"/b"}
    with pytest.raises(DimosRecordError, match="/lidar"):
        ten.play(topics="/lidar")


def test_options_that_make_no_sense_leave_what_is_playing_alone(ten: RecordReplay) -> None:
    player = ten.play(paused=True, listen_s=0)
    for wrong in ({"speed": 0}, {"start_s": 100}, {"start_s": 5, "end_s": 4}):
        with pytest.raises(OptionError):
            ten.play(**wrong)
    assert ten.player is player
    assert player.state == "paused"


def test_a_publisher_in_the_way_is_refused_and_leaves_no_player(ten: RecordReplay) -> None:
    done = threading.Event()

    def publish() -> None:
        while not done.wait(0.001):
            ten.bus.publish("/a", b"live")

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        with pytest.raises(PublisherConflict, match="/a"):
            ten.play(listen_s=0.2)
    finally:
        done.set()
        thread.join()
    assert ten.player is None
    assert not [t for t in threading.enumerate() if t.name.startswith("replay-")]


def test_an_error_while_playing_is_raised_when_playback_is_stopped(ten: RecordReplay) -> None:
    view = ten.map(lambda one: one.derive(data=1 / (int(one.raw) - 3)))
    with pytest.raises(DimosRecordError, match="not a message"):
        view.play(math.inf, listen_s=0, block=True)
    assert ten.player is None
    player = ten.filter(lambda one: 1 / (int(one.raw) - 3)).play(math.inf, listen_s=0)
    wait_until(lambda: player.state == "stopped")
    with pytest.raises(ZeroDivisionError):
        ten.stop_playback()
    assert len(play_all(ten.seek(0))) == 10


def test_a_recording_is_played_while_it_is_added_to(ten: RecordReplay, bus: Bus) -> None:
    ten.add_topic("/answer")
    with ten.recording(append=True):
        bus.publish("/answer", b"1")
        wait_until(lambda: "/answer" in ten.topics)
        assert len(play_all(ten, topics=["/a", "/b"])) == 10
        assert play_all(ten, topics="/answer") == [("/answer", b"1")]
        assert play_all(ten, topics="/answer", remap={"/answer": "/old"})[0][0] == "/old"
        player = ten.play(speed=0.001, topics="/a", listen_s=0)
        bus.publish("/answer", b"2")
    assert player.state == "playing"  # it outlives the session
    assert player.play_next(3) == 3
    ten.stop_playback()
    assert recorded(ten, "answer") == [b"1", b"2"]
    assert ten.topics.a.count == 5


def test_a_recording_that_is_played_can_be_added_to_but_not_replaced(
    ten: RecordReplay, bus: Bus
) -> None:
    ten.add_topic("/new")
    player = ten.play(paused=True, listen_s=0)
    with pytest.raises(RecordingBusy, match=r"is being played; stop_playback\(\) first"):
        ten.start_recording(overwrite=True)
    with ten.recording(append=True):
        bus.publish("/new", b"x")
        assert player.play_next(3) == 3
    assert player.play_next(100) == 7
    ten.stop_playback()
    assert recorded(ten, "new") == [b"x"]


# --- closing


def test_close_ends_recording_and_playing(ten: RecordReplay, tmp_path: Path, bus: Bus) -> None:
    ten.add_topic("/new")
    ten.start_recording(append=True)
    bus.publish("/new", b"1")
    ten.play(speed=0.001, topics="/a", listen_s=0)
    ten.close()
    ten.close()
    assert not [t for t in threading.enumerate() if "dimos-record" in t.name or "replay" in t.name]
    assert [path.name for path in tmp_path.iterdir()] == ["walk.db"]
    assert recorded(ten, "new") == [b"1"]


def test_an_error_while_closing_still_releases_all(ten: RecordReplay, tmp_path: Path) -> None:
    player = ten.filter(lambda one: 1 / 0).play(listen_s=0)
    wait_until(lambda: player.state == "stopped")
    ten.stream("a").append(b"more")
    with pytest.raises(ZeroDivisionError):
        ten.close()
    assert [path.name for path in tmp_path.iterdir()] == ["walk.db"]
    assert open_files(tmp_path) == set()


def open_files(folder: Path) -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.add(target)
    return found


@pytest.mark.once
def test_ten_rounds_leave_no_thread_and_no_handle(tmp_path: Path) -> None:
    def one_round(number: int) -> None:
        url = free_lcm_url()
        with RecordReplay(tmp_path / f"{number}.db", bus=url) as rec:
            with rec.recording():
                rec.bus.publish("/a", b"1")
                rec.stream("notes").append(b"2", ts_ns=T0)
                wait_until(lambda: "a" in rec.progress.accounts)
            rec.streams.a.observable().subscribe(lambda one: None)
            assert rec.select("/a").count() == 1
            rec.play(math.inf, listen_s=0, block=True)
            rec.map(lambda one: one).save(tmp_path / f"{number}-saved.db")
            next(iter(rec.view()))
            rec.play(speed=0.001, listen_s=0)

    one_round(0)
    with nothing_left_behind():
        for number in range(1, 11):
            one_round(number)
        gc.collect()


# --- a store of one's own


class LoggingStore:
    """A store that a user wrote, around files."""

    def __init__(self, path: Path) -> None:
        self.name = f"logged {path.name}"
        self.calls: list[str] = []
        self._files = FileStore(path)

    def exists(self) -> bool:
        return self._files.exists()

    def reader(self) -> QueryableReader:
        self.calls.append("reader")
        return self._files.reader()

    def target(
        self, *, split: bool = False, append: bool = False, overwrite: bool = False
    ) -> Target:
        self.calls.append(f"target append={append}")
        return self._files.target(split=split, append=append, overwrite=overwrite)

    def close(self) -> None:
        self.calls.append("close")


def test_a_store_of_ones_own_is_used_for_everything(tmp_path: Path, bus: Bus) -> None:
    store = LoggingStore(tmp_path / "x.db")
    with RecordReplay(store=store, bus=bus) as rec:
        with rec.recording():
            bus.publish("/a", b"1")
        rec.stream("a").append(b"2")
        assert recorded(rec) == [b"1", b"2"]
        with rec.recording(append=True), pytest.raises(RecordingBusy, match=r"logged x\.db"):
            rec.fill_poses()
        assert len(play_all(rec)) == 2
    assert store.calls[:2] == ["target append=False", "target append=True"]
    assert "reader" in store.calls
    assert "close" not in store.calls  # it belongs to who made it

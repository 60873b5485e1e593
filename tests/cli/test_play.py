"""`dimos-record play` as a process, on real LCM, without a terminal."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dimos_lcm.geometry_msgs import PoseStamped
from dimos_lcm.std_msgs import Header, Time

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.cli.play_line import play_line
from dimos_record.replay.stats import PlayStats
from dimos_record.testing import Collector, free_lcm_url
from tests.cli.commands import T0, Running, S, run, write_recording

FAST = ("--speed", "50", "--force")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s: 201 messages on /odom, 21 on /slow."""
    return write_recording(tmp_path_factory.mktemp("play") / "walk.db")


@pytest.fixture
def url() -> str:
    return free_lcm_url() + "&recv_buf_size=4000000"


@pytest.fixture
def received(url: str) -> Iterator[Collector]:
    with open_bus(url) as bus, Collector(bus) as collector:
        yield collector


def data(messages: list[tuple[str, bytes]], channel: str = "/odom") -> list[bytes]:
    return [payload for name, payload in messages if name == channel]


def plain(stderr: str) -> list[str]:
    """Its lines, without the warnings that a busy machine may cause."""
    return [line for line in stderr.splitlines() if not line.startswith("warning: ")]


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, last + 1)]


# --- what is said, and where


def test_every_message_arrives_and_two_plain_lines_say_so(
    walk: Path, url: str, received: Collector
) -> None:
    done = run("play", walk, "--bus", url, "--speed", "50")
    assert done.returncode == 0, done.stderr
    messages = received.wait_for(222)
    assert data(messages) == numbers(0, 200)
    assert data(messages, "/slow") == [b"s%d" % i for i in range(21)]
    assert done.stdout == ""
    first, last = plain(done.stderr)
    port = re.search(r":(\d+)\?", url)
    assert port
    assert first == (
        f"Playing {walk} (20.0 s, 2 topics, 222 messages) "
        f"to LCM 239.255.76.67:{port[1]} (this machine only)"
    )
    assert re.fullmatch(r"Published 222 messages, 546 B, in \S+ m?s; .*late.*", last)
    assert all(char.isprintable() or char == "\n" for char in done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_playback_cleanly(walk: Path, url: str, number: int) -> None:
    with Running("play", walk, "--bus", url, "--force") as playing:
        playing.wait_for("Playing")
        code, out = playing.end(number)
    assert (code, out) == (0, "")
    assert re.search(r"^Stopped at 0:\S+; published \d+ messages", playing.stderr, re.MULTILINE)
    assert "Traceback" not in playing.stderr


def test_paused_without_a_keyboard_publishes_nothing(walk: Path, url: str) -> None:
    with Running("play", walk, "--bus", url, "--force", "--paused") as playing:
        playing.wait_for("Playing")
        playing.end(signal.SIGTERM)
    assert "Stopped at 0:00.0; published 0 messages, 0 B" in playing.stderr


# --- what is played


def test_topics_are_selected_and_left_out(walk: Path, url: str, received: Collector) -> None:
    done = run("play", walk, "/o*", "slow", "-x", "/slow", "--bus", url, *FAST)
    assert "1 of 2 topics, 201 messages" in done.stderr
    assert {channel for channel, _ in received.wait_for(201)} == {"/odom"}


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (("--start", "10"), 100, 200),
        (("--start", "-5", "--end", "-3"), 150, 169),
        (("--start", "0:01.5", "--end", "0:02"), 15, 19),
        (("--start", "-1:00", "--end", "500ms"), 0, 4),
    ],
)
def test_a_section_is_played(
    walk: Path, url: str, received: Collector, options: tuple[str, ...], first: int, last: int
) -> None:
    done = run("play", walk, "/odom", *options, "--bus", url, *FAST)
    expected = numbers(first, last)
    assert f"{len(expected)} messages from " in done.stderr
    assert data(received.wait_for(len(expected))) == expected


def test_named_topics_are_restored_when_playing_from_the_middle(
    walk: Path, url: str, received: Collector
) -> None:
    run("play", walk, "--start", "19.95", "--latched", "/sl*", "--bus", url, *FAST)
    assert received.wait_for(3) == [("/slow", b"s19"), ("/odom", b"200"), ("/slow", b"s20")]


@pytest.mark.parametrize(
    ("options", "section"),
    [
        (("--loop", "--start", "19", "--end", "19.5"), numbers(190, 194)),
        (("--ab", "-1,19.5"), numbers(190, 194)),
        (("--ab", "19.6,"), numbers(196, 200)),
    ],
)
def test_a_loop_is_played_until_it_is_stopped(
    walk: Path, url: str, received: Collector, options: tuple[str, ...], section: list[bytes]
) -> None:
    with Running("play", walk, "/odom", *options, "--bus", url, *FAST) as playing:
        messages = received.wait_for(15)
        code, _ = playing.end(signal.SIGTERM)
    assert code == 0
    assert data(messages)[:15] == section * 3


def test_topics_are_published_under_other_names(walk: Path, url: str, received: Collector) -> None:
    remap = ("--remap", "/odom=/old/odom", "--remap", "/s*=/sim/s*")
    run("play", walk, "--end", "1", *remap, "--bus", url, *FAST)
    assert {channel for channel, _ in received.wait_for(11)} == {"/old/odom", "/sim/slow"}


def test_as_fast_as_possible(walk: Path, url: str, received: Collector) -> None:
    done = run("play", walk, "--speed", "max", "--bus", url, "--force")
    assert done.returncode == 0
    assert data(received.wait_for(222)) == numbers(0, 200)


def test_stamps_are_shifted_to_now_and_the_time_of_playback_is_published(
    tmp_path: Path, url: str, received: Collector
) -> None:
    with RecordReplay(tmp_path / "old.db") as rec:
        stamp = Time(sec=1_700_000_000, nsec=5)
        message = PoseStamped(header=Header(stamp=stamp, frame_id="map"))
        stream = rec.stream("pose", type_name="geometry_msgs.PoseStamped")
        stream.append(message, ts_ns=T0)
        stream.append(message, ts_ns=T0 + S // 10)
    began_s = time.time()
    run("play", rec.store.name, "--restamp", "--clock", "/clock", "--bus", url, "--force")
    messages = received.wait_for(3)
    poses = data(messages, "/pose#geometry_msgs.PoseStamped")
    assert poses
    assert PoseStamped.lcm_decode(poses[0]).header.stamp.sec >= int(began_s)
    assert data(messages, "/clock#std_msgs.Time")


def test_pacing_on_stamps_follows_the_order_of_the_stamps(
    tmp_path: Path, url: str, received: Collector
) -> None:
    with RecordReplay(tmp_path / "late.db") as rec:
        stream = rec.stream("pose", type_name="geometry_msgs.PoseStamped")
        for received_ms, stamp_ms in ((100, 30), (110, 20), (120, 10)):
            stamp = Time(sec=1_700_000_000, nsec=stamp_ms * 1_000_000)
            message = PoseStamped(header=Header(stamp=stamp, frame_id=str(stamp_ms)))
            stream.append(message, ts_ns=T0 + received_ms * 1_000_000)
        rec.stream("first").append(b"", ts_ns=T0)
    run("play", rec.store.name, "/pose", "--pace", "stamp", "--bus", url, *FAST)
    frames = [PoseStamped.lcm_decode(one).header.frame_id for _, one in received.wait_for(3)]
    assert frames == ["10", "20", "30"]


# --- what cannot be published


@pytest.fixture
def with_numbers(tmp_path: Path) -> Path:
    """A recording of /odom, to which dimos added a stream of plain numbers."""
    path = write_recording(tmp_path / "numbers.db", seconds=1)
    columns = "id INTEGER PRIMARY KEY, ts REAL, pose_x, pose_y, pose_z, pose_qx, pose_qy, pose_qz"
    config = {"payload_module": "builtins.float", "codec_id": "lcm"}
    with sqlite3.connect(path) as file:
        file.execute(f"CREATE TABLE battery ({columns}, pose_qw, value REAL, tags)")
        file.execute("CREATE TABLE battery_blob (id INTEGER PRIMARY KEY, data BLOB)")
        for i in range(3):
            ts = T0 / 1e9 + i * 0.1
            file.execute("INSERT INTO battery (ts, value) VALUES (?, ?)", (ts, 0.5))
        file.execute("INSERT INTO _streams VALUES ('battery', ?)", (json.dumps(config),))
    file.close()
    return path


def test_plain_numbers_are_left_out_and_named(
    with_numbers: Path, url: str, received: Collector
) -> None:
    done = run("play", with_numbers, "--bus", url, *FAST)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 topics, 13 messages" in done.stderr
    assert "Not played: /battery; plain numbers have no bytes to publish" in done.stderr
    assert "Published 13 messages" in done.stderr
    assert {channel for channel, _ in received.wait_for(13)} == {"/odom", "/slow"}


def test_asking_for_plain_numbers_is_an_error(with_numbers: Path, url: str) -> None:
    done = run("play", with_numbers, "/odom", "/bat*", "--bus", url, *FAST)
    assert done.returncode == 2
    assert "'/bat*' holds plain numbers" in done.stderr


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--speed", "0"), 2, "--speed '0': write a number above 0"),
        (("--speed", "-1"), 2, "--speed '-1': write a number above 0"),
        (("--speed", "nan"), 2, "--speed 'nan': write a number above 0"),
        (("--speed", "fast"), 2, "--speed 'fast': write a number above 0"),
        (("--start", "soon"), 2, "--start: 'soon' is not a time"),
        (("--start", "60"), 2, "--start (60 s) lies beyond the end of"),
        (("--start", "5", "--end", "4"), 2, "--end (4.0 s) must be after --start"),
        (("--ab", "5"), 2, "--ab '5': write A,B"),
        (("--ab", "9,5"), 2, "the loop's end (5.0 s) must be after"),
        (("--ab", "1,2", "--loop"), 2, "--loop and --ab contradict each other"),
        (("--delay", "-1"), 2, "--delay: '-1' is not a time"),
        (("--remap", "/odom"), 2, "--remap '/odom': write FROM=TO"),
        (("--remap", "/nope=/x"), 2, "--remap '/nope' matches no topic"),
        (("--pace", "wall"), 2, "--pace 'wall' is unknown"),
        (("--clock", "/clock#std_msgs.String"), 2, "--clock '/clock#std_msgs.String'"),
        (("--clock", "/clock", "--clock-hz", "0"), 2, "--clock-hz 0.0 makes no sense"),
        (("-x", "*"), 2, "--exclude leaves no topic to play"),
        (("[",), 2, "topic pattern '['"),
        (("/nope",), 6, "no topic matches '/nope'; it has /odom, /slow"),
        (("--bus", "carrier://pigeon"), 7, "carrier"),
        (("--remap", "/odom=/" + "long" * 20), 7, "long"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    walk: Path, url: str, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = run("play", walk, "--bus", url, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_that_are_no_recordings_are_refused(tmp_path: Path, url: str) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a recording")
    for path, code in ((tmp_path / "missing.db", 3), (text, 4), (tmp_path, 4)):
        done = run("play", path, "--bus", url)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("error: ")
        assert path.name in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_topic_that_somebody_publishes_is_refused_unless_forced(walk: Path, url: str) -> None:
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.02):
            bus.publish("/odom#nav_msgs.Odometry", b"live")

    with open_bus(url) as bus:
        robot = threading.Thread(target=publish)
        robot.start()
        try:
            refused = run("play", walk, "--speed", "50", "--bus", url)
            others = run("play", walk, "-x", "/odom", "--speed", "50", "--bus", url)
            forced = run("play", walk, *FAST, "--bus", url)
        finally:
            over.set()
            robot.join()
    assert refused.returncode == 8
    assert re.search(r"somebody is publishing /odom \(.*--force", refused.stderr)
    assert "Playing" not in refused.stderr
    assert (others.returncode, forced.returncode) == (0, 0)


def test_commands_do_not_leave_this_machine_unless_allowed(tmp_path: Path, url: str) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        rec.stream("cmd_vel").append(b"forward", ts_ns=T0)
        rec.stream("odom").append(b"0", ts_ns=T0 + 10 * S)
    # of the section nothing is published, so that nothing does leave this machine
    quiet = ("play", tmp_path / "walk.db", "--start", "3", "--end", "4", "--force", "--bus")
    far = url.replace("ttl=0", "ttl=1")
    refused = run(*quiet, far)
    assert (refused.returncode, refused.stdout) == (8, "")
    assert re.fullmatch(
        r"error: \S+walk\.db would publish commands on /cmd_vel, and LCM \S+ "
        r"\(this network, ttl=1\) reaches .* or allow them with --allow-commands\n",
        refused.stderr,
    )
    for allowed in ((far, "--allow-commands"), (far, "-x", "/cmd_vel"), (url,)):
        done = run(*quiet, *allowed)
        assert done.returncode == 0, done.stderr
        assert "published 0 messages" in done.stderr.lower()
    more = run(*quiet, far, "--command-topic", "/od*")
    assert more.returncode == 8
    assert "on /cmd_vel, /odom, and" in more.stderr


# --- the progress line, and times


def stats(**changes: Any) -> PlayStats:
    figures: dict[str, Any] = {
        "state": "playing",
        "position_s": 4.2,
        "duration_s": 12.3,
        "rate": 1.0,
        "published": 100,
        "bytes": 1000,
        "topics": {},
        "messages_per_s": 446.4,
        "next_due_s": 0.31,
        "late": 3,
        "max_late_s": 0.1,
        "mean_late_s": 0.05,
        "skipped_stamps": 0,
        "unshifted": 0,
    }
    return PlayStats(**{**figures, **changes})


def test_the_progress_line_shows_all_there_is_to_know() -> None:
    line = play_line(stats(), "A-B", (3.0, 6.0), 79)
    assert line.startswith("playing 0:04.2 / 0:12.3  ━")
    for part in ("1x", "446 msg/s", "next 0.3 s", "3 late", "A-B"):
        assert part in line
    bar = re.search(r"[━╸─AB]{10,}", line)
    assert bar
    assert bar[0].index("A") < bar[0].index("╸") < bar[0].index("B")


@pytest.mark.parametrize("width", [20, 40, 60, 79, 119])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"duration_s": 0.0, "position_s": 0.0},
        {"duration_s": 36_000.0, "position_s": 35_999.9, "rate": float("inf")},
        {"messages_per_s": 123_456.7, "late": 1_234_567, "next_due_s": 3600.0},
    ],
)
def test_the_progress_line_fits(changes: dict[str, Any], width: int) -> None:
    line = play_line(stats(**changes), "A 9:59:59", (0.0, 35_999.0), width)
    assert len(line) <= width
    assert line.startswith("playing ")

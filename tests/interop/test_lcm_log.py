"""LCM event logs: ours for the tools of LCM, theirs for us, and what is left of damaged ones."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lcm
import pytest

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import NotARecording, RecordingNotFound, StorageError
from dimos_record.interop.exporting import Loss
from dimos_record.interop.importing import import_file
from dimos_record.interop.lcm_log import LcmLogImport
from dimos_record.testing import free_lcm_url
from tests.cli.commands import until

T0_US = 1_700_000_000_000_000
HEADER_BYTES = 28
needs_tools = pytest.mark.skipif(
    shutil.which("lcm-logger") is None, reason="needs lcm-logger and lcm-logplayer (liblcm-bin)"
)


class Event(NamedTuple):
    """What goes into a log."""

    time_us: int
    channel: str
    data: bytes


def numbered(count: int) -> list[Event]:
    """Messages of several sizes on two channels, one of them without a type."""
    channels = ("/odom#geometry_msgs.PoseStamped", "RAW")
    return [
        Event(T0_US + i * 1000, channels[i % 2], b"%d:" % i + bytes(range(i % 60)))
        for i in range(count)
    ]


def write_log(path: Path, events: Sequence[Event]) -> Path:
    """Write a log as LCM does."""
    log = lcm.EventLog(str(path), "w", overwrite=True)
    for event in events:
        log.write_event(*event)
    log.close()
    return path


def places(events: Sequence[Event]) -> list[int]:
    """Where each event begins in the log, and where the log ends."""
    at = [0]
    for event in events:
        at.append(at[-1] + HEADER_BYTES + len(event.channel) + len(event.data))
    return at


def read_log(path: Path) -> list[Event]:
    """Read a log as LCM does."""
    return [Event(one.timestamp, one.channel, one.data) for one in lcm.EventLog(str(path))]


def read_ours(path: Path) -> tuple[list[Event], int]:
    """Read a log as the import does: what is in it, and how many messages are missed."""
    with LcmLogImport(path) as source:
        events = [
            Event(one.ts_ns // 1000, one.channel or "", one.data) for one in source.messages()
        ]
        missed = sum(one.count for one in source.problems if not one.imported)
        assert source.done == source.total == path.stat().st_size
    return events, missed


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two topics in whole microseconds."""
    path = tmp_path / "walk.db"
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        raw = rec.stream("raw", topic="RAW")
        for time_us, channel, data in numbered(100):
            (raw if channel == "RAW" else odom).append(data, ts_ns=time_us * 1000)
    return path


def test_lcm_reads_our_log(recording: Path, tmp_path: Path) -> None:
    with RecordReplay(recording) as rec:
        report = rec.export(tmp_path / "walk.lcm")
    assert (report.format, report.messages, report.losses) == ("lcm", 100, ())
    assert report.bytes == (tmp_path / "walk.lcm").stat().st_size
    assert read_log(tmp_path / "walk.lcm") == numbered(100)


def test_our_log_is_the_very_file_that_lcm_writes(recording: Path, tmp_path: Path) -> None:
    with RecordReplay(recording) as rec:
        rec.export(tmp_path / "ours.lcm")
    theirs = write_log(tmp_path / "theirs.lcm", numbered(100))
    assert (tmp_path / "ours.lcm").read_bytes() == theirs.read_bytes()


def test_a_log_of_lcm_becomes_a_recording(recording: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "lcmlog-2026-11-20.00", numbered(100))
    report = import_file(log, tmp_path / "again.db")
    assert (report.format, report.count, report.total) == ("lcm", 100, 100)
    assert report.problems == ()
    with RecordReplay(recording) as rec:
        compared = rec.compare(tmp_path / "again.db")
        assert compared.equal
        assert compared.offset_ns == 0
    with RecordReplay(tmp_path / "again.db") as again:
        assert [row.ts_ns // 1000 for row in again.view().rows()] == [
            event.time_us for event in numbered(100)
        ]


def test_what_a_log_cannot_carry_is_said(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        odom = rec.stream("odom")
        odom.append(b"1", ts_ns=T0_US * 1000 + 999, pose=(1, 2, 3, 0, 0, 0, 1))
        odom.append(b"2", ts_ns=T0_US * 1000 + 1000, tags={"good": True})
        rec.stream("n" * 80).append(b"3", ts_ns=T0_US * 1000 + 2000)
        rec.add_marker(0.0, "here")
        report = rec.export(tmp_path / "walk.lcm")
    assert report.losses == (
        Loss("", "markers", 1),
        Loss("/" + "n" * 80, "a name of more than 63 bytes, which LCM does not play", 1),
        Loss("/odom", "poses", 1),
        Loss("/odom", "tags", 1),
        Loss("/odom", "times below a microsecond", 1),
    )
    assert [event.time_us - T0_US for event in read_log(tmp_path / "walk.lcm")] == [0, 1, 2]


@needs_tools
def test_lcm_logplayer_plays_our_log_into_our_recorder(recording: Path, tmp_path: Path) -> None:
    url = free_lcm_url()
    with RecordReplay(recording) as rec:
        rec.export(tmp_path / "walk.lcm")
    player = ["lcm-logplayer", f"--lcm-url={url}", "--speed=2", str(tmp_path / "walk.lcm")]
    with RecordReplay(tmp_path / "heard.db", bus=url) as heard:
        with heard.recording():
            subprocess.run(player, check=True, capture_output=True, timeout=60)
            until(lambda: heard.progress.total.received == 100, "all messages")
        with RecordReplay(recording) as rec:
            assert rec.compare(tmp_path / "heard.db").equal


@needs_tools
@pytest.mark.once
def test_what_lcm_logger_logged_until_it_was_killed_is_imported(tmp_path: Path) -> None:
    url, log = free_lcm_url(), tmp_path / "logged"
    logger = subprocess.Popen(
        ["lcm-logger", f"--lcm-url={url}", "-q", "--flush-interval=10", str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        with open_bus(url) as bus:

            def has_logged_some() -> bool:
                for event in numbered(20):
                    bus.publish(event.channel, event.data)
                bus.publish("LARGE", bytes(10_000))
                return log.exists() and log.stat().st_size > 100_000

            until(has_logged_some, "that lcm-logger hears us")
    finally:
        os.killpg(logger.pid, signal.SIGKILL)  # what pip installs is a script that starts another
        logger.communicate()  # ends when the last of them has ended
    import_file(log, tmp_path / "out.db")
    there = read_log(log)  # it loses some of what comes at once
    with RecordReplay(tmp_path / "out.db") as rec:
        found = [(row.stream.channel, row.data) for row in rec.view().rows()]
    assert sorted(found) == sorted((one.channel, one.data) for one in there)
    assert len(found) > 10


def test_a_log_that_is_cut_off_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    events = numbered(5)
    whole, at = write_log(tmp_path / "whole", events).read_bytes(), places(events)
    cut = tmp_path / "cut"
    for size in range(at[2], at[5] + 1):
        cut.write_bytes(whole[:size])
        there = max(i for i in range(6) if at[i] <= size)
        found, missed = read_ours(cut)
        assert found == events[:there]
        assert missed == (size not in at)


def test_the_topic_that_is_cut_off_is_named(tmp_path: Path) -> None:
    log = write_log(tmp_path / "cut.lcm", numbered(3))
    log.write_bytes(log.read_bytes()[:-1])
    (problem,) = import_file(log, tmp_path / "out.db").problems
    assert (problem.topic, problem.count, problem.imported) == ("/odom", 1, False)
    assert "in the middle" in problem.reason


@pytest.mark.parametrize("field", [0, 20, 24], ids=["sync", "length of name", "length of data"])
@pytest.mark.parametrize("number", [0, 7, 19])
def test_a_damaged_header_costs_its_message_and_at_most_the_one_before(
    tmp_path: Path, field: int, number: int
) -> None:
    events = numbered(20)
    log = write_log(tmp_path / "damaged.lcm", events)
    content = bytearray(log.read_bytes())
    content[places(events)[number] + field + 1] ^= 0x40
    log.write_bytes(content)
    found, missed = read_ours(log)
    first = max(0, number - 1) if field == 0 else number
    assert found == events[:first] + events[number + 1 :]
    assert missed == number + 1 - first or number == 19


def test_a_stretch_of_zeros_costs_what_is_in_it(tmp_path: Path) -> None:
    events = numbered(50)
    log, at = write_log(tmp_path / "damaged.lcm", events), places(events)
    content = bytearray(log.read_bytes())
    content[at[10] : at[30] - 3] = bytes(at[30] - 3 - at[10])
    log.write_bytes(content)
    found, missed = read_ours(log)
    assert found == events[:9] + events[30:]  # nothing tells that the tenth is whole
    assert missed == 21


def test_damage_anywhere_never_costs_a_message_that_it_does_not_touch(tmp_path: Path) -> None:
    events = numbered(40)
    whole, at = write_log(tmp_path / "whole", events).read_bytes(), places(events)
    damaged, chance = tmp_path / "damaged", random.Random(5)
    for _ in range(150):
        content, touched = bytearray(whole), set()
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(whole))
            content[place] ^= 1 << chance.randrange(8)
            number = max(i for i in range(40) if at[i] <= place)
            touched |= {number, number - 1} if place < at[number] + 4 else {number}
        damaged.write_bytes(content)
        found, missed = read_ours(damaged)
        there = {event.data for event in found}
        assert {event.data for i, event in enumerate(events) if i not in touched} <= there
        assert len(found) + missed == 40 or missed > 0


def test_a_log_inside_of_a_message_is_left_alone(tmp_path: Path) -> None:
    inner = write_log(tmp_path / "inner", numbered(3)).read_bytes()
    events = [Event(T0_US, "LOGS", inner), Event(T0_US + 1, "LOGS", b"\xed\xa1\xda\x01")]
    assert read_ours(write_log(tmp_path / "outer", events)) == (events, 0)


@pytest.mark.once
def test_messages_larger_than_what_is_read_at_once_arrive(tmp_path: Path) -> None:
    large = random.Random(1).randbytes(9_000_001)
    events = [Event(T0_US, "A", large), Event(T0_US, "B", b""), Event(T0_US, "A", large[:-1])]
    log = write_log(tmp_path / "large.lcm", events)
    assert read_ours(log) == (events, 0)
    content = log.read_bytes()
    log.write_bytes(content[:24] + struct.pack(">i", 2_000_000_000) + content[28:])
    assert read_ours(log) == (events[1:], 1)


def test_messages_keep_their_order_where_the_log_has_times_a_little_too_early(
    tmp_path: Path,
) -> None:
    times_us = [0, 5000, 2000, 6000, 5999]
    events = [Event(T0_US + t, "A", b"%d" % i) for i, t in enumerate(times_us)]
    report = import_file(write_log(tmp_path / "a.lcm", events), tmp_path / "out.db")
    (problem,) = report.problems
    assert (problem.topic, problem.count, problem.imported) == ("A", 2, True)
    with RecordReplay(tmp_path / "out.db") as rec:
        rows = list(rec.view().rows())
    assert [row.data for row in rows] == [b"0", b"1", b"2", b"3", b"4"]
    assert [row.ts_ns // 1000 - T0_US for row in rows] == [0, 5000, 5000, 6000, 6000]


def test_a_clock_that_was_set_back_is_said(tmp_path: Path) -> None:
    times_us = [0, 3_600_000_000, 1_000_000, 2_000_000]
    events = [Event(T0_US + t, "A", b"%d" % i) for i, t in enumerate(times_us)]
    report = import_file(write_log(tmp_path / "a.lcm", events), tmp_path / "out.db")
    assert "set back" in report.problems[0].reason
    with RecordReplay(tmp_path / "out.db") as rec:
        assert [row.data for row in rec.view().rows()] == [b"0", b"2", b"3", b"1"]


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("no event in here\n" * 1000)
    with pytest.raises(NotARecording, match=r"notes\.log is no LCM event log"):
        import_file(tmp_path / "notes.log", tmp_path / "out.db")
    with pytest.raises(RecordingNotFound, match=r"none\.lcm"):
        LcmLogImport(tmp_path / "none.lcm")
    with pytest.raises(NotARecording, match="folder"):
        LcmLogImport(tmp_path)
    assert not (tmp_path / "out.db").exists()


@pytest.mark.parametrize("choice", [{"topics": "/nope"}, {"section": (1000, None)}])
def test_an_import_can_be_cancelled_while_it_passes_messages_over(
    tmp_path: Path, choice: dict[str, Any]
) -> None:
    log = write_log(tmp_path / "log", numbered(600))
    seen: list[tuple[int, int]] = []

    def cancel(done: int, total: int) -> None:
        seen.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(log, tmp_path / "a.db", on_progress=cancel, **choice)
    ((done, total),) = seen
    assert 0 < done < total
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("format", ["lcm", None])
def test_a_pipe_is_refused(tmp_path: Path, format: str | None) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotARecording, match="pipe is no file but a device or pipe"):
        import_file(tmp_path / "pipe", tmp_path / "a.db", format=format)


def test_an_empty_log_becomes_an_empty_recording(tmp_path: Path) -> None:
    (tmp_path / "empty.lcm").touch()
    assert import_file(tmp_path / "empty.lcm", tmp_path / "out.db").count == 0


def test_a_log_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    log = write_log(tmp_path / "a.lcm", numbered(3))
    monkeypatch.setattr("os.pread", refuse)
    with pytest.raises(StorageError, match=r"a\.lcm cannot be read: Input/output error"):
        LcmLogImport(log)

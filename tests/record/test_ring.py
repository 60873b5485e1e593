"""A ring keeps within its bound, loses nothing of what is in it, and goes on after anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus
from dimos_record.errors import OptionError, RecordingExists
from dimos_record.record import keep_loop
from dimos_record.record.keeper import FileKeeper
from dimos_record.record.options import RecordOptions, parse_ring
from dimos_record.record.session import RecordingSession
from dimos_record.store import open_recording
from dimos_record.store.connection import PAGE_SIZE
from dimos_record.store.ring import Ring
from dimos_record.store.segments import segments_of
from dimos_record.store.target import open_target
from tests.record.recordings import memory_bus, session_on, wait_until, written

pytestmark = pytest.mark.once

SMALL: dict[str, Any] = {"split_bytes": 1_000_000, "ring_bytes": 6_000_000}


BOUND = SMALL["ring_bytes"] + 3_000_000
"""With a segment that is written to, and its log."""


@pytest.fixture(autouse=True)
def looks_after_the_ring_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a second, instead of once."""
    monkeypatch.setattr(keep_loop, "KEEP_S", 0.1)


def publish(bus: Bus, first: int, count: int, size: int = 20_000) -> None:
    for number in range(first, first + count):
        bus.publish("/big", str(number).encode().ljust(size, b"."))


def fill(bus: Bus, session: RecordingSession, first: int, count: int) -> None:
    """Publish as much, and no faster than it is written: a batch is never divided."""
    before = written(session)
    for done in range(0, count, 20):
        publish(bus, first + done, 20)
        wait_until(lambda: written(session) == before + done + 20)  # noqa: B023 - called at once


def numbers(folder: Path) -> list[int]:
    with open_recording(folder) as reader:
        return [int(row.data.rstrip(b".")) for row in reader.rows("big")]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def test_the_oldest_segments_are_deleted_while_recording_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-oldest") as bus, session_on(bus, folder, **SMALL) as session:
        first = folder / "segment-00001.db"
        count = 0
        while first.exists() or not count:
            fill(bus, session, count, 20)
            count += 20
        wait_until(lambda: size_of(folder) <= BOUND)
    left = numbers(folder)
    assert left == list(range(left[0], count))
    assert left[0] > 0
    assert session.progress().lost == 0


def test_a_ring_by_time_keeps_what_was_recorded_last(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-time") as bus:
        with session_on(bus, folder, split_s=0.2, ring_s=1.0) as session:
            count = 0
            while not count or segments_of(folder)[0].name == "segment-00001.db":
                publish(bus, count, 5, 100)
                count += 5
                wait_until(lambda: written(session) == count)  # noqa: B023 - called at once
        left = numbers(folder)
        assert left == list(range(left[0], count))
        with open_recording(folder) as reader:
            first_ns, last_ns = reader.span_ns() or (0, 0)
        assert last_ns - first_ns >= 0.7e9


def test_silence_deletes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-silence") as bus:
        for number in (0, 10):  # the second recorder hears nothing while it could fill its ring
            with session_on(bus, folder, split_s=0.05, ring_s=0.1) as session:
                publish(bus, number, 10 - number, 100)
                wait_until(lambda: session.progress().elapsed_s > 0.8)
    assert numbers(folder) == list(range(10))


def test_every_segment_of_a_ring_has_the_state(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-state") as bus, session_on(bus, folder, **SMALL) as session:
        bus.publish("/tf_static", b"static")
        bus.publish("/map#nav_msgs.OccupancyGrid", b"the map")
        wait_until(lambda: written(session) == 2)
        count = 0
        while (folder / "segment-00001.db").exists():
            fill(bus, session, count, 20)
            count += 20
    with open_recording(folder) as reader:
        assert [row.data for row in reader.rows("tf_static")] == [b"static"]
        assert [row.data for row in reader.rows("map")] == [b"the map"]
    for segment in segments_of(folder):
        with open_recording(segment) as reader:
            assert [row.data for row in reader.rows("map")] == [b"the map"]


def test_starting_again_goes_on_in_the_same_ring(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-again") as bus:
        for start in (0, 40):
            with session_on(bus, folder, **SMALL):
                publish(bus, start, 40)
    assert numbers(folder) == list(range(80))
    with open_recording(folder) as reader:
        assert [session.state for session in reader.sessions()] == ["finished"] * 2
        assert reader.origin_ns() == (reader.span_ns() or (0,))[0]


RECORD_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from dimos_record.bus import open_bus
from tests.record.test_ring import SMALL, fill
from tests.record.recordings import session_on

with open_bus("memory://killed") as bus, session_on(bus, Path(sys.argv[1]), **SMALL) as session:
    fill(bus, session, int(sys.argv[2]), 60)
    print("written", flush=True)
    time.sleep(60)
"""


def record_and_be_killed(folder: Path, first: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD_UNTIL_KILLED, str(folder), str(first)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_after_a_kill_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    record_and_be_killed(folder, 0)
    torn = folder / "segment-99999.db"
    torn.touch()  # the next segment was just being created
    record_and_be_killed(folder, 60)
    with memory_bus("ring-killed") as bus, session_on(bus, folder, **SMALL) as session:
        fill(bus, session, 120, 20)
        wait_until(lambda: size_of(folder) <= BOUND)
    left = numbers(folder)
    assert left == list(range(left[0], 140))
    with open_recording(folder) as reader:
        assert reader.self_contained
        assert reader.sessions()[-1].state == "finished"


def truncated(content: bytes) -> bytes:
    return content[:40_000]


def never_written(content: bytes) -> bytes:
    return bytes(len(content))


def without_tables(content: bytes) -> bytes:
    """All but the first two pages are gone: the header is right, and so are the sessions."""
    return content[: 2 * PAGE_SIZE] + b"\xff" * (len(content) - 2 * PAGE_SIZE)


@pytest.mark.parametrize("damage", [truncated, never_written, without_tables])
@pytest.mark.parametrize("which", [1, -1])
def test_a_damaged_segment_is_set_aside(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    which: int,
) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-damaged") as bus:
        with session_on(bus, folder, **SMALL) as session:
            fill(bus, session, 0, 80)
        damaged = segments_of(folder)[which]
        damaged.write_bytes(damage(damaged.read_bytes()))
        with session_on(bus, folder, **SMALL):
            publish(bus, 80, 1)
    assert damaged.with_name(f"{damaged.name}.damaged").exists()
    assert f"{damaged.name}.damaged" in caplog.text
    assert numbers(folder)[-1] == 80


def test_whatever_page_of_the_last_segment_is_lost_the_ring_goes_on(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with memory_bus("ring-pages") as bus:
        with session_on(bus, made, **SMALL):
            bus.publish("/tf_static", b"static")
            publish(bus, 0, 5, 100)
        (segment,) = segments_of(made)
        content = segment.read_bytes()
        for page in range(1, len(content) // PAGE_SIZE):
            at = page * PAGE_SIZE
            segment.write_bytes(content[:at] + bytes(PAGE_SIZE) + content[at + PAGE_SIZE :])
            folder = shutil.copytree(made, tmp_path / f"ring-{page}")
            with session_on(bus, folder, **SMALL) as session:
                publish(bus, 5, 1)
            assert written(session) == 1


def test_a_damaged_segment_is_deleted_when_its_turn_comes(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-turn") as bus:
        with session_on(bus, folder, **SMALL) as session:
            fill(bus, session, 0, 80)
        damaged = segments_of(folder)[0]
        damaged.write_bytes(truncated(damaged.read_bytes()))
        with session_on(bus, folder, **SMALL) as session:
            aside = damaged.with_name(f"{damaged.name}.damaged")
            assert aside.exists()
            count = 80
            while aside.exists():
                fill(bus, session, count, 20)
                count += 20


def test_a_ring_deletes_nothing_that_is_not_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-foreign") as bus:
        with session_on(bus, folder, **SMALL):
            publish(bus, 0, 1)
        precious = folder / "fall.db"
        shutil.copy(segments_of(folder)[0], precious)
        with session_on(bus, folder, **SMALL) as session:
            count = 1
            while (folder / "segment-00001.db").exists():
                fill(bus, session, count, 20)
                count += 20
    assert precious.exists()


def test_a_ring_that_is_all_damaged_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-all-damaged") as bus:
        for number in range(2):
            with session_on(bus, folder, **SMALL):
                publish(bus, number, 1)
            for segment in segments_of(folder):
                segment.write_bytes(segment.read_bytes()[:40_000])
        with session_on(bus, folder, **SMALL):
            publish(bus, 2, 1)
    assert numbers(folder) == [2]
    assert len(list(folder.glob("*.damaged"))) == 2


def test_what_is_left_of_deleted_files_does_not_spoil_new_ones(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    folder.mkdir()
    (folder / "segment-00001.db-wal").write_bytes(b"of a file that is gone")
    with memory_bus("ring-orphans") as bus, session_on(bus, folder, **SMALL):
        publish(bus, 0, 1)
    assert numbers(folder) == [0]


def test_a_recording_that_is_no_ring_is_not_made_one(tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    with memory_bus("ring-precious") as bus:
        with session_on(bus, folder, split_bytes=300_000):
            publish(bus, 0, 30)
        for append in (False, True):
            with pytest.raises(RecordingExists, match="is no ring"):
                open_target(folder, append=append, ring=True)
        with pytest.raises(OptionError, match="single file"):
            open_target(segments_of(folder)[0], ring=True)
    assert numbers(folder) == list(range(30))


def test_edits_do_not_stop_a_ring_from_going_on(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-edits") as bus:
        with session_on(bus, folder, **SMALL):
            publish(bus, 0, 3)
        with RecordReplay(folder) as rec:
            rec.add_marker(0, "look at this")
        with session_on(bus, folder, **SMALL):
            publish(bus, 3, 3)
    assert numbers(folder) == list(range(6))


def test_a_nearly_full_disk_makes_the_ring_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-full") as bus:
        with session_on(bus, folder, split_bytes=1_000_000, ring_bytes=10**9) as session:
            fill(bus, session, 0, 160)
        before = len(segments_of(folder))
        monkeypatch.setattr(FileKeeper, "room", lambda self: 10**9 if _few(folder) else 0)
        with session_on(bus, folder, split_bytes=1_000_000, ring_bytes=10**9, min_free_bytes=1):
            publish(bus, 80, 1)
    assert len(segments_of(folder)) == 3 < before
    assert numbers(folder)[-1] == 80


def test_a_disk_that_fills_up_meanwhile_does_not_end_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    options = {"split_bytes": 1_000_000, "ring_bytes": 10**9, "min_free_bytes": 1_500_000}
    with memory_bus("ring-fills") as bus, session_on(bus, folder, **options) as session:
        fill(bus, session, 0, 200)
        assert len(segments_of(folder)) > 3
        monkeypatch.setattr(FileKeeper, "room", lambda self: 10**9 if _few(folder) else 0)
        wait_until(lambda: _few(folder))
        fill(bus, session, 200, 20)
        assert session.progress().reason is None
    left = numbers(folder)
    assert left == list(range(left[0], 220))


def test_as_many_segments_are_deleted_as_the_room_that_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("ring-room") as bus, session_on(bus, folder, **SMALL) as session:
        fill(bus, session, 0, 200)
    first, second, third, *_ = segments_of(folder)
    ring = Ring(folder, None, 10**9)
    assert ring.make_room(first.stat().st_size + 1, set())
    assert not first.exists()
    assert not second.exists()
    assert third.exists()
    assert not ring.make_room(1, set(segments_of(folder)))


def _few(folder: Path) -> bool:
    return len(segments_of(folder)) <= 3


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("30m", {"ring_s": 1800}),
        (90, {"ring_s": 90}),
        ("20GB", {"ring_bytes": 20_000_000_000}),
        (["30m", "2GB"], {"ring_s": 1800, "ring_bytes": 2_000_000_000}),
    ],
)
def test_a_ring_is_given_as_time_or_size(wanted: Any, expected: dict[str, float]) -> None:
    assert parse_ring(wanted) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"ring_s": 0},
        {"ring_s": 60, "max_bytes": 10},
        {"keep_on": "/estop"},
        {"ring_s": 60, "keep_on": "/estop", "keep_last_s": 120},
        {"ring_s": 60, "keep_last_s": 30},
        {"ring_s": 60, "split_s": 61},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        RecordOptions(**options)


def test_the_length_of_segments_follows_from_the_ring() -> None:
    assert RecordOptions(ring_s=60).segment_s == 5
    assert RecordOptions(ring_s=60, split_s=10).segment_s == 10
    assert RecordOptions(ring_s=1).segment_s == 1
    assert RecordOptions(ring_bytes=20_000_000_000).segment_bytes == 1_000_000_000
    assert RecordOptions(ring_s=60).segment_bytes is None
    both = RecordOptions(ring_s=60, split_bytes=10**9)  # one segment is never the whole ring
    assert (both.segment_s, both.segment_bytes) == (5, 10**9)


def test_a_message_keeps_two_minutes_or_the_whole_ring() -> None:
    assert RecordOptions(ring_s=1800, keep_on="/estop").kept_s == 120
    assert RecordOptions(ring_s=60, keep_on="/estop").kept_s == 60
    assert RecordOptions(ring_s=60, keep_on="/estop", keep_last_s=30).kept_s == 30


END_WITHOUT_STOPPING = """
import sys
from dimos_record import RecordReplay
rec = RecordReplay(sys.argv[1], bus="memory://forgotten")
rec.start_recording(ring="60s", keep_on="/estop", min_free_bytes=0)
rec.bus.publish("/n", b"1")
"""


def test_a_program_that_ends_without_stopping_ends(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    arguments = [sys.executable, "-c", END_WITHOUT_STOPPING, str(folder)]
    subprocess.run(arguments, cwd=Path(__file__).parents[2], check=True, timeout=60)
    with open_recording(folder) as reader:
        assert [session.reason for session in reader.sessions()] == ["end of the program"]

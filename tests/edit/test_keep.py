"""Keeping the past, while recording goes on, of a killed recorder, and after the fact."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus
from dimos_record.edit.derive import write_new
from dimos_record.edit.keep import keep
from dimos_record.edit.writing import SaveReport
from dimos_record.errors import EditError, OptionError
from dimos_record.store import open_recording
from dimos_record.store.connection import has_log, is_wal, read_header
from dimos_record.store.live import wait_until_written
from dimos_record.store.segments import segments_of
from tests.record.recordings import memory_bus, session_on, wait_until, written

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


def publish(bus: Bus, first: int, count: int, size: int = 2_000) -> None:
    for number in range(first, first + count):
        bus.publish("/n", str(number).encode().ljust(size, b"."))


def numbers(path: Path, stream: str = "n") -> list[int]:
    with open_recording(path) as reader:
        return [int(row.data.rstrip(b".")) for row in reader.rows(stream)]


@contextmanager
def publishing(bus: Bus) -> Iterator[list[int]]:
    """Publishes numbers until the end; the list holds how many have been published."""
    done, count = threading.Event(), [0]

    def run() -> None:
        while not done.wait(0.002):
            publish(bus, count[0], 1)
            count[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield count
    finally:
        done.set()
        thread.join()


def test_everything_up_to_now_is_kept_while_recording_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with (
        memory_bus("keep-live") as bus,
        session_on(bus, folder, ring_s=60, split_s=0.5) as session,
        publishing(bus) as count,
    ):
        bus.publish("/tf_static", b"static")
        wait_until(lambda: session.progress().segments > 3)
        before = count[0]
        began_ns = session.now_ns()
        report = keep(folder, last_s=0.8)
        after = count[0]
    kept = numbers(report.path)
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert before - 1 <= kept[-1] <= after
    with open_recording(report.path) as reader, open_recording(folder) as whole:
        first_ns, last_ns = reader.span_ns() or (0, 0)
        until_ns = last_ns + 1
        assert [row.data for row in reader.rows("tf_static")] == [b"static"]
        assert reader.origin_ns() == first_ns
        wanted = [row.id for row in whole.rows("n", start_ns=first_ns, end_ns=until_ns)]
        assert len(wanted) == len(kept)
        assert last_ns - first_ns <= 0.8e9
        earlier = whole.last_at("n", first_ns - 1)
        assert earlier is not None
        assert earlier.ts_ns < began_ns + 1_000_000_000 - 800_000_000
    assert report.path.parent == tmp_path
    assert report.path.name.startswith("ring-20")
    assert not list(folder.glob(".*")), "links are left in the ring"


def test_what_came_later_is_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-later") as bus, session_on(bus, folder, ring_s=60) as session:
        publish(bus, 0, 10)
        wait_until(lambda: written(session) == 10)
        now_ns = session.now_ns()
        publish(bus, 10, 10)
        report = keep(folder, last_s=30, at_ns=now_ns, name=tmp_path / "kept.db")
    assert report.path == tmp_path / "kept.db"
    assert numbers(report.path) == list(range(10))


def test_what_waits_for_the_writer_is_kept_too(tmp_path: Path) -> None:
    with (
        memory_bus("keep-waiting") as bus,
        RecordReplay(tmp_path / "ring", bus=bus) as rec,
        rec.recording(ring="1m", min_free_bytes=0),
    ):
        publish(bus, 0, 100)
        report = rec.keep(last_s=30)
    assert numbers(report.path) == list(range(100))


KEEP_ELSEWHERE = """
import sys
from dimos_record import RecordReplay
with RecordReplay(sys.argv[1]) as rec:
    print(rec.keep(sys.argv[2], last_s=60).messages)
"""


def test_another_process_keeps(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-elsewhere") as bus, session_on(bus, folder, ring_s=60, split_s=0.5):
        bus.publish("/map#nav_msgs.OccupancyGrid", b"map")
        publish(bus, 0, 100)
        arguments = [sys.executable, "-c", KEEP_ELSEWHERE, str(folder), str(tmp_path / "kept.db")]
        output = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout == "101\n"
    assert numbers(tmp_path / "kept.db") == list(range(100))


RECORD = """
import sys, time
from pathlib import Path
from dimos_record.bus import open_bus
from tests.edit.test_keep import publish
from tests.record.recordings import session_on, wait_until, written

with open_bus("memory://killed") as bus:
    with session_on(bus, Path(sys.argv[1]), ring_s=60, split_s=0.3) as session:
        bus.publish("/tf_static", b"static")
        for first in range(0, 200, 10):
            publish(bus, first, 10)
            wait_until(lambda: written(session) == first + 11)
        print("written", flush=True)
        time.sleep(60)
"""


def test_the_past_of_a_killed_recorder_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD, str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    with RecordReplay(folder) as rec:
        everything = rec.keep(tmp_path / "all.db", last_s=60)
        last = rec.keep(tmp_path / "last.db", last_s=0.1)
    assert numbers(everything.path) == list(range(200))
    kept = numbers(last.path)
    assert kept == list(range(kept[0], 200))
    assert len(kept) < 200
    with open_recording(last.path) as reader:
        assert [row.data for row in reader.rows("tf_static")] == [b"static"]


def delete_before_writing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Do as a ring does, all but the last segment, just before what is kept is copied."""

    def then_write(*args: Any, **kwargs: Any) -> SaveReport:
        for segment in segments_of(folder)[:-1]:
            segment.unlink()
        return write_new(*args, **kwargs)

    monkeypatch.setattr("dimos_record.edit.keep.write_new", then_write)


def test_what_the_ring_deletes_meanwhile_is_still_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-deleted") as bus, session_on(bus, folder, split_s=0.1) as session:
        for first in range(0, 60, 10):
            publish(bus, first, 10)
            wait_until(lambda: written(session) == first + 10)  # noqa: B023 - called at once
            time.sleep(0.1)
    assert len(segments_of(folder)) > 3

    delete_before_writing(monkeypatch, folder)
    report = keep(folder, last_s=30, name=tmp_path / "kept.db")
    assert len(segments_of(folder)) == 1
    assert numbers(report.path) == list(range(60))


def test_what_the_ring_deletes_before_anything_is_written_is_still_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-edge") as bus, session_on(bus, folder, split_s=0.1) as session:
        for first in range(0, 30, 10):
            publish(bus, first, 10)
            wait_until(lambda: written(session) == first + 10)  # noqa: B023 - called at once
            segments = session.progress().segments
            wait_until(lambda: session.progress().segments > segments)  # noqa: B023 - as above

    def the_ring_deletes(path: Path, at_ns: int | None, timeout_s: float) -> int | None:
        for segment in segments_of(path)[:-1]:
            segment.unlink()
        return wait_until_written(path, at_ns, timeout_s)

    monkeypatch.setattr("dimos_record.edit.keep.wait_until_written", the_ring_deletes)
    report = keep(folder, last_s=30, name=tmp_path / "kept.db")
    assert len(segments_of(folder)) == 1
    assert numbers(report.path) == list(range(30))
    assert not list(folder.glob(".*")), "links are left in the ring"


def test_a_segment_that_was_read_while_it_was_finished_is_pinned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-read") as bus, session_on(bus, folder, split_s=0.1) as session:
        publish(bus, 0, 10)
        wait_until(lambda: written(session) == 10)
        with open_recording(folder) as reader:
            assert reader.stats("n").count == 10
            wait_until(lambda: not session.progress().self_contained)
    first = folder / "segment-00001.db"
    assert is_wal(read_header(first))
    assert not has_log(first)

    delete_before_writing(monkeypatch, folder)
    report = keep(folder, last_s=30, name=tmp_path / "kept.db")
    assert numbers(report.path) == list(range(10))


def test_what_a_killed_keep_left_goes(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    with memory_bus("keep-left") as bus, session_on(bus, folder, split_s=60):
        publish(bus, 0, 10)
    left = folder / ".ring-20260101-000000.db.saving-999999999"
    left.mkdir()
    os.link(segments_of(folder)[0], left / "segment-00001.db")
    keep(folder, last_s=30, name=tmp_path / "kept.db")
    assert not left.exists()


def test_a_step_of_the_wall_clock_does_not_change_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall_ns = time.time_ns
    folder = tmp_path / "ring"
    with memory_bus("keep-step") as bus, session_on(bus, folder, ring_s=600) as session:
        publish(bus, 0, 10)
        keep(folder, last_s=60, name=tmp_path / "before.db")  # the recorder has told its clock
        publish(bus, 10, 10)
        wait_until(lambda: written(session) == 20)
        monkeypatch.setattr(time, "time_ns", lambda: wall_ns() - 3600 * 10**9)
        report = keep(folder, last_s=60, name=tmp_path / "after.db")
    assert numbers(report.path) == list(range(20))


def test_a_section_is_kept(tmp_path: Path) -> None:
    with memory_bus("keep-section") as bus, RecordReplay(tmp_path / "ring", bus=bus) as rec:
        with rec.recording(ring=60, min_free_bytes=0):
            stream = rec.stream("n")
            start_ns = time.time_ns()
            for number in range(10):
                stream.append(str(number).encode(), ts_ns=start_ns + number * 10**9)
        report = rec.keep(tmp_path / "kept.db", section=(2, 5))
        assert numbers(report.path) == [2, 3, 4]
        with pytest.raises(EditError, match="no message"):
            rec.keep(section=(20, 30))
        with pytest.raises(OptionError, match="contradict"):
            rec.keep(last_s=3, section=(2, 5))


def test_a_single_file_is_kept_from_as_well(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("keep-file") as bus, session_on(bus, path):
        publish(bus, 0, 50)
        report = keep(path, last_s=60)
    assert report.path.name.startswith("walk-20")
    assert numbers(report.path) == list(range(50))


def test_a_message_on_a_topic_keeps_the_past(tmp_path: Path) -> None:
    folder = tmp_path / "ring"
    options = {"ring_s": 60, "keep_on": "/estop", "keep_last_s": 30}
    with memory_bus("keep-trigger") as bus, session_on(bus, folder, **options) as session:
        publish(bus, 0, 50)
        for _ in range(5):  # who presses the button holds it down
            bus.publish("/estop#std_msgs.Bool", b"pressed")
        wait_until(lambda: len(session.progress().kept) == 1)
        publish(bus, 50, 10)
    (kept,) = session.progress().kept
    assert numbers(Path(kept)) == list(range(50))
    assert numbers(folder) == list(range(60))
    assert [path.name for path in tmp_path.glob("*.db")] == [Path(kept).name]


def test_a_message_that_comes_while_the_past_is_kept_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ring"
    options = {"ring_s": 60, "keep_on": "/estop", "keep_last_s": 0.05}
    going_on = threading.Event()
    moments: list[int] = []

    def slow_keep(recording: Path, *, last_s: float, at_ns: int) -> SaveReport:
        moments.append(at_ns)
        assert going_on.wait(60)
        return SaveReport(recording, 0, 0, 0, 0)

    monkeypatch.setattr("dimos_record.edit.keep.keep", slow_keep)
    with memory_bus("keep-again") as bus, session_on(bus, folder, **options) as session:
        try:
            bus.publish("/estop", b"1")
            wait_until(lambda: len(moments) == 1)
            wait_until(lambda: session.now_ns() > moments[0] + 60_000_000)
            bus.publish("/estop", b"2")
        finally:
            going_on.set()
        wait_until(lambda: len(session.progress().kept) == 2)
    assert moments[1] > moments[0] + 50_000_000

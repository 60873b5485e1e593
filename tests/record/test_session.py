"""From the bus into the file: what is recorded, and what the account says of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dimos_record.bus import OnMessage, Selection, Subscription, open_bus
from dimos_record.bus.memory import MemoryBus
from dimos_record.errors import (
    BusError,
    DimosRecordError,
    DiskFull,
    MessagesLost,
    NotARecording,
    OptionError,
    PatternError,
    RecordingBusy,
    RecordingExists,
    StorageError,
)
from dimos_record.store import open_recording
from dimos_record.store.target import open_target
from dimos_record.testing import free_lcm_url
from tests.leftovers import nothing_left_behind
from tests.record.recordings import (
    check_integrity,
    memory_bus,
    only_session,
    payloads,
    session_on,
    threads,
    wait_until,
    written,
)
from tests.store.samples import pose, python, snapshot


def test_what_is_published_on_lcm_is_in_the_file(tmp_path: Path) -> None:
    sent = [pose(10**9 + i) for i in range(500)]
    big = [os.urandom(300_000) for _ in range(10)]
    with open_bus(free_lcm_url() + "&recv_buf_size=8000000") as bus:
        with session_on(bus, tmp_path / "walk.db") as session:
            for i, data in enumerate(sent):
                bus.publish("/odom#geometry_msgs.PoseStamped", data)
                if i % 50 == 0:
                    bus.publish("/camera/image", big[i // 50])
            wait_until(lambda: written(session) == 510)
        progress = session.progress()
    assert payloads(tmp_path / "walk.db", "odom") == sent
    assert payloads(tmp_path / "walk.db", "camera__image") == big
    assert (progress.lost, progress.total.received, progress.reason) == (0, 510, "stopped")
    assert progress.self_contained
    assert list(snapshot(tmp_path)) == ["walk.db"]


def test_what_was_published_just_before_the_stop_is_in_the_file(tmp_path: Path) -> None:
    with open_bus(free_lcm_url() + "&recv_buf_size=8000000") as bus:
        session = session_on(bus, tmp_path / "walk.db").start()
        for i in range(200):
            bus.publish("/number", b"%d" % i)
        bus.publish("/camera/image", bytes(900_000))
        session.stop()
    assert payloads(tmp_path / "walk.db", "number") == [b"%d" % i for i in range(200)]
    assert payloads(tmp_path / "walk.db", "camera__image") == [bytes(900_000)]


def test_the_session_knows_where_it_comes_from(tmp_path: Path) -> None:
    with memory_bus("origin") as bus, session_on(bus, tmp_path / "walk.db", "/a", "/b"):
        bus.publish("/a", b"1")
    session = only_session(tmp_path / "walk.db")
    assert session.state == "finished"
    assert session.meta["pid"] == os.getpid()
    assert session.meta["include"] == ["/a", "/b"]
    assert session.meta["bus"] == "memory://origin"
    assert "dimos-record" in session.meta["packages"]
    assert session.start_ns <= session.stop_ns


def test_topics_that_appear_later_are_recorded(tmp_path: Path) -> None:
    with memory_bus("later") as bus, session_on(bus, tmp_path / "walk.db") as session:
        for i in range(5):
            bus.publish(f"/topic{i}", b"x")
            wait_until(lambda n=i: written(session) == n + 1)  # type: ignore[misc]
    with open_recording(tmp_path / "walk.db") as reader:
        assert list(reader.streams) == [f"topic{i}" for i in range(5)]


@pytest.mark.parametrize("data", [b"", b"0123456789", bytes(5_000_000)], ids=["0", "10 B", "5 MB"])
def test_messages_of_every_size_and_without_a_type(tmp_path: Path, data: bytes) -> None:
    with memory_bus("sizes") as bus, session_on(bus, tmp_path / "walk.db"):
        for _ in range(3):
            bus.publish("/raw", data)
    assert payloads(tmp_path / "walk.db", "raw") == [data] * 3
    with open_recording(tmp_path / "walk.db") as reader:
        assert reader.find("/raw").type_name is None


def test_selected_topics_can_change_while_recording(tmp_path: Path) -> None:
    with (
        open_bus(free_lcm_url()) as bus,
        session_on(bus, tmp_path / "walk.db", "/a", "/b") as session,
    ):
        for i in range(20):
            for topic in "abc":
                bus.publish(f"/{topic}", b"%d" % i)
            if i == 9:
                wait_until(lambda: written(session) == 20)
                session.select(Selection.of(["/b", "/c"]))
        wait_until(lambda: written(session) == 40)
        assert session.selection.include == ("/b", "/c")
    both = [b"%d" % i for i in range(20)]
    assert payloads(tmp_path / "walk.db", "a") == both[:10]
    assert payloads(tmp_path / "walk.db", "b") == both
    assert payloads(tmp_path / "walk.db", "c") == both[10:]


def test_a_pause_records_nothing_and_is_no_gap(tmp_path: Path) -> None:
    with memory_bus("pause") as bus, session_on(bus, tmp_path / "walk.db") as session:
        bus.publish("/a", b"before")
        wait_until(lambda: written(session) == 1)
        session.pause()
        assert session.progress().paused
        bus.publish("/a", b"during")
        session.select(Selection.of(["/a", "/b"]))
        bus.publish("/b", b"during")
        session.resume()
        bus.publish("/a", b"after")
        bus.publish("/b", b"after")
        bus.publish("/c", b"not selected")
    assert payloads(tmp_path / "walk.db", "a") == [b"before", b"after"]
    assert payloads(tmp_path / "walk.db", "b") == [b"after"]
    session_info = only_session(tmp_path / "walk.db")
    assert set(session_info.accounts) == {"a", "b"}
    assert session_info.accounts["a"].largest_gap_ns == 0


def test_receive_times_never_go_backwards(tmp_path: Path) -> None:
    with memory_bus("order") as bus, session_on(bus, tmp_path / "walk.db"):
        for i in range(5000):
            bus.publish(f"/{'ab'[i % 2]}", b"%d" % i)
    with open_recording(tmp_path / "walk.db") as reader:
        rows = sorted((row for name in "ab" for row in reader.rows(name)), key=lambda row: row.seq)
        assert [row.data for row in rows] == [b"%d" % i for i in range(5000)]
        assert [row.ts_ns for row in rows] == sorted(row.ts_ns for row in rows)
        assert reader.sessions()[0].start_ns <= rows[0].ts_ns


def test_the_account_tells_frozen_reordered_and_jumping_stamps(tmp_path: Path) -> None:
    second = 10**9
    stamps = [5.0, 5.01, 5.01, 5.0, 5.02, 65.0, 65.01, 5.03]
    with memory_bus("stamps") as bus, session_on(bus, tmp_path / "walk.db") as session:
        for stamp in stamps:
            bus.publish("/odom#geometry_msgs.PoseStamped", pose(round(stamp * second)))
        wait_until(lambda: written(session) == len(stamps))
        account = session.progress().accounts["odom"]
    assert (account.frozen, account.out_of_order, account.stamp_jumps) == (1, 2, 2)
    assert only_session(tmp_path / "walk.db").accounts["odom"] == account


def test_a_full_buffer_is_counted_per_stream_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with memory_bus("full") as bus:
        session = session_on(bus, tmp_path / "walk.db", buffer_bytes=50_000)
        with session:
            for i in range(1000):
                bus.publish("/a", bytes(100))
                bus.publish("/b", bytes(5000))
                bus.publish("/huge", bytes(60_000))
                if i == 900:
                    wait_until(lambda: "the buffer is full" in caplog.text)
        progress = session.progress()
    for name in ("a", "b", "huge"):
        account = progress.accounts[name]
        assert account.received == 1000
        assert account.received == account.written + account.dropped
        assert len(payloads(tmp_path / "walk.db", name)) == account.written
    assert progress.accounts["huge"].dropped > 0
    assert progress.accounts["b"].dropped > 0
    assert progress.lost == progress.total.dropped > 1000
    assert only_session(tmp_path / "walk.db").accounts == progress.accounts
    assert "/huge" in caplog.text


def test_strict_makes_a_loss_an_error_after_the_file_is_finished(tmp_path: Path) -> None:
    with memory_bus("strict") as bus:
        session = session_on(bus, tmp_path / "walk.db", strict=True, buffer_bytes=1000).start()
        with session.writer.lock:  # it takes one of them at most, and another waits
            for _ in range(4):
                bus.publish("/a", bytes(5000))
        for _ in range(2):
            with pytest.raises(MessagesLost, match=r"[23] messages were dropped"):
                session.stop()
    assert len(payloads(tmp_path / "walk.db", "a")) in (1, 2)
    assert list(snapshot(tmp_path)) == ["walk.db"]


def test_strict_without_a_loss_is_no_error(tmp_path: Path) -> None:
    with memory_bus("fine") as bus, session_on(bus, tmp_path / "walk.db", strict=True):
        bus.publish("/a", b"1")
    assert payloads(tmp_path / "walk.db", "a") == [b"1"]


def test_packets_that_the_kernel_drops_are_reported_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class LossyBus(MemoryBus):
        lost = 7

        def lost_before_reception(self) -> int:
            return self.lost

    with LossyBus("memory://lossy") as bus:
        session = session_on(bus, tmp_path / "walk.db", strict=True).start()
        bus.publish("/a", b"1")
        bus.lost = 10
        wait_until(lambda: "3 packets were lost before reception" in caplog.text)
        with pytest.raises(MessagesLost, match="3 packets were lost before reception"):
            session.stop()
    assert only_session(tmp_path / "walk.db").lost_before_reception == 3


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    with memory_bus("twice") as bus:
        session = session_on(bus, tmp_path / "walk.db").start()
        bus.publish("/a", b"1")
        first, second = session.stop(), session.stop("again")
        session.pause()
        session.resume()
        session.select(Selection.of(["/b"]))
    assert first == second
    assert first.reason == "stopped"


def test_many_sessions_leave_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    with memory_bus("leaks") as bus, nothing_left_behind():
        for i in range(5):
            with session_on(bus, tmp_path / f"{i}.db") as session:
                bus.publish("/a", bytes(100_000))
            assert threads() == set()
            assert session.wait(0)
            with pytest.raises(DimosRecordError):
                session_on(bus, tmp_path / f"{i}.db")
        with session_on(bus, tmp_path / "folder", split_s=0.05) as session:
            wait_until(lambda: session.progress().segments > 3)
        assert threads() == set()


# --- starts that fail


class DeafBus(MemoryBus):
    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        raise BusError("the bus is deaf")


@pytest.mark.parametrize("name", ["walk.db", "folder"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BusError, {}),
        (DiskFull, {"min_free_bytes": 10**15}),
        (OptionError, {"codecs": {"/a": "zip"}}),
        (PatternError, {"codecs": {"[": "lz4+lcm"}}),
    ],
    ids=["bus", "disk", "codec", "pattern"],
)
def test_a_start_that_fails_leaves_nothing_behind(
    tmp_path: Path, kind: type[Exception], options: dict[str, Any], name: str
) -> None:
    split = {"split_s": 10} if name == "folder" else {}
    faulty = DeafBus if kind is BusError else MemoryBus
    with nothing_left_behind(), faulty("memory://fail") as bus:
        session = session_on(bus, tmp_path / name, **split, **options)
        with pytest.raises(kind), session:
            pass
        assert list(tmp_path.iterdir()) == []
        assert threads() == set()


@pytest.mark.parametrize("how", ["append", "overwrite"])
@pytest.mark.parametrize("name", ["walk.db", "folder"])
def test_a_start_that_fails_leaves_the_recording_that_was_there(
    tmp_path: Path, name: str, how: str
) -> None:
    path = tmp_path / name
    split: dict[str, Any] = {"split_s": 100} if name == "folder" else {}
    with memory_bus("there") as bus:
        with session_on(bus, path, **split):
            bus.publish("/a", b"1")
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / "notes.txt").write_text("mine")
        with DeafBus("memory://deaf") as deaf, pytest.raises(BusError):
            session_on(deaf, path, **{how: True}, **split).start()
        assert payloads(path, "a") == [b"1"]
        assert only_session(path).state == "finished"
        with open_recording(path) as reader:
            assert reader.self_contained
        assert not [file for file in tmp_path.rglob("*") if "replaced" in file.name]
        with session_on(bus, path, **{how: True}, **split):
            bus.publish("/a", b"2")
        assert payloads(path, "a") == ([b"1", b"2"] if how == "append" else [b"2"])
        assert not [file for file in tmp_path.rglob("*") if "replaced" in file.name]
        assert (tmp_path / "folder" / "notes.txt").read_text() == "mine"


def test_an_existing_file_is_never_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "walk.db").write_text("precious")
    with memory_bus("exists") as bus:
        with pytest.raises(RecordingExists, match=r"walk.db exists already.*--append.*--overwrite"):
            session_on(bus, tmp_path / "walk.db")
        for how in ("append", "overwrite"):
            with pytest.raises(NotARecording, match="not an SQLite file"):
                session_on(bus, tmp_path / "walk.db", **{how: True})
        with pytest.raises(OptionError, match="cannot be split"):
            session_on(bus, tmp_path / "walk.db", split_s=1, append=True)
    assert (tmp_path / "walk.db").read_text() == "precious"
    assert list(snapshot(tmp_path)) == ["walk.db"]


def test_a_folder_of_other_things_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with memory_bus("photos") as bus, pytest.raises(NotARecording, match="without any recording"):
        session_on(bus, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_folder_that_is_missing_says_so(tmp_path: Path) -> None:
    with memory_bus("missing") as bus, pytest.raises(StorageError, match="there is no folder"):
        session_on(bus, tmp_path / "nowhere" / "walk.db")


def test_two_recorders_on_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("two") as bus, session_on(bus, path) as session:
        bus.publish("/a", b"1")
        wait_until(lambda: written(session) == 1)
        for how in ("append", "overwrite"):
            with pytest.raises(RecordingBusy, match=f"process {os.getpid()}"):
                session_on(bus, path, **{how: True})
        other = python(
            """
            import sys
            from pathlib import Path
            from dimos_record.errors import RecordingBusy
            from dimos_record.store.target import open_target

            for how in ("append", "overwrite"):
                try:
                    open_target(Path(sys.argv[1]), **{how: True})
                except RecordingBusy as error:
                    print(error)
            """,
            path,
        )
        assert other.stdout.count("is being recorded into by process") == 2
        bus.publish("/a", b"2")
    assert payloads(path, "a") == [b"1", b"2"]
    check_integrity(path)


def test_of_two_recorders_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("race") as bus:
        with session_on(bus, path):
            bus.publish("/a", b"0")
        first, second = (session_on(bus, path, append=True) for _ in range(2))
        with first:
            with pytest.raises(RecordingBusy):
                second.start()
            bus.publish("/a", b"1")
        with session_on(bus, path, append=True):
            bus.publish("/a", b"2")
    assert payloads(path, "a") == [b"0", b"1", b"2"]
    with open_recording(path) as reader:
        assert [info.state for info in reader.sessions()] == ["finished"] * 3


def test_a_recorder_that_waited_while_another_recorded_goes_on_after_it(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("wait") as bus:
        with session_on(bus, path):
            bus.publish("/a", b"0")
        late = session_on(bus, path, append=True)
        with session_on(bus, path, append=True):
            bus.publish("/a", b"1")
            bus.publish("/b", b"1")
        with late:
            bus.publish("/a", b"2")
            bus.publish("/b", b"2")
    assert payloads(path, "a") == [b"0", b"1", b"2"]
    assert payloads(path, "b") == [b"1", b"2"]


def test_open_target_closes_what_it_does_not_hand_out(tmp_path: Path) -> None:
    (tmp_path / "walk.db").write_text("no recording")
    with nothing_left_behind():
        for how in ("append", "overwrite"):
            with pytest.raises(NotARecording):
                open_target(tmp_path / "walk.db", **{how: True})


def test_a_bus_that_fails_ends_the_session_with_an_error_and_a_complete_file(
    tmp_path: Path,
) -> None:
    bus = open_bus(free_lcm_url())
    session = session_on(bus, tmp_path / "walk.db").start()
    bus.publish("/number", b"1")
    wait_until(lambda: written(session) == 1)
    bus.close()
    assert session.wait(60.0)
    with pytest.raises(BusError, match="is closed"):
        session.stop()
    assert payloads(tmp_path / "walk.db", "number") == [b"1"]
    assert only_session(tmp_path / "walk.db").reason == "bus failed"

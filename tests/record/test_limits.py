"""Sessions that end by themselves, and recordings in segments."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from dimos_record.bus import Bus, open_bus
from dimos_record.errors import OptionError
from dimos_record.record.options import RecordOptions, parse_duration, parse_size, parse_split
from dimos_record.store import open_recording
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from dimos_record.testing import free_lcm_url
from tests.record.recordings import (
    check_integrity,
    memory_bus,
    only_session,
    session_on,
    threads,
    wait_until,
    written,
)


class Talker:
    """Publishes numbered messages on three topics from a thread of its own, until it is closed."""

    def __init__(self, bus: Bus, size: int = 200) -> None:
        self._bus, self._size = bus, size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            topic = f"/{'abc'[number % 3]}"
            self._bus.publish(topic, b"%d " % number + bytes(self._size))
            self.sent = number + 1
            if number % 20 == 0:
                self._stop.wait(0.001)

    def __enter__(self) -> Talker:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


def numbers(path: Path) -> list[int]:
    """The numbers of all messages in the order of their arrival."""
    with open_recording(path) as reader:
        rows = [row for name in reader.streams for row in reader.rows(name)]
    return [int(row.data.split(b" ")[0]) for row in sorted(rows, key=lambda row: row.seq)]


@pytest.mark.parametrize("count", [1, 1999, 2000, 2001, 5000])
def test_a_number_of_messages_is_kept_exactly(tmp_path: Path, count: int) -> None:
    with memory_bus("count") as bus:
        session = session_on(bus, tmp_path / "walk.db", max_messages=count)
        with session, Talker(bus):
            assert session.wait(30)
        assert threads() == set()
    assert numbers(tmp_path / "walk.db") == list(range(count))
    progress = session.progress()
    assert (progress.total.written, progress.lost) == (count, 0)
    assert progress.reason == f"max messages ({count})"
    assert only_session(tmp_path / "walk.db").reason == progress.reason


def test_a_duration_ends_the_session(tmp_path: Path) -> None:
    with memory_bus("duration") as bus:
        session = session_on(bus, tmp_path / "walk.db", duration_s=0.5)
        with session, Talker(bus):
            assert session.wait(30)
        progress = session.progress()
    assert progress.elapsed_s >= 0.5
    assert progress.reason == "duration (0.5 s)"
    with open_recording(tmp_path / "walk.db") as reader:
        first_ns, last_ns = reader.span_ns() or (0, 0)
    info = only_session(tmp_path / "walk.db")
    assert info.start_ns <= first_ns
    assert last_ns < info.start_ns + 0.5e9
    assert info.stop_ns - info.start_ns >= 0.5e9
    assert numbers(tmp_path / "walk.db") == list(range(progress.total.written))


def test_a_size_ends_the_session_within_a_batch(tmp_path: Path) -> None:
    with memory_bus("size") as bus:
        session = session_on(bus, tmp_path / "walk.db", max_bytes=20_000_000)
        with session, Talker(bus, 100_000):
            assert session.wait(30)
    assert session.progress().reason == "max size (20000000 bytes)"
    assert 20_000_000 <= (tmp_path / "walk.db").stat().st_size < 20_000_000 + 2 * 8_000_000


def test_a_session_that_has_ended_can_be_stopped_and_asked(tmp_path: Path) -> None:
    with memory_bus("ended") as bus:
        session = session_on(bus, tmp_path / "walk.db", max_messages=1).start()
        bus.publish("/a", b"0 ")
        assert session.wait(30)
        bus.publish("/a", b"1 ")
        assert session.stop().total.written == 1
    assert numbers(tmp_path / "walk.db") == [0]


@pytest.mark.parametrize(
    "how", [{"split_s": 0.15}, {"split_bytes": 3_000_000}], ids=["time", "size"]
)
def test_splitting_under_load_neither_loses_nor_doubles(
    tmp_path: Path, how: dict[str, float]
) -> None:
    with open_bus(free_lcm_url() + "&recv_buf_size=8000000") as bus:
        session = session_on(bus, tmp_path / "long", **how)
        with session:
            with Talker(bus, 2000) as talker:
                wait_until(lambda: session.progress().segments >= 6)
            wait_until(lambda: written(session) == talker.sent)
        progress = session.progress()
    assert progress.lost == 0
    assert threads() == set()
    assert numbers(tmp_path / "long") == list(range(talker.sent))
    files = sorted((tmp_path / "long").iterdir())
    assert [file.name for file in files] == [
        f"segment-{n + 1:05d}.db" for n in range(progress.segments)
    ]
    for file in files:
        check_integrity(file)
        with RecordingReader.open(file) as reader:
            assert reader.self_contained
            (part,) = reader.sessions()
            assert part.state == "finished"
            for name, account in part.accounts.items():
                assert account.written == reader.stats(name).count
    with open_recording(tmp_path / "long") as reader:
        (whole,) = reader.sessions()
        assert whole.reason == "stopped"
        assert whole.accounts == progress.accounts
        assert sum(a.written for a in whole.accounts.values()) == talker.sent
        for name in reader.streams:
            assert [row.id for row in reader.rows(name)] == list(
                range(1, reader.stats(name).count + 1)
            )


def test_drops_are_counted_once_over_all_segments(tmp_path: Path) -> None:
    with memory_bus("drops") as bus:
        session = session_on(bus, tmp_path / "long", split_s=0.1, buffer_bytes=20_000)
        with session:
            for i in range(3000):
                bus.publish("/a", bytes(1000))
                bus.publish("/never", bytes(30_000))
                if i % 1000 == 999:
                    wait_until(lambda n=i: session.progress().segments > n // 1000 + 1)  # type: ignore[misc]
        progress = session.progress()
    account = progress.accounts["a"]
    assert account.received == 3000 == account.written + account.dropped
    assert account.dropped > 0
    assert progress.accounts["never"].dropped == progress.accounts["never"].received == 3000
    with open_recording(tmp_path / "long") as reader:
        (whole,) = reader.sessions()
        assert whole.accounts == progress.accounts
        assert reader.stats("a").count == account.written


@pytest.mark.once
def test_what_is_dropped_while_the_next_segment_is_made_belongs_to_that_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    continue_from = RecordingWriter.continue_from

    def continue_under_load(writer: RecordingWriter, earlier: RecordingWriter) -> None:
        bus.publish("/waiting", bytes(10))
        bus.publish("/dropped_first", bytes(60_000))
        continue_from(writer, earlier)
        bus.publish("/dropped_next", bytes(60_000))

    monkeypatch.setattr(RecordingWriter, "continue_from", continue_under_load)
    folder = tmp_path / "long"
    with memory_bus("between") as bus:
        with session_on(bus, folder, split_bytes=1_000_000, buffer_bytes=50_000) as session:
            bus.publish("/large", bytes(2_000_000))
            wait_until(lambda: session.progress().segments == 2 and written(session) == 2)
        progress = session.progress()
    assert progress.total.dropped == 2
    first, second = (only_session(file).accounts for file in sorted(folder.iterdir()))
    assert sum(account.dropped for account in first.values()) == 0
    assert {name for name, account in second.items() if account.dropped} == {
        "dropped_first",
        "dropped_next",
    }
    assert only_session(folder).accounts == progress.accounts


def test_limits_count_over_all_segments(tmp_path: Path) -> None:
    with memory_bus("both") as bus:
        session = session_on(
            bus, tmp_path / "long", split_bytes=9_000_000, max_bytes=40_000_000, max_messages=10**6
        )
        with session, Talker(bus, 20_000):
            assert session.wait(30)
        progress = session.progress()
    assert progress.reason == "max size (40000000 bytes)"
    assert progress.segments >= 3
    assert numbers(tmp_path / "long") == list(range(progress.total.written))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500MB", 500_000_000),
        ("2GiB", 2 * 1024**3),
        ("1.5 k", 1500),
        ("1048576", 1048576),
        ("7B", 7),
    ],
)
def test_sizes_are_understood(text: str, expected: int) -> None:
    assert parse_size(text, "--max-size") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_durations_are_understood(text: str, expected: float) -> None:
    assert parse_duration(text, "--duration") == expected


@pytest.mark.parametrize("text", ["", "0", "-5", "x", "1x", "1e3", "nan", "5 5", "٣"])
def test_what_is_neither_size_nor_duration_is_refused(text: str) -> None:
    for parse in (parse_size, parse_duration, parse_split):
        with pytest.raises(OptionError, match="--option"):
            parse(text, "--option")


def test_splits_are_durations_or_sizes() -> None:
    assert parse_split("10m", "--split") == {"split_s": 600}
    assert parse_split("2GB", "--split") == {"split_bytes": 2_000_000_000}
    with pytest.raises(OptionError, match="neither a duration nor a size"):
        parse_split("10", "--split")


@pytest.mark.parametrize(
    "options",
    [
        {"duration_s": 0},
        {"duration_s": float("nan")},
        {"max_bytes": -1},
        {"max_messages": 0},
        {"split_s": 0},
        {"split_bytes": 0},
        {"min_free_bytes": -1},
        {"buffer_bytes": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        RecordOptions(**options)  # type: ignore[arg-type]

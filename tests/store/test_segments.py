"""A folder of segments is one recording."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dimos_record.errors import NotARecording, RecordingDamaged, StorageError
from dimos_record.store import open_recording
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import SegmentedReader
from dimos_record.store.target import Target, open_target
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import MS, START_NS, begin, end, messages, record


def split_recording(folder: Path, parts: int = 3, *, finish: bool = True) -> Target:
    """Ten messages of `/a` per segment; `/b` only in the second."""
    target = open_target(folder, split=True)
    writer = begin(target.writer, session="one")
    for part in range(parts):
        if part:
            following = begin(target.next_writer(writer), session="one")
            end(writer, START_NS + part)
            writer = following
        writer.write(messages(10, first=10 * part))
        if part == 1:
            writer.write(messages(5, "/b", first=10))
    if finish:
        end(writer, START_NS + parts)
    return target._replace(writer=writer)


def test_numbers_go_on_from_segment_to_segment(tmp_path: Path) -> None:
    split_recording(tmp_path / "long")
    with SegmentedReader(tmp_path / "long") as reader:
        assert [row.id for row in reader.rows("a")] == list(range(1, 31))
        assert sorted(r.seq for name in "ab" for r in reader.rows(name)) == list(range(1, 36))
        assert [int(row.data.rstrip(b".")) for row in reader.rows("a")] == list(range(30))
        assert reader.payload("a", 25).startswith(b"24")
        with pytest.raises(LookupError):
            reader.payload("a", 31)


def test_ranges_and_seeks_cross_segments(tmp_path: Path) -> None:
    split_recording(tmp_path / "long")
    with SegmentedReader(tmp_path / "long") as reader:
        start, stop = START_NS + 80 * MS, START_NS + 220 * MS
        ids = [row.id for row in reader.rows("a", start_ns=start, end_ns=stop)]
        assert ids == list(range(9, 23))
        backwards = reader.rows("a", start_ns=start, end_ns=stop, reverse=True)
        assert [row.id for row in backwards] == ids[::-1]
        assert reader.count_between("a", start, stop) == len(ids)
        found = [reader.last_at("a", START_NS + at) for at in (-1, 0, 95 * MS, 100 * MS, 10**12)]
        assert [row and row.id for row in found] == [None, 1, 10, 11, 30]
        last_b = reader.last_at("b", 2**62)
        assert last_b is not None
        assert last_b.id == 5


def test_figures_are_those_of_all_segments(tmp_path: Path) -> None:
    split_recording(tmp_path / "long")
    with SegmentedReader(tmp_path / "long") as reader:
        assert reader.stats("a").count == 30
        assert reader.stats("a").bytes == 3000
        assert reader.stats("b").count == 5
        assert reader.span_ns() == (START_NS, START_NS + 290 * MS)
        (session,) = reader.sessions()
        assert session.accounts["a"].written == 30
        assert session.accounts["a"].largest_gap_ns == 10 * MS
        assert (session.state, session.start_ns, session.stop_ns) == (
            "finished",
            START_NS,
            START_NS + 3,
        )
        assert reader.self_contained


def test_a_folder_that_is_being_recorded_into_grows(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    target = split_recording(folder, 1, finish=False)
    with SegmentedReader(folder) as reader:
        assert reader.stats("a").count == 10
        following = begin(target.next_writer(target.writer), session="one")
        end(target.writer)
        following.write(messages(10, first=10) + messages(1, "/new", first=10))
        assert [row.id for row in reader.rows("a")] == list(range(1, 21))
        assert reader.find("/new").name == "new"
        end(following)
        assert [row.id for row in reader.rows("a")] == list(range(1, 21))


def test_a_segment_in_the_making_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)
    (folder / "segment-00004.db").touch()
    with SegmentedReader(folder) as reader:
        assert reader.stats("a").count == 30


def test_deleting_the_oldest_segment_gives_its_space_back(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)
    with SegmentedReader(folder) as reader:
        assert reader.stats("a").count == 30
        (folder / "segment-00001.db").unlink()
        assert [row.id for row in reader.rows("a")] == list(range(11, 31))


def test_files_that_overlap_in_time_are_merged(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    everything = messages(20)
    record(folder / "left.db", [everything[::2]])
    record(folder / "right.db", [everything[1::2]])
    with SegmentedReader(folder) as reader:
        numbers = [int(row.data.rstrip(b".")) for row in reader.rows("a")]
        assert numbers == list(range(20))
        backwards = [int(row.data.rstrip(b".")) for row in reader.rows("a", reverse=True)]
        assert backwards == numbers[::-1]
        last = reader.last_at("a", START_NS + 15 * 10 * MS)
        assert last is not None
        assert last.data.startswith(b"15")


def test_appending_to_a_folder_begins_a_new_segment(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)
    target = open_target(folder, append=True)
    begin(target.writer, START_NS + 10**12, session="two").write(messages(5, first=1000))
    end(target.writer)
    with SegmentedReader(folder) as reader:
        assert len(reader.files) == 4
        assert [row.id for row in reader.rows("a")] == list(range(1, 36))
        assert [session.accounts["a"].written for session in reader.sessions()] == [30, 5]


def test_topics_that_are_silent_in_the_last_segment_go_on_counting(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)  # /b is only in the second of three
    target = open_target(folder, append=True)
    begin(target.writer, START_NS + 10**12).write(messages(5, "/b", first=1000))
    end(target.writer)
    with SegmentedReader(folder) as reader:
        assert [row.id for row in reader.rows("b")] == list(range(1, 11))
        assert [row.seq for row in reader.rows("b")][5:] == list(range(36, 41))


def test_appending_to_a_folder_finishes_the_segments_that_a_crash_left(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    target = split_recording(folder, finish=False)
    target.writer.abandon()
    following = open_target(folder, append=True)
    begin(following.writer, START_NS + 10**12, session="two").write(messages(5, first=1000))
    end(following.writer)
    with SegmentedReader(folder) as reader:
        assert reader.self_contained
        assert [row.id for row in reader.rows("a")] == list(range(1, 36))
        assert [session.state for session in reader.sessions()] == ["killed", "finished"]


def empty(path: Path) -> None:
    path.touch()


def without_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size=32768")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def without_streams(path: Path) -> None:
    RecordingWriter.create(path).abandon()


@pytest.mark.parametrize("make", [empty, without_tables, without_streams])
def test_a_crash_while_a_segment_is_created_does_not_break_the_recording(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "long"
    split_recording(folder, 2)
    make(folder / "segment-00003.db")
    with SegmentedReader(folder) as reader:
        assert reader.stats("a").count == 20
    target = open_target(folder, append=True)
    begin(target.writer, START_NS + 10**12).write(messages(5, first=1000))
    end(target.writer)
    with SegmentedReader(folder) as reader:
        assert [row.id for row in reader.rows("a")] == list(range(1, 26))


@pytest.mark.parametrize("other", ["walk.db", "a.db", "segment-x.db"])
def test_other_recordings_in_the_folder_do_not_confuse_the_numbering(
    tmp_path: Path, other: str
) -> None:
    folder = tmp_path / "long"
    split_recording(folder, 2)
    record(folder / other, [messages(5, "/other", first=500)])
    target = open_target(folder, append=True)
    begin(target.writer, START_NS + 10**12).write(messages(5, first=1000))
    end(target.writer)
    assert (folder / "segment-00003.db").exists()
    with SegmentedReader(folder) as reader:
        assert reader.stats("a").count == 25
        assert reader.stats("other").count == 5


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(NotARecording, match="folder without any recording"):
        open_recording(tmp_path)


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)
    damaged = folder / "segment-00002.db"
    damaged.write_bytes(damaged.read_bytes()[:40_000])
    with pytest.raises(RecordingDamaged, match=r"segment-00002.db is truncated"):
        SegmentedReader(folder)


def test_a_folder_that_vanishes_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    split_recording(folder)
    with SegmentedReader(folder) as reader:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        with pytest.raises(StorageError, match="cannot be read"):
            reader.rows("a")


def test_each_segment_is_a_recording_of_its_own(tmp_path: Path) -> None:
    split_recording(tmp_path / "long")
    for number, first in (1, 1), (2, 11), (3, 21):
        with RecordingReader.open(tmp_path / "long" / f"segment-{number:05d}.db") as reader:
            assert [row.id for row in reader.rows("a")] == list(range(first, first + 10))

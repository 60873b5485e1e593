"""A folder of segments is saved as one recording, and what no edit touches is not copied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dimos_record.edit import progress, replacing
from dimos_record.edit.derive import save_as
from dimos_record.edit.save import save
from dimos_record.errors import RecordingBusy
from dimos_record.store import open_recording
from dimos_record.store.base import LogLine
from dimos_record.store.reader import RecordingReader
from dimos_record.store.segments import segments_of
from dimos_record.store.target import open_target
from dimos_record.store.unfinished import clean_up, replaced_path
from dimos_record.store.writer import RecordingWriter
from tests.edit.recordings import (
    MAP,
    S,
    check_integrity,
    cut,
    edit,
    everything,
    mark,
    names_in,
    numbers,
    opened,
    segmented,
)
from tests.store.samples import START_NS, begin


def save_it(path: Path, **options: Any) -> Any:
    reader = opened(path)
    return save(reader, reader.close, **options)


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in segments_of(folder)}


def test_only_segments_with_changes_are_written_anew(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    (walk / "notes.txt").write_text("wet grass")
    (walk / "photos").mkdir()
    (walk / "photos" / "1.jpg").write_bytes(b"a photo")
    cut(walk, 2.5, 3)
    mark(walk, 1, 5, "a marker")
    before, seen = inodes(walk), everything(walk)
    report = save_it(walk)
    assert everything(walk) == seen
    after = inodes(walk)
    assert {name for name in after if after[name] != before[name]} == {"segment-00002.db"}
    assert names_in(walk) == {*before, "notes.txt", "photos"}
    assert (walk / "photos" / "1.jpg").read_bytes() == b"a photo"
    assert names_in(tmp_path) == {"walk"}
    assert report.messages == sum(map(len, seen["rows"].values()))
    assert report.size_after == sum(file.stat().st_size for file in segments_of(walk))
    # dense within a segment, and rising from one to the next, as when they were recorded
    assert numbers(walk, "odom") == [*range(1, 39), *range(45, 67)]
    check_integrity(walk)


def test_empty_segments_go_and_what_they_know_of_sessions_stays(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, None, 2)
    edit(walk, "delete", streams=["map"])
    seen = everything(walk)
    save_it(walk)
    assert everything(walk) == seen
    assert seen["extent"][1:] == (START_NS, [(START_NS, START_NS + 2 * S)])
    assert set(inodes(walk)) == {"segment-00002.db", "segment-00003.db"}
    with open_recording(walk) as reader:
        (session,) = reader.sessions()
        assert session.accounts["odom"].written == 66


def test_the_state_from_a_dropped_segment_stays(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, None, 4)
    seen = everything(walk)
    assert len(seen["rows"]["map"]) == 1
    save_it(walk)
    assert everything(walk) == seen


def test_a_segment_that_only_lost_lines_of_its_log_is_written_anew(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    writer = begin(RecordingWriter.append(walk / "segment-00003.db"))
    writer.write_log([LogLine(START_NS, None, None, "a secret")])
    writer.end_session(START_NS, "stopped", 0, 0)
    writer.close()
    cut(walk, None, 0.5)
    seen = everything(walk)
    save_it(walk)
    assert everything(walk)["log"] == seen["log"]
    assert b"a secret" not in (walk / "segment-00003.db").read_bytes()


def test_markers_can_be_saved_deleted_and_saved_again(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    mark(walk, 1, 1, "first")
    save_it(walk)
    mark(walk, 2, 3, "second")
    edit(walk, "unmark", ids=[1])
    seen = everything(walk)
    save_it(walk)
    assert everything(walk) == seen
    assert [marker.label for marker in seen["markers"]] == ["second"]


def test_recording_goes_on_in_a_saved_folder(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, 5, None)
    save_it(walk)
    last = max(numbers(walk, "odom"))
    writer = begin(open_target(walk, append=True).writer)
    writer.write([(START_NS + 9 * S, "/odom#geometry_msgs.PoseStamped", b"more")])
    writer.end_session(START_NS + 10 * S, "stopped", 0, 0)
    writer.close()
    assert numbers(walk, "odom")[-1] == last + 1


def test_a_folder_becomes_one_file(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, 1, 3)
    seen = everything(walk)
    with open_recording(walk) as reader:
        save_as(reader, tmp_path / "one.db")
    assert everything(tmp_path / "one.db") == seen
    assert numbers(tmp_path / "one.db", "odom") == list(range(1, 45))


def test_a_folder_is_replaced_by_a_file_when_asked_to(tmp_path: Path) -> None:
    walk, other = segmented(tmp_path / "walk"), segmented(tmp_path / "other", 2)
    with open_recording(walk) as reader:
        save_as(reader, other, overwrite=True)
    assert other.is_file()
    assert everything(other)["rows"] == everything(walk)["rows"]
    assert names_in(tmp_path) == {"walk", "other"}


def test_a_segment_that_is_open_elsewhere_keeps_the_folder_as_it_is(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, 1, 3)
    before = inodes(walk)
    with RecordingReader.open(walk / "segment-00003.db"), pytest.raises(RecordingBusy):
        save_it(walk)
    assert inodes(walk) == before
    assert names_in(tmp_path) == {"walk"}


def test_a_cancelled_save_leaves_the_folder_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    walk = segmented(tmp_path / "walk")
    cut(walk, 1, 3)
    before, seen = inodes(walk), everything(walk)

    def cancel(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_it(walk, on_progress=cancel)
    assert (inodes(walk), everything(walk)) == (before, seen)
    assert names_in(tmp_path) == {"walk"}


def test_where_files_cannot_be_linked_they_are_all_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise PermissionError

    walk = segmented(tmp_path / "walk")
    cut(walk, 2.5, 3)
    mark(walk, 1, 5, "a marker")
    seen, before = everything(walk), inodes(walk)
    monkeypatch.setattr(os, "link", refuse)
    save_it(walk)
    assert everything(walk) == seen
    assert all(inodes(walk)[name] != before[name] for name in before)


def test_where_folders_cannot_be_exchanged_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = segmented(tmp_path / "walk")
    cut(walk, 1, 3)
    seen = everything(walk)
    monkeypatch.setattr(replacing, "_rename_with", lambda flag, source, target: False)
    save_it(walk)
    assert everything(walk) == seen
    assert names_in(tmp_path) == {"walk"}


def test_a_folder_that_was_killed_between_two_renames_comes_back(tmp_path: Path) -> None:
    walk = segmented(tmp_path / "walk", 2)
    aside = replaced_path(walk)
    os.rename(walk, aside)
    clean_up(walk)
    assert names_in(tmp_path) == {"walk"}
    assert MAP in {info.channel for info in everything(walk)["streams"].values()}

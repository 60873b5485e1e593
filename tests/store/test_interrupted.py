"""What a process that was killed, or a power cut, left half done does not keep anybody out."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record.bus import split_channel
from dimos_record.errors import RecordingBusy
from dimos_record.store import open_recording
from dimos_record.store.doctor import diagnose
from dimos_record.store.recovery import recover, rescue
from dimos_record.store.segments import segments_of
from dimos_record.store.target import open_target
from tests.store.samples import START_NS, begin, end, messages, python, record


def half_changed(path: Path) -> Path:
    """A finished recording, of which a killed process has overwritten a part: with a journal."""
    record(path, [messages(300, size=2000)])
    process = python(
        """
        import os, sqlite3, sys
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("PRAGMA cache_size=1")
        db.execute("BEGIN")
        db.execute("UPDATE a_blob SET data = zeroblob(2000)")
        os.kill(os.getpid(), 9)
        """,
        path,
        check=False,
    )
    assert process.returncode == -9, process.stderr
    return path


def test_a_change_that_was_killed_half_way_is_taken_back_by_the_next_reader(tmp_path: Path) -> None:
    path = half_changed(tmp_path / "walk.db")
    assert os.path.getsize(f"{path}-journal") > 0
    with open_recording(path) as reader:
        assert [row.data for row in reader.rows("a")] == [m[2] for m in messages(300, size=2000)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["walk.db"]
    assert diagnose(path).healthy


def segments(folder: Path, *, journal_mode: str | None) -> Path:
    """Two finished segments, and a third that was being created when its process was killed."""
    target = open_target(folder, split=True)
    first = begin(target.writer)
    first.write(messages(3))
    second = target.next_writer(first)
    second.begin_session(START_NS, {}, split=split_channel)
    second.write(messages(2, first=3))
    for writer in (first, second):
        end(writer)
        writer.close()
    unborn = folder / "segment-00003.db"
    unborn.touch()
    if journal_mode:
        with closing(sqlite3.connect(unborn)) as db:
            db.execute(f"PRAGMA journal_mode={journal_mode}")
    return folder


@pytest.mark.parametrize("journal_mode", [None, "WAL"])
def test_a_segment_that_was_being_created_is_no_damage_and_goes(
    tmp_path: Path, journal_mode: str | None
) -> None:
    folder = segments(tmp_path / "long", journal_mode=journal_mode)
    found = diagnose(folder)
    assert not found.damaged
    assert [(one.severity, one.check, one.file) for one in found.findings] == [
        ("problem", "unfinished", folder / "segment-00003.db")
    ]
    assert recover(folder)
    assert [path.name for path in segments_of(folder)] == ["segment-00001.db", "segment-00002.db"]
    assert diagnose(folder).healthy
    with open_recording(folder) as reader:
        assert [row.data for row in reader.rows("a")] == [m[2] for m in messages(5)]


def with_a_log(path: Path) -> Path:
    """A killed recording; in its log messages were committed, and moved into their tables."""
    process = python(
        """
        import os, sys
        from pathlib import Path
        from dimos_record.store.writer import RecordingWriter
        from tests.store.samples import begin, messages

        writer = begin(RecordingWriter.create(Path(sys.argv[1])))
        for number in range(6):
            writer.write(messages(12, size=1000, first=12 * number))
            if number % 4 == 3:
                writer.drain()
        os.kill(os.getpid(), 9)
        """,
        path,
        check=False,
    )
    assert process.returncode == -9, process.stderr
    return path


@pytest.mark.once
def test_whatever_page_of_a_log_is_torn_recover_saves_what_can_be_read(tmp_path: Path) -> None:
    path = with_a_log(tmp_path / "walk.db")
    log = Path(f"{path}-wal").read_bytes()
    frame_bytes = 24 + int.from_bytes(log[8:12], "big")
    for at in range(32, len(log), frame_bytes):
        torn = tmp_path / "torn" / "walk.db"
        torn.parent.mkdir()
        shutil.copy(path, torn)
        middle = at + frame_bytes // 2
        Path(f"{torn}-wal").write_bytes(log[:middle] + bytes(4096) + log[middle + 4096 :])
        with open_recording(torn) as reader:
            found = {row.id: row.data for row in reader.rows("a")} if reader.streams else {}
        rescued = rescue(torn)
        with open_recording(rescued.path) as reader:
            saved = {row.id: row.data for row in reader.rows("a")}
        assert found.items() <= saved.items(), f"the frame at {at} is torn"
        shutil.rmtree(torn.parent)


@pytest.mark.parametrize("journal_mode", [None, "WAL"])
@pytest.mark.parametrize("how", ["append", "overwrite"])
def test_a_file_that_was_being_created_is_begun_anew(
    tmp_path: Path, journal_mode: str | None, how: str
) -> None:
    path = tmp_path / "walk.db"
    path.touch()
    if journal_mode:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA journal_mode={journal_mode}")
    writer = begin(open_target(path, **{how: True}).writer)
    writer.write(messages(3))
    end(writer)
    writer.close()
    assert diagnose(path).healthy


def test_a_file_that_somebody_is_creating_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        with pytest.raises(RecordingBusy, match="open elsewhere"):
            open_target(path, append=True)
    assert path.exists()

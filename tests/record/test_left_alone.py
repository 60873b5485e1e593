"""Nobody looks after a recording any more: its file is taken away, or its program just ends."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from dimos_record.errors import StorageError
from dimos_record.store.reader import RecordingReader
from tests.record.recordings import memory_bus, only_session, session_on, wait_until, written


def test_a_file_that_is_removed_ends_the_recording_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with memory_bus("removed") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"1")
        wait_until(lambda: written(session) == 1)
        path.unlink()
        assert session.wait(60)
        with pytest.raises(StorageError, match=r"walk\.db was removed, renamed or replaced"):
            session.stop()


def test_a_file_that_is_renamed_ends_the_recording_and_has_everything(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "walk.db", tmp_path / "elsewhere.db"
    with memory_bus("renamed") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"1")
        wait_until(lambda: written(session) == 1)
        path.rename(elsewhere)
        bus.publish("/a", b"2")
        assert session.wait(60)
        with pytest.raises(StorageError, match="removed, renamed or replaced"):
            session.stop()
    with RecordingReader.open(elsewhere) as reader:
        assert [row.data for row in reader.rows("a")] == [b"1", b"2"]


@pytest.mark.once
def test_segments_are_never_taken_for_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with memory_bus("split") as bus, session_on(bus, tmp_path / "walk", split_s=0.3) as session:
        wait_until(lambda: session.progress().segments > 8)
    assert "removed" not in caplog.text


UNCLOSED = """
from dimos_record import RecordReplay
rec = RecordReplay({path!r}, bus="memory://unclosed")
rec.start_recording(min_free_bytes=0)
rec.bus.publish("/a", b"1")
"""


def test_a_program_that_forgets_to_close_ends_and_its_file_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    code = UNCLOSED.format(path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert not done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["walk.db"]
    with RecordingReader.open(path) as reader:
        assert [row.data for row in reader.rows("a")] == [b"1"]
        assert reader.self_contained
    assert only_session(path).reason == "end of the program"

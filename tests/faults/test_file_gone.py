"""The file of a recording is taken away while it is recorded into, and another takes its name."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from dimos_record.errors import RecordingBusy, RecordingGone
from dimos_record.store.writer import RecordingWriter
from tests.record.recordings import memory_bus, payloads, session_on, wait_until, written

pytestmark = pytest.mark.once


def test_a_file_that_is_replaced_ends_the_recording_at_once_and_stays_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path, other = tmp_path / "walk.db", tmp_path / "other.db"
    other.write_text("precious")
    with memory_bus("replaced") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"1")
        wait_until(lambda: written(session) == 1)
        os.replace(other, path)
        bus.publish("/a", b"2")
        assert session.wait(60)
        with pytest.raises(RecordingGone, match="removed, renamed or replaced"):
            session.stop()
    assert session.progress().reason == "file gone"
    assert "trying again" not in caplog.text
    assert path.read_text() == "precious"


def test_a_recording_that_was_renamed_keeps_its_log_from_one_that_takes_its_name(
    tmp_path: Path,
) -> None:
    path, elsewhere = tmp_path / "walk.db", tmp_path / "elsewhere.db"
    with memory_bus("again") as bus:
        session = session_on(bus, path).start()
        bus.publish("/a", b"1")
        wait_until(lambda: written(session) == 1)
        path.rename(elsewhere)
        with pytest.raises(RecordingBusy, match=r"walk\.db is open elsewhere in this program"):
            RecordingWriter.create(path)
        with pytest.raises(RecordingGone):
            session.stop()
    assert payloads(elsewhere, "a") == [b"1"]
    RecordingWriter.create(path).close()

"""`dimos-record recover`: what a killed recorder left becomes one file in order."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from tests.cli.commands import Running, run
from tests.record.recordings import wait_until


def test_a_killed_recording_becomes_one_file_with_every_message(tmp_path: Path) -> None:
    url, path = free_lcm_url(), tmp_path / "walk.db"
    with Running("record", str(path), "--bus", url) as recorder, open_bus(url) as bus:
        recorder.wait_for("Recording to")
        for number in range(100):
            bus.publish("/number", b"%d" % number)
        wait_until(lambda: path.exists() and _count(path) == 100)
        recorder.process.send_signal(signal.SIGKILL)
        recorder.process.wait()
    assert Path(f"{path}-wal").exists()
    result = run("recover", str(path))
    assert result.returncode == 0, result.stderr
    assert "100 messages" in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["walk.db"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM number_blob").fetchone() == (100,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with open_recording(path) as reader:
        assert [session.state for session in reader.sessions()] == ["killed"]
    before = path.read_bytes()
    assert run("recover", str(path)).returncode == 0
    assert path.read_bytes() == before


def test_a_recording_in_progress_is_not_touched(tmp_path: Path) -> None:
    url, path = free_lcm_url(), tmp_path / "walk.db"
    with Running("record", str(path), "--bus", url) as recorder:
        recorder.wait_for("Recording to")
        result = run("recover", str(path))
    assert result.returncode == 5
    assert result.stderr.startswith(f"error: {path} is being recorded into by process")


def _count(path: Path) -> int:
    with open_recording(path) as reader:
        return sum(1 for name in reader.streams for _ in reader.rows(name))


def test_what_a_killed_save_has_left_is_deleted_or_put_back(tmp_path: Path) -> None:
    folder, ended = tmp_path / "walk", 2**22 + 7  # beyond every process number
    with RecordReplay(folder / "segment-00001.db") as rec:
        folder.mkdir()
        rec.stream("number").append(b"1")
    taken_away = tmp_path / f".walk.replaced-{ended}"
    folder.rename(taken_away)
    (tmp_path / f".walk.saving-{ended}").mkdir()
    assert run("recover", str(folder)).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["walk"]

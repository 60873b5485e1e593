"""`dimos-record recover`: what a killed recorder left becomes one file in order."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from tests.cli.commands import Running, run
from tests.cli.conftest import RunHere
from tests.record.recordings import wait_until
from tests.store.samples import killed, messages, record, snapshot


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


def damage(path: Path, payload: bytes) -> Path:
    """Change the first byte of a payload, wherever it is."""
    data = path.read_bytes()
    assert payload in data
    path.write_bytes(data.replace(payload, b"!" + payload[1:]))
    return path


SEVENTH = b"7".ljust(100, b".")


def test_what_is_left_of_a_damaged_recording_is_saved_and_what_is_missing_is_said(
    tmp_path: Path, run_here: RunHere
) -> None:
    damage(record(tmp_path / "walk.db", [messages(20)]), SEVENTH)
    before = snapshot(tmp_path)
    ran = run_here("recover", "walk.db")
    assert (ran.code, ran.out) == (6, "")
    assert "/a: 19 saved, 1 missing (20 were written, as the account says): number 8" in ran.err
    assert ran.err.splitlines()[-1].startswith("error: walk.db is damaged")
    saved = snapshot(tmp_path)
    assert saved.pop("walk-recovered.db")
    assert saved == before
    with open_recording(tmp_path / "walk-recovered.db") as reader:
        assert [row.id for row in reader.rows("a")] == [*range(1, 8), *range(9, 21)]
    assert run_here("doctor", "walk-recovered.db").code == 0


def test_a_recording_whose_messages_are_all_left_exits_with_0(
    tmp_path: Path, run_here: RunHere
) -> None:
    path = record(tmp_path / "walk.db", [messages(20)])
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    ran = run_here("recover", "walk.db", "saved.db", "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert (found["damaged"], found["complete"], found["path"]) == (True, True, "saved.db")
    assert found["files"][0]["messages_saved"] == 20


def test_nothing_is_replaced_unasked(tmp_path: Path, run_here: RunHere) -> None:
    damage(record(tmp_path / "walk.db", [messages(20)]), SEVENTH)
    (tmp_path / "saved.db").write_text("mine")
    ran = run_here("recover", "walk.db", "saved.db")
    assert ran.code == 3
    assert "--overwrite" in ran.err
    assert (tmp_path / "saved.db").read_text() == "mine"
    assert run_here("recover", "walk.db", "saved.db", "--overwrite").code == 6
    assert run_here("recover", "walk.db", "walk.db").code == 2


def test_what_was_never_a_recording_is_refused(tmp_path: Path, run_here: RunHere) -> None:
    (tmp_path / "notes.db").write_text("These are notes. " * 5000)
    ran = run_here("recover", "notes.db")
    assert ran.code == 4
    assert "notes.db is not a recording" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.db"]
    ran = run_here("recover", "/dev/null")
    assert (ran.code, ran.err) == (4, "error: /dev/null is not a recording: it is empty\n")


def test_a_damaged_log_is_not_thrown_away(tmp_path: Path, run_here: RunHere) -> None:
    path = killed(tmp_path / "walk.db")
    log = Path(f"{path}-wal")
    data = bytearray(log.read_bytes())
    data[32 + 24 + 40_000] ^= 1
    log.write_bytes(data)
    before = snapshot(tmp_path)
    assert run_here("recover", "walk.db").code in (0, 6)
    after = snapshot(tmp_path)
    assert after.pop("walk-recovered.db")
    assert {name: after[name][0] for name in before} == {n: one[0] for n, one in before.items()}


def test_of_a_folder_of_segments_only_the_damaged_ones_are_salvaged(
    tmp_path: Path, run_here: RunHere
) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    first = record(folder / "segment-00001.db", [messages(20)])
    shutil.copy(first, folder / "segment-00002.db")
    damage(folder / "segment-00002.db", SEVENTH)
    assert run_here("recover", "walk").code == 6
    saved = tmp_path / "walk-recovered"
    assert sorted(path.name for path in saved.iterdir()) == [
        "segment-00001.db",
        "segment-00002.db",
    ]
    assert (saved / "segment-00001.db").read_bytes() == first.read_bytes()
    with open_recording(saved) as reader:
        assert reader.stats("a").count == 39

"""Saving a file in its own place: before or after, and never beside somebody who has it open."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dimos_record.edit import progress, replacing
from dimos_record.edit.save import save
from dimos_record.errors import (
    DiskFull,
    EditError,
    OptionError,
    RecordingBusy,
)
from dimos_record.store import in_use, open_recording
from dimos_record.store.memory import MemoryStore
from dimos_record.store.reader import RecordingReader
from dimos_record.store.unfinished import clean_up
from dimos_record.store.writer import RecordingWriter
from tests.edit.recordings import (
    check_integrity,
    cut,
    edit,
    everything,
    mark,
    names_in,
    numbered,
    numbers,
    opened,
    query,
    walk,
)
from tests.store.samples import ROOT, START_NS, begin, messages, record

NOBODY = 65534


def save_it(path: Path, **options: Any) -> Any:
    reader = opened(path)
    return save(reader, reader.close, **options)


@contextmanager
def second_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a piece of Python and has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_file_is_what_was_seen_and_smaller(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    of = "SELECT value FROM _dr_meta WHERE key IN ('recording_id', 'created_ns') ORDER BY key"
    same = query(path, of)
    cut(path, 2, 8)
    edit(path, "rename", stream="map", topic="/costmap", channel="/costmap")
    mark(path, 1, 9, "end")
    seen, before = everything(path), path.stat().st_size
    path.chmod(0o640)
    report = save_it(path)
    assert everything(path) == seen
    assert query(path, of) == same
    assert query(path, "SELECT * FROM _dr_edits") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (report.size_before, report.size_after) == (before, path.stat().st_size)
    assert report.size_after < before
    assert report.messages == sum(map(len, seen["rows"].values()))
    assert names_in(tmp_path) == {"walk.db"}
    check_integrity(path)


def test_what_was_saved_can_be_edited_and_saved_again_and_recorded_into(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    cut(path, None, 3)
    save_it(path)
    cut(path, 5, 6)
    seen = everything(path)
    assert seen["extent"][1] == START_NS
    save_it(path)
    assert everything(path) == seen
    writer = begin(RecordingWriter.append(path), START_NS + 20 * 10**9)
    writer.write([(START_NS + 20 * 10**9, "/camera#sensor_msgs.Image", b"12345678")])
    writer.end_session(START_NS + 21 * 10**9, "stopped", 0, 0)
    assert writer.close()
    assert numbers(path, "camera") == list(range(1, len(numbers(path, "camera")) + 1))


def test_without_edits_there_is_nothing_to_save(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 10)
    with open_recording(path) as reader, pytest.raises(EditError, match="no unsaved edits"):
        save(reader, reader.close)


def test_a_recording_in_memory_has_no_file_to_save_into() -> None:
    store = MemoryStore()
    begin(store.target().writer).write(messages(5))
    with store.reader() as reader, pytest.raises(OptionError, match="save_as"):
        save(reader, reader.close)
    store.close()


def test_it_waits_for_nobody_who_has_the_file_open(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    before = path.read_bytes()
    code = (
        "import sys; from pathlib import Path; from dimos_record.store import open_recording\n"
        "reader = open_recording(Path(sys.argv[1])); print('ready', flush=True); input()"
    )
    with second_process(code, path) as process, pytest.raises(RecordingBusy) as refused:
        save_it(path)
    assert f"process {process.pid} (" in str(refused.value)
    assert str(path) in str(refused.value)
    assert path.read_bytes() == before
    with RecordingReader.open(path), pytest.raises(RecordingBusy, match="in this program"):
        save_it(path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == {"walk.db"}
    save_it(path)


def test_a_recorder_that_nobody_can_see_is_noticed_by_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    monkeypatch.setattr(in_use, "users_of", lambda files: [])
    monkeypatch.setattr("dimos_record.store.connection.BUSY_TIMEOUT_S", 0.1)
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA journal_mode=WAL')\n"
        "connection.execute('BEGIN IMMEDIATE'); print('ready', flush=True); input()"
    )
    with second_process(code, path), pytest.raises(RecordingBusy, match="in use"):
        save_it(path)
    assert len(numbers(path, "a")) == 90
    save_it(path)
    check_integrity(path)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "walk.db", [messages(10, size=100_000)])
    cut(path, 0, 0.05)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    with pytest.raises(DiskFull, match=r"about 1 MB, .* has 5 MB.*save_as") as refused:
        save_it(path)
    assert str(path) in str(refused.value)
    assert names_in(tmp_path) == {"walk.db"}


def test_a_disk_that_becomes_full_while_writing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path / "walk.db", [messages(100, size=100_000)])
    cut(path, 0, 0.05)
    before = path.read_bytes()
    from dimos_record.edit import new_file

    def with_a_limit(connection: Any, name: str, configure: Any = new_file._configure) -> None:
        configure(connection, name)
        connection.execute(f"PRAGMA {name}.max_page_count=100")

    monkeypatch.setattr(new_file, "_configure", with_a_limit)
    with pytest.raises(DiskFull, match=str(path)):
        save_it(path)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == {"walk.db"}


class Cancelled(Exception):
    """Raised by whoever watches."""


@pytest.mark.parametrize("after", [1, 3, -1])
def test_a_cancelled_save_changes_nothing(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    path = record(tmp_path / "walk.db", [messages(10, size=1_000_000)])
    cut(path, 0, 0.02)
    before, calls = path.read_bytes(), 0

    def watch(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after or (after < 0 and done == total):
            raise Cancelled

    with pytest.raises(Cancelled):
        save_it(path, on_progress=watch)
    assert path.read_bytes() == before
    assert names_in(tmp_path) == {"walk.db"}
    assert len(numbers(path, "a")) == 8


def test_an_edit_that_was_made_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    reader = opened(path)

    def close() -> None:
        reader.close()
        cut(path, 0.7, 0.8)

    with pytest.raises(RecordingBusy, match="edited meanwhile"):
        save(reader, close)
    assert len(numbers(path, "a")) == 80


def test_a_read_only_recording_is_not_saved() -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from dimos_record.errors import StorageError\n"
        "from tests.edit.test_save import save_it\n"
        f"os.getuid() == 0 and (os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY}))\n"
        "try:\n    save_it(Path(sys.argv[1]))\n"
        "except StorageError as error:\n    sys.exit(str(error))"
    )
    with tempfile.TemporaryDirectory() as folder:  # others cannot reach into pytest's folders
        Path(folder).chmod(0o755)
        path = numbered(Path(folder, "walk.db"), 100)
        cut(path, 0.5, 0.6)
        path.chmod(0o444)
        run = subprocess.run(
            [sys.executable, "-c", code, path],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"{path} is read-only" in run.stderr
        assert len(run.stderr.splitlines()) == 1
        assert names_in(Path(folder)) == {"walk.db"}


def test_what_a_killed_process_left_is_deleted_by_the_next_save(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".walk.db.saving-{ended.pid}").write_bytes(b"half a file")
    (tmp_path / f".walk.db.saving-{os.getpid()}").write_bytes(b"of an earlier process of my number")
    code = (
        "import os, sys; kept = open(f'{sys.argv[1]}/.walk.db.saving-{os.getpid()}', 'w')\n"
        "print('ready', flush=True); input()"
    )
    with second_process(code, tmp_path) as writing:
        save_it(path)
        assert names_in(tmp_path) == {"walk.db", f".walk.db.saving-{writing.pid}"}
    assert [left.name for left in clean_up(path)] == [f".walk.db.saving-{writing.pid}"]
    assert names_in(tmp_path) == {"walk.db"}


def test_a_recorder_that_waits_for_the_swap_writes_into_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened the old one after the last look at who has, and waits for its lock."""
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    code = (
        "import sys; from pathlib import Path\n"
        "from dimos_record.store.writer import RecordingWriter\n"
        "from tests.store.samples import START_NS, begin, end\n"
        "print('ready', flush=True); input()\n"
        "writer = begin(RecordingWriter.append(Path(sys.argv[1])))\n"
        "writer.write([(START_NS + 10**10, '/a', b'late')]); end(writer); print('done')"
    )
    with second_process(code, path) as recorder:

        def replace(new: Path, old: Path, real: Any = os.replace) -> None:
            assert recorder.stdin is not None
            recorder.stdin.write("go\n")
            recorder.stdin.flush()
            while all(user.pid != recorder.pid for user in in_use.users_of([old])):
                assert recorder.poll() is None
            real(new, old)

        monkeypatch.setattr(replacing.os, "replace", replace)
        save_it(path)
        output, _ = recorder.communicate(timeout=60)
    assert output == "done\n"
    assert len(numbers(path, "a")) == 91
    assert names_in(tmp_path) == {"walk.db"}
    check_integrity(path)


def test_a_writer_whose_file_was_replaced_says_so(tmp_path: Path) -> None:
    path, other = numbered(tmp_path / "walk.db", 5), numbered(tmp_path / "other.db", 7)
    writer = begin(RecordingWriter.append(path))
    os.replace(other, path)
    with pytest.raises(RecordingBusy, match="open it again"):
        writer.write([(START_NS + 10**10, "/a", b"late")])
    writer.abandon()
    for file in tmp_path.glob("walk.db-*"):
        file.unlink()
    assert len(numbers(path, "a")) == 7


def test_another_name_of_the_old_file_keeps_what_it_had(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    cut(path, 0.5, 0.6)
    os.link(path, tmp_path / "backup.db")
    os.symlink(path, tmp_path / "link.db")
    save_it(tmp_path / "link.db")
    assert (tmp_path / "link.db").is_symlink()
    assert query(path, "SELECT count(*) FROM a") == [(90,)]
    assert query(tmp_path / "backup.db", "SELECT count(*) FROM a") == [(100,)]

"""A recording is opened for reading in every state it can be in, and nothing on disk changes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dimos_record.errors import RecordingDamaged
from dimos_record.store.connection import ReadConnection
from dimos_record.store.reader import RecordingReader
from dimos_record.store.writer import RecordingWriter
from tests.leftovers import nothing_left_behind
from tests.store.samples import (
    ROOT,
    START_NS,
    begin,
    end,
    killed,
    messages,
    python,
    record,
    snapshot,
)

NOBODY = 65534
COUNT = 30


def finished(path: Path) -> None:
    record(
        path, [messages(1, first=i) + messages(1, "/big", 50_000, first=i) for i in range(COUNT)]
    )


def killed_without_its_index(path: Path) -> None:
    killed(path, COUNT)
    Path(f"{path}-shm").unlink()


def in_wal_mode_without_a_log(path: Path) -> None:
    finished(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def in_wal_mode_with_an_empty_log(path: Path) -> None:
    in_wal_mode_without_a_log(path)
    Path(f"{path}-wal").touch()
    Path(f"{path}-shm").touch()


STATES = [
    finished,
    lambda path: killed(path, COUNT),
    killed_without_its_index,
    in_wal_mode_without_a_log,
    in_wal_mode_with_an_empty_log,
]
IDS = ["finished", "killed", "killed, without index", "WAL without log", "WAL with empty log"]


def check_all_of_it(path: Path) -> None:
    with RecordingReader.open(path) as reader:
        assert set(reader.streams) == {"a", "big"}
        for name in ("a", "big"):
            numbers = [int(row.data.rstrip(b".")) for row in reader.rows(name)]
            assert numbers == list(range(COUNT))
            assert reader.stats(name).count == COUNT
            assert reader.payload(name, COUNT) == next(reader.rows(name, reverse=True)).data
        assert reader.sessions()[0].state in ("finished", "killed")
        assert reader.span_ns() is not None


def read_as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    """Read in a process without any rights to write; where we are not root, we have none anyway."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.store.test_reading_changes_nothing import check_all_of_it\n"
        "import os\n"
        f"os.getuid() == 0 and (os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY}))\n"
        "check_all_of_it(Path(sys.argv[1]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own; it may be made read-only."""
    with tempfile.TemporaryDirectory() as name:
        inside = Path(name, "recordings")
        Path(name).chmod(0o755)
        inside.mkdir(mode=0o755)
        yield inside
        inside.chmod(0o755)


@pytest.mark.parametrize("make", STATES, ids=IDS)
def test_reading_changes_no_byte(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "walk.db")
    before = snapshot(folder)
    with RecordingReader.open(folder / "walk.db"):
        assert snapshot(folder) == before
        check_all_of_it(folder / "walk.db")
    assert snapshot(folder) == before


@pytest.mark.parametrize("at", [5, 32 + 24 + 7, 32 + 20], ids=["header", "page", "checksum"])
@pytest.mark.parametrize("mode", [b"\1\1", b"\2\2"], ids=["wrong mode", "wal"])
def test_reading_keeps_a_log_whose_beginning_is_damaged(folder: Path, at: int, mode: bytes) -> None:
    path = killed(folder / "walk.db")
    for file, place, data in ((f"{path}-wal", at, b"damage"), (path, 18, mode)):
        with open(file, "r+b") as opened:
            opened.seek(place)
            opened.write(data)
    before = snapshot(folder)
    with suppress(RecordingDamaged), RecordingReader.open(path) as reader:
        assert [name for name in reader.streams for _ in reader.rows(name)] == []
    assert snapshot(folder) == before


def test_reading_keeps_the_log_of_a_file_without_a_whole_page(folder: Path) -> None:
    path = killed(folder / "walk.db")
    os.truncate(path, 200)
    before = snapshot(folder)
    with pytest.raises(RecordingDamaged, match="truncated"):
        check_all_of_it(path)
    assert snapshot(folder) == before


@pytest.mark.parametrize("make", STATES, ids=IDS)
def test_a_read_only_file_in_a_read_only_folder_can_be_read(
    folder: Path, make: Callable[[Path], None]
) -> None:
    make(folder / "walk.db")
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    before = snapshot(folder)
    result = read_as_nobody(folder / "walk.db")
    assert result.returncode == 0, result.stderr
    assert snapshot(folder) == before


def test_a_recorder_of_another_user_can_be_watched(folder: Path) -> None:
    writer = begin(RecordingWriter.create(folder / "walk.db"))
    for i in range(COUNT):
        writer.write(messages(1, first=i) + messages(1, "/big", 50_000, first=i))
    for file in folder.iterdir():
        file.chmod(0o444 if file.suffix == ".db" else 0o644)
    folder.chmod(0o555)
    before = snapshot(folder)
    result = read_as_nobody(folder / "walk.db")
    after = snapshot(folder)
    end(writer)
    assert result.returncode == 0, result.stderr
    for name, state in before.items():
        if not name.endswith("-shm"):  # readers note in the index what they read
            assert after[name] == state
    assert after.keys() == before.keys()


def test_reading_while_a_process_records_leaves_its_log_alone(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5))
    python(
        """
        import sys
        from pathlib import Path
        from dimos_record.store.reader import RecordingReader

        for _ in range(3):
            with RecordingReader.open(Path(sys.argv[1])) as reader:
                assert len(list(reader.rows("a"))) == 5
        """,
        path,
    )
    assert Path(f"{path}-wal").stat().st_size > 0
    end(writer)


def open_and_close_elsewhere(path: Path) -> None:
    """Open the file as any program might; whoever closes it as the last one removes the log."""
    python(
        """
        import sqlite3, sys

        connection = sqlite3.connect(sys.argv[1])
        connection.execute("SELECT 1 FROM _streams").fetchall()
        connection.close()
        """,
        path,
    )


def test_a_reader_in_the_recorders_process_keeps_its_locks(tmp_path: Path) -> None:
    """POSIX drops a process's locks when it closes any descriptor of the file."""
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    writer.write(messages(5))
    with RecordingReader.open(path) as reader:
        assert reader.self_contained is False
    writer.copy_log()
    open_and_close_elsewhere(path)
    assert Path(f"{path}-wal").exists()
    writer.write(messages(5, first=5))
    end(writer)
    with RecordingReader.open(path) as reader:
        assert reader.stats("a").count == 10


def test_a_killed_recording_can_be_appended_to_while_it_is_read(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db", COUNT)
    with RecordingReader.open(path) as reader:
        assert reader.stats("a").count == COUNT
        writer = begin(RecordingWriter.append(path), START_NS + 10**12)
        writer.write(messages(1, first=COUNT))
        assert reader.stats("a").count == COUNT + 1
        with RecordingReader.open(path) as second:
            assert second.stats("a").count == COUNT + 1
    open_and_close_elsewhere(path)
    assert Path(f"{path}-wal").exists()
    writer.write(messages(1, first=COUNT + 1))
    end(writer)
    with RecordingReader.open(path) as reader:
        assert reader.stats("a").count == COUNT + 2


@pytest.mark.parametrize("make", STATES, ids=IDS)
def test_a_reader_follows_when_somebody_begins_to_record(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "walk.db"
    make(path)
    with RecordingReader.open(path) as reader:
        rows = reader.rows("a")
        first = next(rows)
        python(
            """
            import sys
            from pathlib import Path
            from dimos_record.store.writer import RecordingWriter
            from tests.store.samples import begin, end, messages

            writer = begin(RecordingWriter.append(Path(sys.argv[1])), 1_700_001_000_000_000_000)
            for i in range(30, 60):
                writer.write(messages(1, first=i) + messages(1, "/new", first=i))
            end(writer)
            """,
            path,
        )
        numbers = [int(row.data.rstrip(b".")) for row in (first, *rows)]
        assert numbers == list(range(60))
        assert reader.stats("new").count == 30
        assert len(reader.sessions()) == 2


def test_a_copy_of_a_running_recording_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    writer = begin(RecordingWriter.create(path))
    for i in range(COUNT):
        writer.write(messages(1, first=i) + messages(1, "/big", 50_000, first=i))
    (tmp_path / "copy").mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", tmp_path / "copy" / f"walk.db{suffix}")
    end(writer)
    before = snapshot(tmp_path / "copy")
    with RecordingReader.open(tmp_path / "copy" / "walk.db") as reader:
        assert reader.stats("big").count == COUNT
        assert reader.self_contained is False
    assert snapshot(tmp_path / "copy") == before


def test_closing_readers_leaves_no_descriptor_open(tmp_path: Path) -> None:
    path = killed(tmp_path / "walk.db", COUNT)
    with nothing_left_behind():
        for _ in range(5):
            check_all_of_it(path)


def test_a_file_that_is_finished_while_it_is_opened_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "walk.db"
    finished(path)
    outdated = [False, True]
    monkeypatch.setattr(
        ReadConnection, "is_outdated", lambda self: bool(outdated) and outdated.pop()
    )
    with RecordingReader.open(path) as reader:
        assert outdated == []
        assert reader.stats("big").count == COUNT

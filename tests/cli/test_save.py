"""`dimos-record save`, `extract`, `split` and `merge`: recordings that are written anew."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.cli.progress import CopyingLine
from tests.cli.commands import CLI, T0, S, Terminal
from tests.cli.conftest import RunHere
from tests.cli.samples import tree

MESSAGE = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of `/odom` at 10 Hz and of `/image`, 10 kB each, at 10 Hz."""
    path = tmp_path_factory.mktemp("save") / "walk.db"
    with RecordReplay(path) as rec:
        odom, image = rec.stream("odom"), rec.stream("image")
        for i in range(200):
            odom.append(b"%03d" % i, ts_ns=T0 + i * S // 10)
            image.append(b"%03d" % i + MESSAGE, ts_ns=T0 + i * S // 10 + 1)
    return path


@pytest.fixture
def file(walk: Path, tmp_path: Path) -> Path:
    shutil.copy(walk, tmp_path / "walk.db")
    return tmp_path / "walk.db"


def odom(path: Path) -> list[int]:
    with RecordReplay(path) as rec:
        return [int(one.raw) for one in rec.streams.odom]


def intact(path: Path) -> bool:
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    return found


def test_what_was_cut_is_gone_and_the_room_is_given_back(file: Path, run_here: RunHere) -> None:
    size = file.stat().st_size
    run_here("trim", "walk.db", "5", "10")
    run_here("mark", "walk.db", "8", "here")
    plan = run_here("save", "walk.db", "--dry-run")
    assert plan.out == (
        "walk.db: would trim to 5 s - 10 s\n"
        "walk.db: would mark 'here' at 8 s\n"
        "walk.db: 300 messages would be gone for good, 100 messages stay; nothing was changed\n"
    )
    assert file.stat().st_size == size
    done = run_here("save", "walk.db")
    assert done[:2] == (0, "")
    assert done.err.startswith("walk.db: saved; 300 messages are gone, 100 messages stay; 3")
    assert done.err.endswith(" given back\n")
    assert file.stat().st_size < size / 2
    assert odom(file) == list(range(50, 100))
    assert intact(file)
    lines = run_here("info", "walk.db").out.splitlines()
    assert "positions 0:05.0 to 0:09.9: what came before was cut" in lines
    assert "markers: here (0:08.0)" in lines
    assert run_here("undo", "walk.db").code == 6


def test_a_new_file_leaves_the_recording_as_it_is(file: Path, run_here: RunHere) -> None:
    run_here("cut", "walk.db", "10", "15")
    before = file.read_bytes()
    found = json.loads(run_here("save", "walk.db", "--as", "small.db", "--json").out)
    assert (found["path"], found["messages"], found["messages_gone"]) == ("small.db", 300, 100)
    assert found["size_after_bytes"] == (file.parent / "small.db").stat().st_size
    assert found["size_before_bytes"] == len(before) == file.stat().st_size
    assert file.read_bytes() == before
    assert odom(file.parent / "small.db") == [*range(100), *range(150, 200)]
    refused = run_here("save", "walk.db", "--as", "small.db")
    assert refused.code == 3
    assert "--overwrite" in refused.err
    assert run_here("save", "walk.db", "--as", "small.db", "--overwrite").code == 0


COMMANDS = [
    (("save", "walk.db"), "walk.db is as it was"),
    (("save", "walk.db", "--as", "out.db"), "out.db was not written"),
    (("extract", "walk.db", "1", "2", "out.db"), "out.db was not written"),
    (("split", "walk.db", "4", "8"), "no file was written"),
    (("merge", "out.db", "walk.db", "other.db"), "out.db was not written"),
]


@pytest.mark.parametrize(("command", "said"), COMMANDS, ids=lambda value: value[0])
def test_ctrl_c_cancels_and_nothing_has_changed(
    file: Path,
    run_here: RunHere,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    said: str,
) -> None:
    run_here("cut", "walk.db", "10", "15")
    shutil.copy(file, file.parent / "other.db")
    before = tree(file.parent)
    monkeypatch.setattr(CopyingLine, "update", lambda *_: signal.raise_signal(signal.SIGINT))
    assert run_here(*command) == (130, "", f"Cancelled; {said}\n")
    assert tree(file.parent) == before


def test_a_section_becomes_a_recording_of_its_own(file: Path, run_here: RunHere) -> None:
    before = file.read_bytes()
    done = run_here("extract", "walk.db", "-5", "+2", "fall.db", "-t", "/odom")
    assert done[:2] == (0, "")
    assert done.err.startswith("fall.db: 20 messages, ")
    assert odom(file.parent / "fall.db") == list(range(150, 170))
    assert file.read_bytes() == before
    assert run_here("extract", "walk.db", "1", "2", "fall.db").code == 3
    run_here("mark", "walk.db", "1", "lap", "--until", "2")
    found = json.loads(run_here("extract", "walk.db", "lap", "lap.db", "--json").out)
    assert (found["path"], found["messages"]) == ("lap.db", 20)


def test_parts_and_the_whole_again(file: Path, run_here: RunHere) -> None:
    done = run_here("split", "walk.db", "5", "+5")
    assert done.err.splitlines()[0].startswith("walk-1.db: 100 messages")
    parts = ["walk-1.db", "walk-2.db", "walk-3.db"]
    assert [len(odom(file.parent / part)) for part in parts] == [50, 50, 100]
    done = run_here("merge", "again.db", *parts)
    assert done.err.startswith("again.db: 400 messages, ")
    assert run_here("compare", "walk.db", "again.db").code == 0
    done = run_here("merge", "twice.db", "walk.db", "again.db", "--align", "end-to-end")
    assert done.err.startswith("twice.db: 800 messages, ")
    assert odom(file.parent / "twice.db") == [*range(200), *range(200)]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("save", "walk.db"), 6, "walk.db"),
        (("save", "walk.db", "--overwrite"), 2, "--as"),
        (("save", "walk.db", "--as", "no/folder/out.db"), 5, "no/folder"),
        (("save", "walk.db", "--as", "walk.db"), 2, "walk.db"),
        (("extract", "walk.db", "1", "out.db"), 2, "FROM and TO"),
        (("extract", "walk.db", "1", "2", "out.db", "-t", "/nope"), 6, "/nope"),
        (("extract", "walk.db", "30", "40", "out.db"), 6, "walk.db"),
        (("split", "walk.db", "30"), 6, "walk-2.db would have no message"),
        (("split", "walk.db", "soon"), 2, "AT: 'soon'"),
        (("merge", "out.db"), 2, "IN"),
        (("merge", "out.db", "walk.db", "--align", "so"), 2, "--align 'so'"),
        (("merge", "out.db", "walk.db"), 2, "at least two"),
        (("merge", "out.db", "walk.db", "./walk.db"), 2, "walk.db"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(
    file: Path, run_here: RunHere, command: tuple[str, ...], code: int, said: str
) -> None:
    before = tree(file.parent)
    done = run_here(*command)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert tree(file.parent) == before


def test_progress_is_one_line_that_is_gone_at_the_end(file: Path, run_here: RunHere) -> None:
    run_here("cut", "walk.db", "0", "1")
    with Terminal(file.parent) as terminal:
        terminal.run([*CLI, "save", file])
        terminal.wait_for("given back")
        assert "%" not in terminal.screen

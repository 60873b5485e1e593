"""Names and texts in a recording are only that: a terminal does not obey them, nor does SQL."""

from __future__ import annotations

import re
import sqlite3
import sys
import unicodedata
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.cli.main import main
from tests.hostile.recordings import SQL_NAMES, write, write_obeyed

pytestmark = pytest.mark.once
BUS = "--bus=memory://hostile"
CLEAR = "/\x1b[2Jclear"
COMMANDS = [
    ("info", "walk.db"),
    ("info", "walk.db", "--json"),
    ("info", "walk.db", "--log"),
    ("info", "walk.db", "--log", "--json"),
    ("doctor", "walk.db"),
    ("echo", "*", "--file", "walk.db"),
    ("echo", "*", "--file", "walk.db", "--json"),
    ("markers", "walk.db"),
    ("markers", "walk.db", "--json"),
    ("compare", "walk.db", "other.db"),
    ("compare", "walk.db", "other.db", "--json"),
    ("play", "walk.db", BUS, "--speed", "max"),
    ("play", "walk.db", BUS, "--speed", "max", "--start", "\x1b[2Jhere\x07"),
    ("play", "walk.db", BUS, "--remap", f"{CLEAR}=/\x1b[31mred", "--speed", "max"),
    ("play", "walk.db", "--bus=memory://\x1b[31m", "--speed", "max"),
    ("play", "no\x1b[31m.db", BUS),
    ("plot", "walk.db", f"{CLEAR}.pose.position.x"),
    ("plot", "walk.db", "/\x1b[5m.x"),
    ("cut", "walk.db", "0", "0.02"),
    ("rename", "walk.db", CLEAR, "/\x1b[31mred"),
    ("shift", "walk.db", "/\x1b[31mred", "-5ms"),
    ("codec", "walk.db", "/\x1b[31mred", "lz4+lcm"),
    ("mark", "walk.db", "0.1", "there\x1b[31m"),
    ("history", "walk.db"),
    ("history", "walk.db", "--json"),
    ("undo", "walk.db"),
    ("save", "walk.db", "--as", "saved.db"),
    ("extract", "walk.db", "0.02", "0.1", "part.db"),
    ("split", "walk.db", "0.05"),
    ("merge", "both.db", "walk.db", "other.db"),
    ("export", "mcap", "walk.db", "out.mcap"),
    ("export", "lcm", "walk.db", "out.log"),
    ("export", "csv", "walk.db", "csv"),
    ("export", "parquet", "walk.db", "parquet"),
    ("import", "out.mcap", "in.db"),
    ("import", "out.log", "in2.db"),
    ("recover", "walk.db"),
    ("publish", "walk.db"),
]
"""In this order, on one copy."""


def is_obeyed(char: str) -> bool:
    """Whether a terminal does something else with a character than show it."""
    return unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\t"


def test_no_command_prints_what_a_terminal_would_obey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_obeyed(tmp_path / "walk.db")
    write(tmp_path / "other.db", SQL_NAMES)
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    said = {}
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["dimos-record", *command])
        with pytest.raises(SystemExit):
            main()
        said[command] = "".join(capfd.readouterr())
    assert {c: text for c, text in said.items() if any(map(is_obeyed, text))} == {}
    assert "Traceback" not in "".join(said.values())
    assert r"/\x1b[2Jclear" in said["info", "walk.db"]
    assert "/[bold]markup[/]" in said["info", "walk.db"]


def test_sql_in_names_is_only_text(tmp_path: Path) -> None:
    topics = sorted({name.partition("#")[0] for name in SQL_NAMES})
    path = write(tmp_path / "walk.db", SQL_NAMES)
    nasty = "'; DROP TABLE _dr_markers; --"
    with RecordReplay(path) as rec:
        assert sorted({stream.topic for stream in rec.reader.streams.values()}) == topics
        assert {len(list(rec.reader.rows(name))) for name in rec.reader.streams} == {20}
        rec.add_marker(0.05, nasty)
        rec.rename_topic("/select", "/odom);DROP-TABLE-odom")
        rec.delete_section((0.0, 0.0105))
        rec.save()
    with RecordReplay(path) as rec:
        assert [marker.label for marker in rec.markers] == [nasty]
        changed = {"/odom);DROP-TABLE-odom" if one == "/select" else one for one in topics}
        assert {stream.topic for stream in rec.reader.streams.values()} == changed
        assert {len(list(rec.reader.rows(name))) for name in rec.reader.streams} == {18}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_names_that_differ_only_in_case_or_look_like_tables_are_streams_of_their_own(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "walk.db", SQL_NAMES)
    with RecordReplay(path) as rec:
        names = [stream.name.lower() for stream in rec.reader.streams.values()]
    assert len(set(names)) == len(SQL_NAMES)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names), names

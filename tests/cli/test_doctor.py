"""`dimos-record doctor`: findings, what to do about them, and exit codes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import RunHere
from tests.store.samples import killed, messages, record, snapshot


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    return record(tmp_path / "walk.db", [messages(50), messages(3, "/big", 50_000)])


def sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_recording_in_order_exits_with_0(walk: Path, run_here: RunHere) -> None:
    before = snapshot(walk.parent)
    ran = run_here("doctor", "walk.db")
    assert (ran.code, ran.out) == (0, "")
    assert "53 messages, every one proven" in ran.err
    assert snapshot(walk.parent) == before


def test_a_damaged_recording_exits_with_4_and_names_the_command(
    walk: Path, run_here: RunHere
) -> None:
    sql(walk, "UPDATE big_blob SET data = zeroblob(7) WHERE id = 2")
    ran = run_here("doctor", "walk.db")
    assert ran.code == 4
    assert ran.out.splitlines() == [
        "damage: /big: 1 message not as recorded: the checksum is wrong",
        "  dimos-record recover walk.db",
    ]
    assert ran.err.startswith("error: walk.db is damaged; save what is left with:")
    assert run_here("doctor", "walk.db", "--quick").code == 0


def test_the_other_commands_lead_to_doctor_where_the_first_page_is_gone(
    walk: Path, run_here: RunHere
) -> None:
    with walk.open("r+b") as file:
        file.write(bytes(4096))
    for command in (("info", walk), ("plot", walk), ("export", "lcm", walk, "walk.lcm")):
        ran = run_here(*command)
        assert ran.code == 4
        assert f"`dimos-record doctor {walk}` tells what is left" in ran.err
    assert (
        "its first page is gone; save what is left with: dimos-record recover"
        in run_here("doctor", walk).err
    )
    walk.write_text("These are notes. " * 500)
    assert run_here("doctor", walk).err == (
        f"error: {walk} is not a recording, and has nothing of one in it\n"
    )


def test_a_killed_recording_exits_with_6_until_it_is_recovered(
    tmp_path: Path, run_here: RunHere
) -> None:
    killed(tmp_path / "walk.db")
    ran = run_here("doctor", "walk.db")
    assert ran.code == 6
    assert "  dimos-record recover walk.db" in ran.out.splitlines()
    assert run_here("recover", "walk.db").code == 0
    assert run_here("doctor", "walk.db").code == 0


def test_findings_come_as_json(walk: Path, run_here: RunHere) -> None:
    sql(walk, "DELETE FROM a_blob WHERE id = 7")
    ran = run_here("doctor", "walk.db", "--json")
    found = json.loads(ran.out)
    assert ran.code == 4
    assert (found["damaged"], found["healthy"], found["messages"]) == (True, False, 53)
    assert found["findings"] == [
        {
            "severity": "damage",
            "check": "orphans",
            "what": "1 message with times and without payload",
            "remedy": "dimos-record recover walk.db",
            "file": "walk.db",
            "topic": "/a",
            "count": 1,
        }
    ]

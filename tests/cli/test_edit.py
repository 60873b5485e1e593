"""The commands that edit a recording: what they say, and what is read afterwards."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from tests.cli.commands import T0, S
from tests.cli.conftest import RunHere
from tests.cli.samples import run_each_in, tree


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s: `/odom` at 10 Hz, `/scan` at 1 Hz, one `/map`, which is latched, at 0.5 s."""
    path = tmp_path_factory.mktemp("edit") / "walk.db"
    with RecordReplay(path) as rec:
        odom, scan = rec.stream("odom"), rec.stream("scan")
        for i in range(201):
            odom.append(b"%03d" % i, ts_ns=T0 + i * S // 10)
            if i % 10 == 0:
                scan.append(b"s" * 1000, ts_ns=T0 + i * S // 10)
            if i == 5:
                rec.stream("map", type_name="nav_msgs.OccupancyGrid").append(
                    b"map", ts_ns=T0 + S // 2
                )
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(
            "INSERT INTO _dr_markers (id, at_ns, label, until_ns) VALUES (?, ?, ?, ?)",
            [(1, T0 + 12 * S, "fall", None), (2, T0 + 14 * S, "lap", T0 + 16 * S)],
        )
    connection.close()
    return path


@pytest.fixture
def file(walk: Path, tmp_path: Path) -> Path:
    shutil.copy(walk, tmp_path / "walk.db")
    return tmp_path / "walk.db"


def odom(file: Path) -> list[int]:
    """The numbers of the messages of `/odom` that are there."""
    with RecordReplay(file) as rec:
        return [int(one.raw) for one in rec.streams.odom]


NOT_SAVED = (
    "not saved yet, undo with: dimos-record undo walk.db; "
    "write it with: dimos-record save walk.db\n"
)


def test_a_recording_is_trimmed_and_the_edit_is_taken_back_and_made_again(
    file: Path, run_here: RunHere
) -> None:
    done = run_here("trim", "walk.db", "5", "-10")
    assert done[:2] == (0, "")
    assert done.err.startswith("walk.db: trim to 5 s - 10 s: 167 messages, ")
    assert done.err.endswith(f"of 2 topics go; 1 message of latched state stays; {NOT_SAVED}")
    assert odom(file) == list(range(50, 100))
    assert run_here("undo", "walk.db").err == "walk.db: taken back: trim to 5 s - 10 s\n"
    assert odom(file) == list(range(201))
    assert run_here("redo", "walk.db").err == "walk.db: made again: trim to 5 s - 10 s\n"
    assert odom(file) == list(range(50, 100))


@pytest.mark.parametrize(
    ("section", "first", "last"),
    [
        (["10", "+5"], 100, 149),
        (["-1h", "1s"], 0, 9),
        (["-2.5", "end"], 175, 200),
        (["fall", "+1"], 120, 129),
        (["lap"], 140, 159),
        (["FALL", "lap"], 120, 139),
        (["@1700000003", "@1700000004"], 30, 39),
    ],
    ids=str,
)
def test_what_is_cut_is_said_in_many_ways(
    file: Path, run_here: RunHere, section: list[str], first: int, last: int
) -> None:
    assert run_here("cut", "walk.db", *section).code == 0
    assert set(range(201)) - set(odom(file)) == set(range(first, last + 1))


def test_only_of_some_topics(file: Path, run_here: RunHere) -> None:
    done = run_here("cut", "walk.db", "0", "10", "-t", "/sc*")
    assert done.err.startswith("walk.db: cut 0 s to 10 s of /scan: 10 messages, 10 kB, of 1 topic")
    assert odom(file) == list(range(201))
    with RecordReplay(file) as rec:
        assert rec.streams.scan.count() == 11
        assert rec.skips == []


def test_without_times_whole_topics_go(file: Path, run_here: RunHere) -> None:
    done = run_here("cut", "walk.db", "--topic", "/scan", "--topic", "/map")
    assert done.err.startswith("walk.db: delete /scan, /map: 22 messages, 21 kB, of 2 topics go; ")
    with RecordReplay(file) as rec:
        assert list(rec.topics) == ["/odom"]


DESTRUCTIVE = [
    (("trim", "walk.db", "5", "10"), 167),
    (("cut", "walk.db", "10", "12"), 22),
    (("cut", "walk.db", "-t", "/odom"), 201),
]


@pytest.mark.parametrize(("command", "messages"), DESTRUCTIVE, ids=lambda value: str(value)[:20])
def test_a_dry_run_says_what_would_go_and_changes_nothing(
    file: Path, run_here: RunHere, command: tuple[str, ...], messages: int
) -> None:
    before = file.read_bytes()
    done = run_here(*command, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("walk.db: would ")
    assert f"\n{messages} messages, " in done.out
    assert done.out.endswith("; nothing was changed\n")
    found = json.loads(run_here(*command, "--dry-run", "--json").out)
    assert (found["messages"], found["dry_run"]) == (messages, True)
    assert sum(topic["messages"] for topic in found["topics"]) == messages
    assert file.read_bytes() == before


def test_an_edit_as_json(file: Path, run_here: RunHere) -> None:
    found = json.loads(run_here("cut", "walk.db", "0", "1", "--json").out)
    assert (found["edit"], found["dry_run"]) == ("cut 0 s to 1 s", False)
    assert (found["messages"], found["kept_state"]) == (11, 1)
    assert found["topics"] == [
        {"topic": "/odom", "messages": 10},
        {"topic": "/scan", "messages": 1},
    ]


def test_topics_are_renamed_shifted_and_stored_otherwise(file: Path, run_here: RunHere) -> None:
    assert run_here("rename", "walk.db", "/odom", "/robot1/odom").code == 0
    done = run_here("shift", "walk.db", "/scan", "-50ms")
    assert done.err == f"walk.db: shift /scan by -0.05 s; {NOT_SAVED}"
    assert run_here("codec", "walk.db", "/scan", "lz4+lcm").code == 0
    with RecordReplay(file) as rec:
        assert list(rec.topics) == ["/robot1/odom", "/scan", "/map"]
        scan = rec.streams.scan
        assert [one.ts_ns for one in scan.limit(2)] == [T0 - S // 20, T0 + S - S // 20]
        assert (scan.info.codec, scan.first().raw) == ("lz4+lcm", b"s" * 1000)


def test_the_history_lists_edits_and_revert_takes_all_back(file: Path, run_here: RunHere) -> None:
    done = run_here("history", "walk.db")
    assert done == (0, "", "walk.db has no edits that are not saved\n")
    for command in (("cut", "1", "2"), ("cut", "3", "4"), ("mark", "8", "here")):
        assert run_here(command[0], "walk.db", *command[1:]).code == 0
    assert run_here("undo", "walk.db").err == "walk.db: taken back: mark 'here' at 8 s\n"
    lines = run_here("history", "walk.db").out.splitlines()
    assert [re.split(" {2,}", line)[1:] for line in lines[1:]] == [
        ["cut 1 s to 2 s", "not saved"],
        ["cut 3 s to 4 s", "not saved"],
        ["mark 'here' at 8 s", "undone"],
    ]
    found = json.loads(run_here("history", "walk.db", "--json").out)
    assert [one["undone"] for one in found] == [False, False, True]
    plan = run_here("revert", "walk.db", "--dry-run").out
    assert plan == (
        "walk.db: would take back: cut 1 s to 2 s; cut 3 s to 4 s; nothing was changed\n"
    )
    assert "taken back: cut 1 s to 2 s; cut 3 s to 4 s\n" in run_here("revert", "walk.db").err
    assert odom(file) == list(range(201))


def test_several_edits_are_taken_back_or_none(file: Path, run_here: RunHere) -> None:
    for _ in range(2):
        run_here("cut", "walk.db", "+0", "+1")
    refused = run_here("undo", "walk.db", "3")
    assert refused == (
        6,
        "",
        "error: walk.db has 2 edits to undo; see: dimos-record history walk.db\n",
    )
    assert run_here("undo", "walk.db", "2").err.count("taken back") == 2
    assert run_here("redo", "walk.db", "2").err.count("made again") == 2
    assert odom(file)[0] == 20, "+0 is where the recording begins now"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("trim", "walk.db", "5"), 2, "a section is FROM and TO, not 5 alone"),
        (("trim", "walk.db", "10", "5"), 2, "FROM 10 (0:10.0) is not before TO 5 (0:05.0)"),
        (("trim", "walk.db", "soon", "5"), 2, "these are: fall (0:12.0), lap (0:14.0-0:16.0)"),
        (("trim", "walk.db", "5", "-1", "--nope"), 2, "No such option: --nope"),
        (("trim", "walk.db", "5", "-1", "-z"), 2, "No such option: -z"),
        (("trim", "walk.db", "30", "40"), 6, "walk.db"),
        (("trim", "walk.db", "5", "10", "-t", "/nope"), 6, "/nope"),
        (("trim", "walk.db", "5", "10", "-t", ""), 2, "--topics has an empty name"),
        (("cut", "walk.db"), 2, "cut needs FROM and TO, or --topics"),
        (("cut", "walk.db", "-t", ""), 2, "--topics has an empty name"),
        (("cut", "walk.db", "start", "end"), 2, "needs a start or an end"),
        (("cut", "walk.db", "-t", "*"), 6, "would leave nothing of walk.db"),
        (("rename", "walk.db", "/odom", "/scan"), 6, "/scan"),
        (("rename", "walk.db", "/nope", "/scan"), 6, "/nope"),
        (("shift", "walk.db", "/odom", "far"), 2, "SECONDS: 'far' is not a time"),
        (("shift", "walk.db", "/odom", "0"), 2, "0"),
        (("codec", "walk.db", "/odom", "zip"), 2, "zip"),
        (("codec", "walk.db", "/odom", "lcm"), 6, "lcm already"),
        (("undo", "walk.db"), 6, "walk.db has no edit to undo"),
        (("redo", "walk.db"), 6, "walk.db has no edit to redo"),
        (("undo", "walk.db", "0"), 2, "N"),
        (("undo", "walk.db", "many"), 2, "integer"),
        (("revert", "walk.db"), 6, "walk.db has no edits to take back"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(
    file: Path, run_here: RunHere, command: tuple[str, ...], code: int, said: str
) -> None:
    before = file.read_bytes()
    done = run_here(*command)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert file.read_bytes() == before


def test_info_shows_what_edits_have_left(file: Path, run_here: RunHere) -> None:
    for command in (("trim", "5", "end"), ("cut", "10", "11")):
        run_here(command[0], "walk.db", *command[1:])
    lines = run_here("info", "walk.db").out.splitlines()
    assert "edited: 14.0 s of 20.0 s, 2 edits not saved" in lines
    assert "positions 0:05.0 to 0:20.0: what came before was cut" in lines
    assert "cut out: 0:10.0-0:11.0" in lines
    assert "markers: fall (0:12.0), lap (0:14.0-0:16.0)" in lines
    found = json.loads(run_here("info", "walk.db", "--json").out)
    assert (found["start_s"], found["end_s"], found["edits_not_saved"]) == (5.0, 20.0, 2)
    assert (found["left_s"], found["saved_s"]) == (14.0, 20.0)
    assert found["skips"] == [{"from_s": 10.0, "to_s": 11.0}]
    assert found["markers"][0]["label"] == "fall"


def test_echo_and_compare_obey_edits(file: Path, walk: Path, run_here: RunHere) -> None:
    run_here("trim", "walk.db", "5", "10")
    lines = run_here("echo", "/odom", "-f", "walk.db", "--start", "+1", "-n", "1", "--json").out
    assert json.loads(lines)["ts_ns"] == T0 + 6 * S
    compared = run_here("compare", "walk.db", walk, "--json")
    assert compared.code == 1
    assert json.loads(compared.out)["streams"][0]["only_b"] == 151


def test_play_says_where_it_is_and_what_it_jumps_over(file: Path, run_here: RunHere) -> None:
    for command in (("trim", "5", "15"), ("cut", "7", "9"), ("cut", "11", "12")):
        run_here(command[0], "walk.db", *command[1:])
    play = ("play", "walk.db", "--bus=memory://edited", "--speed", "max", "--force")
    lines = run_here(*play).err.splitlines()
    assert lines[0].startswith(
        "Playing walk.db (6.9 s, 3 topics, 78 messages from 0:05.0 to 0:14.9)"
    )
    assert lines[1] == "Jumps over what was cut out, not saved yet: 0:07.0-0:09.0, 0:11.0-0:12.0"
    assert lines[2].startswith("Published 78 messages")
    lines = run_here(*play, "--start", "6", "--end", "+2.55").err.splitlines()
    assert "11 messages from 0:06.0 to 0:08.5)" in lines[0]
    assert lines[1].endswith(": 0:07.0-0:09.0")
    assert "Jumps" not in run_here(*play, "--start", "-1").err
    refused = run_here(*play, "--ab", "fall")
    assert refused.err == (
        "error: the marker 'fall' is one moment of walk.db; write also where the section ends, "
        "for example fall +10\n"
    )


def test_a_recording_that_may_not_be_written_cannot_be_edited(file: Path) -> None:
    file.chmod(0o444)
    commands = [("trim", "walk.db", "5", "10"), ("mark", "walk.db", "5", "here")]
    before = tree(file.parent)
    for code, out, err in run_each_in(file.parent, commands):
        assert (code, out) == (5, "")
        assert err.startswith("error: walk.db is read-only")
        assert err.count("\n") == 1
    assert tree(file.parent) == before

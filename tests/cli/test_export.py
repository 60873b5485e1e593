"""`dimos-record export`, and `import` of what it wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.interop.lcm_log import LcmLogWriter
from dimos_record.store.base import Row
from dimos_record.store.observation import Meta
from tests.cli.commands import T0, S, run
from tests.cli.conftest import RunHere
from tests.cli.samples import write_robot

FORMATS = ["mcap", "lcm", "csv", "parquet", "rrd"]
REFUSED = [
    (("export", "zip", "robot.db", "out"), 2, "zip"),
    (("export", "lcm", "nope.db", "out"), 3, "nope.db"),
    (("export", "lcm", "robot.db", "robot.db", "--overwrite"), 3, "robot.db"),
    (("export", "lcm", "robot.db", "out", "-t", "/nope"), 6, "/nope"),
    (("export", "lcm", "robot.db", "out", "-t", ""), 2, "--topics"),
    (("export", "lcm", "robot.db", "out", "--start", "3", "--end", "2"), 2, "3"),
    (("export", "lcm", "robot.db", "out", "--start", "soon"), 2, "--start"),
    (("export", "lcm", "robot.db", "no/such/out"), 5, "no/such"),
    (("export", "lcm", "robot.db", ""), 2, "name"),
    (("export", "mcap", "robot.db", "out", "--encoding", "xml"), 2, "xml"),
    (("export", "rrd", "robot.db", "out", "--preset", "inside"), 2, "inside"),
    (("import", "robot.db", "new.db"), 4, "robot.db"),
    (("import", "robot.db", "new.db", "--format", "zip"), 2, "zip"),
    (("import", "robot.db", "new.db", "--format", "csv"), 2, "csv"),
    (("import", "robot.db", "new.db", "--start", "soon"), 2, "--start"),
    (("import", "robot.db", "new.db", "--format=lcm", "--start=3", "--end=2"), 2, "end"),
]


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return write_robot(tmp_path / "robot.db")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_and_said(robot: Path, run_here: RunHere, format: str) -> None:
    done = run_here("export", format, "robot.db", "out", "-t", "/odom", "--start", "1")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1].startswith("out: 40 messages, ")
    assert (robot.parent / "out").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_the_help_of_every_format_has_examples_and_fits_80_columns(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    done = run("export", format, "--help")
    assert done.returncode == 0
    assert f"\n    dimos-record export {format} " in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_log_goes_out_and_in_again(robot: Path, run_here: RunHere) -> None:
    assert run_here("export", "lcm", "robot.db", "robot.lcm").code == 0
    done = run_here("import", "robot.lcm", "again.db", "--json")
    report = json.loads(done.out)
    assert (report["format"], report["messages"], report["problems"]) == ("lcm", 56, [])
    assert run_here("compare", "robot.db", "again.db").code == 0


def test_json_has_the_figures(robot: Path, run_here: RunHere) -> None:
    done = run_here("export", "csv", "robot.db", "tables", "-x", "/scan", "--json")
    report = json.loads(done.out)
    assert (report["path"], report["format"], report["messages"]) == ("tables", "csv", 51)
    assert report["topics"][0] == {
        "topic": "/odom",
        "type": "geometry_msgs.PoseStamped",
        "messages": 50,
    }
    assert report["losses"][0]["topic"] == "/bytes"
    size = sum(path.stat().st_size for path in (robot.parent / "tables").iterdir())
    assert report["size_bytes"] == size


def test_what_is_not_carried_is_said_and_is_an_error_when_strict(
    tmp_path: Path, run_here: RunHere
) -> None:
    with RecordReplay(tmp_path / "a.db") as rec:
        stream = rec.stream("odom")
        for i in range(3):
            stream.append(b"", ts_ns=T0 + i * S + 1)
        rec.add_marker(1, "here")
    done = run_here("export", "lcm", "a.db", "a.lcm")
    assert done.code == 0
    assert done.err.splitlines() == [
        "warning: not carried: markers: 1",
        "warning: not carried: times below a microsecond: 3 messages of /odom",
        "a.lcm: 3 messages, 99 B",
    ]
    done = run_here("export", "lcm", "a.db", "a.lcm", "--overwrite", "--strict")
    assert done.code == 6
    assert done.err.splitlines()[-1].startswith("error: not everything of a.db")
    assert (tmp_path / "a.lcm").exists()


def test_the_same_loss_of_many_topics_is_one_line(tmp_path: Path, run_here: RunHere) -> None:
    with RecordReplay(tmp_path / "a.db") as rec:
        for i in range(5):
            rec.stream(f"odom{i}").append(b"", ts_ns=T0 + 1)
    done = run_here("export", "lcm", "a.db", "a.lcm", "--json")
    said = "warning: not carried: times below a microsecond: "
    assert done.err.splitlines()[0] == said + "5 messages of 5 topics"
    assert [one["topic"] for one in json.loads(done.out)["losses"]] == [
        f"/odom{i}" for i in range(5)
    ]
    done = run_here("export", "lcm", "a.db", "b.lcm", "-t", "/odom[12]")
    assert done.err.splitlines()[0] == said + "2 messages of /odom1, /odom2"


def test_times_are_positions_in_the_recording(robot: Path, run_here: RunHere) -> None:
    with RecordReplay(robot) as rec:
        rec.add_marker(2.0, "turn")
    done = run_here(
        "export", "lcm", "robot.db", "a.lcm", "-t", "/odom", "--start", "turn", "--end", "+1"
    )
    assert "a.lcm: 10 messages" in done.err
    done = run_here("export", "lcm", "robot.db", "b.lcm", "-t", "/odom", "--start", "-1")
    assert "b.lcm: 11 messages" in done.err


def test_a_section_and_topics_are_imported(robot: Path, run_here: RunHere) -> None:
    run_here("export", "lcm", "robot.db", "a.lcm")
    done = run_here("import", "a.lcm", "b.db", "-t", "/odom", "--start", "1", "--end", "0:02")
    assert done.err.splitlines() == ["b.db: 10 of 10 messages imported"]
    done = run_here("import", "a.lcm", "b.db", "-t", "/scan", "--append")
    assert done.err.splitlines() == ["b.db: 5 of 5 messages imported"]


@pytest.mark.parametrize(
    ("arguments", "code", "named"), REFUSED, ids=[" ".join(one[0]) for one in REFUSED]
)
def test_what_makes_no_sense_is_refused(
    robot: Path, run_here: RunHere, arguments: tuple[str, ...], code: int, named: str
) -> None:
    done = run_here(*arguments)
    assert (done.code, done.out) == (code, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert named in line
    assert [path.name for path in robot.parent.iterdir()] == ["robot.db"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("there", [True, False])
def test_an_export_that_is_interrupted_leaves_everything_as_it_was(
    robot: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch, number: int, there: bool
) -> None:
    if there:
        run_here("export", "lcm", "robot.db", "robot.lcm", "-t", "/scan")
    before = {path.name: path.read_bytes() for path in robot.parent.iterdir()}
    write = LcmLogWriter.write

    def write_and_interrupt(self: LcmLogWriter, row: Row, meta: Meta | None) -> bool:
        os.kill(os.getpid(), number)
        return write(self, row, meta)

    monkeypatch.setattr(LcmLogWriter, "write", write_and_interrupt)
    done = run_here("export", "lcm", "robot.db", "robot.lcm", "--overwrite")
    assert (done.code, done.out) == (130, "")
    assert "robot.lcm was not written" in done.err
    assert {path.name: path.read_bytes() for path in robot.parent.iterdir()} == before


def test_an_export_that_is_killed_leaves_no_half_file_under_its_name(
    robot: Path, run_here: RunHere
) -> None:
    out = robot.parent / "robot.lcm"
    code = (
        "import os, signal\n"
        "from dimos_record import RecordReplay\n"
        "from dimos_record.interop.lcm_log import LcmLogWriter\n"
        "LcmLogWriter.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"RecordReplay({str(robot)!r}).export({str(out)!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(list(robot.parent.iterdir())) == 2
    assert run_here("export", "lcm", "robot.db", "robot.lcm").code == 0
    assert sorted(path.name for path in robot.parent.iterdir()) == ["robot.db", "robot.lcm"]

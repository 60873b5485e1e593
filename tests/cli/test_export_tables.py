"""`dimos-record export parquet` and `csv`: options of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import RunHere
from tests.cli.samples import write_robot

pytestmark = pytest.mark.once


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    return write_robot(tmp_path / "robot.db")


def test_tables_are_written_and_what_they_lack_is_said(
    run_here: RunHere, robot: Path, tmp_path: Path
) -> None:
    code, out, err = run_here("export", "parquet", "./robot.db", "out")
    assert (code, out) == (0, "")
    assert "all fields (the channel names no type): 1 message of /bytes" in err
    assert pq.read_table(tmp_path / "out" / "odom.parquet").num_rows == 50
    assert run_here("export", "parquet", "./robot.db", "strict", "--strict", "-q").code == 6
    code, _, err = run_here("export", "parquet", "./robot.db", "raw", "--strict", "--raw")
    assert (code, err.count("\n")) == (0, 1)


def test_a_section_of_one_topic_goes_into_one_csv_file(
    run_here: RunHere, robot: Path, tmp_path: Path
) -> None:
    section = ("--start", "1", "--end", "+1", "-t", "/odom")
    assert run_here("export", "csv", "./robot.db", "odom.csv", *section).code == 0
    lines = (tmp_path / "odom.csv").read_text().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("ts,ts_ns,stamp_ns,seq,id,")


def test_recordings_are_added_to_a_data_set(run_here: RunHere, robot: Path, tmp_path: Path) -> None:
    write_robot(tmp_path / "second.db", messages=20)
    arguments = ("export", "parquet", "./robot.db", "./second.db", "fleet")
    by = ("--partition-by", "day,robot", "--robot", "r1")
    code, out, err = run_here(*arguments, *by, "--json")
    assert code == 0
    assert [one["messages"] for one in json.loads(out)] == [56, 23]
    assert "2 recordings added, 79 messages" in err
    assert "all fields (the channel names no type): 2 messages of /bytes" in err
    found = sorted(path.name for path in tmp_path.glob("fleet/stream=odom/day=*/robot=r1/*"))
    assert found == ["robot.parquet", "second.parquet"]
    refused = run_here(*arguments, *by)
    assert (refused.code, refused.err.count("\n")) == (3, 1)
    assert run_here(*arguments, *by, "--overwrite").code == 0


def test_how_many_recordings_were_added_before_one_that_fails_is_said(
    run_here: RunHere, robot: Path
) -> None:
    ran = run_here("export", "parquet", robot, robot, "fleet", "--partition-by", "day")
    assert ran.code == 3
    assert "1 of 2 recordings were added to fleet before that\nerror: robot is in fleet" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("./robot.db", "./robot.db", "fleet"), 2, "--partition-by"),
        (("./robot.db", "fleet", "--robot", "r1"), 2, "--partition-by"),
        (("./robot.db", "fleet", "--partition-by", "week"), 2, "week"),
        (("./robot.db", "all.parquet"), 2, "one topic"),
        (("./none.db", "fleet", "--partition-by", "day"), 3, "none.db"),
        (("./robot.db", "./none.db", "fleet", "--partition-by", "day"), 3, "none.db"),
        (("./robot.db", "no/such/fleet", "--partition-by", "day"), 5, "no/such"),
        (("./robot.db", "fleet", "--partition-by", "day", "-t", "/nope"), 6, "/nope"),
        (("./robot.db", "fleet", "--partition-by", "day", "--start", "99"), 6, "section"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run_here: RunHere,
    robot: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    named: str,
) -> None:
    found = run_here("export", "parquet", *arguments)
    assert (found.code, found.out, found.err.count("\n")) == (code, "", 1)
    assert named in found.err
    assert [path.name for path in tmp_path.iterdir()] == ["robot.db"]

"""Many recordings in one data set of Parquet tables, and queries over it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from dimos_record import RecordReplay
from dimos_record.errors import OptionError, RecordingExists, StorageError
from dimos_record.interop import partitions
from dimos_record.interop.exporting import ExportReport
from dimos_record.interop.importing import import_file
from dimos_record.interop.partitions import add_to_data_set, check_keys
from dimos_record.messages import message_class
from tests.messages.samples import NS

from .duckdb_process import ask
from .recordings import odometry, write_shapes

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
HOUR_NS = 3600 * NS
MIDNIGHT_NS = 1_763_596_800 * NS  # 2025-11-20


def write_night(path: Path, hours: int = 3) -> Path:
    """`/odom` twice per hour, from 22:30 on; `/speed` once."""
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", type_name="nav_msgs.Odometry")
        for i in range(2 * hours):
            odom.append(odometry(i), ts_ns=MIDNIGHT_NS + (45 + i) * HOUR_NS // 2)
        rec.stream("speed").append(b"fast", ts_ns=MIDNIGHT_NS)
    return path


def add(path: Path, out: Path, **options: Any) -> ExportReport:
    with RecordReplay(path) as rec:
        return add_to_data_set(rec.view(), out, **options)


def files(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files(out)}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return write_night(tmp_path / "night.db")


@pytest.fixture
def fleet(tmp_path: Path, night: Path) -> Iterator[Path]:
    add(night, tmp_path / "fleet", robot="r1")
    yield tmp_path / "fleet"
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert left == []


def test_folders_are_named_for_stream_day_and_robot(fleet: Path) -> None:
    assert files(fleet) == [
        "stream=odom/day=2025-11-20/robot=r1/night.parquet",
        "stream=odom/day=2025-11-21/robot=r1/night.parquet",
        "stream=speed/day=2025-11-20/robot=r1/night.parquet",
    ]


def test_duckdb_and_pyarrow_have_the_names_of_folders_as_columns(
    fleet: Path, tmp_path: Path
) -> None:
    add(write_night(tmp_path / "more.db", hours=1), fleet, robot="r 2/é")
    found = ask(
        f"""
        SELECT robot, CAST(day AS VARCHAR), count(*), max("pose.pose.position.x")
        FROM read_parquet('{fleet}/stream=odom/**/*.parquet', hive_partitioning = true)
        GROUP BY ALL ORDER BY ALL
        """
    )
    assert found == [
        ("r 2/é", "2025-11-20", 2, 0.1),
        ("r1", "2025-11-20", 3, 0.2),
        ("r1", "2025-11-21", 3, 0.5),
    ]
    table = ds.dataset(fleet / "stream=odom", partitioning="hive").to_table()
    assert set(table.column("robot").to_pylist()) == {"r1", "r 2/é"}


def test_hours_and_recordings_may_be_folders_too(night: Path, tmp_path: Path) -> None:
    add(night, tmp_path / "out", by="hour, stream,recording")
    assert files(tmp_path / "out") == [
        "hour=00/stream=odom/recording=night/night.parquet",
        "hour=00/stream=speed/recording=night/night.parquet",
        "hour=01/stream=odom/recording=night/night.parquet",
        "hour=22/stream=odom/recording=night/night.parquet",
        "hour=23/stream=odom/recording=night/night.parquet",
    ]


def test_a_robot_that_no_folder_is_named_for_is_refused(night: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'r1' has no place in stream,day"):
        add(night, tmp_path / "out", by="day", robot="r1")
    assert not (tmp_path / "out").exists()


def test_a_recording_that_another_process_adds_meanwhile_is_refused(
    night: Path, tmp_path: Path
) -> None:
    def add_the_same(done: int, total: int) -> None:
        if not (tmp_path / "out").exists():
            program = (
                "import sys\n"
                "from dimos_record import RecordReplay\n"
                "from dimos_record.interop.partitions import add_to_data_set\n"
                "add_to_data_set(RecordReplay(sys.argv[1]).view(), sys.argv[2])\n"
            )
            subprocess.run([sys.executable, "-c", program, night, tmp_path / "out"], check=True)

    with pytest.raises(RecordingExists, match="night is in"):
        add(night, tmp_path / "out", on_progress=add_the_same)
    assert len(files(tmp_path / "out")) == 3
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


def test_the_robot_is_the_host_that_has_recorded(tmp_path: Path) -> None:
    with (
        RecordReplay(tmp_path / "run.db", bus="memory://test-partitions") as rec,
        rec.recording(),
    ):
        rec.bus.publish("/odom#nav_msgs.Odometry", odometry(1).lcm_encode())
    with RecordReplay(tmp_path / "run.db") as rec:
        host = rec.reader.sessions()[0].meta["host"]
        add_to_data_set(rec.view(), tmp_path / "out")
    (name,) = files(tmp_path / "out")
    assert f"/robot={host}/run.parquet" in name


def test_a_recording_that_is_there_is_refused_and_others_of_its_name_are_not(
    fleet: Path, night: Path
) -> None:
    before = content(fleet)
    with pytest.raises(RecordingExists, match=r"night is in .*robot=r1/night\.parquet"):
        add(night, fleet, robot="r1")
    assert content(fleet) == before
    add(night, fleet, robot="r2")
    assert {name: data for name, data in content(fleet).items() if "r1" in name} == before


def test_replacing_a_recording_leaves_nothing_of_it_on_other_days(fleet: Path, night: Path) -> None:
    with RecordReplay(night) as rec:
        rec.delete_section((24 * 3600, None))
        add_to_data_set(rec.select("/odom"), fleet, robot="r1", overwrite=True)
    assert files(fleet) == [
        "stream=odom/day=2025-11-20/robot=r1/night.parquet",
        "stream=speed/day=2025-11-20/robot=r1/night.parquet",
    ]


def test_a_cancelled_or_failed_addition_changes_nothing(
    fleet: Path, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(fleet)

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(night, fleet, robot="r1", overwrite=True, on_progress=cancel)
    assert content(fleet) == before
    (fleet / "stream=speed" / "day=2025-11-20" / "robot=r2").write_text("in the way of a folder")
    with pytest.raises(StorageError, match="fleet"):
        add(night, fleet, robot="r2")
    (fleet / "stream=speed" / "day=2025-11-20" / "robot=r2").unlink()
    assert content(fleet) == before


def test_a_data_set_with_the_raw_bytes_can_be_imported(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path / "shapes.db")
    add(shapes, tmp_path / "out", raw=True)
    import_file(tmp_path / "out", tmp_path / "back.db")
    with RecordReplay(shapes) as rec:
        assert rec.compare(tmp_path / "back.db").equal


def test_what_is_no_data_set_of_these_keys_is_refused(
    fleet: Path, night: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="other keys"):
        add(night, fleet, by="robot,day")
    with pytest.raises(RecordingExists, match="other things"):
        add(night, tmp_path)
    with pytest.raises(RecordingExists, match="no data set"):
        add(night, night)
    with pytest.raises(StorageError, match="nowhere"):
        add(night, tmp_path / "nowhere" / "fleet")
    with pytest.raises(OptionError, match="'week'"):
        check_keys("day,week")
    with pytest.raises(OptionError, match="twice"):
        check_keys("day,day")
    assert check_keys("robot") == ("stream", "robot")


def test_the_example_gets_the_same_answer_from_duckdb_and_dask(tmp_path: Path) -> None:
    example = ROOT / "docs" / "examples" / "fleet.py"
    command = [sys.executable, str(example), "--recordings", "6", "--folder", str(tmp_path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "12 files" in out
    assert "Both say the same" in out
    assert partitions.UNKNOWN not in "".join(files(tmp_path / "fleet"))


def test_several_processes_may_add_at_once(night: Path, tmp_path: Path) -> None:
    out = tmp_path / "fleet"
    beside: list[int] = []

    def add_another(done: int, total: int) -> None:
        if not beside:
            code = (
                "import sys; from dimos_record import RecordReplay\n"
                "from dimos_record.interop.partitions import add_to_data_set\n"
                "add_to_data_set(RecordReplay(sys.argv[1]).view(), sys.argv[2], robot='r2')\n"
            )
            arguments = [sys.executable, "-c", code, str(night), str(out)]
            beside.append(subprocess.run(arguments, check=False, timeout=60).returncode)

    add(night, out, robot="r1", on_progress=add_another)
    assert beside == [0]
    assert len(files(out)) == 6


def test_robots_that_take_turns_in_one_recording_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session in range(6):
        with (
            RecordReplay(tmp_path / "turns.db", bus="memory://test-partitions-turns") as rec,
            rec.recording(append=session > 0),
        ):
            rec.bus.publish("/odom#nav_msgs.Odometry", odometry(session).lcm_encode())
    names = iter(["r1", "r2"] * 3)
    monkeypatch.setattr(partitions, "_host", lambda session: next(names))
    add(tmp_path / "turns.db", tmp_path / "fleet", by="robot")
    assert files(tmp_path / "fleet") == [
        "stream=odom/robot=r1/turns.parquet",
        "stream=odom/robot=r2/turns.parquet",
    ]
    found = {
        name: pq.read_table(
            tmp_path / "fleet" / "stream=odom" / f"robot={name}" / "turns.parquet",
            partitioning=None,
        )
        .column("pose.covariance.35")
        .to_pylist()
        for name in ("r1", "r2")
    }
    assert found == {"r1": [0, 2, 4], "r2": [1, 3, 5]}


def test_messages_of_several_types_are_refused(night: Path, tmp_path: Path) -> None:
    text = message_class("std_msgs.String")
    with RecordReplay(night) as rec:
        view = rec.select("/odom").map(
            lambda one: one if one.id % 2 else one.derive(data=text(data="hi"))
        )
        with pytest.raises(OptionError, match="/odom are of several types"):
            add_to_data_set(view, tmp_path / "fleet")
    assert not (tmp_path / "fleet").exists()


def test_names_that_readers_pass_over_are_written_otherwise(tmp_path: Path) -> None:
    for name in ("_test", ".hidden"):
        add(write_night(tmp_path / f"{name}.db", hours=1), tmp_path / "fleet", robot="r1")
        with pytest.raises(RecordingExists):
            add(tmp_path / f"{name}.db", tmp_path / "fleet", robot="r1")
    assert ds.dataset(tmp_path / "fleet" / "stream=odom", partitioning="hive").count_rows() == 4


def test_more_files_than_a_process_may_open_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        with RecordReplay(tmp_path / f"run{number}.db") as rec:
            odom = rec.stream("odom", topic="/odom", type_name="nav_msgs.Odometry")
            for i in range(2):
                odom.append(odometry(i), ts_ns=MIDNIGHT_NS + number * NS + i)
        add(tmp_path / f"run{number}.db", tmp_path / "fleet", robot="r1", raw=True)
    opened = pq.ParquetFile
    still_open: list[Any] = []

    def open_one_at_a_time(path: Path, **options: Any) -> Any:
        assert all(one.closed for one in still_open)
        still_open.append(opened(path, **options))
        return still_open[-1]

    monkeypatch.setattr(pq, "ParquetFile", open_one_at_a_time)
    assert import_file(tmp_path / "fleet", tmp_path / "all.db").count == 8
    with RecordReplay(tmp_path / "all.db") as rec:
        times = [row.ts_ns - MIDNIGHT_NS for row in rec.view().rows()]
    assert times == [number * NS + i for number in range(4) for i in range(2)]

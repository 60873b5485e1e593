"""Parquet out, read by other programs, and in again."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dimos_record import RecordReplay
from dimos_record.errors import NotARecording, OptionError, RecordingDamaged, RecordingNotFound
from dimos_record.interop import tables
from dimos_record.interop.exporting import ExportReport, export
from dimos_record.interop.importing import import_file
from dimos_record.interop.parquet import METADATA, ParquetImport, ParquetWriter
from dimos_record.messages import message_class
from dimos_record.replay.view import ReplayView

from .duckdb_process import ask
from .recordings import STEP_NS, T0, odometry, write_shapes

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.db")


@pytest.fixture
def rec(shapes: Path) -> Iterator[RecordReplay]:
    with RecordReplay(shapes) as found:
        yield found


def export_parquet(view: ReplayView, out: Path, **options: Any) -> ExportReport:
    return export(view, out, lambda path: ParquetWriter(path, **options), format="parquet")


def test_each_stream_is_a_table_with_its_fields_in_columns(
    rec: RecordReplay, tmp_path: Path
) -> None:
    report = export_parquet(rec.view(), tmp_path / "out")
    assert report.messages == 20 + 4 * 4
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{n}.parquet" for n in ("bytes", "camera", "odom", "scan", "strange")]
    table = pq.read_table(tmp_path / "out" / "odom.parquet")
    assert table.column_names[:5] == ["ts", "ts_ns", "stamp_ns", "seq", "id"]
    assert table.column("ts_ns").to_pylist() == [T0 + i * STEP_NS for i in range(20)]
    assert table.column("stamp_ns").to_pylist() == [T0 + i * STEP_NS - 7 for i in range(20)]
    assert table.column("pose.pose.position.x").to_pylist() == [i / 10 for i in range(20)]
    assert table.column("pose.pose.position.z").to_pylist() == [1e-300] * 20
    assert table.column("pose.covariance.35").to_pylist() == list(range(20))
    assert table.column("header.frame_id").to_pylist() == ["world"] * 20
    assert table.column("pose_x").to_pylist() == [i / 3 if i % 2 else None for i in range(20)]
    assert json.loads(table.column("tags")[3].as_py()) == {"lap": 3, "why": 'a "b", c'}
    assert table.column("tags")[2].as_py() is None
    told = json.loads(table.schema.metadata[METADATA])
    assert (told["topic"], told["type"]) == ("/odom", "nav_msgs.Odometry")
    assert told["recording"] == "shapes.db"


def test_what_no_table_can_hold_is_said(rec: RecordReplay, tmp_path: Path) -> None:
    losses = export_parquet(rec.view(), tmp_path / "out").losses
    assert [(one.topic, one.what, one.count) for one in losses] == [
        ("/bytes", "all fields (the channel names no type)", 4),
        ("/camera", "data (bytes of any length)", 4),
        ("/strange", "all fields (dimos_lcm has no type acme_msgs.Gripper)", 4),
    ]


def test_pandas_reads_exact_numbers_and_times(rec: RecordReplay, tmp_path: Path) -> None:
    export_parquet(rec.view(), tmp_path / "out")
    odom = pd.read_parquet(tmp_path / "out" / "odom.parquet")
    assert odom["ts_ns"].tolist() == [T0 + i * STEP_NS for i in range(20)]
    assert odom["ts"][0] == pd.Timestamp(T0 // 1000 * 1000, tz="UTC")
    assert odom["pose.pose.position.x"].tolist() == [i / 10 for i in range(20)]
    scan = pd.read_parquet(tmp_path / "out" / "scan.parquet")
    expected = np.array([0.1, math.inf, -math.inf, math.nan, 5.0], np.float32)
    np.testing.assert_array_equal(scan["ranges"][1], expected)


def test_duckdb_queries_columns_and_lists(rec: RecordReplay, tmp_path: Path) -> None:
    export_parquet(rec.view(), tmp_path / "out")
    odom, scan = tmp_path / "out" / "odom.parquet", tmp_path / "out" / "scan.parquet"
    farthest = ask(f"""SELECT max("pose.pose.position.x"), count(pose_x) FROM '{odom}'""")
    assert farthest == [(1.9, 10)]
    near = ask(f"SELECT min(r) FROM (SELECT unnest(ranges) AS r FROM '{scan}') WHERE r > 0")
    assert near == [(pytest.approx(0.1),)]


def test_with_the_raw_bytes_nothing_is_lost_on_the_way_back(
    rec: RecordReplay, tmp_path: Path
) -> None:
    report = export_parquet(rec.view(), tmp_path / "out", raw=True)
    assert report.losses == ()
    imported = import_file(tmp_path / "out", tmp_path / "back.db")
    assert (imported.format, imported.count, imported.problems) == ("parquet", 36, ())
    assert rec.compare(tmp_path / "back.db").equal
    with RecordReplay(tmp_path / "back.db") as back:
        assert [one.meta for one in back.streams.odom] == [one.meta for one in rec.streams.odom]
        assert [m[1:] for m in back.markers] == [m[1:] for m in rec.markers]
        assert [one.topic for one in back.view()] == [one.topic for one in rec.view()]


def test_one_topic_goes_into_one_file(rec: RecordReplay, tmp_path: Path) -> None:
    export_parquet(rec.select("/odom"), tmp_path / "odom.parquet", raw=True)
    assert pq.read_table(tmp_path / "odom.parquet").num_rows == 20
    assert import_file(tmp_path / "odom.parquet", tmp_path / "back.db").count == 20
    with pytest.raises(OptionError, match="one topic, and 5 are selected"):
        export_parquet(rec.view(), tmp_path / "all.parquet")
    assert not (tmp_path / "all.parquet").exists()


def test_small_batches_and_groups_of_rows_give_the_same_table(
    rec: RecordReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_parquet(rec.view(), tmp_path / "whole", raw=True)
    monkeypatch.setattr(tables, "_BATCH_ROWS", 3)
    monkeypatch.setattr(tables, "_ALL_BATCHES_BYTES", 2000)
    monkeypatch.setattr("dimos_record.interop.parquet._ALL_GROUPS_BYTES", 10_000)
    export_parquet(rec.view(), tmp_path / "small", raw=True)
    for path in (tmp_path / "whole").iterdir():
        assert pq.read_table(path).equals(pq.read_table(tmp_path / "small" / path.name)) or (
            path.name == "scan.parquet"  # NaN is not equal to itself
        )
    assert pq.ParquetFile(tmp_path / "small" / "odom.parquet").num_row_groups > 2
    assert import_file(tmp_path / "small", tmp_path / "back.db").count == 36
    assert rec.compare(tmp_path / "back.db").equal


def test_damaged_messages_and_long_lists_are_empty_cells_that_are_said(tmp_path: Path) -> None:
    joints = message_class("sensor_msgs.JointState")
    long = joints(position_length=10_001, position=[1.0] * 10_001, effort_length=1, effort=[2.0])
    with RecordReplay(tmp_path / "odd.db") as rec:
        odom = rec.stream("odom", type_name="nav_msgs.Odometry")
        odom.append(odometry(1), ts_ns=T0)
        odom.append(b"no odometry", ts_ns=T0 + 1)
        rec.stream("joints", type_name="sensor_msgs.JointState").append(long, ts_ns=T0)
        losses = export_parquet(rec.view(), tmp_path / "out").losses
    assert [(one.topic, one.what, one.count) for one in losses] == [
        ("/joints", "position (a list of more than 10,000 items)", 1),
        ("/odom", "all fields (the bytes are no nav_msgs.Odometry)", 1),
    ]
    x = pq.read_table(tmp_path / "out" / "odom.parquet").column("pose.pose.position.x")
    assert x.to_pylist() == [0.1, None]
    table = pq.read_table(tmp_path / "out" / "joints.parquet")
    assert [table.column(name)[0].as_py() for name in ("position", "effort")] == [None, [2.0]]


def test_fields_that_are_called_like_a_column_of_ours_are_told_apart(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "marks.db") as rec:
        marker = message_class("visualization_msgs.Marker")(id=42)
        rec.stream("marks", type_name="visualization_msgs.Marker").append(marker, ts_ns=T0)
        export_parquet(rec.view(), tmp_path / "marks.parquet")
    table = pq.read_table(tmp_path / "marks.parquet")
    assert (table.column("id")[0].as_py(), table.column("data.id")[0].as_py()) == (1, 42)
    lowered = [name.lower() for name in table.column_names]  # DuckDB and Spark ignore case
    assert len(set(lowered)) == len(lowered)


def test_a_cancelled_export_leaves_nothing(rec: RecordReplay, tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(rec.view(), tmp_path / "out", ParquetWriter, format="parquet", on_progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_imported_is_refused(rec: RecordReplay, tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFound):
        ParquetImport(tmp_path / "none.parquet")
    export_parquet(rec.select("/odom"), tmp_path / "no_raw.parquet")
    with pytest.raises(NotARecording, match="--raw"):
        ParquetImport(tmp_path / "no_raw.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(NotARecording, match="--raw"):
        ParquetImport(tmp_path / "foreign.parquet")
    (tmp_path / "text.parquet").write_text("This is a text, and not a table.")
    with pytest.raises(NotARecording, match="no Parquet"):
        ParquetImport(tmp_path / "text.parquet")
    export_parquet(rec.select("/odom"), tmp_path / "cut.parquet", raw=True)
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingDamaged, match=r"cut\.parquet"):
        ParquetImport(tmp_path / "cut.parquet")


def test_messages_that_an_operator_gave_another_type_have_a_table_of_their_own(
    rec: RecordReplay, tmp_path: Path
) -> None:
    text = message_class("std_msgs.String")

    def said(every: int) -> ReplayView:
        view = rec.select("/odom")
        return view.map(lambda one: one if one.id % every else one.derive(data=text(data="hi")))

    export_parquet(said(1), tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").column("data").to_pylist() == ["hi"] * 20
    export_parquet(said(2), tmp_path / "out")
    counts = {one.name: pq.read_table(one).num_rows for one in (tmp_path / "out").iterdir()}
    assert counts == {"odom.parquet": 10, "odom.std_msgs.String.parquet": 10}
    with pytest.raises(OptionError, match="several types"):
        export_parquet(said(2), tmp_path / "some.parquet")
    export_parquet(rec.select("/odom").filter(lambda one: False), tmp_path / "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["all.parquet", "none.parquet", "out"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("raw", [None] * 20),
        ("raw", ["text"] * 20),
        ("seq", [None] * 20),
        ("ts_ns", [1.5] * 20),
        ("tags", ["[1]"] * 20),
        ("tags", ["{"] * 20),
    ],
)
def test_a_table_that_somebody_has_changed_is_no_crash(
    rec: RecordReplay, tmp_path: Path, column: str, values: list[Any]
) -> None:
    export_parquet(rec.select("/odom"), tmp_path / "odom.parquet", raw=True)
    table = pq.read_table(tmp_path / "odom.parquet")
    same_type = values[0] is None or column == "tags"
    changed = pa.array(values, table.schema.field(column).type if same_type else None)
    index = table.column_names.index(column)
    pq.write_table(table.set_column(index, column, changed), tmp_path / "odd.parquet")
    with pytest.raises((NotARecording, RecordingDamaged), match=r"odd\.parquet"):
        import_file(tmp_path / "odd.parquet", tmp_path / "back.db")
    assert not (tmp_path / "back.db").exists()


def test_a_damaged_page_is_an_error_and_nothing_is_imported(
    rec: RecordReplay, tmp_path: Path
) -> None:
    export_parquet(rec.view(), tmp_path / "out", raw=True)
    shutil.copytree(tmp_path / "out", tmp_path / "damaged")
    path = tmp_path / "damaged" / "odom.parquet"
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(1996)
    path.write_bytes(data)
    with pytest.raises(RecordingDamaged, match=r"odom\.parquet"):
        import_file(tmp_path / "damaged", tmp_path / "back.db")
    assert not (tmp_path / "back.db").exists()

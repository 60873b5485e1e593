"""CSV out, and read by other programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dimos_record import RecordReplay
from dimos_record.interop.csv_tables import CsvWriter
from dimos_record.interop.exporting import ExportReport, export
from dimos_record.messages import message_class

from .duckdb_process import ask
from .recordings import STEP_NS, T0, write_shapes

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.db")


@pytest.fixture
def rec(shapes: Path) -> Iterator[RecordReplay]:
    with RecordReplay(shapes) as found:
        yield found


def export_csv(rec: RecordReplay, out: Path, topics: str = "*") -> ExportReport:
    return export(rec.select(topics), out, CsvWriter, format="csv")


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_has_times_fields_and_what_is_stored_beside(
    rec: RecordReplay, tmp_path: Path
) -> None:
    report = export_csv(rec, tmp_path / "out")
    assert report.messages == 36
    found = lines(tmp_path / "out" / "odom.csv")
    assert [int(line["ts_ns"]) for line in found] == [T0 + i * STEP_NS for i in range(20)]
    assert found[0]["ts"] == "2023-11-14T22:13:20.123456789Z"
    assert [float(line["pose.pose.position.x"]) for line in found] == [i / 10 for i in range(20)]
    assert float(found[5]["pose.pose.position.z"]) == 1e-300
    assert json.loads(found[3]["tags"]) == {"lap": 3, "why": 'a "b", c'}
    assert (found[3]["pose_x"], found[2]["pose_x"], found[2]["tags"]) == (repr(1.0), "", "")


def test_a_list_is_json_in_one_cell(rec: RecordReplay, tmp_path: Path) -> None:
    export_csv(rec, tmp_path / "scan.csv", "/scan")
    ranges = json.loads(lines(tmp_path / "scan.csv")[1]["ranges"])
    expected = [float(np.float32(0.1)), math.inf, -math.inf, math.nan, 5.0]
    np.testing.assert_array_equal(ranges, expected)


def test_pandas_and_duckdb_read_the_same_numbers(rec: RecordReplay, tmp_path: Path) -> None:
    export_csv(rec, tmp_path / "odom.csv", "/odom")
    odom = pd.read_csv(tmp_path / "odom.csv", parse_dates=["ts"])
    assert odom["ts"].astype("datetime64[ns, UTC]").astype("int64").tolist() == [
        T0 + i * STEP_NS for i in range(20)
    ]
    assert odom["pose.pose.position.x"].tolist() == [i / 10 for i in range(20)]
    query = f"""SELECT max(ts_ns), max("pose.pose.position.x") FROM '{tmp_path}/odom.csv'"""
    assert ask(query) == [(T0 + 19 * STEP_NS, 1.9)]


def test_what_no_table_can_hold_is_said(rec: RecordReplay, tmp_path: Path) -> None:
    losses = export_csv(rec, tmp_path / "out").losses
    assert [(one.topic, one.what.partition(" (")[0], one.count) for one in losses] == [
        ("", "markers", 2),
        ("/bytes", "all fields", 4),
        ("/camera", "data", 4),
        ("/strange", "all fields", 4),
    ]


def test_texts_with_any_end_of_line_are_one_cell(tmp_path: Path) -> None:
    said = ["a\rb", "a\nb", "a\r\nb", 'say "x, y"', "", " plain "]
    with RecordReplay(tmp_path / "chat.db") as rec:
        chat = rec.stream("chat", type_name="std_msgs.String")
        for i, text in enumerate(said):
            chat.append(message_class("std_msgs.String")(data=text), ts_ns=T0 + i)
        export_csv(rec, tmp_path / "chat.csv")
    assert [line["data"] for line in lines(tmp_path / "chat.csv")] == said
    assert b"seq,id,pose_x" in (tmp_path / "chat.csv").read_bytes().partition(b"\n")[0]
    found = pd.read_csv(tmp_path / "chat.csv", keep_default_na=False)["data"].tolist()
    assert found == said


def test_a_name_in_capitals_is_one_file_too(rec: RecordReplay, tmp_path: Path) -> None:
    export_csv(rec, tmp_path / "ODOM.CSV", "/odom")
    assert len(lines(tmp_path / "ODOM.CSV")) == 20

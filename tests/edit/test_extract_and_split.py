"""Parts of a recording as recordings of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.edit import derive
from dimos_record.edit.derive import extract, split
from dimos_record.edit.writing import SaveReport
from dimos_record.errors import EditError, OptionError, RecordingExists
from dimos_record.store import open_recording
from tests.edit.recordings import MAP, S, cut, everything, names_in, numbers, segmented, walk
from tests.store.samples import START_NS


def test_a_section_keeps_its_times_and_the_state_that_it_needs(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    cut(path, 5, 5.5)
    with open_recording(path) as reader:
        expected = [
            row[2:]
            for row in reader.rows("odom", start_ns=START_NS + 4 * S, end_ns=START_NS + 6 * S)
        ]
        report = extract(
            reader,
            (START_NS + 4 * S, START_NS + 6 * S),
            tmp_path / "part.db",
            streams=["odom", "map"],
        )
    part = everything(tmp_path / "part.db")
    assert part["rows"]["odom"] == expected
    assert [row[3] for row in part["rows"]["map"]] == [b"the map"]
    assert set(part["streams"]) == {"odom", "map"}
    span, origin_ns, skips = part["extent"]
    assert origin_ns == START_NS
    assert span == (expected[0][1], expected[-1][1])
    cuts = [(START_NS, START_NS + 4 * S), (START_NS + 5 * S, START_NS + 5 * S + S // 2)]
    assert skips == cuts
    assert [line.line for line in part["log"]] == ["second 4"]
    assert numbers(tmp_path / "part.db", "odom") == list(range(1, len(expected) + 1))
    assert report.messages == len(expected) + 1


def test_an_empty_section_is_no_recording(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    with open_recording(path) as reader, pytest.raises(EditError, match="no message"):
        extract(reader, (START_NS + 20 * S, None), tmp_path / "part.db")
    assert names_in(tmp_path) == {"walk.db"}


def test_parts_hold_each_message_once_and_the_state_that_they_need(tmp_path: Path) -> None:
    path = segmented(tmp_path / "walk")
    with open_recording(path) as reader:
        reports = split(reader, [START_NS + S, START_NS + 4 * S])
    assert [report.path.name for report in reports] == ["walk-1.db", "walk-2.db", "walk-3.db"]
    parts, whole = [everything(report.path) for report in reports], everything(path)
    for name in ("odom", "camera"):
        assert [row for part in parts for row in part["rows"][name]] == whole["rows"][name]
    for part in parts:
        assert [row[3] for row in part["rows"]["map"]] == [b"the map"]
        assert part["streams"]["map"].channel == MAP
    assert sum(report.messages for report in reports) == sum(map(len, whole["rows"].values())) + 2


def test_split_makes_all_parts_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = walk(tmp_path / "walk.db")
    names = [tmp_path / "a.db", tmp_path / "b.db"]
    put = derive.Target.put

    def second_is_taken(self: derive.Target, *arguments: object) -> SaveReport:
        if self.path == names[1]:
            names[1].write_text("somebody else's")
        return put(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(derive.Target, "put", second_is_taken)
    with (
        open_recording(path) as reader,
        pytest.raises(RecordingExists, match=r"b\.db exists already; replace"),
    ):
        split(reader, [START_NS + S], names)
    assert names_in(tmp_path) == {"walk.db", "b.db"}
    assert names[1].read_text() == "somebody else's"


@pytest.mark.parametrize(
    ("at_s", "names", "error", "says"),
    [
        ([], None, OptionError, "ascend"),
        ([3, 2], None, OptionError, "ascend"),
        ([3, 3], None, OptionError, "ascend"),
        ([3], ["one.db"], OptionError, "as many names"),
        ([3], ["one.db", "one.db"], OptionError, "as many names"),
        ([3, 30], None, EditError, "walk-3.db would have no message"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    tmp_path: Path, at_s: list[int], names: list[str] | None, error: type[Exception], says: str
) -> None:
    path = walk(tmp_path / "walk.db", 4)
    at_ns = [START_NS + at * S for at in at_s]
    with open_recording(path) as reader, pytest.raises(error, match=says):
        split(reader, at_ns, names and [tmp_path / name for name in names])
    assert names_in(tmp_path) == {"walk.db"}

"""`dimos-record mark` and `markers`: labels on the timeline, and their CSV."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.store.base import Marker
from tests.cli.commands import T0, S, write_recording
from tests.cli.conftest import RunHere


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of messages, without a marker."""
    return write_recording(tmp_path_factory.mktemp("markers") / "walk.db", rate_hz=1.0)


@pytest.fixture
def file(walk: Path, tmp_path: Path) -> Path:
    shutil.copy(walk, tmp_path / "walk.db")
    return tmp_path / "walk.db"


def markers(file: Path) -> list[Marker]:
    with RecordReplay(file) as rec:
        return rec.markers


def test_a_moment_and_an_interval_are_marked_and_listed(file: Path, run_here: RunHere) -> None:
    done = run_here("mark", "walk.db", "-3", "fall", "--data", '{"battery": 0.2}')
    assert done[:2] == (0, "")
    assert done.err.startswith("walk.db: marker 'fall' at 0:17.0; not saved yet, undo with: ")
    assert run_here("mark", "walk.db", "5", "lap one", "--until", "+2.5").code == 0
    assert [one[1:] for one in markers(file)] == [
        (T0 + 5 * S, "lap one", T0 + 7_500_000_000, None),
        (T0 + 17 * S, "fall", None, {"battery": 0.2}),
    ]
    lines = run_here("markers", "walk.db").out.splitlines()
    assert lines[1].startswith("0:05.0-0:07.5  lap one  20")
    assert lines[2].startswith("0:17.0         fall     20")
    assert lines[2].endswith('{"battery": 0.2}')
    found = json.loads(run_here("markers", "walk.db", "--json").out)
    assert found[0] == {
        "label": "lap one",
        "at_s": 5.0,
        "until_s": 7.5,
        "at_ns": T0 + 5 * S,
        "until_ns": T0 + 7_500_000_000,
        "data": None,
    }


def test_a_marker_is_removed_by_its_label_or_its_time(file: Path, run_here: RunHere) -> None:
    for at, label in (("1", "same"), ("2", "same"), ("3", "Other"), ("17.25", "late")):
        run_here("mark", "walk.db", at, label)
    refused = run_here("mark", "walk.db", "--delete", "same")
    assert refused.code == 2
    assert "has 2 markers 'same': same (0:01.0), same (0:02.0); write the time" in refused.err
    done = run_here("mark", "walk.db", "--delete", "0:02.0")
    assert done.err.startswith("walk.db: marker 'same' at 0:02.0 removed; not saved yet")
    assert run_here("mark", "walk.db", "--delete", "other").code == 0
    assert run_here("mark", "walk.db", "--delete", "0:17.2").code == 0
    assert [one.at_ns for one in markers(file)] == [T0 + S]
    run_here("undo", "walk.db", "3")
    assert len(markers(file)) == 4


def test_markers_make_the_way_through_csv_and_one_undo_takes_them_back(
    file: Path, run_here: RunHere, tmp_path: Path
) -> None:
    label = 'a "quoted", long\nlabel'
    run_here("mark", "walk.db", "1.000000001", label, "--data", '{"é": [1, null]}')
    run_here("mark", "walk.db", "5", "lap", "--until", "7.5")
    before = markers(file)
    exported = run_here("markers", "export", "walk.db")
    assert exported.err == "walk.db: 2 markers written\n"
    rows = list(csv.DictReader(io.StringIO(exported.out)))
    assert rows[0] == {
        "label": label,
        "at_s": "1.000000001",
        "until_s": "",
        "at_utc": "2023-11-14T22:13:21.000000001Z",
        "data": '{"é": [1, null]}',
    }
    assert run_here("markers", "export", "walk.db", "out.csv").out == ""
    assert (tmp_path / "out.csv").read_bytes() == exported.out.encode()
    done = run_here("markers", "import", "walk.db", "out.csv")
    assert done.err == "walk.db: no marker added, 2 were there already\n"
    run_here("undo", "walk.db", "2")
    plan = run_here("markers", "import", "walk.db", "out.csv", "--dry-run")
    assert plan.out == "walk.db: would add 2 markers; nothing was changed\n"
    assert markers(file) == []
    assert run_here("markers", "import", "walk.db", "out.csv").err.startswith(
        "walk.db: 2 markers added; not saved yet, undo with: "
    )
    assert [one[1:] for one in markers(file)] == [one[1:] for one in before]
    run_here("undo", "walk.db")
    assert markers(file) == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufefflabel,at_s\r\nhere,2.5\r\n\r\n",  # as a spreadsheet writes it
        "data, label ,at_utc\n,here,2023-11-14T22:13:22.5Z\n",
        "label,at_utc\nhere,2023-11-14 22:13:22.5\n",
        "label,at_utc\nhere,2023-11-14T23:13:22.500+01:00\n",
        "at_s,at_utc,label\n2.5,2023-11-14T22:13:22.5004Z,here\n",
    ],
)
def test_what_a_spreadsheet_writes_is_read(
    file: Path, run_here: RunHere, tmp_path: Path, text: str
) -> None:
    (tmp_path / "in.csv").write_bytes(text.encode())
    assert run_here("markers", "import", "walk.db", "in.csv").code == 0
    assert [one[1:] for one in markers(file)] == [(T0 + 2_500_000_000, "here", None, None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "label, at_s or at_utc, and as you like until_s and data; it has none"),
        ("name,at_s\nhere,1\n", "it has 'name', 'at_s'"),
        ("label,until_s\nhere,1\n", "it has 'label', 'until_s'"),
        ("label,at_s\nhere,1\nthere\n", "in.csv, line 3: it has more or fewer values"),
        ("label,at_s\nhere,1,2\n", "in.csv, line 2: it has more or fewer values"),
        ("label,at_s\n,1\n", "in.csv, line 2: it has no label"),
        ("label,at_s,at_utc\nhere,,\n", "in.csv, line 2: it has neither at_s nor at_utc"),
        ("label,at_s\nhere,1\nthere,soon\n", "in.csv, line 3: at_s 'soon' is no number"),
        ("label,at_s\nhere,nan\n", "at_s 'nan' is no number"),
        ("label,at_utc\nhere,14:03\n", "at_utc '14:03' is no time of day"),
        ("label,at_s,until_s\nhere,5,5\n", "until_s 5 is not after the marker begins"),
        ("label,at_s,data\nhere,5,{\n", "data '{' is no JSON"),
        ("label,at_s,at_utc\nhere,5,2023-11-14T22:13:22Z\n", "are different moments of walk.db"),
        ("label,at_s\nhere,1\nfar,99\n", "'far'"),
        ('label,at_s\n"here,1\n', "in.csv, line "),
        (b"label,at_s\n\xff\xfe,1\n", "in.csv is no text in UTF-8"),
        (b"SQLite format 3\x00", "in.csv"),
    ],
)
def test_a_bad_line_is_one_sentence_and_no_marker_is_added(
    file: Path, run_here: RunHere, tmp_path: Path, text: str | bytes, said: str
) -> None:
    (tmp_path / "in.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    before = file.read_bytes()
    done = run_here("markers", "import", "walk.db", "in.csv")
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("markers", "import", "walk.db"), 2, "markers import FILE CSV"),
        (("markers", "export"), 2, "markers export FILE [CSV]"),
        (("markers", "walk.db", "more.db"), 2, "write: markers FILE"),
        (("markers", "import", "walk.db", "none.csv"), 3, "there is no file none.csv"),
        (("markers", "import", "walk.db", "."), 5, "."),
        (("markers", "export", "walk.db", "walk.db"), 3, "--overwrite"),
        (("markers", "export", "walk.db", "no/folder.csv"), 5, "its folder does not exist"),
        (("markers", "walk.db", "--dry-run"), 2, "--dry-run"),
        (("markers", "walk.db", "--overwrite"), 2, "--overwrite"),
        (("markers", "export", "walk.db", "--json"), 2, "--json"),
        (("mark", "walk.db"), 2, "mark needs AT and LABEL"),
        (("mark", "walk.db", "5"), 2, "mark needs AT and LABEL"),
        (("mark", "walk.db", "5", "10"), 2, "LABEL '10' reads as a time"),
        (("mark", "walk.db", "5", "end"), 2, "LABEL 'end' reads as a time"),
        (("mark", "walk.db", "5", " "), 2, "label"),
        (("mark", "walk.db", "soon", "here"), 2, "'soon' is not a time, and walk.db has no"),
        (("mark", "walk.db", "5", "here", "--until", "4"), 2, "here"),
        (("mark", "walk.db", "5", "here", "--data", "{"), 2, "--data is no JSON"),
        (("mark", "walk.db", "5", "here", "--data", "NaN"), 2, "NaN is not in JSON"),
        (("mark", "walk.db", "5", "here", "--data", "1e999"), 2, "larger than any number can be"),
        (("mark", "walk.db", "25", "here"), 6, "here"),
        (("mark", "walk.db", "--delete", "here"), 2, "'here' is no marker: walk.db has none"),
        (("mark", "walk.db", "5", "--delete", "here"), 2, "--delete"),
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

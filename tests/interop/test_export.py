"""Exporting a view into other formats, completely or not at all, and importing it again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lcm
import pytest
from dimos_lcm.geometry_msgs import PoseStamped, Transform, TransformStamped
from dimos_lcm.nav_msgs import OccupancyGrid
from dimos_lcm.std_msgs import Header
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record import RecordReplay
from dimos_record.errors import (
    DiskFull,
    EditError,
    OptionError,
    RecordingBusy,
    RecordingExists,
    StorageError,
    UnknownTopic,
)
from dimos_record.interop.exporting import About, Loss, export
from dimos_record.interop.importing import import_file
from dimos_record.interop.partitions import add_to_data_set
from dimos_record.store.base import Row
from dimos_record.store.observation import Meta
from tests.viewer.rrd import read_rrd

S = 1_000_000_000
T0 = 1_700_000_000 * S
EXACT = [
    ("walk.mcap", {}),
    ("walk.mcap", {"encoding": "lcm", "compression": "none"}),
    ("walk.lcm", {}),
    ("tables", {"format": "parquet", "raw": True}),
]
"""Formats that carry every byte, and every time in whole microseconds."""


def transform(child: str) -> TFMessage:
    there = TransformStamped(header=Header(frame_id="map"), child_frame_id=child)
    there.transform = Transform()
    return TFMessage(transforms_length=1, transforms=[there])


def write_walk(path: Path, seconds: int = 10, rate_hz: int = 10) -> Path:
    """`/odom` all the time; a map, and two static transforms in messages of their own, at 0 s."""
    with RecordReplay(path) as rec:
        grid = rec.stream("map", type_name="nav_msgs.OccupancyGrid")
        static = rec.stream("tf_static", type_name="tf2_msgs.TFMessage")
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        grid.append(OccupancyGrid(header=Header(frame_id="map")), ts_ns=T0)
        static.append(transform("lidar"), ts_ns=T0 + 1000)
        static.append(transform("camera"), ts_ns=T0 + 2000)
        for i in range(seconds * rate_hz):
            message = PoseStamped(header=Header(frame_id="map", seq=i))
            odom.append(message, ts_ns=T0 + 3000 + i * S // rate_hz)
    return path


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walk(tmp_path_factory.mktemp("walk") / "walk.db")


@pytest.fixture
def rec(walk: Path) -> Iterator[RecordReplay]:
    with RecordReplay(walk) as found:
        yield found


def events(path: Path) -> list[tuple[int, str]]:
    """Time (us from the start) and channel of what is in a log."""
    return [(one.timestamp - T0 // 1000, one.channel) for one in lcm.EventLog(str(path))]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("name", "options"), EXACT, ids=[f"{n} {o}" for n, o in EXACT])
def test_what_is_exported_comes_back_equal(
    rec: RecordReplay, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    report = rec.export(tmp_path / name, **options)
    assert (report.messages, report.losses) == (103, ())
    assert {one.topic: one.count for one in report.topics} == {
        "/map": 1,
        "/tf_static": 2,
        "/odom": 100,
    }
    back = import_file(tmp_path / name, tmp_path / "back.db")
    assert back.problems == ()
    compared = rec.compare(tmp_path / "back.db")
    assert (compared.equal, compared.offset_ns) == (True, 0)
    with RecordReplay(tmp_path / "back.db") as again:
        assert [row.ts_ns for row in again.view().rows()] == [
            row.ts_ns for row in rec.view().rows()
        ]
        assert {info.topic for info in again.reader.streams.values() if info.latched} == {
            "/map",
            "/tf_static",
        }


def test_a_section_begins_with_what_latched_topics_said_before(
    rec: RecordReplay, tmp_path: Path
) -> None:
    rec.export(tmp_path / "part.lcm", section=(5, 5.2))
    found = events(tmp_path / "part.lcm")
    start_us = 5_000_000
    assert [(at, channel.split("#")[0]) for at, channel in found] == [
        (start_us, "/map"),
        (start_us, "/tf_static"),
        (start_us, "/tf_static"),
        (start_us + 3, "/odom"),
        (start_us + 100_003, "/odom"),
    ]


def test_what_is_stored_beside_the_state_before_a_section_is_carried_too(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "tagged.db") as rec:
        grid = OccupancyGrid(header=Header(frame_id="map"))
        rec.stream("map", type_name="nav_msgs.OccupancyGrid").append(
            grid, ts_ns=T0, tags={"floor": 2}
        )
        rec.stream("odom", type_name="geometry_msgs.PoseStamped").append(
            PoseStamped(), ts_ns=T0 + S
        )
        rec.export(tmp_path / "part.mcap", section=(0.5, None))
    import_file(tmp_path / "part.mcap", tmp_path / "part.db")
    with RecordReplay(tmp_path / "part.db") as part:
        assert [one.tags for one in part.streams.map] == [{"floor": 2}]


def test_an_import_of_a_section_begins_with_each_static_transform_once(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        static = rec.stream("tf_static", type_name="tf2_msgs.TFMessage")
        for i in range(6):  # as publishers do that repeat what is still valid
            static.append(transform(("lidar", "camera")[i % 2]), ts_ns=T0 + i * S)
        rec.stream("odom").append(b"", ts_ns=T0 + 9 * S)
        rec.export(tmp_path / "walk.lcm")
    import_file(tmp_path / "walk.lcm", tmp_path / "part.db", section=(8, None))
    with RecordReplay(tmp_path / "part.db") as rec:
        found = [(row.stream.topic, row.ts_ns - T0, row.data) for row in rec.view().rows()]
    assert found == [
        ("/tf_static", 8 * S, transform("lidar").lcm_encode()),
        ("/tf_static", 8 * S, transform("camera").lcm_encode()),
        ("/odom", 9 * S, b""),
    ]


def test_tables_have_only_what_is_in_the_section(rec: RecordReplay, tmp_path: Path) -> None:
    report = rec.export(tmp_path / "tables", "csv", section=(5, 5.2))
    assert [path.name for path in report.path.iterdir()] == ["odom.csv"]
    assert report.messages == 2


def test_topics_are_chosen(rec: RecordReplay, tmp_path: Path) -> None:
    rec.export(tmp_path / "a.lcm", topics=["/odom", "/tf*"], exclude="/odom")
    assert {channel for _, channel in events(tmp_path / "a.lcm")} == {
        "/tf_static#tf2_msgs.TFMessage"
    }
    with pytest.raises(UnknownTopic, match="/nope"):
        rec.export(tmp_path / "b.lcm", topics="/nope")


def test_edits_count(walk: Path, tmp_path: Path) -> None:
    with RecordReplay(walk) as rec:
        rec.save_as(tmp_path / "edited.db")
    with RecordReplay(tmp_path / "edited.db") as rec:
        rec.delete_section((1, 9))
        rec.rename_topic("/odom", "/pose")
        rec.export(tmp_path / "edited.lcm", topics="/pose")
        assert [at // 100_000 for at, _ in events(tmp_path / "edited.lcm")] == [
            *range(10),
            *range(90, 100),
        ]


def test_operators_of_a_view_count(rec: RecordReplay, tmp_path: Path) -> None:
    view = rec.select("/odom").every(10).filter(lambda one: one.data.header.seq != 50)
    report = view.export(tmp_path / "some.lcm")
    assert report.messages == 9
    assert [at // 1_000_000 for at, _ in events(report.path)] == [0, 1, 2, 3, 4, 6, 7, 8, 9]


class Remembers:
    """A writer of empty files that keeps what it gets, and fails when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.got: list[tuple[Row, Meta | None]] = []
        self.about: About | None = None
        self.losses = [Loss("/odom", "everything", 1)]
        self.closed = False
        self._error = error
        self._path = Path()

    def at(self, path: Path) -> Remembers:
        self._path = path
        return self

    def begin(self, about: About) -> None:
        self._path.touch()
        self.about = about

    def write(self, row: Row, meta: Meta | None) -> bool:
        if self._error is not None:
            raise self._error
        self.got.append((row, meta))
        return True

    def finish(self) -> None:
        """There is nothing to finish."""

    def close(self) -> None:
        self.closed = True
        if isinstance(self._error, OSError):  # as a file that still has something to write
            raise self._error


def test_poses_and_tags_are_handed_to_the_writer(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "a.db") as rec:
        odom = rec.stream("odom")
        for i in range(10):
            more: dict[str, Any] = {"tags": {"i": i}} if i % 3 == 0 else {}
            odom.append(b"%d" % i, ts_ns=T0 + i * S, **more)
        writer = Remembers()
        report = export(rec.between(3, 8), tmp_path / "out", writer.at, format="memory")
        assert report.losses == (Loss("/odom", "everything", 1),)
        expected = [(b"%d" % i, i if i % 3 == 0 else None) for i in range(3, 8)]
        assert [(row.data, meta and meta.tags["i"]) for row, meta in writer.got] == expected
        writer = Remembers()
        view = rec.view().filter(lambda one: True)
        export(view, tmp_path / "out2", writer.at, format="memory")
        assert [meta and meta.tags["i"] for _, meta in writer.got] == [
            i if i % 3 == 0 else None for i in range(10)
        ]


def test_the_writer_is_told_about_the_recording(walk: Path, tmp_path: Path) -> None:
    with RecordReplay(walk) as rec:
        rec.save_as(tmp_path / "marked.db")
    with RecordReplay(tmp_path / "marked.db") as rec:
        rec.add_marker(1.0, "before")
        rec.add_marker(4.0, "lap", until=6.0)
        rec.add_marker(5.5, "in it")
        writer = Remembers()
        export(rec.between(5, 6), tmp_path / "out", writer.at, format="memory")
    about = writer.about
    assert about is not None
    assert (about.name, about.origin_ns) == (str(tmp_path / "marked.db"), T0)
    assert [marker.label for marker in about.markers] == ["lap", "in it"]
    assert [stream.topic for stream in about.streams] == ["/map", "/tf_static", "/odom"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (OSError(errno.EIO, "Input/output error"), StorageError),
        (EditError("whatever the writer says"), EditError),
    ],
)
def test_nothing_is_left_of_what_fails(
    rec: RecordReplay, tmp_path: Path, error: Exception, expected: type[Exception]
) -> None:
    out = tmp_path / "out"
    out.write_text("as it was")
    writer = Remembers(error)
    with pytest.raises(expected) as raised:
        export(rec.view(), out, writer.at, format="memory", overwrite=True)
    assert expected is EditError or str(out) in str(raised.value)
    assert writer.closed
    assert files(tmp_path) == {str(out): b"as it was"}


@pytest.mark.parametrize("name", ["walk.lcm", "walk.mcap", "one.csv", "tables"])
@pytest.mark.parametrize("there", [True, False])
def test_what_is_cancelled_leaves_everything_as_it_was(
    rec: RecordReplay, tmp_path: Path, name: str, there: bool
) -> None:
    options: dict[str, Any] = {"format": "parquet"} if name == "tables" else {}
    view = rec.select("/odom")
    if there:
        view.export(tmp_path / name, **options)
    before = files(tmp_path)

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        view.export(tmp_path / name, overwrite=True, on_progress=cancel, **options)
    assert files(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == there


def test_progress_counts_messages(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with RecordReplay(tmp_path / "a.db") as rec:
        stream = rec.stream("a")
        for i in range(1200):
            stream.append(b"", ts_ns=T0 + i)
        rec.export(tmp_path / "a.lcm", on_progress=lambda *counts: seen.append(counts))
    assert seen == [(500, 1200), (1000, 1200), (1200, 1200)]


def test_what_is_there_is_only_replaced_when_told(rec: RecordReplay, tmp_path: Path) -> None:
    out = tmp_path / "walk.lcm"
    out.write_text("something")
    with pytest.raises(RecordingExists, match=r"walk\.lcm exists already.*--overwrite"):
        rec.export(out)
    rec.export(out, overwrite=True)
    assert len(events(out)) == 103
    assert [path.name for path in tmp_path.iterdir()] == ["walk.lcm"]


def test_a_folder_of_tables_is_replaced_whole(rec: RecordReplay, tmp_path: Path) -> None:
    rec.export(tmp_path / "tables", "csv")
    rec.export(tmp_path / "tables", "csv", topics="/odom", overwrite=True)
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["odom.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_a_pipe_or_device_is_never_replaced(rec: RecordReplay, tmp_path: Path) -> None:
    pipe = tmp_path / "walk.lcm"
    os.mkfifo(pipe)
    for overwrite in (False, True):
        with pytest.raises(RecordingExists, match=r"walk\.lcm is no file but a device or pipe"):
            rec.export(pipe, overwrite=overwrite)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_recording_is_never_replaced(walk: Path, tmp_path: Path) -> None:
    with RecordReplay(walk) as rec:
        rec.save_as(tmp_path / "walk.db")
    before = files(tmp_path)
    with (
        RecordReplay(tmp_path / "walk.db") as rec,
        pytest.raises(RecordingExists, match="is a recording"),
    ):
        rec.export(tmp_path / "walk.db", "lcm", overwrite=True)
    assert files(tmp_path) == before


def test_a_folder_with_other_things_is_never_replaced(rec: RecordReplay, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("three years")
    (tmp_path / "mine" / "odom.csv").write_text("a,b")
    before = files(tmp_path)
    for format in ("csv", "parquet", "lcm"):
        with pytest.raises(RecordingExists, match="other things"):
            rec.export(tmp_path / "mine", format, overwrite=True)
    assert files(tmp_path) == before


def test_a_data_set_of_many_recordings_is_never_replaced(rec: RecordReplay, tmp_path: Path) -> None:
    add_to_data_set(rec.view(), tmp_path / "fleet", by="robot", robot="r1")
    before = files(tmp_path)
    with pytest.raises(RecordingExists, match="other things in it, such as stream=map"):
        rec.export(tmp_path / "fleet", "parquet", overwrite=True)
    assert files(tmp_path) == before


def test_what_a_killed_process_left_is_cleaned_up(rec: RecordReplay, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".walk.lcm.saving-{ended.pid}").write_text("half of it")
    rec.export(tmp_path / "walk.lcm")
    assert [path.name for path in tmp_path.iterdir()] == ["walk.lcm"]


@pytest.mark.parametrize("format", ["lcm", "csv"])
def test_what_another_process_is_writing_is_left_to_it(
    rec: RecordReplay, walk: Path, tmp_path: Path, format: str
) -> None:
    code = (
        "import sys\n"
        "from dimos_record import RecordReplay\n"
        "def wait(done, total):\n"
        "    print('writing', flush=True)\n"
        "    sys.stdin.readline()\n"
        f"rec = RecordReplay({str(walk)!r})\n"
        f"rec.export({str(tmp_path / 'out')!r}, {format!r}, on_progress=wait, overwrite=True)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        ours = rec.export(tmp_path / "out", format, topics="/odom")
        assert len(list(tmp_path.iterdir())) == 2
        other.communicate("go on\n")
    assert other.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert rec.export(tmp_path / "again", format).bytes == _size(tmp_path / "out") > ours.bytes


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in (path.iterdir() if path.is_dir() else [path]))


def test_what_another_thread_is_writing_is_left_to_it(rec: RecordReplay, tmp_path: Path) -> None:
    log, out = tmp_path / "walk.lcm", tmp_path / "walk.db"

    def export_too(done: int, total: int) -> None:
        with pytest.raises(RecordingBusy, match=r"walk\.lcm is being written already"):
            rec.export(log, overwrite=True)

    def import_too(done: int, total: int) -> None:
        with pytest.raises(RecordingBusy, match=r"walk\.db is being written already"):
            import_file(log, out)

    rec.export(log, on_progress=export_too)
    import_file(log, out, on_progress=import_too)
    assert rec.compare(out).equal
    assert sorted(tmp_path.iterdir()) == [out, log]


def test_a_section_without_a_message_is_refused(rec: RecordReplay, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="no message in the section"):
        rec.export(tmp_path / "walk.lcm", section=(100, 200))
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_sense_is_named(rec: RecordReplay, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"walk\.zip.*mcap, lcm, parquet, csv, rrd"):
        rec.export(tmp_path / "walk.zip")
    with pytest.raises(OptionError, match="no format 'zip'"):
        rec.export(tmp_path / "walk.mcap", "zip")
    with pytest.raises(OptionError, match="bag can only be imported"):
        rec.export(tmp_path / "walk.bag", "bag")
    with pytest.raises(OptionError, match=r"mcap has no option 'colour'.*encoding, compression"):
        rec.export(tmp_path / "walk.mcap", colour="red")
    with pytest.raises(OptionError, match="lcm has no option 'encoding'; it has none"):
        rec.export(tmp_path / "walk.lcm", encoding="lcm")
    with pytest.raises(StorageError, match="there is no folder"):
        rec.export(tmp_path / "missing" / "walk.lcm")
    assert list(tmp_path.iterdir()) == []


def test_what_the_viewer_cannot_show_is_a_loss(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "a.db") as strange:
        strange.stream("odom", type_name="geometry_msgs.PoseStamped").append(
            PoseStamped(header=Header(frame_id="map")), ts_ns=T0
        )
        strange.stream("bytes").append(b"1", ts_ns=T0)
        report = strange.export(tmp_path / "a.rrd")
    assert report.messages == 1
    assert [loss.topic for loss in report.losses] == ["/bytes"]
    values = read_rrd(tmp_path / "a.rrd")
    assert any("odom" in entity for entity, _ in values)


def test_an_empty_recording_becomes_an_empty_file(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "a.db") as rec:
        rec.stream("odom")
        report = rec.export(tmp_path / "a.lcm")
        assert (report.messages, report.bytes) == (0, 0)
        assert import_file(tmp_path / "a.lcm", tmp_path / "b.db").count == 0
        for name in ("a.csv", "a.parquet", "a.mcap", "a.rrd"):
            assert rec.export(tmp_path / name).messages == 0
            assert (tmp_path / name).stat().st_size > 0

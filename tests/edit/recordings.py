"""Recordings to be edited and saved, and what can be told of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from dimos_record.bus import split_channel
from dimos_record.store import open_recording
from dimos_record.store.base import LogLine
from dimos_record.store.edited import EditedReader
from dimos_record.store.editing import change_edits
from dimos_record.store.edits import add_edit
from dimos_record.store.meta import Where
from dimos_record.store.segments import segments_of
from dimos_record.store.target import open_target
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import MS, ODOM, START_NS, begin, image, messages, pose

S = 1000 * MS
MAP = "/map#nav_msgs.OccupancyGrid"
CAMERA = "/camera#sensor_msgs.Image"


def everything(path: Path) -> dict[str, Any]:
    """All that a recording says of its messages, by stream, and beside them; without numbers."""
    with open_recording(path) as reader:
        return {
            "streams": reader.streams,
            "rows": {name: [row[2:] for row in reader.rows(name)] for name in reader.streams},
            "meta": {
                name: [row[1:] for row in reader.meta_rows(name, Where())]
                for name in reader.streams
            },
            "extent": (reader.span_ns(), reader.origin_ns(), reader.skips()),
            "markers": reader.markers(),
            "log": list(reader.log_lines()),
            "sessions": [
                (one.start_ns, one.stop_ns, one.state, one.reason, one.meta, one.accounts)
                for one in reader.sessions()
            ],
        }


def numbers(path: Path, stream: str) -> list[int]:
    """The ids of a stream's messages, in the order of time."""
    with open_recording(path) as reader:
        return [row.id for row in reader.rows(stream)]


def edit(path: Path, kind: str, **args: Any) -> None:
    """Add an edit to the list that a recording keeps."""
    change_edits(path, lambda connection: add_edit(connection, kind, args))


def cut(path: Path, a_s: float | None, b_s: float | None, streams: Any = None) -> None:
    """Cut a section, in seconds from `START_NS`."""
    a, b = (None if at is None else START_NS + round(at * S) for at in (a_s, b_s))
    edit(path, "cut", a=a, b=b, streams=streams)


def mark(path: Path, number: int, at_s: float, label: str, until_s: float | None = None) -> None:
    """Add a marker, in seconds from `START_NS`."""
    until = None if until_s is None else START_NS + round(until_s * S)
    at = START_NS + round(at_s * S)
    marker = {"id": number, "at": at, "until": until, "label": label, "data": {"n": number}}
    edit(path, "mark", markers=[marker])


def walk(path: Path, seconds: int = 10) -> Path:
    """A recording of some seconds: odometry, a camera, a latched map; with poses, tags, a log."""
    writer = begin(RecordingWriter.create(path), session="walk")
    fill(writer, seconds)
    writer.end_session(START_NS + seconds * S, "stopped", 3, 1)
    writer.close()
    return path


def fill(writer: RecordingWriter, seconds: int, first_s: int = 0) -> None:
    """Write some seconds of what `walk` has."""
    for second in range(first_s, first_s + seconds):
        start = START_NS + second * S
        if second == 0:
            writer.write([(start, MAP, b"the map")])
        writer.write(
            [(start + i * 100 * MS, ODOM, pose(start - S + i, x=second)) for i in range(10)]
        )
        writer.write([(start + 5 * MS, CAMERA, image("rgb8", bytes(48_000), 160, 100))])
        writer.write_log([LogLine(start, "info", "test", f"second {second}")])
        writer.note_progress(start, start + 7, start)
        here = (second, 0.5, 0, 0, 0, 0, 1)
        writer.append_one(ODOM, start + 950 * MS, pose(start), pose=here, tags={"at": second})


def segmented(folder: Path, seconds: int = 6, each: int = 2) -> Path:
    """The same in a folder, a segment every two seconds."""
    target = open_target(folder, split=True)
    writer = begin(target.writer, session="walk")
    for second in range(0, seconds, each):
        fill(writer, each, second)
        end_ns = START_NS + (second + each) * S
        if second + each < seconds:
            following = target.next_writer(writer)
            meta = {"pid": 0, "session": "walk"}
            following.begin_session(end_ns, meta, split=split_channel)
            writer.end_session(end_ns, "split", 0, 0)
            writer.close()
            writer = following
    writer.end_session(START_NS + seconds * S, "stopped", 0, 0)
    writer.close()
    return folder


def numbered(path: Path, count: int, channel: str = "/a", first_ns: int = START_NS) -> Path:
    """A recording of one topic, a message every 10 ms."""
    writer = begin(RecordingWriter.create(path), first_ns)
    shift = first_ns - START_NS
    writer.write([(ts + shift, name, data) for ts, name, data in messages(count, channel)])
    writer.end_session(first_ns + count * 10 * MS, "stopped", 0, 0)
    writer.close()
    return path


def opened(path: Path) -> EditedReader:
    """A reader; whoever saves closes it."""
    return open_recording(path)


def check_integrity(path: Path) -> None:
    """Every file of a recording is one whole SQLite file."""
    for file in segments_of(path) if path.is_dir() else [path]:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def query(path: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a question to a file yields."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, parameters).fetchall()


def names_in(folder: Path) -> set[str]:
    """What is in a folder."""
    return {path.name for path in folder.iterdir()}


def rising(values: Iterable[int]) -> bool:
    """Whether each is one more than the one before."""
    listed = list(values)
    return listed == list(range(listed[0], listed[0] + len(listed)))

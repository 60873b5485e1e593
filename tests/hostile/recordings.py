"""Recordings as somebody could make them who wants to do harm to whoever opens them."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

from dimos_record.bus.base import split_channel
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import START_NS, pose

POSE = "geometry_msgs.PoseStamped"
TERMINAL_NAMES = (
    f"/\x1b[2Jclear#{POSE}",
    "/\x1b]0;title\x07#std_msgs.\x1b[31mString",
    f"/\x9b31mred#{POSE}",
    f"/\u202egnirts#{POSE}",
    f"/[bold]markup[/]#{POSE}",
    "/new\nline\rover#a.\x1b[5mb",
)
SQL_NAMES = (
    f"/'; DROP TABLE _streams; --#{POSE}",
    f'/"; DELETE FROM _dr_topics; --#{POSE}',
    f"/a\\'b`c[d]e%f_g?h*i#{POSE}",
    f"/sqlite_master#{POSE}",
    f"/_dr_topics#{POSE}",
    f"/odom#{POSE}",
    f"/odom_blob#{POSE}",
    f"/ODOM#{POSE}",
    f"/select#{POSE}",
)


def write(path: Path, channels: tuple[str, ...], text: str = "walk") -> Path:
    """Twenty messages on each channel; `text` wherever a recording keeps a text."""
    meta = {"host": text, "program": text, "argv": [text], "versions": {text: text}}
    writer = RecordingWriter.create(path)
    writer.begin_session(START_NS, meta, split=split_channel, bus=f"udpm://{text}")
    for i in range(20):
        ts_ns = START_NS + i * 10_000_000
        writer.write([(ts_ns, channel, pose(i)) for channel in channels])
    writer.end_session(START_NS + 10**9, text, 1, 0)
    writer.close()
    return path


def write_obeyed(path: Path) -> Path:
    """Everything that can be a text is one that a terminal would obey."""
    write(path, TERMINAL_NAMES, "\x1b[2J\x07\x9b5m")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO _dr_markers (at_ns, label, data) VALUES (?, ?, ?)",
            (START_NS + 50_000_000, "\x1b[2Jhere\x07", '{"a": "\\u001b[31m"}'),
        )
        connection.execute(
            "INSERT INTO _dr_log (session, ts_ns, level, source, line) VALUES (1, ?, ?, ?, ?)",
            (START_NS + 60_000_000, "\x1b[31mINFO", "\x1b[2Jsource", "a \x1b[2J\x07 line"),
        )
    connection.close()
    return path


class WritesAFile:
    """What a pickle can do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._path), "w")


def write_pickles(path: Path, trap: Path) -> Path:
    """Payloads, tags, types and codecs that would create the file `trap` if anything ran them."""
    write(path, (f"/odom#{POSE}", f"/scan#{POSE}"))
    payload = pickle.dumps(WritesAFile(trap))
    (trap.parent / "trapped.py").write_text(f"open({str(trap)!r}, 'w').close()\nclass Message: 0\n")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE odom_blob SET data = ?", (payload,))
        connection.execute("UPDATE odom SET crc = NULL")
        connection.execute(
            "UPDATE _dr_topics SET codec = 'pickle', type_name = 'trapped.Message' "
            "WHERE stream = 'odom'"
        )
        connection.execute(
            "UPDATE _streams SET config = json_set(config, '$.payload_module', 'trapped.Message', "
            "'$.codec_id', 'pickle', '$.codec', 'trapped.Message')"
        )
        connection.execute(
            "UPDATE _dr_topics SET module = 'trapped', type_name = 'trapped.Message'"
        )
    connection.close()
    return path

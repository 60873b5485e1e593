"""Writing a recording anew: what stays is the same to the byte, what was cut is nowhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dimos_record.edit import progress
from dimos_record.edit.derive import save_as
from dimos_record.errors import (
    CodecError,
    NotARecording,
    OptionError,
    RecordingBusy,
    RecordingExists,
    StorageError,
)
from dimos_record.store import open_recording
from dimos_record.store.base import LogLine
from dimos_record.store.memory import MemoryStore
from dimos_record.store.reader import RecordingReader
from dimos_record.store.sessions import process_identity
from dimos_record.store.writer import RecordingWriter
from tests.edit.recordings import (
    S,
    check_integrity,
    cut,
    edit,
    everything,
    mark,
    names_in,
    numbered,
    numbers,
    query,
    rising,
    walk,
)
from tests.store.dimos_files import ALL, DEPTH, write_dimos_file
from tests.store.samples import MS, START_NS, begin, image, messages, record
from tests.store.test_reading_changes_nothing import STATES


def saved(path: Path, name: str = "copy.db") -> Path:
    with open_recording(path) as reader:
        report = save_as(reader, path.with_name(name))
    assert report.path == path.with_name(name)
    check_integrity(report.path)
    return report.path


def test_the_new_file_equals_what_was_seen_of_the_edited_one(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    cut(path, 2, 4.5)
    cut(path, 7, 8, ["odom"])
    edit(path, "shift", stream="camera", ns=-123_456_789)
    edit(path, "rename", stream="odom", topic="/pose", channel="/pose#geometry_msgs.PoseStamped")
    mark(path, 1, 5, "here", until_s=6)
    seen = everything(path)
    copy = saved(path)
    assert everything(copy) == seen
    for name in ("pose", "camera", "map"):
        assert numbers(copy, name) == list(range(1, len(seen["rows"][name]) + 1))
        assert all(
            ts == ts_ns / 10**9 for ts, ts_ns in query(copy, f"SELECT ts, ts_ns FROM {name}")
        )
    assert everything(path) == seen  # and this one stayed as it is


def test_stored_rows_are_kept_to_the_byte(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    before = {table: query(path, f"SELECT * FROM {table}") for table in ("odom", "odom_blob")}
    copy = saved(path)
    assert {table: query(copy, f"SELECT * FROM {table}") for table in before} == before
    kept = ("_dr_topics", "_dr_account", "_dr_clock", "_dr_log", "_streams", "odom_rtree")
    for table in kept:
        assert query(copy, f"SELECT * FROM {table}") == query(path, f"SELECT * FROM {table}")


def test_nothing_of_what_was_cut_is_in_the_new_file(tmp_path: Path) -> None:
    def secret(number: int) -> bytes:
        return b"secret%05d" % number * 10

    path = record(
        tmp_path / "walk.db",
        [
            [(START_NS + i * 10 * MS, "/a", secret(i)) for i in range(500)],
            [(START_NS + i * 10 * MS, "/b", b"other%05d" % i * 5000) for i in range(50)],
        ],
    )
    cut(path, 1, 2)
    cut(path, 0, None, ["b"])
    mark(path, 1, 3, "stays")
    content = saved(path).read_bytes()
    assert all((secret(i) in content) == (not 100 <= i < 200) for i in range(500))
    assert b"other" not in content
    assert query(path.with_name("copy.db"), "SELECT * FROM _dr_edits") == []


def test_log_lines_markers_and_accounts_go_with_what_they_are_about(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    mark(path, 1, 1, "stays")
    mark(path, 2, 3, "goes", until_s=3.5)
    cut(path, 2, 4)
    cut(path, 8, None)
    edit(path, "delete", streams=["camera"])
    copy = saved(path)
    with open_recording(copy) as reader:
        lines = [line.line for line in reader.log_lines()]
        assert lines == [f"second {n}" for n in (0, 1, 4, 5, 6, 7)]
        assert [marker.label for marker in reader.markers()] == ["stays"]
        (session,) = reader.sessions()
        assert set(session.accounts) == {"odom", "map"}
        assert session.accounts["odom"].written == 110  # as recorded
        assert (session.lost_before_reception, session.clock_jumps) == (3, 1)
        assert reader.skips() == [(START_NS + 2 * S, START_NS + 4 * S)]
        assert reader.base.edits() == []


@pytest.mark.parametrize("make", STATES)
def test_a_file_in_any_state_is_copied_whole(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "walk.db")
    before, seen = names_in(tmp_path), everything(tmp_path / "walk.db")
    copy = everything(saved(tmp_path / "walk.db"))
    assert copy["rows"] == seen["rows"]
    assert copy["meta"] == seen["meta"]
    assert copy["streams"] == seen["streams"]
    assert names_in(tmp_path) == {*before, "copy.db"}
    (session,) = copy["sessions"]
    assert session[1] is not None
    assert session[2] in ("killed", "finished")


def test_a_recording_that_goes_on_is_copied_as_far_as_it_is(tmp_path: Path) -> None:
    recorded = messages(300)
    writer = begin(RecordingWriter.create(tmp_path / "walk.db"), **process_identity())
    writer.write(recorded)  # small: this is in the spool
    copy = saved(tmp_path / "walk.db")
    assert [row[3] for row in everything(copy)["rows"]["a"]] == [one[2] for one in recorded]
    assert everything(copy)["sessions"][0][2:4] == ("finished", "saved while it was recorded")
    writer.write(messages(5, first=300))
    writer.end_session(START_NS, "stopped", 0, 0)
    assert writer.close()
    assert len(numbers(tmp_path / "walk.db", "a")) == 305


def test_a_file_of_dimos_becomes_one_of_ours(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "dimos.db", [one for one in ALL if one.name != "zstd"])
    seen, before = everything(path), path.read_bytes()
    copy = saved(path)
    assert path.read_bytes() == before
    assert {what: everything(copy)[what] for what in seen if what != "meta"} == {
        what: found for what, found in seen.items() if what != "meta"
    }
    for name, rows in seen["meta"].items():  # header stamps are written down now
        assert [row[:3] + row[4:] for row in everything(copy)["meta"][name]] == [
            row[:3] + row[4:] for row in rows
        ]
    assert query(copy, "SELECT count(stamp_ns) FROM odom") == [(5,)]
    assert dict(query(copy, "SELECT * FROM _streams")) == dict(
        query(path, "SELECT * FROM _streams")
    )


def test_a_payload_that_nobody_can_read_is_copied_all_the_same(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "dimos.db", ALL)
    copy = saved(path)
    assert query(copy, "SELECT data FROM zstd_blob") == [(b"?",)]


def test_numbers_without_order_and_with_holes_become_dense_in_their_order(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 100)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE a SET ts_ns = ts_ns + 300000000 WHERE id % 3 = 0")
        connection.execute("UPDATE a SET ts = ts_ns / 1e9")
        connection.execute("DELETE FROM a WHERE id % 10 = 7")
        connection.execute("CREATE INDEX _dr_time_a ON a (ts_ns)")
    kept = query(
        path,
        "SELECT seq, ts_ns FROM a WHERE ts_ns < ? OR ts_ns >= ? ORDER BY id",
        START_NS + S // 4,
        START_NS + S // 2,
    )
    cut(path, 0.25, 0.5)
    copy = saved(path)
    assert query(copy, "SELECT seq, ts_ns FROM a ORDER BY id") == kept
    assert rising(number for (number,) in query(copy, "SELECT id FROM a ORDER BY id"))
    assert [row[3] for row in everything(copy)["rows"]["a"]] == [
        row[3] for row in everything(path)["rows"]["a"]
    ]


def test_another_codec_is_stored_and_dimos_is_told(tmp_path: Path) -> None:
    path = walk(tmp_path / "walk.db")
    edit(path, "codec", stream="odom", codec="lz4+lcm")
    edit(path, "codec", stream="camera", codec="jpeg")
    seen = everything(path)
    copy = saved(path)
    assert everything(copy)["rows"] == seen["rows"]
    assert b"JFIF" in query(copy, "SELECT data FROM camera_blob")[0][0]
    configs = dict(query(copy, "SELECT name, config FROM _streams"))
    assert '"codec_id": "lz4+lcm"' in configs["odom"]
    assert '"codec_id": "jpeg"' in configs["camera"]


def test_a_payload_that_cannot_be_stored_otherwise_leaves_nothing(tmp_path: Path) -> None:
    broken = DEPTH._replace(payloads=[*DEPTH.payloads, b"no LZ4 frame"])
    path = write_dimos_file(tmp_path / "dimos.db", [broken])
    edit(path, "codec", stream="depth", codec="lcm")
    with open_recording(path) as reader, pytest.raises(CodecError, match="/depth"):
        save_as(reader, tmp_path / "copy.db")
    assert names_in(tmp_path) == {"dimos.db"}


def test_a_table_of_embeddings_that_is_none_is_not_trusted(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 10)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE a_vec USING rtree(id, low, high)")
    with open_recording(path) as reader, pytest.raises(StorageError, match="a_vec"):
        save_as(reader, tmp_path / "copy.db")
    assert names_in(tmp_path) == {"walk.db"}


def test_what_is_in_memory_can_be_saved_into_a_file(tmp_path: Path) -> None:
    store = MemoryStore()
    writer = begin(store.target().writer)
    writer.write([*messages(50), (START_NS + S, "/i", image("mono8", bytes(100), 10, 10))])
    writer.write_log([LogLine(START_NS, None, None, "a line")])
    with store.reader() as reader:
        seen = {name: [row[2:] for row in reader.rows(name)] for name in reader.streams}
        save_as(reader, tmp_path / "walk.db")
    assert everything(tmp_path / "walk.db")["rows"] == seen
    store.close()


def test_the_new_recording_says_what_it_is_derived_from(tmp_path: Path) -> None:
    path = numbered(tmp_path / "walk.db", 10)
    copy = saved(path)
    of = "SELECT value FROM _dr_meta WHERE key = ?"
    ((original,),) = query(path, of, "recording_id")
    assert query(copy, of, "recording_id") != [(original,)]
    assert query(copy, of, "derived_from") == [(f'["{original}"]',)]


def test_another_recording_is_only_replaced_when_asked_to(tmp_path: Path) -> None:
    path, other = numbered(tmp_path / "walk.db", 10), numbered(tmp_path / "other.db", 99)
    before = other.read_bytes()
    with open_recording(path) as reader:
        with pytest.raises(RecordingExists, match=r"other\.db"):
            save_as(reader, other)
        with RecordingReader.open(other), pytest.raises(RecordingBusy, match="this program"):
            save_as(reader, other, overwrite=True)
        assert other.read_bytes() == before
        (tmp_path / "notes.db").write_text("no recording")
        with pytest.raises(NotARecording):
            save_as(reader, tmp_path / "notes.db", overwrite=True)
        with pytest.raises(OptionError, match=r"save\(\)"):
            save_as(reader, path, overwrite=True)
        save_as(reader, other, overwrite=True)
    assert len(numbers(other, "a")) == 10
    assert names_in(tmp_path) == {"walk.db", "other.db", "notes.db"}


class Cancelled(Exception):
    """Raised by whoever watches."""


@pytest.mark.parametrize("after", [1, 2, 5])
def test_a_cancelled_copy_leaves_nothing(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_INTERVAL_S", 0.0)
    size = 1_000_000
    path = record(tmp_path / "walk.db", [messages(1, size=size, first=i) for i in range(12)])
    calls: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        calls.append((done, total))
        if len(calls) == after:
            raise Cancelled

    with open_recording(path) as reader, pytest.raises(Cancelled):
        save_as(reader, tmp_path / "copy.db", on_progress=watch)
    assert names_in(tmp_path) == {"walk.db"}
    assert calls[-1][0] < calls[-1][1] == 12 * size
    with open_recording(path) as reader:
        save_as(reader, tmp_path / "copy.db", on_progress=lambda *done: calls.append(done))
    assert calls[-1] == (12 * size, 12 * size)

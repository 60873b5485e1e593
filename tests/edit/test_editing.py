"""What `RecordReplay` can change, and when it refuses to."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.errors import (
    EditError,
    OptionError,
    RecordingBusy,
    RecordingDamaged,
    StorageError,
    UnknownTopic,
)
from dimos_record.store.edits import add_edit
from dimos_record.store.memory import MemoryStore
from dimos_record.store.schema import SCHEMA_VERSION
from dimos_record.testing import free_lcm_url
from tests.store.dimos_files import ODOM as DIMOS_ODOM
from tests.store.dimos_files import write_dimos_file

START_NS = 1_700_000_000_000_000_000
ODOM = "geometry_msgs.PoseStamped"


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """10 s: `/odom` at 10 Hz, `/map` every 3 s, `/lidar` at 1 Hz."""
    path = tmp_path / "walk.db"
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", type_name=ODOM)
        grid = rec.stream("map", latched=True)
        lidar = rec.stream("lidar")
        for tick in range(100):
            ts_ns = START_NS + tick * 100_000_000
            odom.append(b"odom %d" % tick, ts_ns=ts_ns)
            if tick % 30 == 0:
                grid.append(b"map %d" % tick, ts_ns=ts_ns + 1)
            if tick % 10 == 0:
                lidar.append(b"lidar" * 100, ts_ns=ts_ns + 2)
    return path


@pytest.fixture
def rec(walk: Path) -> Iterator[RecordReplay]:
    with RecordReplay(walk) as opened:
        yield opened


def positions(rec: RecordReplay, topic: str) -> list[float]:
    name = rec.reader.find(topic).name
    return [round(rec.position_of(row.ts_ns), 6) for row in rec.reader.rows(name)]


def test_a_cut_takes_a_half_open_section_out_and_keeps_the_times_of_the_rest(
    rec: RecordReplay,
) -> None:
    report = rec.delete_section((2, 4))
    assert positions(rec, "/odom") == [t / 10 for t in range(100) if not 20 <= t < 40]
    assert (report.messages, dict(report.topics)) == (22, {"/odom": 20, "/lidar": 2})
    assert report.bytes == sum(len(b"odom %d" % t) for t in range(20, 40)) + 2 * 500
    assert rec.skips == [(2, 4)]
    assert rec.duration == 9.9


def test_what_a_latched_topic_said_inside_a_cut_stays_for_what_follows(rec: RecordReplay) -> None:
    report = rec.delete_section((2, 8))
    assert report.kept_state == 1
    assert [row.data for row in rec.reader.rows("map")] == [b"map 0", b"map 60", b"map 90"]


def test_nothing_stays_of_a_topic_that_is_cut_by_name(rec: RecordReplay) -> None:
    rec.delete_section((2, 8), "/map")
    assert [row.data for row in rec.reader.rows("map")] == [b"map 0", b"map 90"]
    assert rec.skips == []


def test_a_trimmed_recording_begins_where_it_was_trimmed_to(rec: RecordReplay) -> None:
    rec.trim((5, 8))
    assert rec.extent == (5.0, 7.9)
    assert rec.skips == [(0, 5)]
    assert [row.data for row in rec.reader.rows("map")] == [b"map 30", b"map 60"]
    assert rec.info().count == 30 + 3 + 2


def test_a_preview_tells_what_would_go_and_changes_nothing(rec: RecordReplay) -> None:
    preview = rec.trim((5, 8), preview=True)
    assert not rec.edited
    report = rec.trim((5, 8))
    assert preview == report._replace(edit=None)


def test_a_deleted_topic_is_gone_until_it_is_undone(rec: RecordReplay) -> None:
    report = rec.delete_topic("/li*")
    assert dict(report.topics) == {"/lidar": 10}
    assert "lidar" not in rec.streams
    with pytest.raises(UnknownTopic, match="it has /map, /odom"):
        rec.select("/lidar").count()
    rec.undo()
    assert rec.select("/lidar").count() == 10


def test_a_topic_without_messages_can_be_deleted(rec: RecordReplay) -> None:
    rec.stream("silent")
    assert rec.delete_topic("/silent").messages == 0
    assert "/silent" not in rec.topics


def test_a_renamed_topic_has_the_new_name_everywhere(rec: RecordReplay) -> None:
    rec.rename_topic("/odom", "/old/odom")
    info = rec.reader.find("/old/odom")
    assert (info.name, info.channel) == ("old__odom", f"/old/odom#{ODOM}")
    assert rec.streams.old__odom.count() == 100
    assert rec.streams.old__odom.first().topic == "/old/odom"
    with pytest.raises(EditError, match="has a topic /map already"):
        rec.rename_topic("/old/odom", "/map")
    with pytest.raises(OptionError, match="cannot be the name of a topic"):
        rec.rename_topic("/old/odom", "/a#b")


def test_a_shift_moves_receive_times_and_nothing_else(rec: RecordReplay) -> None:
    before = [row.data for row in rec.reader.rows("odom")]
    rec.shift("/odom", -0.25)
    assert positions(rec, "/odom")[:2] == [-0.25, -0.15]
    assert [row.data for row in rec.reader.rows("odom")] == before
    assert rec.streams.odom.before(START_NS / 1e9).count() == 3
    for nothing in (0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="cannot shift"):
            rec.shift("/odom", nothing)


def test_a_codec_that_loses_nothing_leaves_the_bytes_as_they_are(rec: RecordReplay) -> None:
    rec.set_codec("/lidar", "lz4+lcm")
    assert rec.reader.find("/lidar").codec == "lz4+lcm"
    assert {row.data for row in rec.reader.rows("lidar")} == {b"lidar" * 100}
    with pytest.raises(EditError, match="stored as lz4\\+lcm already"):
        rec.set_codec("/lidar", "lz4+lcm")
    with pytest.raises(OptionError, match="cannot be chosen"):
        rec.set_codec("/lidar", "zip")


def test_markers_come_in_the_order_of_time_and_go_with_the_section_they_lie_in(
    rec: RecordReplay,
) -> None:
    rec.add_marker(6, "late", data={"why": ["slip"]})
    rec.add_marker(2, "early", until=3.5)
    assert [(m.label, rec.position_of(m.at_ns), m.data) for m in rec.markers] == [
        ("early", 2, None),
        ("late", 6, {"why": ["slip"]}),
    ]
    rec.delete_section((5, 7))
    assert [marker.label for marker in rec.markers] == ["early"]
    with pytest.raises(EditError, match="lies in a section that was cut"):
        rec.add_marker(5.5, "nowhere")
    rec.undo()
    rec.delete_marker("early")
    assert [marker.label for marker in rec.markers] == ["late"]
    with pytest.raises(EditError, match="has no marker 'early'; it has: late"):
        rec.delete_marker("early")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1, " "), "a marker needs a label"),
        ((1, "x", 0.5), "ends at 0.5 s, before it begins"),
        ((1, "x", None, {1, 2}), "is not JSON"),
        ((float("nan"), "x"), "is no position"),
        ((100, "x"), "lies beyond the ends"),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused(
    rec: RecordReplay, arguments: tuple[object, ...], error: str
) -> None:
    with pytest.raises((OptionError, EditError), match=error):
        rec.add_marker(*arguments)  # type: ignore[arg-type]
    assert not rec.edited


def test_edits_are_kept_in_the_file_and_the_data_is_untouched(walk: Path) -> None:
    with RecordReplay(walk) as rec:
        rec.trim((5, 8))
        rec.delete_topic("/lidar")
    with RecordReplay(walk) as again:
        assert [entry.text for entry in again.history] == ["trim to 5 s - 8 s", "delete /lidar"]
        assert again.info().count == 32
    assert os.listdir(walk.parent) == ["walk.db"]
    with sqlite3.connect(walk) as connection:
        assert connection.execute("SELECT count(*) FROM odom").fetchone() == (100,)


def test_undo_and_redo_walk_through_the_history(rec: RecordReplay) -> None:
    rec.trim((1, 9))
    rec.delete_section((2, 4))
    rec.delete_topic("/lidar")
    assert [entry.text for entry in rec.undo(2)] == ["delete /lidar", "cut 2 s to 4 s"]
    assert [entry.undone for entry in rec.history] == [False, True, True]
    assert [entry.text for entry in rec.redo()] == ["cut 2 s to 4 s"]
    rec.shift("/odom", 1)
    assert [entry.text for entry in rec.history] == [
        "trim to 1 s - 9 s",
        "cut 2 s to 4 s",
        "shift /odom by +1 s",
    ]
    with pytest.raises(EditError, match="nothing to redo"):
        rec.redo()
    assert len(rec.revert()) == 3
    assert rec.info().count == 114
    with pytest.raises(EditError, match="nothing to undo"):
        rec.undo()
    assert len(rec.redo(3)) == 3


@pytest.mark.parametrize(
    ("section", "error"),
    [
        ((5, 5), "is empty"),
        ((6, 5), "begin with the earlier end"),
        ((None, None), "needs a start or an end"),
        ((float("nan"), 3), "is no position"),
        (3, "is no section"),
    ],
)
def test_a_section_that_is_none_is_refused(rec: RecordReplay, section: object, error: str) -> None:
    for edit in (rec.delete_section, rec.trim):
        with pytest.raises(OptionError, match=error):
            edit(section)  # type: ignore[arg-type]


def test_an_edit_that_changes_nothing_or_leaves_nothing_is_refused(rec: RecordReplay) -> None:
    with pytest.raises(EditError, match="cut 50 s to 60 s would take nothing away from"):
        rec.delete_section((50, 60))
    with pytest.raises(EditError, match="would take nothing away"):
        rec.trim((-1, 60))
    with pytest.raises(EditError, match="would leave nothing of"):
        rec.trim((50, 60))
    with pytest.raises(EditError, match="would leave nothing of"):
        rec.delete_topic("*")
    with pytest.raises(UnknownTopic, match="no topic matches '/nope'; it has: /lidar, /map, /odom"):
        rec.delete_section((1, 2), "/nope")
    assert not rec.edited


def test_another_program_sees_an_edit_at_once(walk: Path, rec: RecordReplay) -> None:
    assert rec.info().count == 114
    with RecordReplay(walk) as other:
        other.delete_topic("/lidar")
    assert rec.info().count == 104
    assert rec.edited


def test_edits_wait_for_the_end_of_a_recording(walk: Path) -> None:
    url = free_lcm_url()
    with RecordReplay(walk, bus=url) as rec:
        rec.start_recording(append=True)
        with pytest.raises(RecordingBusy, match="being recorded into"):
            rec.trim((5, 8))
        with RecordReplay(walk) as other, pytest.raises(RecordingBusy, match="being recorded into"):
            other.trim((5, 8))


def test_nothing_is_added_to_a_recording_with_edits(walk: Path) -> None:
    with RecordReplay(walk, bus=free_lcm_url()) as rec:
        rec.trim((5, 8))
        with pytest.raises(EditError, match="edits that are not saved; write them with"):
            rec.start_recording(append=True)
        with pytest.raises(EditError, match="edits that are not saved"):
            rec.stream("odom").append(b"x")
        with pytest.raises(EditError, match="edits that are not saved"):
            rec.fill_poses()
        rec.revert()
        rec.stream("odom", type_name=ODOM).append(b"x", ts_ns=START_NS + 10**10)


def test_a_read_only_recording_says_what_can_be_done(
    rec: RecordReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(StorageError, match=r"is read-only.*dimos-record extract"):
        rec.trim((5, 8))


def test_a_recording_in_memory_is_edited_alike() -> None:
    with RecordReplay(store=MemoryStore()) as rec:
        stream = rec.stream("odom")
        for tick in range(10):
            stream.append(b"%d" % tick, ts_ns=START_NS + tick * 10**9)
        rec.trim((3, 6))
        assert [one.raw for one in rec.streams.odom] == [b"3", b"4", b"5"]
        rec.undo()
        assert rec.streams.odom.count() == 10


def test_a_recording_of_an_older_version_is_brought_up_to_date_by_its_first_edit(
    walk: Path,
) -> None:
    with sqlite3.connect(walk) as connection:
        connection.execute("DROP INDEX _dr_topics_copy")
        for table in ("_dr_edits", "_dr_markers", "_dr_skips"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM _dr_migrations WHERE version >= 3")
        connection.execute("UPDATE _dr_meta SET value = 2 WHERE key = 'schema_version'")
    connection.close()
    with RecordReplay(walk) as rec:
        assert (rec.markers, rec.skips, rec.history) == ([], [], [])
        rec.trim((5, 8))
        assert rec.info().count == 35
        assert rec.info().schema_version == SCHEMA_VERSION


def test_a_folder_of_segments_is_edited_as_one_recording(tmp_path: Path, walk: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    shutil.copy(walk, folder / "segment-00001.db")
    later = folder / "segment-00002.db"
    with RecordReplay(later) as rec:
        odom = rec.stream("odom", type_name=ODOM)
        for tick in range(100, 200):
            odom.append(b"odom %d" % tick, ts_ns=START_NS + tick * 100_000_000)
    with RecordReplay(folder) as rec:
        rec.delete_section((9, 11))
        assert positions(rec, "/odom") == [t / 10 for t in range(200) if not 90 <= t < 110]
        assert rec.reader.ranks("odom", [START_NS + 12 * 10**9]) == [100]
        rec.undo()
        assert rec.select("/odom").count() == 200
    assert sorted(os.listdir(folder)) == ["edits.sqlite", "segment-00001.db", "segment-00002.db"]


def written_by_somebody(walk: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(walk) as connection:
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("cut", "{}"),
        ("cut", '{"a": "noon", "b": null, "streams": null}'),
        ("cut", '{"a": 1e300, "b": null, "streams": null}'),
        ("trim", '{"a": 99999999999999999999999999, "b": null, "streams": null}'),
        ("trim", '{"a": 1, "b": null, "streams": [[]]}'),
        ("cut", '{"a": 1, "b": null, "streams": null, "more": 1}'),
        ("delete", '{"streams": null}'),
        ("shift", "[1]"),
        ("shift", '{"stream": "odom", "ns": 1.5}'),
        ("shift", '{"stream": "odom", "ns": -9000000000000000000}'),
        ("rename", '{"stream": "odom", "topic": 5, "channel": ""}'),
        ("codec", '{"stream": "odom", "codec": "pickle"}'),
        ("mark", "nope"),
        ("mark", "[" * 100_000),
        ("mark", '{"markers": [{"id": 1, "at": "noon"}]}'),
        ("unmark", '{"ids": ["one"]}'),
        ("format disk", "{}"),
        (b"\xff", "{}"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_edits_that_somebody_else_wrote_are_not_trusted(
    walk: Path, kind: object, args: str
) -> None:
    insert = "INSERT INTO _dr_edits (made_ns, kind, args) VALUES (0, ?, ?)"
    written_by_somebody(walk, insert, kind, args)
    with RecordReplay(walk) as rec, pytest.raises(RecordingDamaged, match=r"edit 1 .*DELETE FROM"):
        rec.info()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO _dr_markers VALUES (1, 'noon', NULL, 'x', NULL)",
        "INSERT INTO _dr_markers VALUES (1, 5, 9223372036854775807, 'x', NULL)",
        "INSERT INTO _dr_skips VALUES (1, 'noon')",
        "INSERT INTO _dr_skips VALUES (1, 9223372036854775807)",
        "DROP TABLE _dr_skips",
    ],
)
def test_markers_and_skips_that_somebody_else_wrote_are_not_trusted(
    walk: Path, statement: str
) -> None:
    written_by_somebody(walk, statement)
    with RecordReplay(walk) as rec, pytest.raises(RecordingDamaged, match="is damaged"):
        print(rec.markers, rec.info())


@pytest.mark.parametrize("origin", ["'noon'", "9223372036854775807", "1e300", "NULL"])
def test_a_start_that_is_no_time_is_ignored(walk: Path, origin: str) -> None:
    written_by_somebody(walk, f"INSERT INTO _dr_meta VALUES ('origin_ns', {origin})")
    with RecordReplay(walk) as rec:
        assert rec.extent == (0, 9.9)


def test_a_list_of_edits_without_end_is_not_read(walk: Path) -> None:
    written_by_somebody(walk, "DROP TABLE _dr_edits")
    written_by_somebody(
        walk,
        "CREATE VIEW _dr_edits AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id FROM r) "
        "SELECT id, 0 AS made_ns, 'delete' AS kind, '{}' AS args, 0 AS undone FROM r",
    )
    with RecordReplay(walk) as rec, pytest.raises(RecordingDamaged, match="not what it says"):
        rec.info()


def test_a_thousand_edits_are_obeyed(rec: RecordReplay) -> None:
    def change(connection: sqlite3.Connection) -> None:
        for ms in range(0, 4000, 4):
            cut = {"a": START_NS + ms * 10**6 + 5, "b": START_NS + (ms + 3) * 10**6}
            add_edit(connection, "cut", {**cut, "streams": None})

    rec.store.edit(change)
    rec.reader.refresh()
    assert rec.info().count == 114
    assert rec.streams.odom.after(START_NS / 1e9 + 2).count() == 79
    assert len(rec.skips) == 1000


def test_the_rate_of_a_topic_leaves_out_what_was_cut(rec: RecordReplay) -> None:
    rec.delete_section((2, 8))
    assert rec.topics.odom.rate_hz == pytest.approx(10)
    assert rec.info().topics[0].rate_hz == pytest.approx(10)


def test_what_a_shift_moved_to_before_the_start_can_be_looked_at(rec: RecordReplay) -> None:
    rec.shift("/odom", -0.25)
    assert rec.select("/odom").between(-0.25, 0).count() == 3
    assert rec.seek(-0.1).select("/odom").between(None, 0.1).count() == 2
    with pytest.raises(OptionError, match="that is too far"):
        rec.shift("/odom", -1e9)


def test_playing_begins_anew_where_the_playhead_was_cut_off(rec: RecordReplay) -> None:
    rec.seek(8)
    rec.trim((None, 5))
    assert rec.get_seek() == 0


def test_nothing_is_added_in_memory_either_while_there_are_edits() -> None:
    with RecordReplay(store=MemoryStore()) as rec:
        for tick in range(3):
            rec.stream("odom").append(b"x", ts_ns=START_NS + tick * 10**9)
        rec.trim((1, 3))
        with pytest.raises(EditError, match="edits that are not saved"):
            rec.stream("odom").append(b"x")
        rec.revert()
        rec.stream("odom").append(b"x", ts_ns=START_NS + 10**10)
        assert rec.streams.odom.count() == 4


def test_a_topic_without_a_slash_gets_another_name(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "raw.db") as rec:
        rec.stream("odom", topic="odom#nav", type_name=ODOM).append(b"x")
        (topic,) = rec.topics
        rec.rename_topic(topic, "/new")
        assert [info.topic for info in rec.reader.streams.values()] == ["/new"]
        assert rec.reader.find("/new").channel.startswith("/new#")


def test_a_recording_of_dimos_is_edited_while_it_is_read(tmp_path: Path) -> None:
    path = write_dimos_file(tmp_path / "dimos.db", [DIMOS_ODOM])
    with RecordReplay(path) as rec:
        every = positions(rec, "/odom")
        reading = rec.reader.rows("odom")
        next(reading)
        rec.delete_section((None, 1))
        assert positions(rec, "/odom") == every[1:]
        assert rec.streams.odom.count() == rec.info().count == len(every) - 1
        assert rec.info().schema_version == SCHEMA_VERSION
        rec.undo()
        assert positions(rec, "/odom") == every


def test_markers_of_segments_that_were_made_apart_are_all_there(tmp_path: Path, walk: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    for number, label in enumerate(("first", "second"), 1):
        part = folder / f"segment-0000{number}.db"
        shutil.copy(walk, part)
        with RecordReplay(part) as rec:
            rec.add_marker(number, label)
            rec.save()
    with RecordReplay(folder) as rec:
        assert [marker.label for marker in rec.markers] == ["first", "second"]
        rec.delete_marker("first")
        assert [marker.label for marker in rec.markers] == ["second"]

"""Views of a recording with edits: iterated, played, and looked at from a player's side."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dimos_lcm.geometry_msgs import Transform, TransformStamped
from dimos_lcm.tf2_msgs import TFMessage

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.bus.base import Selection
from dimos_record.errors import UnknownTopic
from dimos_record.replay import Timeline
from dimos_record.replay.view import ReplayView
from dimos_record.store.reader import RecordingReader
from dimos_record.testing import Collector

S = 1_000_000_000
T0 = 1_700_000_000 * S


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    """Messages 0 to 11, one a second on /a and /b by turns, and a map in the first second."""
    with (
        open_bus(f"memory://{os.urandom(4).hex()}") as bus,
        RecordReplay(tmp_path / "walk.db", bus=bus) as rec,
    ):
        for i in range(12):
            rec.stream("ab"[i % 2]).append(b"%d" % i, ts_ns=T0 + i * S)
        rec.stream("map", topic="/map", latched=True).append(b"map", ts_ns=T0 + S // 4)
        yield rec


def raws(view: ReplayView) -> list[bytes]:
    """The payloads of a view, after a check that all ways to get them agree."""
    found = [one.raw for one in view]
    assert view.count() == len(found)
    rows = list(view.rows())
    assert [row.data for row in rows] == found
    assert list(view.rows(reverse=True)) == rows[::-1]
    return found


def played(view: ReplayView) -> list[bytes]:
    with Collector(view.recording.bus) as heard:
        player = view.play(math.inf, check_conflicts=False)
        assert player.wait(30)
        messages = heard.wait_for(player.stats.published)
    view.recording.stop_playback()
    view.recording.seek(0)
    return [data for _, data in messages]


def test_positions_stay_when_the_start_is_cut_off(rec: RecordReplay) -> None:
    rec.trim((5, None))
    assert raws(rec.between(6, 8)) == [b"6", b"7"]
    assert raws(rec.between(None, 7)) == [b"map", b"5", b"6"], "the map is kept as state"
    assert raws(rec.between(0, 7)) == [b"map", b"5", b"6"]
    assert raws(rec.between(1, 7)) == [b"5", b"6"]
    assert rec.view().origin_ns() == T0
    assert played(rec.between(6, 8)) == [b"map", b"6", b"7"]
    assert played(rec.view()) == [b"map", *(b"%d" % i for i in range(5, 12))]


def test_a_view_without_a_start_holds_what_was_moved_to_before_the_beginning(
    rec: RecordReplay,
) -> None:
    rec.shift("/a", -3)
    assert raws(rec.select("/a"))[:2] == [b"0", b"2"]
    assert raws(rec.between(0, 2).select("/a")) == [b"4"]
    assert played(rec.select("/a").between(None, 1)) == [b"0", b"2"]
    player = rec.play(check_conflicts=False, paused=True)
    assert (player.position, player.duration) == (-3, 11)


def test_operators_and_skips_go_together(rec: RecordReplay) -> None:
    rec.delete_section((2.5, 6))
    assert played(rec.every(2, ["/a", "/b"])) == [b"0", b"map", b"1", b"6", b"9", b"10"]
    doubled = rec.map(lambda one: one.derive(data=one.raw * 2))
    player = doubled.play(check_conflicts=False, paused=True, start_s=7.5)
    assert player.play_previous(3) == 3
    assert player.position == 2
    assert player.previous_position("/map") == 0.25
    assert player.play_next(topics="/b") == 1
    assert player.position == 7


def test_a_saved_view_is_jumped_over_where_the_recording_was_cut(
    rec: RecordReplay, tmp_path: Path
) -> None:
    rec.trim((5, None))
    rec.delete_section((7.5, 10))
    path = rec.view().save(tmp_path / "part.db")
    with RecordReplay(path, bus=rec.bus) as part:
        assert raws(part.view()) == [b"map", b"5", b"6", b"7", b"10", b"11"]
        player = part.play(check_conflicts=False, paused=True)
        assert player.position == 4.75, "positions begin at the first message of the new file"
        assert played(part.view()) == [b"map", b"5", b"6", b"7", b"10", b"11"]
        assert player.duration == 10.75
        assert [round(b - a, 3) for a, b in part.skips] == [5, 2.5]


def test_rows_of_some_topics_only(rec: RecordReplay) -> None:
    only = Selection.of(["/b", "/map"])
    for view in (rec.view(), rec.map(lambda one: one)):
        assert [row.data for row in view.rows(only=only)][:3] == [b"map", b"1", b"3"]
        assert [row.data for row in view.rows(reverse=True, only=only)][-1] == b"map"
    assert list(rec.select("/a").rows(only=only)) == []


def test_a_view_obeys_edits_and_forgets_topics_that_are_gone(rec: RecordReplay) -> None:
    view = rec.select(["/a", "/b"])
    assert len(raws(view)) == 12
    rec.rename_topic("/a", "/c")
    assert len(raws(view)) == 6
    with pytest.raises(UnknownTopic, match="'/a'; it has /b, /c, /map"):
        rec.select("/a").count()
    rec.undo()
    assert len(raws(view)) == 12
    rec.stream("late").append(b"late", ts_ns=T0 + 20 * S)
    assert raws(rec.select("/late")) == [b"late"]


def test_a_topic_that_is_deleted_while_it_is_read_is_over_and_no_error(rec: RecordReplay) -> None:
    rec.add_marker(1, "the first edit finishes the file")
    timeline = Timeline(rec.reader)
    assert len(timeline.latched_before(T0 + 5 * S)) == 1
    rec.delete_topic("/map")
    rec.rename_topic("/a", "/c")
    assert [row.data for row in timeline.rows(T0, T0 + 4 * S)] == [b"1", b"3"]
    assert timeline.latched_before(T0 + 5 * S) == []


def tf(frame: str) -> bytes:
    data: bytes = TFMessage(
        transforms_length=1,
        transforms=[TransformStamped(child_frame_id=frame, transform=Transform())],
    ).lcm_encode()
    return data


def test_transforms_are_indexed_once_and_again_after_an_edit(
    rec: RecordReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = rec.stream("tf", topic="/tf", type_name="tf2_msgs.TFMessage", latched=True)
    for i in range(300):
        stream.append(tf("ab"[i > 150]), ts_ns=T0 + i * S // 30)
    read = []
    rows = RecordingReader.rows

    def counted(self: RecordingReader, name: str, **between: int | None) -> Iterator[object]:
        for row in rows(self, name, **between):  # type: ignore[arg-type]
            read.append(row)
            yield row

    monkeypatch.setattr(RecordingReader, "rows", counted)
    view = rec.select("/tf")
    assert [row.id for row in view.latched_before(T0 + 9 * S)] == [151, 270]
    assert len(read) > 200
    read.clear()
    assert [row.id for row in view.latched_before(T0 + 8 * S)] == [151, 240]
    assert [row.id for row in view.latched_before(T0 + 9 * S)] == [151, 270]
    assert len(read) < 10
    rec.delete_section((4, 8.5), topics="/tf")
    assert [row.id for row in view.latched_before(T0 + 8 * S)] == [120]

"""A recording on the timeline: looked at, played, edited and saved with the keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus, open_bus
from dimos_record.cli.tui.timeline.overview import Overview
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.view import TimelineView
from dimos_record.cli.tui.timeline.window import S as SECOND
from dimos_record.testing import Collector
from tests.cli.commands import T0, S
from tests.cli.samples import pose_at, write_robot
from tests.cli.tui.snapshots import SIZES, Snapshots, screen_text
from tests.cli.tui.timelines import (
    lane,
    opened,
    position,
    press,
    said,
    settle,
    states_shown,
)
from tests.cli.tui.waiting import until, until_shown

ODOM = "/odom#geometry_msgs.PoseStamped"


@pytest.fixture
def long_walk(tmp_path: Path) -> Path:
    """A minute of the same, which does not end while a test looks at it."""
    return write_robot(tmp_path / "walk.db", 601)


# --- a whole session


async def test_a_session_plays_marks_cuts_undoes_cuts_and_saves_as(
    bus: Bus, long_walk: Path
) -> None:
    size_before = long_walk.stat().st_size
    async with opened(bus, long_walk) as (screen, pilot):
        states = states_shown(screen)
        with Collector(bus, "/odom") as heard:
            await pilot.press("space")
            await until_shown(pilot, f"to {bus.reach}   ")
            assert "listening" in states
            await until(pilot, lambda: len(heard.messages) >= 3, "messages on the bus")
        await press(screen, pilot, "space")
        assert screen.state.state == "paused"
        await press(screen, pilot, "home", "shift+right", "i", "shift+right", "shift+right", "o")
        assert screen.marks == Marks(SECOND, 3 * SECOND)
        await press(screen, pilot, "x")
        assert said(screen) == "Cut 1 s to 3 s: 22 messages, 1.97 kB; u to undo"
        assert "╱╱" in lane(screen, "/odom")
        await press(screen, pilot, "u")
        assert said(screen) == "Undone: cut 1 s to 3 s; U to redo"
        assert "╱" not in screen_text(screen.app)
        await press(screen, pilot, "U")
        await until_shown(pilot, "1 edit, not saved")
        await pilot.press("W")
        await until_shown(pilot, "Save as")
        await pilot.press("enter")
        await until(pilot, lambda: "Written" in said(screen), "written")
    with RecordReplay(long_walk.with_name("walk-edited.db")) as rec:
        kept = [o.ts_ns - T0 for o in rec.streams.odom]
        assert kept == [i * S // 10 for i in range(601) if not 10 <= i < 30]
        assert not rec.edited
        assert rec.skips == [(1.0, 3.0)]
    with RecordReplay(long_walk) as rec:
        assert rec.streams.odom.count() == 581
        rec.undo()
        assert rec.streams.odom.count() == 601
    assert long_walk.stat().st_size >= size_before


async def test_save_says_what_goes_and_writes_the_file(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "shift+right", "i", "end", "o", "t")
        assert said(screen).startswith("Trim to 1 s - 6 s: ")
        await pilot.press("w")
        await until_shown(pilot, "trim to 1 s - 6 s")
        assert "12 messages, about" in screen_text(screen.app)
        await pilot.press("y")
        await until(pilot, lambda: "Saved" in said(screen), "saved")
        await settle(screen, pilot)
        assert "not saved" not in screen_text(screen.app)
        assert lane(screen, "/odom").startswith("╱╱")
    with RecordReplay(walk) as rec:
        assert rec.streams.odom.count() == 51
        assert not rec.history


async def test_what_is_between_the_marks_is_exported(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "shift+right", "i", "shift+right", "o")
        await pilot.press("e")
        await until_shown(pilot, "Export")
        await pilot.press("enter")
        await until(pilot, lambda: "Written" in said(screen), "written")
        assert "not saved" not in screen_text(screen.app)
    with RecordReplay(walk.with_name("walk-part.db")) as rec:
        assert [o.ts_ns - T0 for o in rec.streams.odom] == [i * S // 10 for i in range(10, 20)]


# --- moving


@pytest.mark.once
async def test_the_playhead_moves_by_seconds_shares_messages_and_markers(
    bus: Bus, walk: Path
) -> None:
    with RecordReplay(walk) as rec:
        rec.add_marker(2.55, "fall")
    async with opened(bus, walk) as (screen, pilot):
        keys = ["right", "shift+left", "left", "5", "end", "comma", "n", "N", "full_stop"]
        expected = [5.0, 4.0, 0.0, 3.0, 6.0, 5.9, 5.9, 2.55, 2.6]
        for key, seconds in zip(keys, expected, strict=True):
            await press(screen, pilot, key)
            assert position(screen) == seconds, key
        await press(screen, pilot, "down", "greater_than_sign")
        assert position(screen) == 3.0
        await pilot.press("g")
        await until_shown(pilot, "Go to")
        await pilot.press(*"fall", "enter")
        await until(pilot, lambda: position(screen) == 2.55, "at the marker")
        await pilot.press("g")
        await until_shown(pilot, "Go to")
        await pilot.press(*"later", "enter")
        await until_shown(pilot, "no marker of")
        await pilot.press("escape")


async def test_zooming_in_shows_single_messages(bus: Bus, tmp_path: Path) -> None:
    async with opened(bus, write_robot(tmp_path / "long.db", 400)) as (screen, pilot):
        assert "│" not in lane(screen, "/odom")
        await press(screen, pilot, "plus", "plus", "plus")
        ticks = lane(screen, "/odom")
        assert ticks.count("│") + ticks.count("╂") == 50
        await press(screen, pilot, "f", "c", "z")
        assert "│" not in lane(screen, "/odom")


async def test_bytes_are_drawn_instead_of_messages(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "v")
        assert "bytes" in screen_text(pilot.app)
        assert "messages  " not in screen_text(pilot.app).splitlines()[2]


async def test_lanes_scroll_where_there_are_more_than_rows(bus: Bus, tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    with RecordReplay(path) as rec:
        for number in range(12):
            rec.stream(f"s{number:02d}").append(b"x", ts_ns=T0 + number * S)
    async with opened(bus, path, (60, 15)) as (screen, pilot):
        assert "/s11" not in screen_text(pilot.app)
        assert "1-7 of 12" in screen_text(pilot.app)
        await pilot.press(*["down"] * 11)
        await settle(screen, pilot)
        assert lane(screen, "/s11").count("│") == 1
        assert "6-12 of 12" in screen_text(pilot.app)
        await pilot.press(*["up"] * 11)
        await settle(screen, pilot)
        assert "▸  /s00" in screen_text(pilot.app)


async def test_a_click_moves_the_playhead_and_chooses_the_lane(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        view = screen.view
        column = (view.label_cells + view.size.width) // 2
        await pilot.click(TimelineView, offset=(column, view.size.height // 2))
        await settle(screen, pilot)
        assert 2.5 < position(screen) < 3.5
        assert view.lane is not None
        assert view.lane.topic != "/odom"
        await pilot.click(Overview, offset=(0, 0))
        await settle(screen, pilot)
        assert position(screen) == 0.0


# --- playing


@pytest.mark.once
async def test_muted_topics_are_not_published_and_one_can_play_alone(
    bus: Bus, long_walk: Path
) -> None:
    async with opened(bus, long_walk) as (screen, pilot):
        await press(screen, pilot, "m")
        assert " M /odom" in screen_text(pilot.app).replace("▸", " ")
        with Collector(bus) as heard:
            await press(screen, pilot, "space")
            await until(pilot, lambda: len(heard.messages) >= 2, "scans on the bus")
            assert {channel.partition("#")[0] for channel, _ in heard.messages} <= {
                "/scan",
                "/bytes",
            }
            await press(screen, pilot, "m")
            await until(pilot, lambda: ODOM in dict(heard.messages), "odometry on the bus, too")
            await press(screen, pilot, "s", "space")
            assert screen.state.soloed == {"/odom"}
            assert screen.state.state == "paused"
        with Collector(bus) as heard:
            await press(screen, pilot, "1", "full_stop", "full_stop")
            await until(pilot, lambda: len(heard.messages) >= 2, "two steps on the bus")
            assert {channel for channel, _ in heard.messages} == {ODOM}


async def test_a_loop_is_played_while_the_terminal_is_resized(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "l", "shift+right", "l")
        assert said(screen) == "Looping 0:00.0-0:01.0"
        await press(screen, pilot, "right_curly_bracket", "right_curly_bracket", "space")
        with Collector(bus, "/bytes") as heard:
            for size in ((200, 60), (61, 16), (120, 40)):
                await pilot.resize_terminal(*size)
                await settle(screen, pilot)
                assert screen.view.label_cells + len(lane(screen, "/odom")) <= size[0]
            await until(pilot, lambda: len(heard.messages) >= 2, "the start again and again")
        assert screen.state.state == "playing"
        await press(screen, pilot, "l")
        assert said(screen) == "The loop has ended"
        await press(screen, pilot, "backspace")
        assert screen.state.rate == 1.0


# --- more edits


async def test_a_stream_is_deleted_once_that_was_confirmed(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "down")
        for answer, left in (("n", 3), ("y", 2)):
            await pilot.press("d")
            await until_shown(pilot, "Delete /scan?")
            assert "7 messages" in screen_text(pilot.app)
            await pilot.press(answer)
            await until(pilot, lambda: pilot.app.screen is screen, "the dialog is closed")
            await settle(screen, pilot)
            assert len(screen.view.scene.lanes) == left


async def test_one_stream_alone_is_cut_and_history_goes_back(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "i", "3", "o", "X")
        assert "╱" in lane(screen, "/odom")
        assert "╱" not in lane(screen, "/scan")
        await pilot.press("k")
        await until_shown(pilot, "Label")
        await pilot.press(*"lap", "enter")
        await until_shown(pilot, "◆lap")
        await settle(screen, pilot)
        await pilot.press("h")
        await until_shown(pilot, "as saved")
        await pilot.press("home", "enter")
        await until(pilot, lambda: "0 of 2 edits" in said(screen), "back at the start")
        await settle(screen, pilot)
        assert "╱" not in lane(screen, "/odom")
        assert "◆" not in screen_text(pilot.app)


async def test_the_inspector_shows_the_message_under_the_playhead(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk, (160, 48)) as (screen, pilot):
        await press(screen, pilot, "enter")
        await until_shown(pilot, "frame_id")
        await press(screen, pilot, "right")
        await until_shown(pilot, f"{pose_at(50).pose.position.x:g}")
        await press(screen, pilot, "escape")
        assert "frame_id" not in screen_text(pilot.app)


# --- pictures


async def test_the_timeline_looks_as_it_should(tmp_path: Path, snapshots: Snapshots) -> None:
    path = write_robot(tmp_path / "walk.db", 600)
    with RecordReplay(path) as rec:
        rec.add_marker(12.0, "fall")
        rec.add_marker(40.0, "lap", until=50.0)
        rec.delete_section((20.0, 30.0))
    for size in SIZES:
        bus = open_bus("memory://timeline")
        async with opened(bus, path, size) as (screen, pilot):
            await press(screen, pilot, "6", "i", "right", "o", "down")
            snapshots.check(pilot.app, "timeline")
            await press(screen, pilot, *["plus"] * 4)
            snapshots.check(pilot.app, "timeline-zoomed")

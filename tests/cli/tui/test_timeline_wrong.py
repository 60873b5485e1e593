"""What the timeline answers to wrong keys, wrong files, and to others who are in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Bus
from dimos_record.cli.tui.timeline.scene import Marks
from tests.cli.tui.snapshots import screen_text
from tests.cli.tui.timelines import opened, position, press, said
from tests.cli.tui.waiting import until, until_shown

ODOM = "/odom#geometry_msgs.PoseStamped"


async def test_wrong_keys_are_answered_by_a_sentence(bus: Bus, walk: Path) -> None:
    answers = [
        ("x", "No section is marked; i marks in, o marks out, at the playhead"),
        ("t", "No marks are set; i marks in, o marks out, at the playhead"),
        ("e", "No marks are set; i marks in, o marks out, at the playhead"),
        ("w", "There is nothing to save: no edit was made; W writes a copy"),
        ("u", f"There is nothing to undo in {walk}"),
        ("U", f"There is nothing to redo in {walk}"),
        ("ctrl+z", f"There is nothing to undo in {walk}"),
        ("h", "There are no edits; what is cut or marked is listed here"),
        ("n", "There is no marker after the playhead; k puts one there"),
        ("N", "There is no marker before the playhead; k puts one there"),
        ("D", "There is no marker at the playhead; n goes to the next one"),
        ("K", "No section is marked; i marks in, o marks out, at the playhead"),
        ("comma", "There is no message before this one"),
        ("r", "Topics are recorded on the live screen; L shows it"),
        ("y", "y does nothing here; ? lists all keys"),
        ("ctrl+e", "^e does nothing here; ? lists all keys"),
        ("i", ""),
        ("x", "Only the mark in is set; i marks in, o marks out, at the playhead"),
        ("o", "Out is set before in, so the mark in is gone; i sets a new one"),
        ("escape", ""),
        ("escape", "There is nothing to close; q quits, B goes back"),
        ("l", "A at 0:00.0; l again sets B"),
        ("l", "B cannot be at 0:00.0, where A is; move on and press l"),
        ("end", ""),
        ("full_stop", "There is no message after this one"),
    ]
    async with opened(bus, walk) as (screen, pilot):
        for key, expected in answers:
            screen.say("")
            await press(screen, pilot, key)
            await until(pilot, lambda: said(screen) == expected, f"{key}: {expected}")  # noqa: B023


async def test_an_empty_recording_cannot_be_played(bus: Bus, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with RecordReplay(path, bus=bus) as rec, rec.recording():
        pass
    async with opened(bus, path) as (screen, pilot):
        for key in ("space", "down", "m", "s", "plus", "full_stop", "x", "d", "enter", "v"):
            await press(screen, pilot, key)
        await press(screen, pilot, "space")
        assert said(screen) == f"{path} has no messages to play"


async def test_a_read_only_recording_can_be_looked_at(
    bus: Bus, walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # permissions do not bind root
    monkeypatch.setattr("dimos_record.store.editing.os.access", lambda path, mode: False)
    async with opened(bus, walk) as (screen, pilot):
        await press(screen, pilot, "i", "right", "o", "x")
        assert "is read-only" in said(screen)
        assert screen.marks != Marks()


@pytest.mark.once
async def test_a_file_that_was_removed_can_still_be_looked_at(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        walk.unlink()
        screen.look_at_file()
        await until(pilot, lambda: "was removed" in said(screen), "an answer")
        await press(screen, pilot, "plus", "right", "i", "home", "x")
        await press(screen, pilot, "end", "o", "x")
        assert str(walk) in said(screen)


@pytest.mark.once
async def test_a_conflict_is_one_line_and_playing_can_be_tried_again(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        await pilot.press("space")
        while "Somebody is publishing /odom" not in said(screen):
            bus.publish(ODOM, b"x")
            await asyncio.sleep(0.01)
        assert said(screen).endswith(": stop that, or mute these streams with m")
        await press(screen, pilot, "right")
        assert screen.state.state == "stopped"
        assert position(screen) == 5.0
        await press(screen, pilot, "home", "m")
        await pilot.press("space")
        while screen.state.state != "playing":  # without what was muted
            bus.publish(ODOM, b"x")
            await asyncio.sleep(0.01)


@pytest.mark.once
async def test_what_another_program_edits_is_seen(bus: Bus, walk: Path) -> None:
    async with opened(bus, walk) as (screen, pilot):
        with RecordReplay(walk) as other:
            other.delete_topic("/scan")
        screen.look_at_file()
        await until(pilot, lambda: "/scan" not in screen_text(pilot.app), "one lane less")
        await until_shown(pilot, "1 edit, not saved")
        await press(screen, pilot, "u")
        assert "/scan" in screen_text(pilot.app)

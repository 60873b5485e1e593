"""How the live screen looks; see `snapshots.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from dimos_record.bus import Bus, open_bus
from dimos_record.cli.tui.live import screen as live_screen
from dimos_record.cli.tui.live.modules import ModuleFinder
from dimos_record.cli.tui.live.recording import LiveRecording
from dimos_record.cli.tui.live.watch import BusWatch
from tests.cli.tui.fixed import ACCOUNT, MODULES, TOPICS
from tests.cli.tui.programs import running
from tests.cli.tui.snapshots import SIZES, Snapshots
from tests.cli.tui.waiting import until_shown


@pytest.fixture
def robot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bus]:
    """A bus on which always the same is heard."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BusWatch, "look", lambda _: TOPICS)
    monkeypatch.setattr(ModuleFinder, "worth_asking", lambda *_: False)
    monkeypatch.setattr(LiveRecording, "account", property(lambda _: lambda: ACCOUNT))
    monkeypatch.setattr(live_screen.time, "strftime", lambda _: "recording-20261120-101530.db")
    with open_bus("memory://robot") as opened:
        yield opened


async def select(pilot: Pilot[None]) -> None:
    """Wait for the topics, and select some."""
    await until_shown(pilot, "/odom")
    await pilot.press("space", "end", "space")


@pytest.mark.parametrize("size", SIZES)
async def test_topics_and_a_recording_look_as_they_should(
    robot: Bus, snapshots: Snapshots, size: tuple[int, int]
) -> None:
    async with running(robot, size=size) as (app, pilot):
        await select(pilot)
        snapshots.check(app, "live")
        await pilot.press("r")
        await until_shown(pilot, "starts, esc gives up")
        await pilot.press(*"w.db", "enter")
        await until_shown(pilot, "● RECORDING")
        await until_shown(pilot, "Recording to w.db")
        snapshots.check(app, "live-recording")
        await pilot.press("q")
        await until_shown(pilot, "Stop recording to w.db?")
        snapshots.check(app, "live-quit")


@pytest.mark.parametrize("size", SIZES)
async def test_modules_and_the_help_look_as_they_should(
    robot: Bus, snapshots: Snapshots, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModuleFinder, "worth_asking", lambda *_: True)
    monkeypatch.setattr(ModuleFinder, "ask", lambda *_: MODULES)
    async with running(robot, size=size) as (app, pilot):
        await until_shown(pilot, "no module")
        await pilot.press("down", "down", "space")
        await until_shown(pilot, "from Camera")
        snapshots.check(app, "live-modules")
        await pilot.press("question_mark", *"rec")
        await until_shown(pilot, "Record what is selected")
        snapshots.check(app, "help")


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_bus_looks_as_it_should(
    robot: Bus, snapshots: Snapshots, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BusWatch, "look", lambda _: [])
    async with running(robot, size=size) as (app, pilot):
        await until_shown(pilot, "nothing is published")
        snapshots.check(app, "live-empty")

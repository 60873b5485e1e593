"""The timeline of a recording in a test: opened, its keys pressed, and what it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from dimos_record.bus import Bus
from dimos_record.cli.tui.app import TuiApp
from dimos_record.cli.tui.timeline.scene import Marks
from dimos_record.cli.tui.timeline.screen import TimelineScreen
from dimos_record.cli.tui.timeline.transport import TransportState
from dimos_record.cli.tui.timeline.window import S as SECOND
from tests.cli.tui.programs import running
from tests.cli.tui.snapshots import screen_text
from tests.cli.tui.waiting import until


@asynccontextmanager
async def opened(
    bus: Bus, path: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[TimelineScreen, Pilot[None]]]:
    """The timeline of a recording, drawn."""
    async with running(bus, path, size) as (app, pilot):
        screen = app.shown
        assert isinstance(screen, TimelineScreen)
        await until(pilot, lambda: screen.scene is not None, "open")
        await settle(screen, pilot)
        yield screen, pilot


async def settle(screen: TimelineScreen, pilot: Pilot[None]) -> None:
    """Wait until all that was ordered is done and drawn, or a question is asked."""
    app = screen.app
    assert isinstance(app, TuiApp)
    done = lambda: screen.settled and not app._tasks  # noqa: E731
    await until(pilot, lambda: app.screen is not screen or done(), "settled")


async def press(screen: TimelineScreen, pilot: Pilot[None], *keys: str) -> None:
    """Press keys, one after the other has been obeyed."""
    for key in keys:
        await pilot.press(key)
        await settle(screen, pilot)


def states_shown(screen: TimelineScreen) -> list[str]:
    """What the transport shows from now on."""
    states: list[str] = []
    show = screen.bar.show

    def note(state: TransportState, end_ns: int, marks: Marks) -> None:
        states.append(state.state)
        show(state, end_ns, marks)

    screen.bar.show = note  # type: ignore[method-assign]
    return states


def said(screen: TimelineScreen) -> str:
    app = screen.app
    assert isinstance(app, TuiApp)
    return app.said.text


def lane(screen: TimelineScreen, topic: str) -> str:
    """What stands right of the name of a lane."""
    (line,) = [line for line in screen_text(screen.app).splitlines() if f" {topic} " in line]
    return line.partition(topic)[2].strip()


def position(screen: TimelineScreen) -> float:
    return screen.state.position_ns / SECOND

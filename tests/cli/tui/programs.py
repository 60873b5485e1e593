"""The program, run without a terminal and with everything closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from dimos_record.bus import Bus
from dimos_record.cli.tui.app import TuiApp


@asynccontextmanager
async def running(
    bus: Bus, file: Path | None = None, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[TuiApp, Pilot[None]]]:
    """The program on a bus, and somebody who presses its keys."""
    app = TuiApp(file, bus.url)
    try:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield app, pilot
    finally:
        assert app.release() == []

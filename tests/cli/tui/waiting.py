"""Waiting for something to have happened on the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from tests.cli.tui.snapshots import screen_text


async def until(
    pilot: Pilot[Any], condition: Callable[[], bool], what: str, timeout_s: float = 60.0
) -> None:
    """Let the program run until a condition holds."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        failure = getattr(pilot.app, "failure", None)
        if failure is not None:
            raise RuntimeError(f"the program has failed before: {what}") from failure
        if time.monotonic() > give_up:
            raise TimeoutError(f"still not: {what}; the screen:\n{screen_text(pilot.app)}")
        await pilot.pause(0.02)


async def until_shown(pilot: Pilot[Any], text: str) -> None:
    """Let the program run until a text stands somewhere on the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app), repr(text))

"""The live screen: what is on the bus, selecting topics, and recording them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from dimos_record.cli.tui.frame import TitleLine
from dimos_record.cli.tui.screen import TuiScreen


class LiveScreen(TuiScreen):
    """What is on a bus.

    Args:
        bus_url: the bus; the default one if None.
    """

    def __init__(self, bus_url: str | None) -> None:
        super().__init__()
        self._bus_url = bus_url

    def compose_body(self) -> ComposeResult:
        """The topics."""
        yield TitleLine()
        yield Static("")

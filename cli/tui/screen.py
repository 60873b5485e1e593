"""What every screen of the program has in common."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from dimos_record.cli.tui.frame import KeyBar, MessageLine, TooSmall, tui
from dimos_record.cli.tui.keys import Key, key_name


class TuiScreen(Screen[None]):
    """A full screen, with the line for messages and the keys at its bottom.

    A screen composes what it shows in `compose_body`, lists its keys as `Key`s in `BINDINGS`, and
    closes in `release` what it has opened.
    """

    BINDINGS: ClassVar[list[BindingType]] = []
    DEFAULT_CSS = """
    TuiScreen { layers: default above; background: $background; overflow: hidden; }
    TuiScreen > #foot { dock: bottom; height: auto; }
    """

    def compose(self) -> ComposeResult:
        """The body, and what is around it."""
        yield from self.compose_body()
        with Vertical(id="foot"):
            yield MessageLine()
            yield KeyBar()
        yield TooSmall()

    def compose_body(self) -> ComposeResult:
        """The widgets of this screen."""
        raise NotImplementedError

    def key_is_shown(self, key: Key) -> bool:
        """Whether a key belongs in the footer now; it works, and answers, in any case."""
        return True

    def refresh_keys(self) -> None:
        """Draw the footer again: what `key_is_shown` says has changed."""
        self.query_one(KeyBar).refresh()

    async def may_leave(self) -> bool:
        """Asked before the screen goes: confirm here what would be lost."""
        return True

    def release(self) -> None:
        """Close what this screen owns: buses, files, threads. It may take its time.

        Called once, after the screen has gone or the program has ended, in any thread but the
        screen's.

        Raises:
            DimosRecordError: what went wrong while closing.
        """

    def on_resize(self, event: events.Resize) -> None:
        """Say so where the terminal is too small."""
        self.query_one(TooSmall).look()

    def on_key(self, event: events.Key) -> None:
        """Say of a key that does nothing that it does nothing."""
        if event.key not in self.active_bindings:
            self.say(f"{key_name(event.key)} does nothing here; ? lists all keys")

    def on_descendant_focus(self) -> None:
        """Other keys may work now."""
        self.refresh_keys()

    def say(self, text: str) -> None:
        """Say something in the line at the bottom."""
        tui(self).say(text)

    def complain(self, what: Exception | str) -> None:
        """Say what is wrong, in red."""
        tui(self).complain(what)

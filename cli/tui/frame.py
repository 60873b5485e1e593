"""What every screen has around it: a title, a line for messages, the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from dimos_record.cli.tui.keys import OwnedKey, key_names, keys_of

if TYPE_CHECKING:
    from dimos_record.cli.tui.app import Said, TuiApp
    from dimos_record.cli.tui.screen import TuiScreen

MIN_WIDTH, MIN_HEIGHT = 60, 15


class TitleLine(Widget):
    """One line at the top: what is shown, and on the right how it stands."""

    DEFAULT_CSS = """
    TitleLine { height: 1; padding: 0 1; background: $panel; }
    """
    left: reactive[str | Text] = reactive("")
    right: reactive[str | Text] = reactive("")

    def render(self) -> Text:
        """Both texts; the left one is cut where they do not fit."""
        width = self.size.width
        left, right = _text(self.left), _text(self.right)
        left.truncate(max(0, width - right.cell_len - 2), overflow="ellipsis")
        gap = width - left.cell_len - right.cell_len
        return Text.assemble(left, " " * gap, right)


def _text(value: str | Text) -> Text:
    return value.copy() if isinstance(value, Text) else Text(value)


class MessageLine(Static):
    """A line for what the program has to say, more where that is too long; errors in red."""

    DEFAULT_CSS = """
    MessageLine { height: auto; min-height: 1; max-height: 6; padding: 0 1; color: $foreground; }
    MessageLine.-error { color: $error; text-style: bold; }
    """

    def on_mount(self) -> None:
        """Follow what the app says."""
        self.watch(self.app, "said", self._show)

    def _show(self, said: Said) -> None:
        self.set_class(said.is_error, "-error")
        self.update(Text(said.text))


class KeyBar(Widget):
    """The most important keys, as many as there is room for; they can be clicked, too."""

    DEFAULT_CSS = """
    KeyBar { height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, OwnedKey]] = []

    def render(self) -> Text:
        """The keys with their words; `? help` is always there."""
        screen = cast("TuiScreen", self.screen)
        labelled = [
            one for one in keys_of(screen) if one.key.label and screen.key_is_shown(one.key)
        ]
        ends = [one for one in labelled if one.owner is self.app]
        line, self._places = Text(), []
        width = self.size.width - sum(map(_width, ends))
        for one in [one for one in labelled if one.owner is not self.app]:
            if line.cell_len + _width(one) <= width:
                self._add(line, one)
        for one in ends:
            self._add(line, one)
        return line

    def _add(self, line: Text, one: OwnedKey) -> None:
        begin = line.cell_len
        line.append(key_names(one.key)[0], style="bold")
        line.append(f" {one.key.label}  ")
        self._places.append((begin, line.cell_len - 2, one))

    async def on_click(self, event: events.Click) -> None:
        """Do what the key would."""
        x = event.x - 1
        for begin, end, one in self._places:
            if begin <= x < end:
                await self.app.run_action(one.key.action, one.owner)


def _width(one: OwnedKey) -> int:
    return cell_len(f"{key_names(one.key)[0]} {one.key.label}  ")


class TooSmall(Static):
    """Covers a screen for which the terminal is too small."""

    DEFAULT_CSS = """
    TooSmall {
        layer: above; display: none; width: 100%; height: 100%;
        content-align: center middle; text-align: center; background: $background;
    }
    """

    def look(self) -> None:
        """Appear or go, as the terminal's size has become."""
        width, height = self.app.size
        self.display = width < MIN_WIDTH or height < MIN_HEIGHT
        self.update(
            f"This terminal has {width}x{height} characters, and at least "
            f"{MIN_WIDTH}x{MIN_HEIGHT} are needed; make it larger."
        )


def tui(node: Any) -> TuiApp:
    """The program that a widget or screen belongs to."""
    return cast("TuiApp", node.app)

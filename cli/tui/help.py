"""The help: every key of the screen, to be searched, and chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from dimos_record.cli.tui.dialogs import Dialog
from dimos_record.cli.tui.keys import OwnedKey, key_names

_KEY_WIDTH = 14


class Help(Dialog[OwnedKey | None]):
    """Lists keys by section; what is typed narrows the list, enter does what is highlighted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    Help > Vertical { height: 90%; }
    Help OptionList { height: 1fr; border: none; padding: 0; background: $surface; }
    Help OptionList > .option-list--option-disabled { color: $primary; text-style: bold; }
    """

    def __init__(self, keys: Sequence[OwnedKey]) -> None:
        super().__init__()
        self._keys = keys
        self._sections = list(dict.fromkeys(one.key.section for one in keys))

    def compose_body(self) -> ComposeResult:
        """A line to type in, and the list."""
        yield Static("Keys: type to search, ⏎ does it, esc closes", classes="title")
        yield Input(placeholder="search", compact=True)
        keys = OptionList()
        keys.can_focus = False
        yield keys

    def on_mount(self) -> None:
        """All keys, to begin with."""
        self._list("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._list(event.value)

    def _list(self, search: str) -> None:
        words = search.lower().split()
        found = self.query_one(OptionList)
        found.clear_options()
        for section in self._sections:
            chosen = [
                (number, one)
                for number, one in enumerate(self._keys)
                if one.key.section == section and _matches(one, words)
            ]
            if chosen:
                found.add_option(Option(Text(section), disabled=True))
            found.add_options([Option(_line(one), id=f"key-{number}") for number, one in chosen])
        self.action_move(1)

    def action_move(self, lines: int) -> None:
        """Move the highlight, over headings as well."""
        keys = self.query_one(OptionList)
        options = [i for i in range(keys.option_count) if not keys.get_option_at_index(i).disabled]
        if options:
            now = options.index(keys.highlighted) if keys.highlighted in options else -lines
            keys.highlighted = options[max(0, min(len(options) - 1, now + lines))]
        if keys.highlighted == min(options, default=None):
            keys.scroll_home(animate=False)  # so that the heading is seen, too

    def on_input_submitted(self) -> None:
        """Close with what is highlighted."""
        keys = self.query_one(OptionList)
        if keys.highlighted is not None:
            self._close_with(keys.get_option_at_index(keys.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close with what was clicked."""
        self._close_with(event.option_id)

    def _close_with(self, id_: str | None) -> None:
        if id_ is not None:
            self.dismiss(self._keys[int(id_.partition("-")[2])])

    def on_key(self, event: events.Key) -> None:
        """`?` closes what `?` has opened, as long as nothing is searched for."""
        if event.key == "question_mark" and not self.query_one(Input).value:
            event.prevent_default().stop()
            self.dismiss(None)


def _matches(one: OwnedKey, words: Sequence[str]) -> bool:
    text = f"{one.key.section} {one.key.description} {' '.join(key_names(one.key))}".lower()
    return all(word in text for word in words)


def _line(one: OwnedKey) -> Text:
    names = " ".join(key_names(one.key))
    return Text.assemble((f"  {names:<{_KEY_WIDTH}}", "bold"), one.key.description)

"""Keys, declared once: the footer, the help (`?`) and the command palette all come from here.

A screen or widget lists `Key`s in its `BINDINGS`, the most important first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.screen import Screen


@dataclass(frozen=True)
class Key(Binding):
    """A key of the program: `Key("r", "record", "Record what is selected", label="record")`.

    The `description` is what it does, for the help and the palette.
    """

    show: bool = False  # in Textual's own footer, which is not used
    section: str = "Program"
    """The heading under which the help lists it."""
    label: str = ""
    """A word or two for the footer; a key without one is only in the help and the palette."""


class OwnedKey(NamedTuple):
    """A key, and the widget, screen or app whose action it is."""

    owner: DOMNode
    key: Key


def keys_of(screen: Screen[Any]) -> Iterator[OwnedKey]:
    """The keys that work on a screen now: of the screen, of what has the focus, of the app."""
    focused = (screen.focused or screen).ancestors_with_self
    for node in (
        screen,
        *(node for node in focused if node not in (screen, screen.app)),
        screen.app,
    ):
        for cls in type(node).__mro__:
            for binding in cls.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Key):
                    yield OwnedKey(node, binding)


def key_names(key: Key) -> list[str]:
    """How to call a key and its alternatives: `["space"]`, `["→", "l"]`."""
    if key.key_display:
        return [key.key_display]
    return [key_name(one.strip()) for one in key.key.split(",")]


_NAMES = {
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "enter": "⏎",
    "escape": "esc",
    "backspace": "⌫",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "asterisk": "*",
    "comma": ",",
    "full_stop": ".",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
}


def key_name(key: str) -> str:
    """How to call one key: `→` for `right`."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    short = {"ctrl": "^", "shift": "⇧", "alt": "alt-"}
    return "".join(short.get(one, one) for one in modifiers) + _NAMES.get(last, last)

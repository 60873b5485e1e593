"""How roles and grounds look, by the program's theme. The characters alone tell them apart, too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rich.style import Style
from textual.color import Color

from dimos_record.cli.tui.timeline.line import Styles

_ROLES = {
    "": "foreground",
    "load-1": "load-1",
    "load-2": "load-2",
    "load-3": "load-3",
    "load-4": "load-4",
    "cut": "cut",
    "pause": "gap",
    "start": "faint",
    "playhead": "playhead",
    "mark": "mark",
    "axis": "faint",
    "flag": "marker",
    "flag-label": "marker",
    "name": "foreground",
    "faint": "faint",
    "cursor": "accent",
    "muted": "faint",
    "solo": "warning",
    "loop": "warning",
}
_BOLD = {"playhead", "mark", "flag", "cursor", "solo", "loop"}
_GROUNDS = {"cursor": ("primary", 0.16), "selected": ("mark", 0.22), "window": ("primary", 0.35)}
"""A colour, and how much of it is laid over the background."""


def styles(colours: Mapping[str, str]) -> Styles:
    """What roles and grounds look like in a theme.

    Args:
        colours: the theme's variables, by name.
    """

    @cache
    def style(role: str, ground: str) -> Style:
        front = Color.parse(colours[_ROLES[role]])
        back = Color.parse(colours["background"])
        if ground:
            name, share = _GROUNDS[ground]
            back = back.blend(Color.parse(colours[name]), share)
        return Style(
            color=front.rich_color,
            bgcolor=back.rich_color,
            bold=role in _BOLD,
            strike=role == "muted",
        )

    return style

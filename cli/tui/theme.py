"""The colours, by what they mean. In CSS: `$recording`, `$playhead`, `$load-1` and so on."""

from __future__ import annotations

from textual.theme import Theme

COLOURS = {
    "recording": "#e5534b",
    "lost": "#ff6b60",
    "playhead": "#ffffff",
    "mark": "#f2b84b",
    "cut": "#68737f",
    "marker": "#c28af0",
    "gap": "#39424c",
    "load-1": "#3f78b0",
    "load-2": "#43b3a8",
    "load-3": "#e0b045",
    "load-4": "#e5704b",
    "faint": "#7d8995",
    "cursor": "#1f4257",
}
"""`load-1` to `load-4`: little to much, of messages or bytes. `faint`: what is less important;
`cursor`: behind the highlighted line."""

THEME = Theme(
    name="dimos-record",
    primary="#4fb3d9",
    secondary="#8a7fd0",
    accent="#f2b84b",
    foreground="#d6dde4",
    background="#101418",
    surface="#171c22",
    panel="#232b34",
    success="#57ab5a",
    warning="#e0b045",
    error="#e5534b",
    dark=True,
    variables=COLOURS,
)

"""Tables of topics, for people: on a terminal as wide as it is, in a pipe as wide as they get."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dimos_record.store.base import StreamInfo

_UNLIMITED = 100_000


class TopicRow(NamedTuple):
    """A topic, what kind of messages it has, and its figures."""

    topic: str
    kind: str
    figures: Sequence[str]
    alarm: bool = False
    """Whether its last figure is a loss."""


def console() -> Console:
    """Where data for people goes: stdout. In a pipe nothing is cut and nothing is coloured."""
    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(width=width, highlight=False, markup=False, emoji=False)


def kind_of(info: StreamInfo) -> str:
    """What a stream's messages are: their type, and how they are stored if that is unusual."""
    parts = [info.type_name or "no type"]
    if info.codec != "lcm":
        parts.append(info.codec)
    if info.latched:
        parts.append("latched")
    return ", ".join(parts)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def topic_table(headers: Sequence[str], rows: Iterable[TopicRow], width: int) -> Table:
    """A table with a line per topic; where that is too wide, the kind goes below the topic."""
    lines = list(rows)
    wide = _build(headers, lines, below=False)
    fits = Console(width=_UNLIMITED).measure(wide).maximum <= width
    return wide if fits else _build(headers, lines, below=True)


def _build(headers: Sequence[str], rows: list[TopicRow], *, below: bool) -> Table:
    table = plain_table()
    table.add_column("topic", overflow="fold")
    if not below:
        table.add_column("type", overflow="fold", style="dim")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        topic, kind = Text(row.topic), Text(row.kind, style="dim")
        names = [Text.assemble(topic, "\n  ", kind)] if below else [topic, kind]
        figures = [Text(figure) for figure in row.figures]
        if row.alarm:
            figures[-1].stylize("bold red")
        table.add_row(*names, *figures)
    return table


def plain_table() -> Table:
    """A table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")

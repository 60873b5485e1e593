"""Tables of topics, for people: on a terminal as wide as it is, in a pipe as wide as they get."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from dimos_record.cli.text import json_text, printable
from dimos_record.store.base import StreamInfo

_UNLIMITED = 100_000
_BETWEEN = "  "


class TopicRow(NamedTuple):
    """A topic, what kind of messages it has, and its figures."""

    topic: str
    kind: str
    figures: Sequence[str]
    alarm: bool = False
    """Whether its last figure is a loss."""


_HEADER = TopicRow("topic", "type", ())


def console() -> Console:
    """Where data for people goes: stdout. In a pipe nothing is cut and nothing is coloured."""
    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(width=width, highlight=False, markup=False, emoji=False)


def show(what: RenderableType) -> None:
    """Print a table on stdout, without blanks at the ends of lines."""
    out = console()
    with out.capture() as capture:
        out.print(what, soft_wrap=isinstance(what, Text))
    for line in capture.get().splitlines():
        print(line.rstrip())


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
    print(json_text(value, indent=2))


class _PlainTable(Table):
    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(printable(c) if isinstance(c, str) else c for c in cells), **options)


def plain_table() -> Table:
    """A table without lines, in which control characters are written out."""
    return _PlainTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def topic_table(headers: Sequence[str], rows: Iterable[TopicRow]) -> Text:
    """A table with a line per topic; where that is too wide, the kind goes below the topic."""
    lines = [row._replace(topic=printable(row.topic), kind=printable(row.kind)) for row in rows]
    width = console().width
    columns = zip(headers, *(row.figures for row in lines), strict=True)
    widths = [max(map(len, column)) for column in columns]
    room = width - sum(len(_BETWEEN) + one for one in widths)
    topic_width = max(len(row.topic) for row in [_HEADER, *lines])
    kind_width = max(len(row.kind) for row in [_HEADER, *lines])
    if topic_width + len(_BETWEEN) + kind_width <= room:
        built = _in_one_line(headers, lines, widths, topic_width, kind_width)
    else:
        topic_width = min(topic_width, max(room, len("topic")))
        built = _in_two_lines(headers, lines, widths, topic_width)
    return Text("\n", no_wrap=True, overflow="ellipsis", end="").join(built)


def _in_one_line(
    headers: Sequence[str],
    rows: list[TopicRow],
    widths: list[int],
    topic_width: int,
    kind_width: int,
) -> Iterator[Text]:
    names = f"{'topic':<{topic_width}}{_BETWEEN}{'type':<{kind_width}}"
    yield Text(names + _aligned(headers, widths), style="bold")
    for row in rows:
        kind = Text(f"{_BETWEEN}{row.kind:<{kind_width}}", style="dim")
        yield Text.assemble(f"{row.topic:<{topic_width}}", kind, _figures(row, widths))


def _in_two_lines(
    headers: Sequence[str], rows: list[TopicRow], widths: list[int], topic_width: int
) -> Iterator[Text]:
    yield Text(f"{'topic':<{topic_width}}{_aligned(headers, widths)}", style="bold")
    for row in rows:
        topic = row.topic
        if len(topic) > topic_width:
            yield Text(topic)
            topic = ""
        yield Text.assemble(f"{topic:<{topic_width}}", _figures(row, widths))
        yield Text(f"{_BETWEEN}{row.kind}", style="dim")


def _figures(row: TopicRow, widths: list[int]) -> Text:
    text = Text(_aligned(row.figures, widths))
    if row.alarm:
        text.stylize("bold red", len(text) - len(row.figures[-1]))
    return text


def _aligned(cells: Sequence[str], widths: list[int]) -> str:
    return "".join(f"{_BETWEEN}{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))

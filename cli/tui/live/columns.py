"""The columns of the table of topics, as wide as the terminal allows."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from dimos_record.cli import text
from dimos_record.cli.tui.braille import braille_row
from dimos_record.cli.tui.live.watch import HISTORY, TopicNow

_TYPE_FROM = 110
"""From this width on, the types have a column."""
_FIGURES = {"rate": 11, "bandwidth": 11, "size": 9, "age": 8}
_MARK = 2
_LEAST_SPARK, _MOST_KIND = 10, 40


class Columns(NamedTuple):
    """How wide each column is, in characters."""

    name: int
    kind: int
    spark: int

    @classmethod
    def for_width(cls, width: int) -> Columns:
        """The columns that fill a line."""
        room = width - _MARK - sum(_FIGURES.values()) - 1
        if width < _TYPE_FROM:
            return cls(max(10, room - _LEAST_SPARK), 0, _LEAST_SPARK)
        spark = min(room // 3, HISTORY // 2)
        kind = min(_MOST_KIND, (room - spark) * 2 // 5)
        return cls(room - spark - kind, kind, spark)

    def header(self) -> str:
        """The names of the columns."""
        names = " " * _MARK + cut("topic", self.name) + cut("type", self.kind)
        figures = "".join(f"{name:>{width}}" for name, width in _FIGURES.items())
        return f"{names}{figures} {cut(f'last {2 * self.spark} s', self.spark)}"

    def figures(self, topics: list[TopicNow]) -> tuple[str, str]:
        """The figures of a topic, or of a branch together, and the chart of its rate.

        The size is that of the last message, and for a branch left out.
        """
        rate_hz = sum(one.rate_hz for one in topics)
        bytes_s = sum(one.bytes_s for one in topics)
        age_s = min((one.age_s for one in topics), default=0.0)
        size = text.size(topics[0].last_bytes) if len(topics) == 1 else ""
        now = (text.rate(rate_hz), f"{text.size(bytes_s)}/s") if rate_hz else ("-", "-")
        cells = (*now, size, _age(age_s))
        figures = "".join(
            f"{cell:>{width}}" for cell, width in zip(cells, _FIGURES.values(), strict=True)
        )
        return figures, self._chart(topics)

    def _chart(self, topics: list[TopicNow]) -> str:
        wanted = 2 * self.spark
        recent = [one.history[-wanted:] for one in topics]
        sums = [0.0] * wanted
        for history in recent:
            for i, value in enumerate(reversed(history)):
                sums[-1 - i] += value
        return braille_row(sums, self.spark)[0]


def _age(age_s: float) -> str:
    """Not more precise than it is looked at."""
    if age_s < 1:
        return "now"
    return f"{age_s:.0f} s" if age_s < 59.5 else text.seconds(float(int(age_s))).removesuffix(".0")


def cut(value: str, width: int) -> str:
    """A text of exactly so many characters; what was left out is marked."""
    if cell_len(value) > width - 1 and width > 0:
        value = set_cell_size(value, width - 2) + "…"
    return set_cell_size(value, width)

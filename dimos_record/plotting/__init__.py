"""Plots of the numbers in a recording over time, in the terminal and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dimos_record.plotting.series import Series, plottable, read_series
from dimos_record.store.base import Marker

if TYPE_CHECKING:
    from dimos_record.replay.view import ReplayView

__all__ = ["Plot", "Series", "plot", "plottable"]


@dataclass(frozen=True)
class Plot:
    """Some series over the same time, each in a panel of its own. As a string it is drawn in text.

    Positions are seconds from the start of the recording.
    """

    title: str
    series: tuple[Series, ...]
    markers: tuple[Marker, ...]
    origin_ns: int
    """Position 0, UNIX ns."""

    def text(
        self, columns: int | None = None, lines: int | None = None, *, colour: bool = False
    ) -> str:
        """The plot in characters, as wide as the terminal and at most as high.

        Args:
            columns: width; None is that of the terminal, and 80 without one.
            lines: height, if that leaves each panel a few lines.
            colour: whether it may have colours, as ANSI sequences.
        """
        from dimos_record.plotting.terminal import draw

        return draw(self, columns, lines, colour)

    def __str__(self) -> str:
        return self.text()

    def save(self, out: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the plot as a picture: PNG, SVG or PDF, as the name says.

        Raises:
            OptionError: the name says something else.
            MissingExtra: matplotlib is not installed.
            RecordingExists: there is such a file, and `overwrite` is not set.
            StorageError: it cannot be written.
        """
        from dimos_record.plotting.picture import save

        return save(self, Path(out).expanduser(), overwrite=overwrite)


def plot(
    view: ReplayView,
    fields: str | Iterable[str],
    out: str | os.PathLike[str] | None = None,
    *,
    stamp: bool = False,
    overwrite: bool = False,
) -> Plot:
    """Read numbers over time: ``print(plot(view, "/odom.pose.pose.position.x"))``.

    Args:
        view: what is read.
        fields: topics and fields, joined by a dot: `/odom.pose.pose.position.x`; an item of a list
            as `/joint_states.position.0`.
        out: a picture to write.
        stamp: order by the times in the headers instead of those of reception.
        overwrite: replace the picture.

    Raises:
        OptionError: there is no such topic or field; the sentence names those that there are.
        EditError: there is no message in the section.
        Others: see `Plot.save`.
    """
    chosen = [fields] if isinstance(fields, str) else list(fields)
    series = read_series(view, chosen, stamp=stamp)
    first, last = min(one.x[0] for one in series), max(one.x[-1] for one in series)
    origin_ns = view.origin_ns()
    markers = tuple(
        one
        for one in view.recording.reader.markers()
        if (one.until_ns or one.at_ns) >= origin_ns + first * 1e9
        and one.at_ns <= origin_ns + last * 1e9
    )
    made = Plot(Path(view.name).name, tuple(series), markers, origin_ns)
    if out is not None:
        made.save(out, overwrite=overwrite)
    return made

"""Plots as pictures, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimos_record.errors import MissingExtra, OptionError
from dimos_record.interop.files import new_export, writing
from dimos_record.plotting.labels import printable
from dimos_record.plotting.ranges import thinned

if TYPE_CHECKING:
    from dimos_record.plotting import Plot
    from dimos_record.store.base import Marker

_SUFFIXES = (".png", ".svg", ".pdf")
_WIDTH_INCHES, _PANEL_INCHES, _DPI = 10.0, 2.2, 120
_LINE_COLUMNS = 4000
_GREY = "#666666"


def save(plot: Plot, out: Path, *, overwrite: bool) -> Path:
    """Write a picture; see `Plot.save`."""
    suffix = out.suffix.lower()
    if suffix not in _SUFFIXES:
        raise OptionError(f"{out}: a plot is written as {', '.join(_SUFFIXES)}; name a file so")
    with new_export(out, suffix, overwrite) as target:
        figure = _figure(plot)
        with writing(out):
            figure.savefig(target.unfinished, format=suffix[1:], dpi=_DPI)
            target.put()
    return out


def _figure(plot: Plot) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("a plot as a picture", "plot") from error

    count = len(plot.series)
    size = (_WIDTH_INCHES, 0.9 + _PANEL_INCHES * count)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for i, (panel, series) in enumerate(zip(panels, plot.series, strict=True)):
        x, y = thinned(series.x, series.y, _LINE_COLUMNS)
        point = "." if len(x) < 2 else ""
        panel.plot(x, y, linewidth=1.0, color=f"C{i % 10}", marker=point)
        panel.set_title(_plain(series.label), loc="left", fontsize=9)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.ticklabel_format(axis="y", useOffset=False)
        for spine in ("top", "right"):
            panel.spines[spine].set_visible(False)
    for marker in plot.markers:
        _mark(panels, marker, plot.origin_ns)
    low, high = min(one.x[0] for one in plot.series), max(one.x[-1] for one in plot.series)
    margin = 0.01 * (high - low) or 0.5
    panels[-1].set_xlim(low - margin, high + margin)
    panels[-1].set_xlabel("seconds from the start of the recording")
    figure.suptitle(_plain(plot.title), fontsize=10)
    return figure


def _mark(panels: Any, marker: Marker, origin_ns: int) -> None:
    """A line through all panels, or a band where the marker is an interval; its name on top."""
    at = (marker.at_ns - origin_ns) / 1e9
    for panel in panels:
        if marker.until_ns is None:
            panel.axvline(at, color=_GREY, linewidth=0.8, linestyle="--")
        else:
            panel.axvspan(at, (marker.until_ns - origin_ns) / 1e9, color=_GREY, alpha=0.12, lw=0)
    panels[0].annotate(
        _plain(marker.label),
        (at, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, -9),
        textcoords="offset points",
        fontsize=8,
        color=_GREY,
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
    )


def _plain(text: str) -> str:
    """A text in which matplotlib finds no formula."""
    return printable(text).replace("$", r"\$")

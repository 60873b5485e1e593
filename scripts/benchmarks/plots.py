"""What was measured as pictures for `docs/performance.md`: ours beside its peers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Chapter, Column
from benchmarks.report import name_of
from benchmarks.subjects import BUSY, DIMOS, LCM, MCAP, OURS, PLAIN

_LIMIT = "#8a8984"
_COLOURS = {OURS: "#2a78d6", LCM: "#eb6834", DIMOS: "#1baf7a", MCAP: "#eda100"}
_COLOURS |= {PLAIN: _LIMIT, BUSY: _LIMIT}
_OTHER = "#4a3aa7"
_MOST = 4
_WIDTH_IN = 8.0


def draw(chapter: Chapter, path: Path) -> bool:
    """Draw the figures of a chapter that are compared, as an SVG; False if there is none."""
    columns = [column for column in chapter.columns if column.ratio and _cases(chapter, column)]
    columns = columns[:_MOST]
    if not columns:
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    lines = [
        sum(len(_subjects(chapter, case, c)) + 1 for case in _cases(chapter, c)) for c in columns
    ]
    figure = Figure(
        figsize=(_WIDTH_IN, 0.17 * sum(lines) + 0.62 * len(columns)), layout="constrained"
    )
    axes = figure.subplots(len(columns), 1, squeeze=False, height_ratios=lines)
    for (axis,), column in zip(axes, columns, strict=True):
        _draw(axis, chapter, column)
    # the same figures give the same file: no date in it, no random names
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": chapter.name}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
    return True


def _cases(chapter: Chapter, column: Column) -> list[str]:
    """The cases in which ours and a peer have the figure."""
    cases = dict.fromkeys(m.case for m in chapter.measurements)
    return [case for case in cases if len(_subjects(chapter, case, column)) > 1]


def _subjects(chapter: Chapter, case: str, column: Column) -> list[str]:
    found = dict.fromkeys(m.subject for m in chapter.measurements if m.case == case)
    return [one for one in found if chapter.figures(case, one, column.figure)]


def _draw(axis: Any, chapter: Chapter, column: Column) -> None:
    """A bar for the median of each, with its smallest and largest figure."""
    at, ticks, labels = 0.0, [], []
    for case in _cases(chapter, column):
        subjects = sorted(_subjects(chapter, case, column), key=lambda one: one != OURS)
        for subject in subjects:
            values = chapter.figures(case, subject, column.figure)
            middle = statistics.median(values)
            axis.barh(at, middle, height=0.8, color=_COLOURS.get(subject, _OTHER))
            spread = [[middle - min(values)], [max(values) - middle]]
            axis.errorbar(middle, at, xerr=spread, color="#0b0b0b", elinewidth=0.8, capsize=2)
            axis.annotate(
                f" {column.format.format(middle)}",
                (max(values), at),
                va="center",
                fontsize=7,
                xytext=(3, 0),
                textcoords="offset points",
            )
            ticks.append(at)
            labels.append(
                f"{case}: {name_of(chapter, subject)}"
                if subject == OURS
                else name_of(chapter, subject)
            )
            at += 1
        at += 0.7
    axis.set_yticks(ticks, labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_title(column.title, fontsize=9, loc="left")
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_facecolor("#fcfcfb")
    _scale(axis, [v for c in _cases(chapter, column) for v in _medians(chapter, c, column)])


def _medians(chapter: Chapter, case: str, column: Column) -> Sequence[float]:
    subjects = _subjects(chapter, case, column)
    return [statistics.median(chapter.figures(case, one, column.figure)) for one in subjects]


def _scale(axis: Any, values: Sequence[float]) -> None:
    """A logarithmic axis where a linear one would show the small ones as nothing."""
    positive = [value for value in values if value > 0]
    if len(positive) == len(values) and max(positive) > 50 * min(positive):
        axis.set_xscale("log")
    axis.margins(x=0.15)

"""`dimos-record plot`: numbers over time, in the terminal and as a picture."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dimos_record.cli.editing import File, Overwrite
from dimos_record.cli.export.options import End, Start, What, view_of
from dimos_record.cli.running import say
from dimos_record.cli.text import printable
from dimos_record.errors import OptionError


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """What a shell offers after `plot FILE`: the topics and fields in it."""
    from dimos_record import RecordReplay
    from dimos_record.errors import DimosRecordError
    from dimos_record.plotting import plottable

    try:
        with RecordReplay(context.params.get("file") or "") as rec:
            return [one for one in plottable(rec.view()) if one.startswith(incomplete)]
    except DimosRecordError:  # there is nobody to tell
        return []


def plot(
    file: File,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC.FIELD",
            help="What is plotted: /odom.pose.pose.position.x. Without any, they are listed.",
            autocompletion=_complete,
        ),
    ] = None,
    start: Start = None,
    end: End = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write a picture: plot.png, .svg, .pdf."),
    ] = None,
    stamp: Annotated[
        bool, typer.Option("--stamp", help="Over the times in the headers, not of reception.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Plot fields of messages over time.

    Each field has a panel of its own above the same seconds from the start. Lines have gaps where
    everything was cut, and between sessions; markers stand above. An item of a list is meant by its
    number: /joint_states.position.0

    Examples:

      dimos-record plot walk.db /odom.pose.pose.position.x /odom.twist.twist.linear.x

      dimos-record plot walk.db /imu.angular_velocity.z --start fall --end +10

      dimos-record plot walk.db /joint_states.velocity.0 --out wheels.png

      dimos-record plot walk.db | grep velocity
    """
    from dimos_record import RecordReplay
    from dimos_record.plotting import plot as read
    from dimos_record.plotting import plottable

    if not fields and (out is not None or stamp or start or end):
        raise OptionError("no field to plot; name one (/odom.pose.position.x), or give no options")
    if overwrite and out is None:
        raise OptionError("--overwrite replaces a picture; give --out plot.png too")
    with RecordReplay(file) as rec:
        view = view_of(rec.view(), What(file, None, None, start, end))
        if not fields:
            there = list(plottable(view))
            for one in there:
                print(printable(one))
            if not there:
                say(f"{file} has no topic with numbers that could be plotted")
            return
        made = read(view, fields, out, stamp=stamp, overwrite=overwrite)
    for series in made.series:
        if not (series.y == series.y).any():  # NaN equals nothing
            say(f"{printable(series.label)}: no message there has this number")
    if out is None:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(made.text(colour=colour))
    else:
        say(f"{out}: {sum(len(one.x) for one in made.series):,} points")

"""`dimos-record import`: other tools' recordings into one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.editing import Quiet, Topics, chosen
from dimos_record.cli.export.options import Exclude, counted_progress
from dimos_record.cli.progress import CopyingLine, ReadingLine
from dimos_record.cli.running import Json, say

if TYPE_CHECKING:
    from dimos_record.interop.importing import ImportReport, Problem


def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="An MCAP file, an LCM event log, a ROS bag, or Parquet tables (export --raw).",
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The recording to write: walk.db")],
    topics: Topics = None,
    exclude: Exclude = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin so long after the first message: 12.5, 1:23.5."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="End so long after the first message.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="mcap|lcm|bag|parquet", help="What FILE is; default: what its content tells."
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add a session to an existing recording.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing recording.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 6 if not everything was converted.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Import what another tool has recorded.

    Messages of ROS become the LCM messages of the same name. Receive times are those of the file; a
    publish time that differs is kept in the tag `publish_ns`. What cannot be converted or read is
    listed on stderr. A section begins with what maps, camera infos and static transforms said
    before. Interrupted, it leaves nothing behind.

    Examples:

      dimos-record import nav2.mcap nav2.db

      dimos-record import lcmlog-2026-11-20.00 walk.db -t /odom --start 1:05 --end 1:20

      dimos-record import more.mcap nav2.db --append --strict
    """
    from dimos_record.cli.tables import print_json
    from dimos_record.errors import DecodeError, OptionError
    from dimos_record.interop.importing import import_file

    if append and overwrite:
        raise OptionError("--append and --overwrite contradict each other; give one of them")
    section = _seconds(start, "--start"), _seconds(end, "--end")
    doing, otherwise = f"Reading {source}", f"nothing of {source} was imported"
    line = _line_for(source, format)
    with counted_progress(doing, otherwise, shown=not quiet, line=line) as on_progress:
        report = import_file(
            source,
            out,
            format=format,
            topics=chosen(topics),
            exclude=exclude or (),
            section=section,
            append=append,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    for problem in report.problems:
        say(f"warning: {_problem(problem, source)}")
    say(f"{report.path}: {report.count:,} of {report.total:,} messages imported")
    if strict and report.problems:
        raise DecodeError(f"not everything in {source} could be imported; the rest was")


def _seconds(text: str | None, option: str) -> float | None:
    from dimos_record.cli.times import parse_time

    return None if text is None else parse_time(text, option)


def _line_for(source: str, format: str | None) -> type[ReadingLine]:
    """What draws the progress: some formats count bytes."""
    from dimos_record.interop.formats import find, recognise

    found = recognise(Path(source).expanduser()) if format is None else find(format)
    return CopyingLine if found.import_unit == "bytes" else ReadingLine


def _problem(problem: Problem, source: str) -> str:
    lost = "imported with a loss" if problem.imported else "not imported"
    schema = f" ({problem.schema})" if problem.schema else ""
    return f"{problem.topic or source}{schema}: {problem.count:,} {lost}: {problem.reason}"


def _print(report: ImportReport) -> None:
    from dimos_record.cli.tables import TopicRow, show, topic_table

    rows = [
        TopicRow(one.topic, one.type_name or "no type", (f"{one.count:,}",))
        for one in report.topics
    ]
    if rows:
        show(topic_table(("messages",), rows))


def _as_json(report: ImportReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
        "format": report.format,
        "messages": report.count,
        "messages_in_source": report.total,
        "topics": [
            {"topic": one.topic, "type": one.type_name, "messages": one.count}
            for one in report.topics
        ],
        "problems": [
            {
                "topic": one.topic,
                "schema": one.schema,
                "reason": one.reason,
                "messages": one.count,
                "imported": one.imported,
            }
            for one in report.problems
        ],
    }

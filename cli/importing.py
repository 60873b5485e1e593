"""`dimos-record import`: other tools' recordings into one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.running import Json, say, stop_signals

if TYPE_CHECKING:
    from dimos_record.interop.importing import ImportReport


def import_(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="An MCAP file with ROS 2 messages (rosbag2).")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The recording to write: walk.db")],
    append: Annotated[
        bool, typer.Option("--append", help="Add a session to an existing recording.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing recording.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 6 if not everything was converted.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
    as_json: Json = False,
) -> None:
    """Import an MCAP file of ROS 2 messages.

    Each message becomes the LCM message of the same name. Receive times are the file's log times; a
    publish time that differs is kept in the tag `publish_ns`. What cannot be converted is listed
    on stderr. Interrupted, it leaves nothing behind.

    Examples:

      dimos-record import nav2.mcap nav2.db

      dimos-record import more.mcap nav2.db --append --strict
    """
    from dimos_record.cli.progress import ReadingLine
    from dimos_record.cli.tables import print_json
    from dimos_record.errors import DecodeError, OptionError
    from dimos_record.interop.importing import import_file

    if append and overwrite:
        raise OptionError("--append and --overwrite contradict each other; give one of them")
    with stop_signals() as stop, ReadingLine(f"Reading {source}", shown=not quiet) as line:

        def on_progress(done: int, total: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            line.update(done, total)

        report = import_file(
            source, out, append=append, overwrite=overwrite, on_progress=on_progress
        )
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    for problem in report.problems:
        lost = "without a field" if problem.imported else "not imported"
        schema = f" ({problem.schema})" if problem.schema else ""
        say(f"warning: {problem.topic}{schema}: {problem.count:,} {lost}: {problem.reason}")
    say(f"{report.path}: {report.count:,} of {report.total:,} messages imported")
    if strict and report.problems:
        raise DecodeError(f"not everything in {source} could be converted; the rest was imported")


def _print(report: ImportReport) -> None:
    from dimos_record.cli.tables import TopicRow, show, topic_table

    rows = [TopicRow(one.topic, one.type_name, (f"{one.count:,}",)) for one in report.topics]
    if rows:
        show(topic_table(("messages",), rows))


def _as_json(report: ImportReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
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

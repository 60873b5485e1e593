"""What the commands share that edit a recording: their arguments, and what they say."""

from __future__ import annotations

import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from dimos_record.cli import text
from dimos_record.cli.running import say
from dimos_record.cli.times import MINUS
from dimos_record.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from dimos_record.edit.report import EditReport

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A recording, or the folder of its segments.")
]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topics",
        "--topic",
        "-t",
        metavar="TOPIC",
        help="Only of these topics, patterns allowed ('/camera/*'); repeatable.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there under that name.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")]

_NEGATIVE = re.compile(r"-[\d.][\d.:]*(ms|s|min|m|h)?")


class TakesTimes(typer.core.TyperCommand):
    """A command whose arguments may be times before the end: `-10` is no option of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `-10` as one of them."""
        return super().parse_args(
            ctx, [MINUS + one[1:] if _NEGATIVE.fullmatch(one) else one for one in args]
        )


def chosen(topics: list[str] | None) -> list[str] | str:
    """The topics that were asked for; all if none was.

    Raises:
        OptionError: one is empty, as an unset variable gives it: it must not mean all.
    """
    if topics and not all(topics):
        raise OptionError("--topics has an empty name; name a topic, or leave the option out")
    return topics or "*"


def show_report(report: EditReport, name: str, file: str, *, dry: bool, as_json: bool) -> None:
    """Say what an edit did, or would do.

    Args:
        report: what it did.
        name: what the recording is called.
        file: what the person called it, for the commands that may follow.
        dry: whether nothing was changed.
        as_json: whether it goes to stdout as JSON.
    """
    from dimos_record.cli.tables import print_json, show

    if as_json:
        print_json(_as_json(report, name, dry))
    elif dry:
        print(f"{name}: would {report.text}")
        if report.topics:
            show(_table(report))
        print(f"{_amount(report)}; nothing was changed")
    if not dry:
        amount = f": {_amount(report)}" if report.messages else ""
        say(f"{name}: {report.text}{amount}; {what_now(file)}")


def _table(report: EditReport) -> Table:
    from dimos_record.cli.tables import plain_table

    table = plain_table()
    table.add_column("topic", overflow="fold")
    table.add_column("messages that go", justify="right")
    for topic, count in report.topics:
        table.add_row(text.printable(topic), f"{count:,}")
    return table


def what_now(file: str) -> str:
    """How to go on after an edit."""
    file = shlex.quote(file)
    return (
        f"not saved yet, undo with: dimos-record undo {file}; "
        f"write it with: dimos-record save {file}"
    )


def _amount(report: EditReport) -> str:
    """`1,234 messages, 45.6 MB, of 8 topics go; 3 messages of latched state stay`"""
    if not report.messages:
        return "no message goes"
    about = "about " if report.about else ""
    topics = "1 topic" if len(report.topics) == 1 else f"{len(report.topics):,} topics"
    go = "goes" if report.messages == 1 else "go"
    goes = f"{counted(report.messages)}, {about}{text.size(report.bytes)}, of {topics} {go}"
    if not report.kept_state:
        return goes
    stay = "stays" if report.kept_state == 1 else "stay"
    return f"{goes}; {counted(report.kept_state)} of latched state {stay}"


def parse_json(written: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none; NaN and infinities are not in JSON either.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not in JSON")

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"{number} is larger than any number can be")
        return float(number)

    try:
        return json.loads(written, parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def counted(messages: int) -> str:
    """`1 message`, `1,234 messages`"""
    return "1 message" if messages == 1 else f"{messages:,} messages"


def _as_json(report: EditReport, name: str, dry: bool) -> dict[str, Any]:
    return {
        "path": name,
        "edit": report.text,
        "dry_run": dry,
        "messages": report.messages,
        "stored_bytes": report.bytes,
        "bytes_are_estimated": report.about,
        "kept_state": report.kept_state,
        "topics": [{"topic": topic, "messages": count} for topic, count in report.topics],
    }

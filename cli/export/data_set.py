"""What `dimos-record export parquet --partition-by` does: many recordings into one data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dimos_record.cli import text
from dimos_record.cli.export.options import (
    How,
    What,
    counted_progress,
    report_as_json,
    say_losses,
    view_of,
)
from dimos_record.cli.progress import ReadingLine
from dimos_record.cli.running import say
from dimos_record.errors import CodecError


class RecordingsLine(ReadingLine):
    """How many recordings have been added."""

    def _figures(self, done: int, total: int, elapsed_s: float) -> str:
        return f"{done:,} of {total:,} recordings"


def add_recordings(wanted: Sequence[What], out: str, how: How, **options: Any) -> None:
    """Add recordings to a data set, and say what was added and what could not be carried.

    Args:
        wanted: what of which recordings.
        out: the folder of the data set.
        how: what to do about what is there, and what to say.
        options: see `add_to_data_set`.

    Raises:
        CodecError: something could not be carried, in strict mode; the rest was added.
        Others: see `add_to_data_set`; the recordings before are in the data set.
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json
    from dimos_record.interop.partitions import add_to_data_set

    reports = []
    with counted_progress(
        f"Adding to {out}",
        f"{out} has what was added before",
        shown=not how.quiet,
        line=RecordingsLine,
    ) as progress:
        for i, what in enumerate(wanted):
            with RecordReplay(what.file) as rec:

                def on_progress(done: int, total: int, added: int = i) -> None:
                    progress(added, len(wanted))

                reports.append(
                    add_to_data_set(
                        view_of(rec.view(), what),
                        out,
                        overwrite=how.overwrite,
                        on_progress=on_progress,
                        **options,
                    )
                )
    if how.as_json:
        print_json([report_as_json(report) for report in reports])
    say_losses([loss for report in reports for loss in report.losses])
    messages, size = sum(one.messages for one in reports), sum(one.bytes for one in reports)
    recordings = "1 recording" if len(reports) == 1 else f"{len(reports):,} recordings"
    say(f"{out}: {recordings} added, {messages:,} messages, {text.size(size)}")
    if how.strict and any(report.losses for report in reports):
        raise CodecError(f"not everything could be carried; the rest is in {out}")

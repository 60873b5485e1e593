"""`dimos-record compare`: whether two recordings hold the same messages."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.running import Json

if TYPE_CHECKING:
    from dimos_record.store.compare import Comparison, StreamComparison

_HEADERS = ("in A", "in B", "only A", "only B", "p50", "p99", "max")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A recording.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--topics",
            "-t",
            metavar="TOPIC",
            help="Topics to compare, patterns allowed; repeatable.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell whether two recordings hold the same messages.

    That is, the same streams with the same bytes in the same order. Exits with 0 if they are equal
    and with 1 if not. Times decide nothing; how far they are apart is shown: p50, p99 and maximum
    of the difference in receive time, without the constant offset between the recordings.

    Examples:

      dimos-record compare walk.db replayed.db

      dimos-record compare walk.db replayed.db -t /odom -t '/camera/*' --json
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.tables import print_json

    with RecordReplay(a) as first, RecordReplay(b) as second:
        comparison = first.compare(second, topics=topics or "*", exclude=exclude or ())
    if as_json:
        print_json(_as_json(comparison))
    else:
        _print(comparison)
    if not comparison.equal:
        raise typer.Exit(1)


def _print(comparison: Comparison) -> None:
    from dimos_record.cli.tables import TopicRow, show, topic_table
    from dimos_record.cli.text import printable

    print(f"A  {comparison.name_a}")
    print(f"B  {comparison.name_b}")
    if comparison.streams:
        rows = [
            TopicRow(one.topic, one.type_name or "no type", _figures(one))
            for one in comparison.streams
        ]
        print()
        show(topic_table(_HEADERS, rows))
    print()
    for one in comparison.streams:
        if not one.equal:
            print(f"{printable(one.topic)}: {_difference(one)}")
    print(_verdict(comparison))


def _figures(one: StreamComparison) -> tuple[str, ...]:
    from dimos_record.cli import text

    timing = one.timing
    errors = (timing.p50_ns, timing.p99_ns, timing.max_ns) if timing else ()
    return (
        f"{one.count_a:,}",
        f"{one.count_b:,}",
        f"{one.only_a:,}",
        f"{one.only_b:,}",
        *(text.seconds(error / 1e9) for error in errors),
        *("-" for _ in range(3 - len(errors))),
    )


def _difference(one: StreamComparison) -> str:
    """What differs in a stream, and where first."""
    if not one.count_b:
        return "only in A"
    if not one.count_a:
        return "only in B"
    first = one.first_difference
    if first is None:
        return "equal"
    if first.number_a and first.number_b:
        where = f"message {first.number_a:,} of A and {first.number_b:,} of B"
    elif first.number_a:
        where = f"message {first.number_a:,} of A"
    else:
        where = f"message {first.number_b:,} of B"
    order = "the same messages in another order" if one.reordered else "not the same messages"
    return f"{order}, first at {where}: {first.what}"


def _verdict(comparison: Comparison) -> str:
    from dimos_record.cli.text import counted

    streams = comparison.streams
    if not streams:
        return "Equal: neither has a message"
    if comparison.equal:
        count = counted(sum(one.count_a for one in streams), "message")
        verdict = f"Equal: {count} in {counted(len(streams), 'stream')}, byte by byte in order"
    else:
        different = sum(not one.equal for one in streams)
        differ = "differs" if different == 1 else "differ"
        verdict = f"Not equal: {different:,} of {counted(len(streams), 'stream')} {differ}"
    return "\n".join([verdict, *_pace(comparison)])


def _pace(comparison: Comparison) -> list[str]:
    """Whether B ran at another rate than A, which explains large differences in time."""
    duration_a_s, duration_b_s = comparison.duration_a_s, comparison.duration_b_s
    if min(duration_a_s, duration_b_s) < 1e-6 or 0.95 < duration_a_s / duration_b_s < 1.05:
        return []
    pace = duration_a_s / duration_b_s
    return [f"B ran at {pace:.3g} times the pace of A, which is why times differ"]


def _as_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "equal": comparison.equal,
        "path_a": comparison.name_a,
        "path_b": comparison.name_b,
        "offset_ns": comparison.offset_ns,
        "duration_a_s": comparison.duration_a_s,
        "duration_b_s": comparison.duration_b_s,
        "streams": [_stream_as_json(one) for one in comparison.streams],
    }


def _stream_as_json(one: StreamComparison) -> dict[str, Any]:
    return {
        "topic": one.topic,
        "type": one.type_name,
        "equal": one.equal,
        "messages_a": one.count_a,
        "messages_b": one.count_b,
        "bytes_a": one.bytes_a,
        "bytes_b": one.bytes_b,
        "only_a": one.only_a,
        "only_b": one.only_b,
        "reordered": one.reordered,
        "first_difference": asdict(one.first_difference) if one.first_difference else None,
        "timing": asdict(one.timing) if one.timing else None,
    }

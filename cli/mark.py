"""`dimos-record mark`: a label for a moment or an interval of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.editing import File, parse_json, what_now
from dimos_record.cli.running import say

if TYPE_CHECKING:
    from dimos_record import RecordReplay
    from dimos_record.cli.times import Timescale
    from dimos_record.store.base import Marker

_NEAR_S = 0.1
"""Positions are shown with one digit: as it is shown, a marker must be found."""


def mark(
    file: File,
    at: Annotated[
        str | None, typer.Argument(metavar="AT", help="When: 12.5, 1:23.5, -10, @14:03:05.")
    ] = None,
    label: Annotated[
        str | None, typer.Argument(metavar="LABEL", help="What the marker is called: fall")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where an interval ends: 20, or +5 for 5 s after AT."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="What belongs to it: '{\"battery\": 0.2}'")
    ] = None,
    delete: Annotated[
        str | None,
        typer.Option("--delete", metavar="LABEL", help="Remove this marker; its time will do."),
    ] = None,
) -> None:
    """Put a marker on the timeline of FILE, or remove one.

    Its label can be written wherever a command takes a time.

    Examples:

      dimos-record mark walk.db 12.5 fall

      dimos-record mark walk.db 1:05 lap --until +30 --data '{"laps": 2}'

      dimos-record mark walk.db --delete fall
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.times import Timescale
    from dimos_record.errors import OptionError

    with RecordReplay(file) as rec:
        scale = Timescale.of(rec.reader)
        if delete is not None:
            if any(one is not None for one in (at, label, until, data)):
                raise OptionError("--delete removes a marker, and takes its LABEL and no more")
            done = _delete(rec, delete, scale)
        elif at is None or label is None:
            raise OptionError("mark needs AT and LABEL, for example: mark walk.db 12.5 fall")
        else:
            done = _add(rec, at, label, until, data, scale)
        say(f"{rec.store.name}: {done}; {what_now(file)}")


def _add(
    rec: RecordReplay, at: str, label: str, until: str | None, data: str | None, scale: Timescale
) -> str:
    from dimos_record.cli.text import printable
    from dimos_record.cli.times import parse_position, reads_as_time, where
    from dimos_record.errors import OptionError

    if reads_as_time(label):
        raise OptionError(
            f"LABEL {label!r} reads as a time, so that no command would find the marker; "
            f"write for example 'lap {label}'"
        )
    at_s = parse_position(at, "AT", scale)
    until_s = None if until is None else parse_position(until, "--until", scale, at_s)
    marker = rec.add_marker(at_s, label, until=until_s, data=_data(data))
    return f"marker {printable(marker.label)!r} at {where(marker, scale)}"


def _data(text: str | None) -> Any:
    from dimos_record.errors import OptionError

    if text is None:
        return None
    try:
        return parse_json(text)
    except ValueError as error:
        raise OptionError(
            f"--data is no JSON ({error}); write for example '{{\"lap\": 2}}'"
        ) from None


def _delete(rec: RecordReplay, which: str, scale: Timescale) -> str:
    from dimos_record.cli.text import printable
    from dimos_record.cli.times import where

    marker = _marker(which, scale)
    rec.delete_marker(marker)
    return f"marker {printable(marker.label)!r} at {where(marker, scale)} removed"


def _marker(which: str, scale: Timescale) -> Marker:
    """The marker of a label or, since several may have the same, of a time."""
    from dimos_record.cli.times import find_marker, parse_position, reads_as_time

    if reads_as_time(which) and not any(one.label == which for one in scale.markers):
        at_s = parse_position(which, "--delete", scale)
        near = [one for one in scale.markers if abs(scale.position(one.at_ns) - at_s) < _NEAR_S]
        if len(near) == 1:
            return near[0]
    return find_marker(which, "--delete", scale)

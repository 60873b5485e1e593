"""`dimos-record echo`: decoded messages, live or from a recording."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dimos_record.cli.running import BusUrl, say, stop_signals

if TYPE_CHECKING:
    from dimos_record.bus import Selection
    from dimos_record.store.observation import Observation

_WAITING_BYTES = 64_000_000
_HINT_AFTER_S = 3.0


def echo(
    topics: Annotated[
        list[str],
        typer.Argument(metavar="TOPIC", help="Topics to show, patterns allowed ('/camera/*')."),
    ],
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="A recording; without it, the bus."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", metavar="N", min=1, help="Stop after so many.")
    ] = None,
    field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this field: pose.position.x, poses.0.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --file: from here: 12.5, 1:30, -10."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --file: up to here.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Every element of long arrays and texts.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as hex, not decoded.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line; bytes as base64.")
    ] = False,
    bus: BusUrl = None,
) -> None:
    """Print decoded messages, live or from a recording.

    With --json each line has `topic`, `type`, `ts_ns` (received), `stamp_ns` (in the header) and
    `data`, with arrays in full, bytes as base64, and NaN and infinities as strings. A message
    of a type that nobody knows is shown as its size and first bytes.

    Examples:

      dimos-record echo /odom

      dimos-record echo /odom --file walk.db --start 1:30 -n 5

      dimos-record echo '/camera/*' --json -n 1

      dimos-record echo /odom --field pose.position.x
    """
    from itertools import islice

    from dimos_record.bus import Selection
    from dimos_record.cli.message_text import MessagePrinter
    from dimos_record.errors import OptionError

    if file is None and (start is not None or end is not None):
        raise OptionError("--start and --end need a recording; name one with --file")
    if file is not None and bus is not None:
        raise OptionError("--file and --bus contradict each other; give one of them")
    if raw and field:
        raise OptionError("--raw and --field contradict each other; give one of them")
    if file is None:
        _refuse_recordings(topics)
    selection = Selection.of(topics, exclude or ())
    show = MessagePrinter(field=field, full=full, raw=raw, as_json=as_json)
    messages = _recorded(file, selection, start, end) if file else _live(bus, selection)
    with messages as found:
        for message in islice(found, count):
            print(show(message), flush=file is None)


def _refuse_recordings(topics: list[str]) -> None:
    """Refuse the name of a file where topics of the bus are asked for, instead of waiting for it.

    Raises:
        OptionError: there is a recording of that name.
    """
    from dimos_record.errors import DimosRecordError, OptionError
    from dimos_record.store.paths import path_for_reading

    for name in topics:
        try:
            is_file = name.endswith(".db") and path_for_reading(name).is_file()
        except DimosRecordError:
            continue
        if is_file:
            others = " ".join(topic for topic in topics if topic != name) or "TOPIC"
            raise OptionError(
                f"{name} is a recording, not a topic; print what is in it with: "
                f"dimos-record echo {others} --file {name}"
            )


@contextmanager
def _recorded(
    file: str, selection: Selection, start: str | None, end: str | None
) -> Iterator[Iterator[Observation]]:
    """The messages of a recording, merged by time."""
    from dimos_record import RecordReplay
    from dimos_record.cli.times import Timescale, parse_end, parse_position
    from dimos_record.errors import OptionError

    with RecordReplay(file) as rec:
        scale = Timescale.of(rec.reader)
        a = parse_position(start, "--start", scale) if start is not None else None
        b = parse_end(end, "--end", scale, a) if end is not None else None
        if b is not None and b <= (a or 0):
            raise OptionError(f"--end {end} is not after the start; there is nothing in between")
        view = rec.select(selection.include, selection.exclude).between(a, b)
        if rec.store.name != file:
            say(f"Reading {rec.store.name}")
        yield iter(view)


@contextmanager
def _live(url: str | None, selection: Selection) -> Iterator[Iterator[Observation]]:
    """The messages of the bus, until Ctrl-C or SIGTERM."""
    from dimos_record.bus import open_bus

    with open_bus(url) as bus, stop_signals() as stop:
        inbox = _Inbox()
        subscription = bus.subscribe(selection, inbox.put)
        try:
            yield inbox.messages(stop, f"{' '.join(selection.include)} on {bus.reach}")
        finally:
            subscription.close()
            if inbox.skipped:
                say(f"{inbox.skipped:,} messages were skipped: they came faster than they print")


class _Inbox:
    """Holds messages between the bus's thread and the one that prints, up to a size."""

    def __init__(self) -> None:
        self.skipped = 0
        self._waiting: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, channel: str, data: bytes) -> None:
        """Take in one message; called on the bus's own thread."""
        with self._changed:
            if self._bytes + len(data) > _WAITING_BYTES and self._waiting:
                self.skipped += 1
                return
            self._waiting.append((time.time_ns(), channel, data))
            self._bytes += len(data)
            self._changed.notify()

    def messages(self, stop: threading.Event, what: str) -> Iterator[Observation]:
        """The messages in order of arrival, until told to stop."""
        number, hint_at_s = 0, time.monotonic() + _HINT_AFTER_S
        while not stop.is_set():
            with self._changed:
                if not self._changed.wait_for(lambda: bool(self._waiting), 0.1):
                    if not number and time.monotonic() > hint_at_s:
                        say(f"Waiting for {what}; nothing has arrived yet")
                        hint_at_s = math.inf
                    continue
                ts_ns, channel, data = self._waiting.popleft()
                self._bytes -= len(data)
            number += 1
            yield _observation(number, ts_ns, channel, data)


def _observation(number: int, ts_ns: int, channel: str, data: bytes) -> Observation:
    from dimos_record.bus import split_channel
    from dimos_record.messages import stamp_ns
    from dimos_record.store.base import StreamInfo
    from dimos_record.store.observation import Observation

    topic, type_name = split_channel(channel)
    stream = StreamInfo(topic.strip("/"), topic, channel, type_name)
    return Observation(stream, number, number, ts_ns, stamp_ns(type_name, data), raw=data)

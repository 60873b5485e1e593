"""`dimos-record topics`: what is being published right now."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.running import BusUrl, Json, say, stop_signals

if TYPE_CHECKING:
    from rich.text import Text

    from dimos_record.bus import Bus, Selection

_ONCE_S = 2.0
_RECENT_S = 5
_HEADERS = ("rate", "bandwidth", "mean size", "messages", "age")


def topics(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="Topics to show, patterns allowed; default all."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Listen so long, then print one table: 10s.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Listen for 2 s, then print one table; so in a pipe.")
    ] = False,
    bus: BusUrl = None,
    as_json: Json = False,
) -> None:
    """Show what is being published, and how fast.

    Per topic: type, rate, bandwidth, mean size, count, and the age of the last message. On a
    terminal the table is renewed each second, with rates over the last 5 s, until Ctrl-C.

    Examples:

      dimos-record topics

      dimos-record topics '/camera/*' --duration 10s

      dimos-record topics --once --json | jq -r '.[].topic'
    """
    from dimos_record.bus import Selection, open_bus
    from dimos_record.cli.tables import print_json, show
    from dimos_record.record.options import parse_duration

    selection = Selection.of(patterns or ("*",), exclude or ())
    live = duration is None and not (once or as_json) and sys.stdout.isatty()
    listen_s = parse_duration(duration, "--duration") if duration is not None else _ONCE_S
    with open_bus(bus) as opened, stop_signals() as stop:
        with _listening(opened, selection) as traffic:
            if live:
                _show_until_stopped(traffic, stop)
            else:
                stop.wait(listen_s)
        if as_json:
            print_json(traffic.as_json())
        elif traffic.heard:
            show(_table(traffic, recent=live))
        _say_what_is_odd(traffic, opened)


class _Heard:
    """What was heard of one channel. Times are of the monotonic clock."""

    __slots__ = ("bytes", "count", "last_s")

    def __init__(self, now_s: float) -> None:
        self.count = self.bytes = 0
        self.last_s = now_s


class Traffic:
    """Counts what arrives, per channel."""

    def __init__(self) -> None:
        self.heard: dict[str, _Heard] = {}
        self.start_s = self.end_s = time.monotonic()
        self._history: deque[tuple[float, dict[str, tuple[int, int]]]] = deque(maxlen=_RECENT_S + 1)

    def on_message(self, channel: str, data: bytes) -> None:
        """Count one message; called on the bus's own thread."""
        now_s = time.monotonic()
        one = self.heard.get(channel)
        if one is None:
            one = self.heard[channel] = _Heard(now_s)
        one.count += 1
        one.bytes += len(data)
        one.last_s = now_s

    def look(self) -> None:
        """Remember how much was heard by now."""
        self.end_s = time.monotonic()
        counts = {channel: (one.count, one.bytes) for channel, one in list(self.heard.items())}
        self._history.append((self.end_s, counts))

    def rates(self, *, recent: bool) -> dict[str, tuple[float, float]]:
        """Messages and bytes per second of each channel, over everything or the last 5 s."""
        then_s = self.start_s
        before: dict[str, tuple[int, int]] = {}
        if recent and len(self._history) > 1:
            then_s, before = self._history[0]
        span_s = max(self.end_s - then_s, 1e-9)
        counts = self._history[-1][1] if self._history else {}
        rates = {}
        for channel, (count, size) in counts.items():
            count_before, size_before = before.get(channel, (0, 0))
            rates[channel] = ((count - count_before) / span_s, (size - size_before) / span_s)
        return rates

    def as_json(self) -> list[dict[str, Any]]:
        """All of it, under names that stay."""
        from dimos_record.bus import split_channel

        rows = []
        for channel, (rate_hz, bytes_s) in sorted(self.rates(recent=False).items()):
            topic, type_name = split_channel(channel)
            one = self.heard[channel]
            rows.append(
                {
                    "topic": topic,
                    "type": type_name,
                    "type_known": _is_known(type_name),
                    "channel": channel,
                    "messages": one.count,
                    "bytes": one.bytes,
                    "rate_hz": rate_hz,
                    "bytes_per_s": bytes_s,
                    "mean_bytes": one.bytes / one.count,
                    "age_s": self.end_s - one.last_s,
                }
            )
        return rows


@contextmanager
def _listening(bus: Bus, selection: Selection) -> Iterator[Traffic]:
    traffic = Traffic()
    subscription = bus.subscribe(selection, traffic.on_message)
    try:
        yield traffic
    finally:
        subscription.close()
        traffic.look()


def _show_until_stopped(traffic: Traffic, stop: threading.Event) -> None:
    from rich.live import Live

    from dimos_record.cli.tables import console

    with Live(console=console(), auto_refresh=False, transient=True) as live:
        while not stop.wait(1.0):
            traffic.look()
            live.update(_table(traffic, recent=True), refresh=True)


def _table(traffic: Traffic, *, recent: bool) -> Text:
    from dimos_record.bus import split_channel
    from dimos_record.cli import text
    from dimos_record.cli.tables import TopicRow, topic_table

    rows = []
    for channel, (rate_hz, bytes_s) in sorted(traffic.rates(recent=recent).items()):
        topic, type_name = split_channel(channel)
        one = traffic.heard[channel]
        figures = (
            text.rate(rate_hz),
            f"{text.size(bytes_s)}/s",
            text.size(one.bytes / one.count),
            f"{one.count:,}",
            text.seconds(traffic.end_s - one.last_s),
        )
        unknown = "" if type_name is None or _is_known(type_name) else ", unknown"
        rows.append(TopicRow(topic, f"{type_name or 'no type'}{unknown}", figures))
    return topic_table(_HEADERS, rows)


def _is_known(type_name: str | None) -> bool:
    from dimos_record.messages import message_class

    return type_name is not None and message_class(type_name) is not None


def _say_what_is_odd(traffic: Traffic, bus: Bus) -> None:
    if not traffic.heard:
        say(
            f"Nothing was heard on {bus.reach}; check that somebody publishes there, "
            "or name another bus with --bus"
        )
    packets, messages = bus.lost_before_reception(), sum(one.lost for one in bus.senders())
    if lost := messages or packets:
        what = "messages" if messages else "packets"
        say(f"{lost:,} {what} were lost before reception; the figures are too low")

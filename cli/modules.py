"""`dimos-record modules`: the modules of the running robot, and what they publish."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli import text
from dimos_record.cli.needs_dimos import Transport, need_running_dimos
from dimos_record.cli.running import Json, stop_signals

if TYPE_CHECKING:
    from rich.text import Text

    from dimos_record.integrations.dimos.running import Running, RunningModule

_DIRECTIONS = {"in": "in ", "out": "out", "inout": "io "}
Rates = Mapping[Any, float]


def modules(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")
    ] = False,
    transport: Transport = None,
    as_json: Json = False,
) -> None:
    """Show the modules of a running blueprint.

    Per module what it receives (in), publishes (out) or both (io): topic, type, and how often
    something was published there within a second.

    Examples:

      dimos-record modules

      dimos-record modules --watch --transport lcm

      dimos-record modules --json | jq -r '.[].module'
    """
    need_running_dimos("looking at a running blueprint")
    from dimos_record.cli.tables import print_json, show
    from dimos_record.errors import OptionError
    from dimos_record.integrations.dimos.running import connected

    if watch and (as_json or not sys.stdout.isatty()):
        raise OptionError("--watch draws on a terminal; leave it out in a pipe and with --json")
    with connected(transport=transport) as robot:
        if watch:
            _watch(robot)
            return
        running, rates = _measured(robot)
    if as_json:
        print_json([_as_json(one, rates) for one in running])
    else:
        show(_tree(running, rates))


def _measured(robot: Running) -> tuple[tuple[RunningModule, ...], Rates]:
    from dimos_record.integrations.dimos.running import rates

    running = robot.modules()
    return running, rates(stream for module in running for stream in module.streams)


def _watch(robot: Running) -> None:
    from rich.live import Live

    from dimos_record.cli.tables import console

    with stop_signals() as stop, Live(console=console(), auto_refresh=False) as live:
        while not stop.is_set():
            live.update(_tree(*_measured(robot)), refresh=True)


def _tree(running: tuple[RunningModule, ...], rates: Rates) -> Text:
    from rich.text import Text

    return Text("\n", no_wrap=True, overflow="ellipsis", end="").join(_lines(running, rates))


def _lines(running: tuple[RunningModule, ...], rates: Rates) -> Iterator[Text]:
    from rich.text import Text

    from dimos_record.cli.tables import console

    streams = [one for module in running for one in module.streams]
    topics = max((len(text.printable(one.topic)) for one in streams), default=0)
    types = max((len(one.type_name) for one in streams), default=0)
    one_line = topics + types + 24 <= console().width
    for module in running:
        name = module.name if module.name == module.cls else f"{module.name} ({module.cls})"
        yield Text(text.printable(name), style="bold")
        for one in module.streams:
            rate = "" if one.wire is None else text.rate(rates[one.wire])
            left = f"  {_DIRECTIONS[one.direction]} {text.printable(one.topic):<{topics}}"
            kind = text.printable(one.type_name)
            if one_line:
                kind_cell = Text(f"  {kind:<{types}}", style="dim")
                yield Text.assemble(left, kind_cell, f"  {rate:>10}")
            else:
                yield Text(f"{left}  {rate:>10}")
                yield Text(f"        {kind}", style="dim")


def _as_json(module: RunningModule, rates: Rates) -> dict[str, Any]:
    return {
        "module": module.name,
        "class": module.cls,
        "streams": [
            {
                "port": one.port,
                "direction": one.direction,
                "topic": one.topic,
                "type": one.type_name,
                "bus": one.wire and one.wire.bus,
                "channel": one.wire and one.wire.channel,
                "rate_hz": one.wire and rates[one.wire],
            }
            for one in module.streams
        ],
    }

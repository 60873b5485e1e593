"""`dimos-record demo-robot`: a simulated robot that publishes at a real robot's rates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dimos_record.cli.running import BusUrl, say, stop_signals

if TYPE_CHECKING:
    from dimos_record.bus import Bus, Selection
    from dimos_record.cli.status_line import StatusLine
    from dimos_record.demo_robot import Progress


def demo_robot(
    topics: Annotated[
        list[str] | None,
        typer.Option("--topics", "-t", metavar="TOPIC", help="Publish these only; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="Leave these out; repeatable."),
    ] = None,
    bus: BusUrl = None,
    camera_hz: Annotated[float, typer.Option(help="Pictures per second, up to 30.")] = 15.0,
    no_camera: Annotated[
        bool, typer.Option("--no-camera", help="No pictures, for a computer that is busy.")
    ] = False,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after so long: 90s, 10m.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed makes other sensor noise.")] = 0,
    list_: Annotated[
        bool, typer.Option("--list", help="Print the topics with their rates, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Drive a simulated robot through a room and publish what its sensors see.

    Says `Publishing to ...` on stderr once it publishes. Ends after --duration, or with
    Ctrl-C or SIGTERM, and then prints how many messages it published on each channel.

    Examples:

      dimos-record demo-robot

      dimos-record demo-robot --no-camera --duration 10s --json

      dimos-record demo-robot -t /odom -t '/tf*'
    """
    from dimos_record.cli.status_line import StatusLine
    from dimos_record.record.options import parse_duration

    selection = _selection(topics or ["*"], exclude or [], no_camera)
    duration_s = parse_duration(duration, "--duration") if duration else None
    if list_:
        _print_topics(selection, camera_hz, as_json)
        return

    from dimos_record.bus import open_bus
    from dimos_record.demo_robot import DemoRobot, run

    with open_bus(bus) as opened, stop_signals() as stop, StatusLine(not quiet) as line:
        published = run(
            _Announced(opened),
            selection=selection,
            camera_hz=camera_hz,
            duration_s=duration_s,
            stop=stop,
            on_progress=lambda progress: _show(line, progress),
            robot=DemoRobot(seed),
        )
    if as_json:
        print(json.dumps(published, indent=2))
    else:
        for channel, count in published.items():
            print(channel, count)


class _Announced:
    """A bus that says where it publishes, once it does."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._said = False

    def publish(self, channel: str, data: bytes) -> None:
        self._bus.publish(channel, data)
        if not self._said:
            self._said = True
            say(f"Publishing to {self._bus.reach}; Ctrl-C stops")


def _selection(topics: list[str], exclude: list[str], no_camera: bool) -> Selection:
    from dimos_record.bus import Selection
    from dimos_record.demo_robot.topics import TOPICS
    from dimos_record.errors import OptionError

    for pattern in topics:
        wanted = Selection.of((pattern,))
        if not any(wanted.matches(topic.channel) for topic in TOPICS):
            known = ", ".join(topic.topic for topic in TOPICS)
            raise OptionError(f"--topics: the demo robot has no topic {pattern!r}; it has {known}")
    return Selection.of(topics, [*exclude, *(["/camera/*"] if no_camera else [])])


def _print_topics(selection: Selection, camera_hz: float, as_json: bool) -> None:
    from dimos_record.cli.tables import console, plain_table, print_json
    from dimos_record.demo_robot.publisher import chosen_rates
    from dimos_record.demo_robot.topics import CAMERA_TOPIC

    chosen = chosen_rates({CAMERA_TOPIC: camera_hz}, selection)
    if as_json:
        print_json([{**topic._asdict(), "rate_hz": rate_hz} for topic, rate_hz in chosen])
        return
    table = plain_table()
    table.add_column("topic")
    table.add_column("type", style="dim")
    table.add_column("rate", justify="right")
    table.add_column("what it is")
    for topic, rate_hz in chosen:
        table.add_row(topic.topic, topic.type_name, f"{rate_hz:g} Hz", topic.description)
    console().print(table)


def _show(line: StatusLine, progress: Progress) -> None:
    from dimos_record.cli.text import seconds, size

    messages = sum(progress.published.values())
    skipped = sum(progress.skipped.values())
    left_out = f"  {skipped:,} pictures left out" if skipped else ""
    line.show(
        f"{seconds(progress.elapsed_s)}  {messages:,} messages  {size(progress.bytes)}{left_out}"
    )

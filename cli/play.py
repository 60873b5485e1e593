"""`dimos-record play`: a recording onto a bus, with its original timing."""

from __future__ import annotations

import math
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.extent import Extent, sections
from dimos_record.cli.play_rerun import Rerun, shown_bus
from dimos_record.cli.running import BusUrl, keep_threads_punctual, say, stop_signals
from dimos_record.cli.text import seconds, size
from dimos_record.cli.times import (
    Timescale,
    parse_end,
    parse_position,
    parse_rate,
    parse_section,
    parse_time,
    reads_as_time,
)
from dimos_record.cli.times import clock as position

if TYPE_CHECKING:
    import threading

    from dimos_record import RecordReplay
    from dimos_record.replay.player import Player

_REDRAW_S = 0.1


def play(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="The recording, or the folder of its segments."),
    ],
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="Topics to play, patterns allowed ('/camera/*'); none means all.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    bus: BusUrl = None,
    speed: Annotated[
        str,
        typer.Option("--speed", "-s", metavar="RATE", help="2, 0.5 ..., or max: no waiting."),
    ] = "1",
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin here: 12.5, 1:23.5; -10 is 10 s before the end."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="TIME", help="End here, written in the same way.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", "-l", help="Play again and again.")] = False,
    ab: Annotated[
        str | None,
        typer.Option(
            "--ab", metavar="A,B", help="Loop from A to B: 10,20 or 1:05,-3; '10,' to the end."
        ),
    ] = None,
    paused: Annotated[
        bool, typer.Option("--paused", help="Wait for the space key before the first message.")
    ] = False,
    delay: Annotated[
        str, typer.Option(metavar="TIME", help="Wait before the first message, for subscribers.")
    ] = "0",
    remap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM=TO",
            help="Publish under another name: /odom=/old/odom, '/camera/*=/sim/*'; repeatable.",
        ),
    ] = None,
    pace: Annotated[
        str,
        typer.Option(
            metavar="receive|stamp", help="Time by reception, or by the stamps in the messages."
        ),
    ] = "receive",
    restamp: Annotated[
        bool, typer.Option("--restamp", help="Shift the stamps in the messages to now.")
    ] = False,
    clock: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="Publish the time of playback here: /clock."),
    ] = None,
    clock_hz: Annotated[float, typer.Option(help="How often, per second of real time.")] = 100.0,
    latched: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="Republish the last message of these topics too after a jump; repeatable. Maps, "
            "camera infos and static transforms always are.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Play even if somebody publishes the same topics.")
    ] = False,
    allow_commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands",
            help="Play cmd_vel, goals and other commands also to robots beyond this machine.",
        ),
    ] = False,
    command_topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="A further topic that is a command; repeatable."),
    ] = None,
    rerun: Rerun = None,
    no_keys: Annotated[bool, typer.Option("--no-keys", help="Do not read the keyboard.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
) -> None:
    """Play FILE onto a bus with its original timing.

    Says on stderr where it publishes, and at the end what was published, and what of it late.

    On a bus that reaches beyond this machine, commands are refused: velocities, joint commands,
    goals and whatever else moves a robot. DIMOS_RECORD_COMMAND_TOPICS lists other topics instead.

    Ends at the end of the recording, or with q, Ctrl-C or SIGTERM; all of these exit with 0.

    In a terminal the keys of mpv and VLC steer it: space, arrows, digits ... Press ? for the list.

    Examples:

      dimos-record play walk.db

      dimos-record play walk.db '/camera/*' /tf --speed 2 --start 1:05 --loop

      dimos-record play walk.db --restamp --clock /clock --remap '/camera/*=/sim/camera/*'

      dimos-record play walk.db --rerun
    """
    from dimos_record import RecordReplay
    from dimos_record.replay.commands import command_topics

    options: dict[str, Any] = {
        "speed": parse_rate(speed, "--speed"),
        "paused": paused,
        "delay_s": parse_time(delay, "--delay"),
        "remap": _remap(remap or []),
        "pace": pace,
        "restamp": restamp,
        "clock_topic": clock,
        "clock_hz": clock_hz,
        "latched": tuple(latched or ()),
        "check_conflicts": not force,
        "allow_commands": allow_commands,
        "commands": (*command_topics(), *(command_topic or ())),
    }
    keep_threads_punctual()
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        shown = stack.enter_context(shown_bus(bus, rerun, file)) if rerun else None
        rec = stack.enter_context(RecordReplay(file, bus=shown or bus))
        if shown is not None:
            shown.position_ns = lambda: round(rec.get_seek() * 1e9)
        options |= _positions(rec, start, end, ab, loop)
        player = _start(rec, topics or ["*"], exclude or [], options)
        begun = time.monotonic()
        _follow(player, options, stop, keys=not no_keys, shown=not quiet)
        player.close()
        say(_account(player, time.monotonic() - begun))


def _remap(choices: list[str]) -> dict[str, str]:
    from dimos_record.errors import OptionError

    chosen = {}
    for choice in choices:
        source, separator, target = choice.partition("=")
        if not (source and separator and target):
            raise OptionError(f"--remap {choice!r}: write FROM=TO, for example /odom=/old/odom")
        chosen[source] = target
    return chosen


def _positions(
    rec: RecordReplay, start: str | None, end: str | None, ab: str | None, loop: bool
) -> dict[str, Any]:
    from dimos_record.errors import OptionError

    scale = Timescale.of(rec.reader)
    section: bool | tuple[float, float] = loop
    if ab is not None:
        if loop:
            raise OptionError("--loop and --ab contradict each other; --ab alone loops A to B")
        section = _a_and_b(ab, scale)
    start_s = None if start is None else parse_position(start, "--start", scale)
    end_s = None if end is None else parse_end(end, "--end", scale, start_s)
    return {"start_s": start_s, "end_s": end_s, "loop": section}


def _a_and_b(text: str, scale: Timescale) -> tuple[float, float]:
    from dimos_record.errors import OptionError

    a, separator, b = text.partition(",")
    if not separator and a.strip() and not reads_as_time(a):
        marker_a_s, marker_b_s = parse_section([a], scale, "--ab")
        return marker_a_s or 0.0, math.inf if marker_b_s is None else marker_b_s
    if not (a.strip() and separator):
        raise OptionError(f"--ab {text!r}: write A,B, for example 10,20 or 1:05,1:20")
    a_s = parse_position(a, "--ab", scale)
    b_s = parse_end(b, "--ab", scale, a_s) if b.strip() else None
    return a_s, math.inf if b_s is None else b_s


def _start(
    rec: RecordReplay, topics: list[str], exclude: list[str], options: dict[str, Any]
) -> Player:
    from dimos_record.errors import OptionError
    from dimos_record.replay.publishable import check_publishable

    view = rec.select(topics, exclude)
    check_publishable(view.streams, view.selection, view.name)
    if not view.streams and rec.reader.streams:
        raise OptionError(f"{view.name}: --exclude leaves no topic to play; leave out fewer")
    if sys.stderr.isatty() and options["check_conflicts"]:
        say("Listening for other publishers...")
    player = rec.play_view(view, **options)
    say(_headline(rec, player, options))
    if jumps := _jumps(rec, options):
        say(jumps)
    if player.left_out:
        say(f"Not played: {', '.join(player.left_out)}; plain numbers have no bytes to publish")
    return player


def _headline(rec: RecordReplay, player: Player, options: dict[str, Any]) -> str:
    """`Playing walk.db (12.3 s, 8 topics, 9,876 messages) to LCM ... (this machine only)`"""
    start_s, end_s = options["start_s"], options["end_s"]
    extent, origin_ns = Extent.of(rec.reader), rec.reader.origin_ns()
    low_ns = None if start_s is None else origin_ns + round(start_s * 1e9)
    high_ns = None if end_s is None else origin_ns + round(end_s * 1e9)
    messages = sum(rec.reader.count_between(s.name, low_ns, high_ns) for s in player.streams)
    total, played = len(rec.reader.streams), len(player.streams)
    topics = f"{played}" if played == total else f"{played} of {total}"
    section = ""
    if start_s is not None or end_s is not None or extent.scale.start_s > 0:
        low_s = extent.scale.start_s if start_s is None else start_s
        high_s = extent.scale.end_s if end_s is None else end_s
        section = f" from {position(low_s)} to {position(high_s)}"
    return (
        f"Playing {rec.store.name} ({seconds(extent.left_s)}, {topics} topics, "
        f"{messages:,} messages{section}) to {rec.bus.reach}"
    )


def _jumps(rec: RecordReplay, options: dict[str, Any]) -> str:
    """`Jumps over 0:10.0-0:20.0: cut out`; nothing where it plays through."""
    low_s, high_s = options["start_s"] or -math.inf, options["end_s"] or math.inf
    extent = Extent.of(rec.reader)
    over = [(a_s, b_s) for a_s, b_s in extent.skips if low_s < b_s and a_s < high_s]
    if not over:
        return ""
    unsaved = ", not saved yet" if extent.edits else ""
    return f"Jumps over what was cut out{unsaved}: {sections(over)}"


def _follow(
    player: Player, options: dict[str, Any], stop: threading.Event, *, keys: bool, shown: bool
) -> None:
    """Show where playback is and obey the keyboard, until the end or until somebody stops it."""
    from dimos_record.cli.keyboard import SUSPEND, Keyboard
    from dimos_record.cli.play_keys import Controls, suspend
    from dimos_record.cli.play_line import play_line
    from dimos_record.cli.status_line import StatusLine

    with Keyboard(keys) as keyboard, StatusLine(shown) as line:
        controls = Controls(player, line.say, options["start_s"] or 0.0, options["loop"])
        while not stop.is_set() and not player.wait(0 if keyboard.active else _REDRAW_S):
            if line.shown:
                line.show(play_line(player.stats, controls.loop, controls.ab, line.width))
            for key in keyboard.read(_REDRAW_S):
                if key == SUSPEND:
                    line.show("")
                    suspend(player, keyboard)
                elif not controls.press(key):
                    return


def _account(player: Player, elapsed_s: float) -> str:
    """The last line: what was published, what of it late, and what was left out."""
    stats = player.stats
    done = f"{stats.published:,} messages, {size(stats.bytes)}, in {seconds(elapsed_s)}"
    if stats.state == "finished":
        parts = [f"Published {done}"]
    else:
        parts = [f"Stopped at {position(stats.position_s)}; published {done}"]
    late = "none late"
    if stats.late:
        mean, worst = seconds(stats.mean_late_s), seconds(stats.max_late_s)
        late = f"{stats.late:,} late ({mean} on average, {worst} at most)"
    parts.append(late)
    if player.left_out:
        parts.append(f"{len(player.left_out)} topics not played")
    if stats.skipped_stamps:
        parts.append(f"{stats.skipped_stamps:,} played by reception, their stamps make no sense")
    if stats.unshifted:
        parts.append(f"{stats.unshifted:,} with stamps that could not be shifted")
    return "; ".join(parts)

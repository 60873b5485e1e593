"""`dimos-record record`: topics of a bus into a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dimos_record.cli.needs_dimos import Modules, Transport, need_running_dimos
from dimos_record.cli.running import BusUrl, Json, keep_threads_punctual, say, stop_signals

if TYPE_CHECKING:
    import threading

    from dimos_record import RecordReplay
    from dimos_record.cli.keyboard import Keyboard


def record(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The recording to write: walk.db")],
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="Topics to record, patterns allowed ('/camera/*'); none means all.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", "-x", metavar="TOPIC", help="A topic to leave out; repeatable."),
    ] = None,
    all_topics: Annotated[
        bool, typer.Option("--all", "-a", help="All topics, said explicitly.")
    ] = False,
    modules: Modules = None,
    bus: BusUrl = None,
    transport: Transport = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add a session to an existing recording.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing recording.")
    ] = False,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after so long: 90s, 10m.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Stop at this size on disk: 500MB, 2GB.")
    ] = None,
    max_messages: Annotated[
        int | None, typer.Option(metavar="N", help="Stop after exactly so many messages.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|SIZE",
            help="Write a folder of segments, a new one every 10m or 2GB.",
        ),
    ] = None,
    ring: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIME|SIZE",
            help="Record always: a folder of segments of which the oldest is deleted, so that the "
            "last 30m, or 20GB, are there; given twice, both bounds hold.",
        ),
    ] = None,
    keep_on: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC",
            help="A message on this topic keeps the past of the ring: /estop.",
        ),
    ] = None,
    keep_last: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How much of the past it keeps; 2m if not given, or all of a shorter ring.",
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC=CODEC",
            help="Store a topic as lcm (default, lossless), lz4+lcm (lossless) or jpeg (loses "
            "pixels); repeatable, the first that matches counts.",
        ),
    ] = None,
    min_free: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Stop cleanly at less free disk than this; 0 is never."),
    ] = "256MiB",
    buffer: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory for messages that wait for the disk.")
    ] = "256MiB",
    durability: Annotated[
        str,
        typer.Option(
            metavar="normal|full",
            help="Flush to the disk once a second, or with every commit: a power cut costs about a "
            "second, or 0.2 s.",
        ),
    ] = "normal",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 9 when anything was lost.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress line.")] = False,
    as_json: Json = False,
) -> None:
    """Record topics into FILE, until Ctrl-C or a limit.

    Says `Recording to PATH` on stderr once the subscription stands, and prints at the end what
    each topic received, wrote and lost. Ctrl-C and SIGTERM finish the file; in a terminal, q does
    too, and space pauses and goes on.

    Examples:

      dimos-record record walk.db

      dimos-record record walk.db /odom '/camera/*' --duration 60s

      dimos-record record long --split 10m --codec '/camera/*=jpeg' --strict

      dimos-record record walk.db --module Go2Connection

      dimos-record record ring --ring 30m --keep-on /estop
    """
    from dimos_record import RecordReplay
    from dimos_record.cli.account import print_account
    from dimos_record.cli.keyboard import Keyboard
    from dimos_record.cli.progress import RecordingLine
    from dimos_record.errors import OptionError
    from dimos_record.record.options import parse_duration, parse_ring, parse_size, parse_split

    if all_topics and topics:
        raise OptionError("--all and a list of topics contradict each other; give one of them")
    if transport and not modules:
        raise OptionError("--transport says where the modules of --module run; give one of these")
    if append and overwrite:
        raise OptionError("--append and --overwrite contradict each other; give one of them")
    buffer_bytes = parse_size(buffer, "--buffer")
    options: dict[str, Any] = {
        "duration_s": parse_duration(duration, "--duration") if duration is not None else None,
        "max_bytes": parse_size(max_size, "--max-size") if max_size is not None else None,
        "max_messages": max_messages,
        "min_free_bytes": 0 if min_free == "0" else parse_size(min_free, "--min-free"),
        "buffer_bytes": buffer_bytes,
        "durability": durability,
        "strict": strict,
        "codecs": _codecs(codec or []),
        "keep_on": keep_on,
        "keep_last_s": parse_duration(keep_last, "--keep-last") if keep_last is not None else None,
        **(parse_split(split, "--split") if split is not None else {}),
        **(parse_ring(ring, "--ring") if ring else {}),
    }
    keep_threads_punctual()
    with RecordReplay(file, bus=bus) as rec, stop_signals() as stop:
        if modules:
            _add_modules(rec, modules, transport)
        if topics:
            rec.add_topic(*topics)
        if exclude:
            rec.remove_topic(*exclude)
        rec.start_recording(append=append, overwrite=overwrite, **options)
        keyboard = Keyboard(enabled=not quiet)
        keys = "; space pauses, Ctrl-C stops" if keyboard.active else "; Ctrl-C stops"
        say(f"Recording to {rec.store.name} from {rec.bus.reach}{keys}")
        kept = 0
        with RecordingLine(rec, buffer_bytes=buffer_bytes, shown=not quiet) as line, keyboard:
            while not stop.is_set() and not rec.wait_recording(0.1):
                for key in keyboard.read(0):
                    _press(key, rec, stop, keyboard)
                line.update()
                kept = _say_kept(rec, kept)
        try:
            rec.stop_recording()
        finally:
            _say_kept(rec, kept)
            print_account(rec, as_json=as_json)
        _check_that_the_disk_sufficed(rec, options["min_free_bytes"])
        _ = rec.reader.streams  # whatever another program has done to the file is said now


def _add_modules(rec: RecordReplay, names: list[str], transport: str | None) -> None:
    """Choose what modules of the running robot publish, on the bus where they do."""
    need_running_dimos("--module")
    from dimos_record.integrations.dimos.running import connected

    with connected(transport=transport) as robot:
        for name in names:
            rec.add_module(robot.module(name))


def _press(key: str, rec: RecordReplay, stop: threading.Event, keyboard: Keyboard) -> None:
    """Do what a key means: space pauses and goes on, q stops."""
    from dimos_record.cli.keyboard import SUSPEND

    if key == "space":
        if rec.progress is not None and rec.progress.paused:
            rec.resume_recording()
        else:
            rec.pause_recording()
    elif key == "q":
        stop.set()
    elif key == SUSPEND:
        keyboard.suspend()


def _say_kept(rec: RecordReplay, said: int) -> int:
    """Say what was kept since; returns how much has been said now."""
    kept = rec.progress.kept if rec.progress is not None else ()
    for path in kept[said:]:
        say(f"Kept {path}")
    return len(kept)


def _check_that_the_disk_sufficed(rec: RecordReplay, min_free_bytes: int) -> None:
    from dimos_record.errors import DiskFull

    if rec.progress is not None and rec.progress.reason == "disk nearly full":
        lower = ", or lower the limit with --min-free" if min_free_bytes else ""
        raise DiskFull(
            f"recording stopped because the disk is nearly full; {rec.store.name} is complete up "
            f"to then; free some space{lower}"
        )


def _codecs(choices: list[str]) -> dict[str, str]:
    from dimos_record.errors import OptionError

    chosen = {}
    for choice in choices:
        pattern, separator, codec = choice.rpartition("=")
        if not separator or not pattern:
            raise OptionError(f"--codec {choice!r}: write TOPIC=CODEC, for example /depth=lz4+lcm")
        chosen[pattern] = codec
    return chosen

"""`dimos-record tui`: the terminal program."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dimos_record.cli.running import BusUrl, keep_threads_punctual


def tui(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The recording to show; none shows the bus."),
    ] = None,
    bus: BusUrl = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show it in a browser on this machine instead.")
    ] = False,
    port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Where --serve listens.")
    ] = 8000,
    debug: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write in detail what goes wrong to this file."),
    ] = None,
) -> None:
    """Look at topics, record them, and play and edit recordings, on the whole terminal.

    Without FILE it shows what is on the bus: space selects topics, r records them, and r again
    stops and opens the recording on the timeline. There, space plays and pauses on the bus, i and
    o mark a section, x cuts it out. `?` lists all keys. Nothing in a file is changed before it is
    saved.

    Examples:

      dimos-record tui

      dimos-record tui walk.db

      dimos-record tui walk.db --serve --port 8080
    """
    from dimos_record.errors import OptionError

    if serve:
        from dimos_record.cli.tui.serve import serve_in_browser

        serve_in_browser(_arguments(file, bus, debug), port)
        return
    if not _has_terminal():
        raise OptionError(
            "dimos-record tui needs a terminal to draw on; run it in one, without a pipe, or in a "
            "browser with --serve"
        )
    from dimos_record.cli.tui.app import TuiApp
    from dimos_record.cli.tui.files import existing_recording
    from dimos_record.cli.tui.program import run_program

    path = existing_recording(file) if file is not None else None
    keep_threads_punctual()
    raise typer.Exit(run_program(TuiApp(path, bus), debug))


def _has_terminal() -> bool:
    """Whether there is something to draw on: a terminal, or the browser of `--serve`."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return "TEXTUAL_DRIVER" in os.environ or all(stream.isatty() for stream in streams)


def _arguments(file: str | None, bus: str | None, debug: Path | None) -> list[str]:
    chosen = [file] if file is not None else []
    chosen += ["--bus", bus] if bus is not None else []
    return [*chosen, *(["--debug", str(debug)] if debug is not None else [])]

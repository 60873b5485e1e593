"""`play --rerun`: what is played, in the Rerun viewer too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from dimos_record.cli.running import say
from dimos_record.cli.view import say_shown, say_unshown

if TYPE_CHECKING:
    from dimos_record.viewer.played import ShownBus

_MEMORY = "2GB"
_WINDOW = "window"

Rerun = Annotated[
    str | None,
    typer.Option(
        "--rerun",
        metavar="[=URL]",
        help="Show what is played in the Rerun viewer: in its window, or in the viewer at a URL.",
    ),
]


class TakesRerun(typer.core.TyperCommand):
    """A command with `--rerun`, which stands alone or has a value behind a `=`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, `--rerun` alone as the viewer's window."""
        return super().parse_args(
            ctx, [f"{one}={_WINDOW}" if one == "--rerun" else one for one in args]
        )


@contextmanager
def shown_bus(url: str | None, rerun: str, file: str) -> Iterator[ShownBus]:
    """The bus of a URL, which also gives what is published on it to the viewer.

    Args:
        url: that of the bus; the default one if None.
        rerun: where the viewer is.
        file: what is going to be played.
    """
    from dimos_record.bus import open_bus
    from dimos_record.viewer import RecordingLogger, sinks
    from dimos_record.viewer.live import LiveLogger
    from dimos_record.viewer.played import ShownBus, logging_while
    from dimos_record.viewer.program import need_rerun

    need_rerun()
    name = Path(file).name
    if rerun == _WINDOW:
        viewer = sinks.window(name=name, memory=_MEMORY)
    else:
        viewer = sinks.connected(rerun, name=name)
    with open_bus(url) as bus, viewer as sink:
        logger = RecordingLogger(sink.recording, origin_ns=time.time_ns())
        live = LiveLogger(logger)
        with logging_while(live):
            say(f"Showing what is played in {sink.place}")
            yield ShownBus(bus, live.inbox)
        say_unshown(logger.unshown)
        say_shown(live)

"""The commands, by name: where each is, imported when it is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from dimos_record.cli.dimos_help import WithDimos


class Command(NamedTuple):
    """One command, or a group of them."""

    name: str
    place: str
    """Module and function below `dimos_record.cli`; of a group, the Typer application."""
    parser: str | None = None
    """The class of its parser, in the same way; None for the usual one."""
    short_help: str | None = None
    """What the list of commands says; None for the first sentence of its help."""
    is_group: bool = False

    def add_to(self, app: typer.Typer) -> None:
        """Import it, and make it a command of an application."""
        if self.is_group:
            app.add_typer(_find(self.place), name=self.name)
            return
        parser = None if self.parser is None else _find(self.parser)
        app.command(self.name, cls=parser, short_help=self.short_help)(_find(self.place))


_TIMES = "editing:TakesTimes"

COMMANDS = (
    Command("record", "record:record"),
    Command("play", "play:play", "play_rerun:TakesRerun"),
    Command("info", "info:info"),
    Command(
        "tui", "tui.command:tui", short_help="Look, record, play and edit, on the whole terminal."
    ),
    Command("topics", "topics:topics"),
    Command("echo", "echo:echo"),
    Command("view", "view:view", _TIMES),
    Command("plot", "plot:plot"),
    Command("compare", "compare:compare"),
    Command("trim", "trim:trim", _TIMES),
    Command("cut", "cut:cut", _TIMES),
    Command("rename", "rename:rename"),
    Command("shift", "shift:shift", _TIMES),
    Command("codec", "codec:codec"),
    Command("mark", "mark:mark", _TIMES),
    Command("markers", "markers:markers"),
    Command("undo", "undo:undo"),
    Command("redo", "undo:redo"),
    Command("history", "history:history"),
    Command("revert", "history:revert"),
    Command("save", "save:save"),
    Command("extract", "extract:extract", _TIMES),
    Command("keep", "keep:keep", _TIMES),
    Command("split", "split:split", _TIMES),
    Command("merge", "merge:merge"),
    Command("publish", "publish:publish"),
    Command("fetch", "fetch:fetch"),
    Command("import", "importing:import_"),
    Command("export", "export.group:app", is_group=True),
    Command("fill-poses", "fill_poses:fill_poses"),
    Command(
        "doctor",
        "doctor:doctor",
        short_help="Tell what is wrong with FILE, and what to do.",
    ),
    Command(
        "recover",
        "recover:recover",
        short_help="Finish a killed FILE, or save what is left of it.",
    ),
    Command(
        "demo-robot",
        "demo_robot:demo_robot",
        short_help="Publish what a simulated robot sees in a room.",
    ),
    Command("modules", "modules:modules"),
    Command("attach", "attach:attach"),
    Command("detach", "attach:detach"),
    Command("remote", "remote:remote", _TIMES),
    Command("install-cli", "install_cli:install_cli"),
    Command("uninstall-cli", "install_cli:uninstall_cli"),
)
NAMES = tuple(command.name for command in COMMANDS)


def application(wanted: Iterable[Command]) -> typer.Typer:
    """The command line with some of the commands."""
    app = typer.Typer(
        name="dimos-record",
        cls=WithDimos,
        help="Record LCM, replay LCM: the recorder and player for pub/sub robots.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(common)
    for command in wanted:
        command.add_to(app)
    return app


@lru_cache(maxsize=1)
def whole_application() -> typer.Typer:
    """The command line with all commands."""
    return application(COMMANDS)


def _find(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"dimos_record.cli.{module}"), name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"dimos-record {version('dimos-record')}")
        raise typer.Exit


def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Record LCM, replay LCM: the recorder and player for pub/sub robots."""

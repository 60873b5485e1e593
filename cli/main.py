"""The `dimos-record` command: which of the commands a command line wants. One file per command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from dimos_record.cli.commands import COMMANDS, NAMES, application, whole_application
from dimos_record.cli.running import run

if TYPE_CHECKING:
    import typer

    app: typer.Typer
    """The whole command line; it is made, and its commands are imported, when it is asked for."""

_OPTIONS = ("-h", "--help", "--version", "--install-completion", "--show-completion")


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return whole_application()


def main() -> None:
    """Run the command line and exit with a documented code.

    What is no command or option of ours is left to dimos's own command line.
    """
    arguments = sys.argv[1:]
    if _is_completing() or not arguments:
        run(whole_application())
    first = arguments[0].partition("=")[0]
    if first in NAMES:  # the others need not be imported
        run(application(command for command in COMMANDS if command.name == first))
    if first in _OPTIONS:
        run(whole_application())
    from dimos_record.cli.dimos_run import is_for_dimos, run_dimos

    if not is_for_dimos(arguments):
        run(whole_application())
    run_dimos(arguments, own_commands=NAMES, patched=False)


def _is_completing() -> bool:
    return "_DIMOS_RECORD_COMPLETE" in os.environ


if __name__ == "__main__":
    main()

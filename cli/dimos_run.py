"""dimos's commands with `--record [FILE]` and `--replay [FILE]`."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dimos_record.cli.dimos_options import (
    DIMOS_RECORDERS,
    RUN_OPTIONS,
    RunOption,
    arranged,
    command_of,
    is_run_option,
    words_of_run,
)
from dimos_record.cli.needs_dimos import has_dimos, need_dimos
from dimos_record.cli.running import discard, say
from dimos_record.errors import DimosRecordError, OptionError

_KNOWN = (
    "agent-send agentspy apriltag bake cache cameracalibrate data dataprep docs evals go2tool "
    "graph hardware host humancli lcmspy list log login logout map mcp mem rerun-bridge restart "
    "run shell show-config spy status stop top topic whoami"
)
KNOWN_COMMANDS = frozenset(_KNOWN.split())
"""dimos's commands, to be told from a mistyped one of ours where dimos is not installed."""


def is_for_dimos(arguments: Sequence[str]) -> bool:
    """Whether a command line that starts with no command or option of ours means dimos's."""
    if has_dimos():
        first = arguments[0]
        return first.startswith("-") or first in _commands(_load())
    return any(is_run_option(word) or word in KNOWN_COMMANDS for word in arguments)


def run_dimos(arguments: list[str], *, own_commands: Sequence[str] = (), patched: bool) -> NoReturn:
    """Run dimos's command line with our options, and exit.

    Args:
        arguments: without the program.
        own_commands: commands that are ours and cannot stand here.
        patched: whether this is dimos's own script, where a bare `--record` means what it did.
    """
    from dimos_record.cli.dimos_recorded_run import RecordedRun

    with _errors_said():
        dimos = _load()
        group: Any = typer.main.get_command(dimos.app)
        commands = _commands(dimos)
        takes_value = _taking_value(group.params)
        bare_record = DIMOS_RECORDERS[0] if patched else _folder_for_runs()
        wanted = arranged(
            arguments, takes_value=takes_value, commands=commands, bare_record=bare_record
        )
        command = command_of(wanted, takes_value, commands)
        if command in own_commands:
            raise OptionError(
                f"{command} is no command of dimos; write its options behind it: "
                f"dimos-record {command} --help"
            )
        given = [_with_whole_path(one) for one in wanted]
        names = words_of_run(given, command, _taking_value(_parameters(group, "run")))
        run = RecordedRun(dimos, "-".join(names), wants_help="--help" in given)
        sys.argv = [*_program(), *(_as_written(one) for one in _again(given))]
        dimos.app.callback()(_callback(dimos.dimos_options(), run.choose))
        dimos.change_runs(run.change, run.while_running)
        try:
            dimos.app(
                args=dimos.normalized(given), prog_name="dimos" if patched else "dimos-record"
            )
        except Exception as error:
            dimos.raise_ours(error)
            raise
    sys.exit(0)


@contextmanager
def _errors_said() -> Iterator[None]:
    """Make one line of an error of ours; whoever stops reading has read enough."""
    try:
        try:
            yield
        finally:
            if sys.__stdout__ is not None:
                sys.__stdout__.flush()
    except DimosRecordError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        discard(1)
        sys.exit(0)


def _load() -> Any:
    need_dimos("running blueprints")
    if "--dry-run" in sys.argv:
        sys.stdout = sys.stderr  # dimos logs there, but it is for the plan
    from dimos_record.integrations.dimos import command

    return command


def _commands(dimos: Any) -> frozenset[str]:
    group: Any = typer.main.get_command(dimos.app)
    return frozenset(group.commands)


def _parameters(group: Any, command: str) -> list[Any]:
    return list(group.commands[command].params)


def _taking_value(parameters: list[Any]) -> Callable[[str], bool]:
    """Tells of an option whether a value follows it."""
    valued = {
        name
        for one in parameters
        if one.param_type_name == "option" and not one.is_flag
        for name in one.opts
    }
    return valued.__contains__


def _folder_for_runs() -> str:
    """Where files of a bare `--record` go, written as a folder."""
    from dimos_record.store.paths import data_folder

    return f"{(data_folder() or Path()).absolute()}{os.sep}"


def _with_whole_path(argument: str) -> str:
    """`--replay=walk.db` with a path that is the same from anywhere, as `restart` needs it."""
    from dimos_record.lfs import existing
    from dimos_record.store.paths import path_for_writing

    name, _, value = argument.partition("=")
    if name == "--replay" and value:
        return f"{name}={existing(value).absolute()}"
    if name == "--record" and value not in DIMOS_RECORDERS:
        slash = os.sep if value.endswith(os.sep) else ""
        return f"{name}={path_for_writing(value).absolute()}{slash}"
    return argument


def _as_written(argument: str) -> str:
    """A bare `--replay` as a person writes it: with an empty name it is refused."""
    return "--replay" if argument == "--replay=" else argument


def _again(arguments: list[str]) -> list[str]:
    """The command line that `restart` repeats: it adds to a recording, and never replaces it."""
    file = next((one for one in arguments if one.startswith("--record=")), "").partition("=")[2]
    if file in ("", *DIMOS_RECORDERS) or file.endswith(os.sep):
        return arguments
    return ["--record-append", *(one for one in arguments if not one.startswith(_FILE_SWITCHES))]


_FILE_SWITCHES = ("--record-append", "--record-overwrite")


def _program() -> list[str]:
    """This program as it can be started from any folder."""
    script = shutil.which(sys.argv[0]) or sys.argv[0]
    if os.access(script, os.X_OK):
        return [os.path.abspath(script)]
    return [sys.executable, "-m", "dimos_record.cli.main"]


def _callback(
    dimos_callback: Callable[..., None],
    choose: Callable[[dict[str, Any], str | None], dict[str, Any]],
) -> Callable[..., None]:
    """dimos's callback for its global options, with ours in place of two of them."""

    def callback(ctx: typer.Context, **values: Any) -> None:
        ours = {option.parameter: values.pop(option.parameter) for option in RUN_OPTIONS}
        ours["no_replay"] = values.pop("no_replay")
        dimos_callback(ctx=ctx, **values, **choose(ours, ctx.invoked_subcommand))

    replaced = {option.parameter for option in RUN_OPTIONS}
    theirs = inspect.signature(dimos_callback).parameters.values()
    parameters = [one for one in theirs if one.name not in replaced]
    parameters += [_parameter(option) for option in RUN_OPTIONS]
    hidden = Annotated[bool, typer.Option("--no-replay", hidden=True)]
    parameters.append(_keyword("no_replay", hidden, False))
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {}
    return callback


def _parameter(option: RunOption) -> inspect.Parameter:
    metavar = f"[{option.metavar}]" if option.bare else option.metavar
    info = typer.Option(option.name, metavar=metavar, help=option.help, rich_help_panel=_PANEL)
    if option.metavar is None:
        return _keyword(option.parameter, Annotated[bool, info], False)
    kind = list[str] | None if option.repeatable else str | None
    return _keyword(option.parameter, Annotated[kind, info], None)


_PANEL = "Recording and replay, by dimos-record"


def _keyword(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )

"""The `dimos-record` command: registration only. One file per command beside this one."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dimos_record.cli import (
    attach,
    codec,
    compare,
    cut,
    demo_robot,
    doctor,
    echo,
    extract,
    fetch,
    fill_poses,
    history,
    importing,
    info,
    install_cli,
    keep,
    mark,
    markers,
    merge,
    modules,
    play,
    plot,
    publish,
    record,
    recover,
    remote,
    rename,
    save,
    shift,
    split,
    topics,
    trim,
    undo,
    view,
)
from dimos_record.cli.dimos_help import WithDimos
from dimos_record.cli.dimos_run import is_for_dimos, run_dimos
from dimos_record.cli.editing import TakesTimes
from dimos_record.cli.export import group as export
from dimos_record.cli.play_rerun import TakesRerun
from dimos_record.cli.running import run
from dimos_record.cli.tui import command as tui

app = typer.Typer(
    name="dimos-record",
    cls=WithDimos,
    help="Record LCM, replay LCM: the recorder and player for pub/sub robots.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("record")(record.record)
app.command("play", cls=TakesRerun)(play.play)
app.command("info")(info.info)
app.command("tui", short_help="Look, record, play and edit, on the whole terminal.")(tui.tui)
app.command("topics")(topics.topics)
app.command("echo")(echo.echo)
app.command("view", cls=TakesTimes)(view.view)
app.command("plot")(plot.plot)
app.command("compare")(compare.compare)
app.command("trim", cls=TakesTimes)(trim.trim)
app.command("cut", cls=TakesTimes)(cut.cut)
app.command("rename")(rename.rename)
app.command("shift", cls=TakesTimes)(shift.shift)
app.command("codec")(codec.codec)
app.command("mark", cls=TakesTimes)(mark.mark)
app.command("markers")(markers.markers)
app.command("undo")(undo.undo)
app.command("redo")(undo.redo)
app.command("history")(history.history)
app.command("revert")(history.revert)
app.command("save")(save.save)
app.command("extract", cls=TakesTimes)(extract.extract)
app.command("keep", cls=TakesTimes)(keep.keep)
app.command("split", cls=TakesTimes)(split.split)
app.command("merge")(merge.merge)
app.command("publish")(publish.publish)
app.command("fetch")(fetch.fetch)
app.command("import")(importing.import_)
app.add_typer(export.app, name="export")
app.command("fill-poses")(fill_poses.fill_poses)
app.command("doctor", short_help="Tell what is wrong with FILE, and what to do.")(doctor.doctor)
app.command("recover", short_help="Finish a killed FILE, or save what is left of it.")(
    recover.recover
)
app.command("demo-robot", short_help="Publish what a simulated robot sees in a room.")(
    demo_robot.demo_robot
)
app.command("modules")(modules.modules)
app.command("attach")(attach.attach)
app.command("detach")(attach.detach)
app.command("remote", cls=TakesTimes)(remote.remote)
app.command("install-cli")(install_cli.install_cli)
app.command("uninstall-cli")(install_cli.uninstall_cli)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"dimos-record {version('dimos-record')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="The version.")
    ] = False,
) -> None:
    """Record LCM, replay LCM: the recorder and player for pub/sub robots."""


def main() -> None:
    """Run the command line and exit with a documented code.

    What is no command or option of ours is left to dimos's own command line.
    """
    arguments = sys.argv[1:]
    if _is_ours(arguments[:1]) or not is_for_dimos(arguments):
        run(app)
    run_dimos(arguments, own_commands=_COMMANDS, patched=False)


_COMMANDS = [
    *(command.name for command in app.registered_commands if command.name),
    *(group.name for group in app.registered_groups if group.name),
]
_OPTIONS = ("-h", "--help", "--version", "--install-completion", "--show-completion")


def _is_ours(first: list[str]) -> bool:
    completing = "_DIMOS_RECORD_COMPLETE" in os.environ
    return completing or not first or first[0].partition("=")[0] in (*_COMMANDS, *_OPTIONS)


if __name__ == "__main__":
    main()

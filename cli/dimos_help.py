"""What `dimos-record --help` says about dimos's commands and our options for them."""

from __future__ import annotations

from typing import Any

import typer.core

from dimos_record.cli.dimos_options import PLAN_OPTIONS, RECORD_OPTIONS, REPLAY_OPTIONS

COMMANDS = (
    ("run", "Start a blueprint, with the options below."),
    ("stop, status, log", "End it, tell whether it runs, show what it logs."),
    ("restart", "Stop it and run the same again: a replay is a replay again."),
    ("list, graph, mem ...", "All others: see dimos --help."),
)
USAGE = (
    "dimos-record [dimos's options] --record [FILE] run BLUEPRINT ...",
    "dimos-record [dimos's options] --replay [FILE] run BLUEPRINT ...",
)

_OPTIONS = {"Recording": RECORD_OPTIONS, "Replay": REPLAY_OPTIONS, "Other": PLAN_OPTIONS}


class WithDimos(typer.core.TyperGroup):
    """Our commands; the help also names dimos's."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Our commands in order: `export`, which is a group and therefore last, beside `import`."""
        names = super().list_commands(ctx)
        if "export" not in names or "import" not in names:
            return names
        names.remove("export")
        return [*names[: names.index("import")], "export", *names[names.index("import") :]]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what follows the list of commands."""
        with formatter.section("Commands of dimos, where it is installed"):
            formatter.write_dl(list(COMMANDS))
        with formatter.section("Recording and replaying blueprints"):
            for line in USAGE:
                formatter.write_text(line)
        for title, options in _OPTIONS.items():
            with formatter.section(f"{title} options of run"):
                formatter.write_dl([(one.shown, one.help) for one in options])

"""`dimos-record install-cli` and `uninstall-cli`: plain `dimos` with our options."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dimos_record.cli.needs_dimos import need_dimos
from dimos_record.cli.running import say


def install_cli() -> None:
    """Let plain `dimos` take --record FILE and --replay FILE too.

    Changes one line in the console script of the dimos that is installed beside dimos-record, and
    says which file that is and where the original is kept. `uninstall-cli` restores it. Run it
    again after dimos was upgraded.

    Examples:

      dimos-record install-cli

      dimos --replay walk.db run dimos-record.demo-robot
    """
    need_dimos("install-cli")
    from dimos_record.integrations.dimos.install import install

    change = install()
    if change.done:
        print(f"Changed {change.script}")
        print(f"The original is kept as {change.original}")
    else:
        print(f"Nothing to do: {change.script} is changed already")
        print(f"The original is kept as {change.original}")
    found = shutil.which("dimos")
    if found is None:
        say(f"warning: your shell finds no dimos; add {change.script.parent} to PATH")
    elif not os.path.samefile(found, change.script):
        say(f"warning: your shell finds another dimos first: {Path(found)}")


def uninstall_cli() -> None:
    """Give plain `dimos` back the console script that it had.

    Does nothing where `install-cli` was not run, or where dimos was installed anew since.

    Examples:

      dimos-record uninstall-cli
    """
    need_dimos("uninstall-cli")
    from dimos_record.integrations.dimos.install import uninstall

    change = uninstall()
    if change.done:
        print(f"Restored {change.script}")
    else:
        print(f"Nothing to do: {change.script} is as dimos installed it")

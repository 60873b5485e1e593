"""What is compared: dimos-record and its peers, each as the programs that a user would start."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import SCRIPTS, module_env

OURS, LCM, DIMOS, MCAP, PLAIN = "ours", "lcm", "dimos", "mcap", "plain file"
BUSY = "busy loop"
NOBODY = "not recorded"


class Subjects(NamedTuple):
    """Which programs there are on this machine."""

    ours: list[str]
    """The command `dimos-record`."""
    has_lcm_tools: bool
    dimos_python: str | None
    has_compiler: bool

    @property
    def missing(self) -> list[str]:
        """One sentence for each peer that is not here."""
        sentences = []
        if not self.has_lcm_tools:
            sentences.append(
                "lcm-logger and lcm-logplayer are not installed (Debian: liblcm-bin): not measured."
            )
        if self.dimos_python is None:
            sentences.append("dimos 0.0.15 is not installed (scripts/bench --dimos): not measured.")
        if not self.has_compiler:
            sentences.append("There is no C compiler (cc): the limit for players is not measured.")
        return sentences

    def dimos_program(self, *arguments: object) -> list[str]:
        """The command that runs a function of `dimos_programs` beside the real dimos."""
        script = Path(__file__).with_name("dimos_programs.py")
        return [str(self.dimos_python), str(script), *map(str, arguments)]


def find_subjects(command: str | None, dimos_python: str | None) -> Subjects:
    """Look for the programs.

    Args:
        command: how to start dimos-record, if not as installed beside this Python.
        dimos_python: the interpreter of an environment with dimos.
    """
    installed = Path(sys.executable).with_name("dimos-record")
    tools = ("lcm-logger", "lcm-logplayer")
    return Subjects(
        ours=shlex.split(command) if command else [str(installed)],
        has_lcm_tools=all(map(shutil.which, tools)),
        dimos_python=dimos_python,
        has_compiler=shutil.which("cc") is not None,
    )


def dimos_env(url: str) -> Mapping[str, str]:
    """What dimos needs: the network, a newer SQLite where needed, and no questions about sudo."""
    stand_in = str(SCRIPTS.parent / "tests" / "dimos_env")
    return {
        **module_env(),
        "PYTHONPATH": os.pathsep.join([stand_in, module_env()["PYTHONPATH"]]),
        "DIMOS_RECORD_TEST_DIMOS": "1",
        "PYTEST_VERSION": "0",  # its system configurators ask nothing while tests run
        "DIMOS_TRANSPORT": "lcm",
        "LCM_DEFAULT_URL": url,
    }

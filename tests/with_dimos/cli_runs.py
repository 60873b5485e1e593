"""dimos-record and dimos as people run them, on a network of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.testing import free_lcm_url, free_zenoh_url
from tests.with_dimos.processes import Program, running

DIMOS_RECORD = str(Path(sys.executable).with_name("dimos-record"))
REPOSITORY = Path(__file__).parents[2]
ROBOT = "dimos-record.demo-robot"
STARTED = "Blueprint started"
_RUN_EACH = """
import json, os, sys, tempfile
from dimos_record.cli.entry import main
from dimos_record.integrations.dimos import command

found = []
for line in sys.argv[1:]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        if os.fork() == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = [sys.argv[0], *line.split()]
            main()
        code = os.waitstatus_to_exitcode(os.wait()[1])
        out.seek(0), err.seek(0)
        found.append((code, out.read(), err.read()))
print(json.dumps(found))
"""


class Network:
    """A network with the state of the runs on it: what is registered, logged and recorded."""

    def __init__(self, folder: Path, transport: str) -> None:
        self.folder, self.transport = folder, transport
        zenoh = transport == "zenoh"
        self.url = free_zenoh_url() if zenoh else free_lcm_url() + "&recv_buf_size=4000000"
        xdg = {f"XDG_{kind}_HOME": str(folder) for kind in ("STATE", "CONFIG", "CACHE", "DATA")}
        paths = [str(folder), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        self.env = {
            **os.environ,
            **xdg,
            "XDG_RUNTIME_DIR": str(folder),
            "DIMOS_TRANSPORT": transport,
            "DIMOS_RECORD_DATA": str(folder),
            "VIEWER": "none",
            "PYTHONPATH": os.pathsep.join(paths),
            ("ZENOH_SCOUT_ADDR" if zenoh else "LCM_DEFAULT_URL"): (
                parse_zenoh_url(self.url).scout_addr if zenoh else self.url
            ),
        }

    def run(
        self, *arguments: str, cwd: Path | None = None, program: str = DIMOS_RECORD
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. What it prints goes to files: daemons keep pipes open."""
        out, err = self.folder / "out", self.folder / "err"
        with open(out, "w") as stdout, open(err, "w") as stderr:
            done = subprocess.run(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.env,
                cwd=cwd or self.folder,
                timeout=90,
                check=False,
            )
        return subprocess.CompletedProcess(
            done.args, done.returncode, out.read_text(), err.read_text()
        )

    def run_each(self, commands: Sequence[str]) -> dict[str, tuple[int, str, str]]:
        """Run commands that need no program of their own: dimos, which takes long, is loaded once.

        Returns:
            Exit code, stdout and stderr of each.
        """
        done = self.run("-c", _RUN_EACH, *commands, program=sys.executable)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        found = [(code, out, err) for code, out, err in json.loads(done.stdout)]
        return dict(zip(commands, found, strict=True))

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Program]:
        """A command that goes on, from the moment when its blueprint has started."""
        command = [DIMOS_RECORD, *arguments]
        with running(command, self.env, self.folder / "run.log") as program:
            program.wait_for_output(STARTED)
            yield program

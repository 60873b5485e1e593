"""Starts commands without loading all of Python and dimos-record anew for each."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_SERVER = """
import json, os, sys
from dimos_record.cli.main import main

def run(arguments):
    sys.argv = ["dimos-record", *arguments]
    main()

try:
    run(["info", "/dev/null"])  # to load what commands load when they run
except SystemExit:
    print("ready", flush=True)

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["env"])
        for number, name in enumerate(request["files"]):
            os.dup2(os.open(name, os.O_RDWR), number)
        run(request["arguments"])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Starter:
    """A process in which everything is loaded, and which forks one for each command."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the current folder and environment, without a terminal."""
        with tempfile.TemporaryDirectory(prefix="command-") as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            out.touch(), err.touch()
            request = {
                "arguments": arguments,
                "folder": os.getcwd(),
                "env": dict(os.environ),
                "files": [os.devnull, str(out), str(err)],
            }
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = int(self._answer())
            return subprocess.CompletedProcess(
                ["dimos-record", *arguments], code, out.read_text(), err.read_text()
            )

    def _answer(self) -> str:
        assert self._server.stdout is not None
        try:
            answer = self._server.stdout.readline()
        except BaseException:  # a timeout of the test: what comes later is for nobody
            self.close()
            raise
        if not answer:
            raise RuntimeError("the process that starts the commands has ended")
        return answer

    def close(self) -> None:
        """End the process, and the command that it runs."""
        starter.cache_clear()
        atexit.unregister(self.close)
        self._server.kill()
        self._server.communicate()


@cache
def starter() -> Starter:
    """The one of this run of pytest; it is started by the first test that needs it."""
    started = Starter()
    atexit.register(started.close)
    return started

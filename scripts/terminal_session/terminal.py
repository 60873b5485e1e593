"""A real terminal, in tmux: keys go in, and what is on the screen comes out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

WAIT_S = 30.0
_ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}


class NeverShown(Exception):
    """What was waited for did not appear; says what was on the screen instead."""


class Terminal:
    """A terminal in which one command runs, in a tmux server of its own.

    Args:
        command: what runs in it; afterwards `code N` stands there, with its exit code.
        folder: where it runs.
    """

    def __init__(self, command: Sequence[str], folder: Path, columns: int, lines: int) -> None:
        self.columns = columns
        self._own = tempfile.TemporaryDirectory(prefix="session-")
        self._environment = {**os.environ, **_ENVIRONMENT}
        line = f"cd {shlex.quote(str(folder))}; {shlex.join(command)}; echo code $?; read -r _"
        size = ("-x", str(columns), "-y", str(lines))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, f"sh -c {shlex.quote(line)}")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self._tmux("kill-server")
        self._own.cleanup()

    def press(self, *keys: str) -> None:
        """Press keys, by their names in tmux."""
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        """Press the keys of a text."""
        self._tmux("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        """What can be read on it."""
        return self._tmux("capture-pane", "-p")

    @property
    def coloured(self) -> str:
        """What is on it, with ANSI escape sequences."""
        return self._tmux("capture-pane", "-p", "-e", "-N")

    def wait_for(self, pattern: str, timeout_s: float = WAIT_S) -> re.Match[str]:
        """Wait until a regular expression is found on the screen.

        Raises:
            NeverShown: it was not.
        """
        found = re.compile(pattern, re.MULTILINE)
        return self.wait_until(lambda screen: found.search(screen), repr(pattern), timeout_s)

    def wait_until(self, look: Callable[[str], T | None], what: str, timeout_s: float) -> T:
        """Wait until a function of the screen returns something true; returns that.

        Args:
            what: is waited for, in words.

        Raises:
            NeverShown: it did not.
        """
        give_up = time.monotonic() + timeout_s
        while not (found := look(screen := self.screen)):
            if time.monotonic() > give_up:
                raise NeverShown(f"after {timeout_s:g} s there is no {what} on:\n{screen}")
            time.sleep(0.05)
        return found

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", f"{self._own.name}/socket", *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=self._environment,
        ).stdout

"""Running `dimos-record` as people do: in a process of its own, or in a real terminal."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from dimos_record import RecordReplay
from tests.cli.starter import starter

CLI = [sys.executable, "-m", "dimos_record.cli.main"]
S = 1_000_000_000
T0 = 1_700_000_000 * S


def write_recording(path: Path, seconds: float = 20.0, rate_hz: float = 10.0) -> Path:
    """`/odom` with 0, 1, 2 ... at a rate, and `/slow` with s0, s1 ... once per second."""
    with RecordReplay(path) as rec:
        odom, slow = rec.stream("odom"), rec.stream("slow")
        for i in range(round(seconds * rate_hz) + 1):
            ts_ns = T0 + round(i * S / rate_hz)
            odom.append(b"%d" % i, ts_ns=ts_ns)
            if i % rate_hz == 0:
                slow.append(b"s%d" % (i // rate_hz), ts_ns=ts_ns)
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own, without a terminal."""
    return starter().run([*map(str, arguments)])


def until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait for a condition."""
    give_up = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"after {timeout_s} s still not: {what}")
        time.sleep(0.02)


class Running:
    """A command that goes on, without a terminal; it is killed at the end of the ``with`` block."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [*CLI, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen)

    def __enter__(self) -> Running:
        self._listener.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._listener.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            self._said.append(line)

    @property
    def stderr(self) -> str:
        return "".join(self._said)

    def wait_for(self, text: str) -> None:
        """Wait until it has said something on stderr."""
        until(lambda: text in self.stderr, f"{text!r} on stderr, which is {self.stderr!r}")

    def end(self, signal_number: int) -> tuple[int, str]:
        """Send a signal, and wait for the exit code and stdout."""
        self.process.send_signal(signal_number)
        out = self.process.stdout.read() if self.process.stdout else ""
        code = self.process.wait(60)
        self._listener.join()
        return code, out


class Terminal:
    """A real terminal of 80 columns and 24 lines, in tmux, in which a shell runs."""

    def __init__(self, folder: Path) -> None:
        self._own = tempfile.TemporaryDirectory(prefix="tmux-")
        self._folder = folder

    def __enter__(self) -> Terminal:
        shell = "env PS1='$ ' bash --norc --noprofile"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", shell)
        try:
            self.wait_for(r"^\$")
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._tmux("kill-server")
        self._own.cleanup()

    def run(self, arguments: Sequence[str | Path]) -> None:
        """Type a command; its own output is all that is on the screen then."""
        command = shlex.join(map(str, arguments))
        script = self._folder / f"run-{uuid.uuid4().hex[:8]}"
        script.write_text(f"clear\nexec {command}\n")
        self.press("-l", f"bash {script}")
        self.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys, by their names in tmux."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int) -> None:
        """Make the terminal narrower or wider."""
        self._tmux("resize-window", "-x", str(columns), "-y", "24")

    @property
    def screen(self) -> str:
        """What can be read on it, without the empty lines at its end."""
        return self._tmux("capture-pane", "-p").rstrip()

    def wait_for(self, pattern: str) -> str:
        """Wait until a regular expression is found on the screen; returns what it matched."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = list(re.finditer(pattern, self.screen, re.MULTILINE))[-1:]
            return bool(found)

        try:
            until(look, pattern)
        except TimeoutError:
            raise TimeoutError(f"no {pattern!r} on the screen:\n{self.screen}") from None
        return found[0].group()

    def settings(self) -> str:
        """How the terminal is set (`stty -g`), seen from the shell."""
        path = self._folder / f"stty-{uuid.uuid4().hex[:8]}"
        self.press("-l", f"stty -g > {path}; echo settled")
        self.press("Enter")
        until(lambda: path.exists() and path.read_text().endswith("\n"), "settings of the terminal")
        return path.read_text()

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", f"{self._own.name}/socket", *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        ).stdout

"""Single key presses from the terminal, without Enter, and a terminal that is left as it was."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from types import TracebackType
from typing import Any

_ESCAPE_WAIT_S = 0.1
"""The rest of an arrow key follows its escape byte within this time, also over a slow network."""

_KEY = re.compile(
    rb"(?P<csi>\x1b\[(?P<parameters>[0-?]*)[ -/]*(?:(?P<final>[@-~])|(?=[^ -~])))"
    rb"|\x1bO(?P<ss3>.)"
    rb"|(?P<escape>\x1b(?=\x1b))"
    rb"|\x1b[^\[O\x1b]"
    rb"|(?P<plain>[^\x1b])",
    re.DOTALL,
)
"""One key press, as terminals send it (ECMA-48: CSI sequences; DEC VT100: SS3 sequences)."""
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_SHIFT = b"1;2"


SUSPEND = "suspend"
"""Read like a key when Ctrl-Z was pressed: call `Keyboard.suspend` when all is in order."""


class KeyParser:
    """Turns what a terminal sends into names of keys; a key may arrive in several pieces.

    Keys are called by their character, or `space`, `backspace`, `escape`, `up`, `down`, `left`,
    `right`, `shift-left` and so on. Keys without a name here are left out.
    """

    def __init__(self) -> None:
        self._pending = b""

    @property
    def has_lone_escape(self) -> bool:
        """Whether the last byte is an escape: the key of that name, or the start of another."""
        return self._pending == b"\x1b"

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete now."""
        self._pending += data
        keys = []
        while found := _KEY.match(self._pending):
            self._pending = self._pending[found.end() :]
            if name := _name(found):
                keys.append(name)
        return keys

    def end_escape(self) -> list[str]:
        """Nothing more came: an escape byte that was left over is the key of that name."""
        if not self.has_lone_escape:
            return []
        self._pending = b""
        return ["escape"]


def _name(found: re.Match[bytes]) -> str | None:
    if found["escape"]:
        return "escape"
    if (byte := found["plain"]) is not None:
        if byte == b" ":
            return "space"
        if byte in (b"\x7f", b"\x08"):
            return "backspace"
        return byte.decode() if b"!" <= byte <= b"~" else None
    arrow = _ARROWS.get(found["final"] or found["ss3"] or b"")
    if arrow is None or not found["parameters"]:
        return arrow
    return f"shift-{arrow}" if found["parameters"] == _SHIFT else None


class Keyboard:
    """Key presses from stdin, if that is a terminal and this process is in its foreground.

    A context manager: inside it, keys are read one by one and not echoed (Ctrl-C stays a signal);
    after it the terminal is as it was before, whatever happened. Where there is no terminal nothing
    is changed and no key is ever pressed.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._fd: int | None = None
        if enabled and sys.stdin is not None and sys.stdin.isatty():
            self._fd = sys.stdin.fileno()
        self._parser = KeyParser()
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._asked_to_suspend = False

    @property
    def active(self) -> bool:
        """Whether keys can be pressed now; not while the process runs in the background."""
        return self._fd is not None and _in_foreground(self._fd)

    def __enter__(self) -> Keyboard:
        if self._fd is not None:
            for number, handler in (
                (signal.SIGTSTP, self._ask_to_suspend),
                # a shell changes the terminal while a job is stopped
                (signal.SIGCONT, lambda *_: self._read_single_keys()),
            ):
                self._handlers[number] = signal.signal(number, handler)
            self._read_single_keys()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._restore()

    def read(self, timeout_s: float) -> list[str]:
        """The keys that were pressed, waiting that long at most for the first."""
        keys = self._parser.feed(self._bytes(timeout_s))
        if self._parser.has_lone_escape:
            keys += self._parser.feed(self._bytes(_ESCAPE_WAIT_S)) or self._parser.end_escape()
        if self._asked_to_suspend:
            self._asked_to_suspend = False
            keys.append(SUSPEND)
        return keys

    def suspend(self) -> None:
        """Stop this process, as Ctrl-Z does by itself elsewhere; returns when it goes on (`fg`)."""
        self._restore()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._read_single_keys()

    def _bytes(self, timeout_s: float) -> bytes:
        if (
            self._fd is None
            or not self.active
            or not select.select([self._fd], [], [], timeout_s)[0]
        ):
            return b""
        try:
            data = os.read(self._fd, 1024)
        except OSError:
            data = b""
        if not data:  # the terminal has gone
            self._fd = None
        return data

    def _ask_to_suspend(self, number: int, frame: object) -> None:
        self._asked_to_suspend = True

    def _restore(self) -> None:
        if self._fd is not None and self._before is not None and self.active:
            try:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            except termios.error:
                pass  # the terminal has gone

    def _read_single_keys(self) -> None:
        if self._fd is not None and self.active:
            try:
                if self._before is None:
                    self._before = termios.tcgetattr(self._fd)
                tty.setcbreak(self._fd, termios.TCSANOW)
            except termios.error:
                self._fd = None  # the terminal has gone


def _in_foreground(fd: int) -> bool:
    """Whether this process may read a terminal and change it without being stopped."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it is not the terminal that controls this process, so it stops nobody
        return True

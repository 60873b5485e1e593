"""Running the program in a terminal, which is as it was afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from dimos_record.cli.running import discard, say
from dimos_record.cli.tui.app import TuiApp
from dimos_record.errors import DimosRecordError

_OFF = "\x1b[?1000;1003;1006;1015;2004;1004;1049l"
_LEAVE = f"{_OFF}\x1b[<u\x1b[?25;7h"
"""No mouse, paste or focus reports, no other keyboard; the usual screen, cursor, wrapped lines."""


def run_program(app: TuiApp, log_file: Path | None = None) -> int:
    """Run the program to its end, and close everything it has opened.

    Args:
        app: the program.
        log_file: where to write in detail what goes wrong.

    Returns:
        The exit code. What ended the program, if that was an error, has been said in one line.
    """
    _know_home_and_end()
    with logs_on_screen(app, log_file), _terminal_restored(), _output_that_may_end():
        try:
            asyncio.run(_run(app))
        except Exception as error:
            app.failure = app.failure or error
            logging.getLogger("dimos_record").error("the program ended", exc_info=error)
    for line in app.parting:
        say(line)
    errors: list[BaseException] = [] if app.failure is None else [app.failure]
    errors += app.release()
    for one in errors:
        say(f"error: {_sentence(one, log_file)}")
    return _exit_code(errors[0]) if errors else 0


def _know_home_and_end() -> None:
    """Home and End as tmux and screen send them, which Textual 3 takes for other keys."""
    try:
        from textual._keyboard_protocol import FUNCTIONAL_KEYS
    except ImportError:  # a later release, which knows them itself
        return
    FUNCTIONAL_KEYS.setdefault("1~", "home")
    FUNCTIONAL_KEYS.setdefault("4~", "end")


def _exit_code(error: BaseException) -> int:
    return error.exit_code if isinstance(error, DimosRecordError) else 1


def _sentence(error: BaseException, log_file: Path | None) -> str:
    if isinstance(error, DimosRecordError):
        return str(error)
    where = f"see {log_file}" if log_file else "run it again with --debug FILE to see where"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"the program ended because of a fault of its own ({text}); {where}"


async def _run(app: TuiApp) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP is after nohup
            loop.add_signal_handler(number, _end, app)
    await app.run_async()


def _end(app: TuiApp) -> None:
    try:
        termios.tcgetattr(2)
    except termios.error:  # it has gone: what is written from now on would fail
        discard(2)
    app.end()


@contextmanager
def _terminal_restored() -> Iterator[None]:
    """Textual restores it as well, as long as it gets that far."""
    fd = sys.__stderr__.fileno() if sys.__stderr__ is not None else -1
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        yield
    finally:
        try:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
            os.write(fd, _LEAVE.encode())
        except (termios.error, OSError):
            pass  # the terminal has gone


class Output:
    """A stream to a terminal, which may go at any moment; what is written then goes nowhere.

    The thread of Textual that draws would end with an error, and the program wait for it for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or discard."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Let it be seen."""
        self._try(self._stream.flush)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError:
            discard(self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _output_that_may_end() -> Iterator[None]:
    """Textual draws to what Python has as its stderr."""
    stream = sys.__stderr__
    if stream is not None:
        sys.__stderr__ = Output(stream)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        sys.__stderr__ = stream  # type: ignore[misc]


class _ToScreen(logging.Handler):
    """Shows warnings in the line at the bottom."""

    def __init__(self, app: TuiApp) -> None:
        super().__init__(logging.WARNING)
        self._app = app

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:  # errors are raised as well
            self._app.say(record.getMessage())


@contextmanager
def logs_on_screen(app: TuiApp, log_file: Path | None) -> Iterator[None]:
    """What is logged would be written over the screen otherwise."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = [_ToScreen(app)]
    if log_file is not None:
        to_file = logging.FileHandler(log_file, delay=True)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.handlers.append(to_file)
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers, root.level = before, level

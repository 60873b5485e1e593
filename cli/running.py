"""What every command shares: errors in one line, signals, logging, pipes, and common options."""

from __future__ import annotations

import gc
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from dimos_record.cli.text import printable
from dimos_record.errors import DimosRecordError, StorageError

INTERRUPTED = 130
_SAME_WISH_S = 1.0
# typer exports only a subclass of it, and of another library in older releases
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

BusUrl = Annotated[
    str | None,
    typer.Option(
        "--bus",
        metavar="URL",
        help="The bus: udpm://ADDRESS:PORT?ttl=N for LCM, zenoh://DOMAIN?connect=tcp/HOST:PORT for "
        "Zenoh (zenoh:// is that of dimos here). Default: LCM_DEFAULT_URL, else LCM on this "
        "machine only.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.")]


def run(app: typer.Typer) -> None:
    """Run the application and exit; an error of ours becomes one line and its exit code."""
    _open_what_is_closed()
    _print_what_can_be_printed()
    _log_to_stderr()
    try:
        arguments = sys.argv[1:] or ["--help"]
        code = app(args=arguments, prog_name="dimos-record", standalone_mode=False)
        sys.stdout.flush()
    except DimosRecordError as error:
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except UsageError as error:
        say(f"error: {_usage_sentence(error, _command(app, arguments))}")
        sys.exit(2)
    except (BrokenPipeError, SystemExit) as error:
        # typer and rich turn a broken pipe into SystemExit(1)
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        discard(1)
        sys.exit(0)
    except OSError as error:  # a full disk behind `> file`, a terminal that was closed
        say(f"error: {_system_sentence(error)}")
        discard(1)
        sys.exit(StorageError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _usage_sentence(error: Exception, command: str) -> str:
    text = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    return f"{text.rstrip('.')}; see: {command} --help"


def _command(app: typer.Typer, arguments: list[str]) -> str:
    """The command that arguments are for, `dimos-record export mcap`: not every error knows it."""
    words = ["dimos-record"]
    command: Any = typer.main.get_command(app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        words.append(word)
    return " ".join(words)


def _system_sentence(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError):  # only the current folder has no name
        return "the current folder was removed; go to another one"
    return f"cannot write the output: {error.strerror or error}"


def _open_what_is_closed() -> None:
    """Replace standard streams that the caller closed (`>&-`); Python has None for these."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the process ends


def _print_what_can_be_printed() -> None:
    """Let a terminal that lacks a character show a ? instead of ending the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def discard(fd: int) -> None:
    """Let what is still written to a standard stream that takes no more go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)


class _Log(logging.Handler):
    """Says what is logged, wherever stderr leads at that moment: a progress line may stand there.

    Errors are left out: they are raised as well, and `run` prints them.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            say(f"{record.levelname.lower()}: {record.getMessage()}")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, handlers=[_Log()])


def say(text: str) -> None:
    """Tell a person something: narration goes to stderr, stdout is for data.

    Where nobody can hear it any more (a closed terminal, a full disk) the work goes on unheard.
    """
    lines = (printable(line) for line in text.split("\n"))
    try:
        print("\n".join(lines), file=sys.stderr, flush=True)
    except OSError:
        discard(2)


def keep_threads_punctual() -> None:
    """Let the threads of this process wait less for one another, as recording and playing need it.

    Whoever waits for the interpreter gets it after 50 us instead of 5 ms. Garbage collection, which
    halts all of them, comes more seldom, and does not look through everything that was imported.
    """
    sys.setswitchinterval(0.00005)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set; Ctrl-C a second later interrupts."""
    stop = threading.Event()
    # a handler may run in the middle of `wait` or `set`, whose lock this thread holds already
    stop._cond = threading.Condition(threading.RLock())  # type: ignore[attr-defined]
    asked_s: float | None = None

    def ask_to_stop(number: int, frame: object) -> None:
        nonlocal asked_s
        if asked_s is None:
            asked_s = time.monotonic()
            stop.set()
        # the same wish often comes twice: from the terminal and from the shell, or a key held down
        elif number != signal.SIGHUP and time.monotonic() > asked_s + _SAME_WISH_S:
            raise KeyboardInterrupt

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is after nohup
        signals.append(signal.SIGHUP)
    before = [signal.signal(number, ask_to_stop) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)

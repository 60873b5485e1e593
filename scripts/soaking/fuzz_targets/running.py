"""Commands, run in this process: what they exit with and what they say."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
from pathlib import Path

from soaking.fuzz_targets.checks import BrokenPromise, check_sentence

_CODES = {*range(10), 130, None}
_LONGEST_LINE = 2_000


def run_command(arguments: list[str], folder: Path) -> None:
    """Run a command line in a folder: it exits with a documented code and says why in a line."""
    from dimos_record.cli.main import main

    shown = repr(arguments)[:300]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    words, place = sys.argv, Path.cwd()
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    os.chdir(folder)
    sys.argv = ["dimos-record", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        raise BrokenPromise(f"{shown} does not exit")
    except SystemExit as ended:
        if ended.code not in _CODES:
            raise BrokenPromise(f"{shown} exits with {ended.code!r}") from ended
        _check_said(err.getvalue(), shown, failed=ended.code not in (0, None))
    finally:
        sys.argv = words
        os.chdir(place)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _check_said(said: str, shown: str, *, failed: bool) -> None:
    """One error at most, in one line."""
    if "Traceback" in said:
        raise BrokenPromise(f"{shown} shows a traceback: {said[-500:]}")
    errors = re.findall(r"^error: (.*)$", said, re.MULTILINE)
    if len(errors) > 1:
        raise BrokenPromise(f"{shown} says several errors: {errors}")
    for error in errors:
        check_sentence(error, _LONGEST_LINE)
    if failed and not said.strip() and "compare" not in shown:
        raise BrokenPromise(f"{shown} fails without a word")

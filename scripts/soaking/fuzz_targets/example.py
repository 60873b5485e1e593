"""A target that breaks its promises: what finds them is tried on it. It is no part of the soak."""

from __future__ import annotations

import faulthandler
import os
import signal

from soaking.fuzz_targets.checks import BrokenPromise


def seeds() -> list[bytes]:
    """One for each of what it does."""
    return [b"nothing", b"before!after", b"crash"]


def run(data: bytes) -> None:
    """Break a promise where there is an exclamation mark, and die of the word crash."""
    if b"!" in data:
        raise BrokenPromise("there is an exclamation mark")
    if data.startswith(b"crash"):
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)

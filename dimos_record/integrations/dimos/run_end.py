"""Ending the run that a module belongs to."""

from __future__ import annotations

import time
from collections.abc import Set
from threading import Event

from dimos.core.coordination.coordinator_rpc import CoordinatorRPC
from dimos.utils.logging_config import setup_logger

logger = setup_logger()

_TIMEOUT_S = 2.0
_RETRY_S = 0.5
_PATIENCE_S = 60.0
"""It does not answer while it loads a module."""


def shut_down_run(modules: Set[str], ending: Event) -> bool:
    """Ask the coordinator of these modules to stop them all, as `dimos stop` does.

    Where none answers, it is asked again for a minute. One coordinator of a bus answers, and it may
    be that of another run: that one is left alone.

    Args:
        modules: RPC names of the run's modules.
        ending: is set when the run ends for another reason; then nobody is asked any more.

    Returns:
        Whether it was asked; if not, the log says why.
    """
    give_up_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _ask(modules)
        except TimeoutError:
            if time.monotonic() > give_up_s:
                break
        if ending.wait(_RETRY_S):
            return False
    logger.warning("The run goes on: no coordinator answers (it serves `dimos run` and loop())")
    return False


def _ask(modules: Set[str]) -> bool:
    """Raises: TimeoutError."""
    coordinator = CoordinatorRPC.connect(timeout=_TIMEOUT_S)
    try:
        theirs = {one.rpc_name for one in coordinator.call("list_modules", rpc_timeout=_TIMEOUT_S)}
        if not modules <= theirs:
            logger.warning("The run goes on: the coordinator that answers is that of another run")
            return False
        coordinator.call("shutdown", rpc_timeout=_TIMEOUT_S)
    finally:
        coordinator.stop()
    return True

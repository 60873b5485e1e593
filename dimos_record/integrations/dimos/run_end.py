"""Ending the run that a module belongs to."""

from __future__ import annotations

from collections.abc import Set

from dimos.core.coordination.coordinator_rpc import CoordinatorRPC
from dimos.utils.logging_config import setup_logger

logger = setup_logger()

_TIMEOUT_S = 2.0


def shut_down_run(modules: Set[str]) -> bool:
    """Ask the coordinator of these modules to stop them all, as `dimos stop` does.

    One coordinator of a bus answers, and it may be that of another run: that one is left alone.

    Args:
        modules: RPC names of the run's modules.

    Returns:
        Whether it was asked; if not, the log says why.
    """
    try:
        coordinator = CoordinatorRPC.connect(timeout=_TIMEOUT_S)
    except TimeoutError:
        logger.warning("The run goes on: no coordinator answers (it serves `dimos run` and loop())")
        return False
    try:
        theirs = {one.rpc_name for one in coordinator.call("list_modules", rpc_timeout=_TIMEOUT_S)}
        if not modules <= theirs:
            logger.warning("The run goes on: the coordinator that answers is that of another run")
            return False
        coordinator.call("shutdown", rpc_timeout=_TIMEOUT_S)
    except TimeoutError:
        logger.warning("The run goes on: its coordinator does not answer")
        return False
    finally:
        coordinator.stop()
    return True

"""Knowing that what is published will arrive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dimos.utils.logging_config import setup_logger

from dimos_record.bus import Bus

logger = setup_logger()

_TIMEOUT_S = 5.0


def until_reached(rpc: Any, modules: Iterable[str], buses: Iterable[Bus]) -> None:
    """Wait until the subscriptions of modules that have started are known in this process.

    Args:
        rpc: the RPC service of the module that asks.
        modules: RPC names of the others.
        buses: what will be published on.
    """
    for module in modules:
        try:
            rpc.call_sync(f"{module}/get_stream_descriptors", ([], {}), rpc_timeout=_TIMEOUT_S)
        except TimeoutError:
            logger.warning(f"{module} does not answer and may miss the first messages")

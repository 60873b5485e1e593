"""Knowing that what is published will arrive from the first message on."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable

from dimos.utils.logging_config import setup_logger

from dimos_record.bus import Bus, open_bus
from dimos_record.bus.zenoh import ZenohBus

logger = setup_logger()

_TIMEOUT_S = 5.0
_RETRY_S = 0.02
_ANY_CALL = "get_stream_descriptors"
"""A remote call that every module answers at once."""


class RpcReachingBus(ZenohBus):
    """A Zenoh session that can tell when it knows the subscriptions of a dimos module."""

    def reaches(self, module: str, timeout_s: float = _TIMEOUT_S) -> bool:
        """Call a module by RPC over this very session, and wait for its answer.

        What the module has subscribed to before is known here by then, since declarations and
        answers take the same way in order.

        Args:
            module: its RPC name.
            timeout_s: how long to wait.

        Returns:
            Whether it has answered.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._session is not None and (left_s := deadline_s - time.monotonic()) > 0:
            replies = self._session.get(
                f"dimos/rpc/{module}/{_ANY_CALL}", payload=pickle.dumps(([], {})), timeout=left_s
            )
            if any(reply.ok is not None for reply in replies):
                return True
            time.sleep(_RETRY_S)  # it is not known here yet: then Zenoh does not wait for it
        return False


def open_bus_to_modules(url: str) -> Bus:
    """Open the bus that a URL names, such that `until_reached` works on it."""
    return RpcReachingBus(url) if url.startswith("zenoh:") else open_bus(url)


def until_reached(buses: Iterable[Bus], modules: Iterable[str]) -> None:
    """Wait until what is published on buses reaches modules that have started.

    On LCM it does as soon as they have; Zenoh tells publishers of subscriptions a little later.

    Args:
        buses: those of `open_bus_to_modules`.
        modules: RPC names.
    """
    names = sorted(modules)
    for bus in buses:
        silent = [
            name for name in names if isinstance(bus, RpcReachingBus) and not bus.reaches(name)
        ]
        if silent:
            logger.warning(f"{', '.join(silent)} may miss the first messages: no answer in time")

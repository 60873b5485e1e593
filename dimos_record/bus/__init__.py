"""The buses that messages are recorded from and replayed onto, chosen by URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

from dimos_record.bus.base import (
    Arrival,
    Bus,
    OnArrivals,
    OnMessage,
    Selection,
    Sender,
    Subscription,
    join_channel,
    split_channel,
)
from dimos_record.errors import BusError

__all__ = [
    "DEFAULT_URL",
    "Arrival",
    "Bus",
    "OnArrivals",
    "OnMessage",
    "Selection",
    "Sender",
    "Subscription",
    "default_url",
    "join_channel",
    "open_bus",
    "split_channel",
]

DEFAULT_URL = "udpm://239.255.76.67:7667?ttl=0"

_BUSES = {
    "udpm": "dimos_record.bus.lcm:LcmBus",
    "zenoh": "dimos_record.bus.zenoh:ZenohBus",
    "memory": "dimos_record.bus.memory:MemoryBus",
}


def default_url() -> str:
    """The bus used when none is named: ``LCM_DEFAULT_URL``, else LCM on this machine only."""
    return os.environ.get("LCM_DEFAULT_URL") or DEFAULT_URL


def open_bus(url: str | None = None) -> Bus:
    """Open the bus that a URL names, or the default one.

    Args:
        url: ``udpm://ADDRESS:PORT?ttl=N`` for LCM, ``zenoh://DOMAIN?connect=tcp/HOST:PORT`` for
            Zenoh, ``memory://NAME`` within this process.

    Raises:
        BusError: the URL names no known bus, or the bus cannot be opened.
        MissingExtra: the bus needs a package that is not installed.
    """
    chosen = url or default_url()
    scheme, separator, _ = chosen.partition("://")
    if not separator or scheme not in _BUSES:
        known = ", ".join(f"{name}://" for name in _BUSES)
        raise BusError(f"bus URL {chosen!r} is not one I know; use one of {known}")
    module, _, name = _BUSES[scheme].partition(":")
    factory: Callable[[str], Bus] = getattr(import_module(module), name)
    return factory(chosen)

"""What the players of this process publish, so that its recorders leave it out.

A player announces its channels before its first message and takes that back after its last one;
a recorder watches the network that it records from. Neither knows of the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from dimos_record.bus.base import Bus

_Entry = TypeVar("_Entry")

_LOCK = threading.Lock()
_PLAYING: dict[str, list[Playing]] = {}
_WATCHES: dict[str, list[Watch]] = {}
"""By network, and only for networks that have any."""


class Playing:
    """Channels that this process publishes from a recording, from now on until `close`.

    Returns when every recorder on that network leaves them out.
    """

    def __init__(self, bus: Bus, channels: Iterable[str]) -> None:
        self.channels = frozenset(channels)
        self._network = _network_of(bus)
        _add(_PLAYING, self._network, self)
        _tell(self._network)

    def close(self) -> None:
        """Nothing more is published. Closing twice is harmless."""
        if _remove(_PLAYING, self._network, self):
            _tell(self._network)


class Watch:
    """Knows what this process plays on the network of a bus, until it is closed.

    Args:
        bus: the bus.
        on_change: called after every change, in the thread of the player's caller; it must not
            raise.
    """

    def __init__(self, bus: Bus, on_change: Callable[[], object]) -> None:
        self.on_change = on_change
        self._network = _network_of(bus)
        _add(_WATCHES, self._network, self)

    @property
    def channels(self) -> frozenset[str]:
        """The channels that are being played now."""
        with _LOCK:
            playing = _PLAYING.get(self._network, [])
            return frozenset[str]().union(*(one.channels for one in playing))

    def close(self) -> None:
        """Watch no more. Closing twice is harmless."""
        _remove(_WATCHES, self._network, self)


def _network_of(bus: Bus) -> str:
    """What the buses that carry the same messages have in common: their URLs less the options."""
    return bus.url.partition("?")[0]


def _tell(network: str) -> None:
    with _LOCK:
        watches = list(_WATCHES.get(network, []))
    for watch in watches:
        watch.on_change()


def _add(registry: dict[str, list[_Entry]], network: str, entry: _Entry) -> None:
    with _LOCK:
        registry.setdefault(network, []).append(entry)


def _remove(registry: dict[str, list[_Entry]], network: str, entry: _Entry) -> bool:
    """Whether it was still there."""
    with _LOCK:
        entries = registry.get(network, [])
        if entry not in entries:
            return False
        entries.remove(entry)
        if not entries:
            del registry[network]
        return True

"""What the players of this process publish, so that its recorders leave it out.

A player announces its channels before its first message and takes that back after its last one;
a recorder watches the network that it records from. Neither knows of the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from dimos_record.bus.base import Bus
from dimos_record.bus.networks import may_be_one

_Entry = TypeVar("_Entry")

_LOCK = threading.Lock()
_PLAYING: list[Playing] = []
_WATCHES: list[Watch] = []


class Playing:
    """Channels that this process publishes from a recording, from now on until `close`.

    Returns when every recorder on that network leaves them out.
    """

    def __init__(self, bus: Bus, channels: Iterable[str]) -> None:
        self.channels = frozenset(channels)
        self.url = bus.url
        _add(_PLAYING, self)
        _tell(self.url)

    def close(self) -> None:
        """Nothing more is published. Closing twice is harmless."""
        if _remove(_PLAYING, self):
            _tell(self.url)


class Watch:
    """Knows what this process plays on the network of a bus, until it is closed.

    Args:
        bus: the bus.
        on_change: called after every change, in the thread of the player's caller; it must not
            raise.
    """

    def __init__(self, bus: Bus, on_change: Callable[[], object]) -> None:
        self.on_change = on_change
        self.url = bus.url
        _add(_WATCHES, self)

    @property
    def channels(self) -> frozenset[str]:
        """The channels that are being played now."""
        with _LOCK:
            playing = list(_PLAYING)
        here = (one.channels for one in playing if may_be_one(one.url, self.url))
        return frozenset[str]().union(*here)

    def close(self) -> None:
        """Watch no more. Closing twice is harmless."""
        _remove(_WATCHES, self)


def _tell(url: str) -> None:
    with _LOCK:
        watches = list(_WATCHES)
    for watch in watches:
        if may_be_one(url, watch.url):
            watch.on_change()


def _add(registry: list[_Entry], entry: _Entry) -> None:
    with _LOCK:
        registry.append(entry)


def _remove(registry: list[_Entry], entry: _Entry) -> bool:
    """Whether it was still there."""
    with _LOCK:
        if entry not in registry:
            return False
        registry.remove(entry)
        return True

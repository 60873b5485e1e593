"""Helpers for tests that send and receive real messages, ours and yours.

with open_bus(free_lcm_url()) as bus, Collector(bus, "/odom") as odom:
    bus.publish("/odom", b"1")
    assert odom.wait_for(1) == [("/odom", b"1")]
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable

from dimos_record.bus.base import Bus, Selection, Subscription
from dimos_record.bus.zenoh_url import ZenohNetwork

_SHOWN_WHEN_MISSING = 10


def free_lcm_url() -> str:
    """The URL of an LCM network that stays on this machine, on a UDP port nobody uses now."""
    return f"udpm://239.255.76.67:{_free_udp_port()}?ttl=0"


def free_zenoh_url(domain: str = "") -> str:
    """The URL of a Zenoh network that stays on this machine, on a scouting port nobody uses now.

    Environment variables do not change it. The program under test can be a dimos blueprint: give it
    the same `ZENOH_SCOUT_ADDR`, which is the `scout_addr` of the URL.
    """
    return ZenohNetwork(domain, scout_addr=f"224.0.0.224:{_free_udp_port()}").url


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
    return port


class Collector:
    """Collects what arrives on a bus, for as long as its ``with`` block lasts.

    Args:
        bus: where to listen; it stays open.
        *topics: topic patterns to receive; every topic when none is given.
        exclude: topic patterns to leave out.
    """

    def __init__(self, bus: Bus, *topics: str, exclude: Iterable[str] = ()) -> None:
        self._bus = bus
        self._selection = Selection.of(topics or ("*",), exclude)
        self._messages: list[tuple[str, bytes]] = []
        self._arrived = threading.Condition()
        self._subscription: Subscription | None = None

    def __enter__(self) -> Collector:
        self._subscription = self._bus.subscribe(self._selection, self._on_message)
        return self

    def __exit__(self, *exc: object) -> None:
        self.subscription.close()

    @property
    def subscription(self) -> Subscription:
        """The running subscription, to change its selection or close it early.

        Raises:
            RuntimeError: used before the ``with`` block.
        """
        if self._subscription is None:
            raise RuntimeError("use the Collector in a with block: it subscribes there")
        return self._subscription

    @property
    def messages(self) -> list[tuple[str, bytes]]:
        """What has arrived so far, as (channel, data) in order of arrival; a copy."""
        with self._arrived:
            return list(self._messages)

    def wait_for(self, count: int, timeout_s: float = 30.0) -> list[tuple[str, bytes]]:
        """Wait until at least `count` messages are here and return all that are.

        Raises:
            TimeoutError: fewer arrived within `timeout_s`; the text says which ones did.
        """
        with self._arrived:
            if self._arrived.wait_for(lambda: len(self._messages) >= count, timeout_s):
                return list(self._messages)
            arrived = len(self._messages)
            last = [
                f"{channel} ({len(data)} bytes)"
                for channel, data in self._messages[-_SHOWN_WHEN_MISSING:]
            ]
        raise TimeoutError(
            f"{arrived} of {count} messages arrived within {timeout_s} s; "
            f"the last were: {', '.join(last) or 'none'}"
        )

    def _on_message(self, channel: str, data: bytes) -> None:
        with self._arrived:
            self._messages.append((channel, data))
            self._arrived.notify_all()

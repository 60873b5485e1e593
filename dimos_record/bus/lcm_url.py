"""LCM's network addresses: ``udpm://ADDRESS:PORT?ttl=N&recv_buf_size=BYTES``."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from dimos_record.errors import BusError

_DEFAULT_NETWORK = "239.255.76.67:7667"  # LCM's own
_DEFAULT_RECV_BUF_SIZE = 32 * 1024 * 1024
_MOST_DIGITS = 20
_LARGEST = {"ttl": 255, "recv_buf_size": 2**30 - 1}  # the kernel keeps twice the size in an int


class LcmNetwork(NamedTuple):
    """One LCM network: a multicast group and how to take part in it."""

    address: str
    port: int
    ttl: int
    """0: packets stay on this machine; 1: on the local network."""
    recv_buf_size: int
    """Bytes asked for the socket's receive buffer."""

    @property
    def url(self) -> str:
        """The URL with every option written out."""
        options = f"ttl={self.ttl}&recv_buf_size={self.recv_buf_size}"
        return f"udpm://{self.address}:{self.port}?{options}"

    @property
    def is_local(self) -> bool:
        """Whether packets stay on this machine."""
        return self.ttl == 0

    @property
    def reach(self) -> str:
        """Where messages go, for people."""
        how_far = "this machine only" if self.is_local else f"this network, ttl={self.ttl}"
        return f"LCM {self.address}:{self.port} ({how_far})"

    def without_route(self) -> BusError:
        """The error to raise where the kernel does not know where to send."""
        return BusError(
            f"cannot open {self.reach}: this machine has no multicast route; add one with: "
            "ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo"
        )

    def not_delivering(self) -> BusError:
        """The error to raise where what is sent does not come back."""
        return BusError(
            f"{self.reach} does not deliver what is sent to it; check the firewall"
            " and the multicast route: ip link set lo multicast on; "
            "ip route add 224.0.0.0/4 dev lo"
        )


def parse_lcm_url(url: str) -> LcmNetwork:
    """Read an LCM URL. Without an address it is LCM's default group, without a ttl it is 0.

    Raises:
        BusError: it is not ``udpm://``, the address is not multicast, there is no port, or an
            option is unknown or not a number.
    """
    try:
        parts = urlsplit(url)
        port = urlsplit(f"//{parts.netloc or _DEFAULT_NETWORK}").port
    except ValueError as error:
        raise BusError(f"LCM URL {url!r}: {error}") from None
    if parts.scheme != "udpm" or parts.path.strip("/") or parts.fragment:
        raise BusError(f"LCM URL {url!r} is not of the form udpm://239.255.76.67:7667?ttl=0")
    address = (parts.netloc or _DEFAULT_NETWORK).partition(":")[0]
    if not _is_multicast(address):
        raise BusError(
            f"LCM URL {url!r}: {address!r} is not a multicast address; use one like 239.255.76.67"
        )
    if not port:
        raise BusError(f"LCM URL {url!r} names no port; write it as udpm://{address}:7667")
    options = {"ttl": 0, "recv_buf_size": _DEFAULT_RECV_BUF_SIZE}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        options[name] = _number(url, name, value)
    return LcmNetwork(address, port, **options)


def _is_multicast(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_multicast
    except ValueError:
        return False


def _number(url: str, name: str, value: str) -> int:
    if name not in _LARGEST:
        known = " and ".join(_LARGEST)
        raise BusError(f"LCM URL {url!r} has an unknown option {name!r}; there are {known}")
    least = 0 if name == "ttl" else 1
    is_number = value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS
    if not (is_number and least <= int(value) <= _LARGEST[name]):
        raise BusError(
            f"LCM URL {url!r}: {name} is {value!r}; "
            f"give a whole number from {least} to {_LARGEST[name]}"
        )
    return int(value)

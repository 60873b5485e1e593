"""Zenoh's network as a URL: ``zenoh://[DOMAIN]?mode=peer&connect=tcp/1.2.3.4:7447&...``.

What the URL leaves out comes from the environment variables that dimos reads, else from dimos's
defaults: so ``zenoh://`` is where a ``dimos run`` beside it is.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from dimos_record.errors import BusError

LOOPBACK_INTERFACE = "lo0" if platform.system() == "Darwin" else "lo"
_ALL_INTERFACES = "auto"
_LOOPBACK_LISTEN = "tcp/127.0.0.1:0"  # on a port that the kernel picks
_ROBOT_PORT = 7447
_USUAL_SCOUT_ADDR = "224.0.0.224:7446"  # Zenoh's own
_LONGEST_TIMEOUT_S = 86_400.0


class ZenohNetwork(NamedTuple):
    """One Zenoh network and how to take part in it; the fields are those of dimos's ZenohConfig."""

    domain: str = ""
    """Empty for keys under `dimos/`, else they are under `dimos-domains/DOMAIN/`."""
    mode: str = "peer"
    """`peer`, or `client` of a router."""
    connect: tuple[str, ...] = ()
    """Endpoints that are dialled, such as `tcp/1.2.3.4:7447`."""
    listen: tuple[str, ...] = ()
    """Endpoints for others to dial; see `listen_endpoints` for what happens without any."""
    multicast: bool = True
    """Whether others are looked for by multicast."""
    scout_addr: str = ""
    """Multicast group of that search; empty for Zenoh's own."""
    gossip: bool = True
    """Whether linked peers tell of the peers that they know."""
    interface: str = LOOPBACK_INTERFACE
    """Network interface of the search; `auto` for all of them."""
    connect_timeout: float = 1.0
    """Seconds to wait for the endpoints in `connect`; 0 does not wait."""

    @property
    def listen_endpoints(self) -> tuple[str, ...]:
        """Where others may dial in; empty for Zenoh's own choice, which is every interface.

        The rule is dimos's: who stays on loopback and dials nobody is not to be reached from
        elsewhere either. A client accepts no links at all.
        """
        if self.listen or self.mode == "client":
            return self.listen
        if self.connect or self.interface != LOOPBACK_INTERFACE:
            return ()
        return (_LOOPBACK_LISTEN,)

    @property
    def prefix(self) -> str:
        """What every key of this network starts with: `dimos/` or `dimos-domains/fleet/`."""
        return f"dimos-domains/{self.domain}/" if self.domain else "dimos/"

    @property
    def is_local(self) -> bool:
        """Whether nothing can leave this machine: endpoints and interface are all loopback.

        Not so for a client, whose router may lead anywhere.
        """
        endpoints = self.listen_endpoints
        return (
            self.mode == "peer"
            and bool(endpoints)
            and all(map(is_loopback, endpoints + self.connect))
            and (not self.multicast or self.interface == LOOPBACK_INTERFACE)
        )

    @property
    def finds_by_multicast_alone(self) -> bool:
        """Whether nobody is dialled, and no address is named that others could dial."""
        usual = self.listen in ((), (_LOOPBACK_LISTEN,))
        return self.mode == "peer" and self.multicast and not self.connect and usual

    @property
    def name(self) -> str:
        """What people call it: 'Zenoh domain fleet'."""
        return f"Zenoh domain {self.domain}" if self.domain else "Zenoh"

    @property
    def reach(self) -> str:
        """Where messages go, for people: 'Zenoh domain fleet via tcp/192.168.0.4:7447'."""
        name = self.name
        if self.is_local:
            return f"{name} (this machine only)"
        if self.connect:
            return f"{name} via {', '.join(self.connect)}"
        if not self.multicast:
            listening = ", ".join(self.listen_endpoints) or "every interface"
            return f"{name} (for whoever connects to {listening})"
        where = "every network" if self.interface == _ALL_INTERFACES else self.interface
        return f"{name} ({where})"

    @property
    def url(self) -> str:
        """The URL with everything written out, so that no environment variable changes it."""
        options = {
            "mode": self.mode,
            "connect": ",".join(self.connect),
            "listen": ",".join(self.listen_endpoints),
            "multicast": _BOOLEANS[self.multicast],
            "scout_addr": self.scout_addr,
            "gossip": _BOOLEANS[self.gossip],
            "interface": self.interface,
            "connect_timeout": f"{self.connect_timeout:g}",
        }
        written = urlencode(options if self.domain else {"domain": "", **options}, safe="/:,[]")
        return f"zenoh://{quote(self.domain)}?{written}"


def parse_zenoh_url(url: str) -> ZenohNetwork:
    """Read a Zenoh URL.

    ``zenoh://?domain=`` means no domain even where ``ZENOH_DOMAIN`` is set.

    Raises:
        BusError: it is not ``zenoh://``, or an option, or an environment variable in its place,
            is unknown or makes no sense.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BusError(f"Zenoh URL {url!r}: {error}") from None
    if parts.scheme != "zenoh" or parts.path.strip("/") or parts.fragment:
        raise BusError(f"Zenoh URL {url!r} is not of the form zenoh://DOMAIN?connect=tcp/HOST:PORT")
    fields = _from_environment()
    given = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in [*given, *([("domain", parts.netloc)] if parts.netloc else [])]:
        if name not in _READERS:
            known = ", ".join(_READERS)
            raise BusError(f"Zenoh URL {url!r} has an unknown option {name!r}; there are {known}")
        fields[name] = _read(name, value, f"Zenoh URL {url!r}: {name}")
    return ZenohNetwork(**fields)


def _from_environment() -> dict[str, Any]:
    """What dimos (`GlobalConfig` and `ZenohConfig`) would make of the environment."""
    fields: dict[str, Any] = {}
    for name, variable in _VARIABLES.items():
        value = os.environ.get(variable)
        if value:
            fields[name] = _read(name, value, f"environment variable {variable}")
    scouting = os.environ.get("ZENOH_SCOUTING") or "false"
    everywhere = _read("multicast", scouting, "environment variable ZENOH_SCOUTING")
    fields.setdefault("interface", _ALL_INTERFACES if everywhere else LOOPBACK_INTERFACE)
    robots = _list(f"{os.environ.get('ROBOT_IP', '')},{os.environ.get('ROBOT_IPS', '')}")
    dialled = [f"tcp/{ip}" if ":" in ip else f"tcp/{ip}:{_ROBOT_PORT}" for ip in robots]
    fields["connect"] = tuple(dict.fromkeys([*dialled, *fields.get("connect", ())]))
    return fields


def _read(name: str, value: str, where: str) -> Any:
    try:
        return _READERS[name](value.strip())
    except (ValueError, KeyError):
        raise BusError(f"{where} is {value!r}; give {_EXPECTED[name]}") from None


def _list(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _endpoints(value: str) -> tuple[str, ...]:
    endpoints = _list(value)
    if not all(re.fullmatch(r"[a-z][a-z0-9_-]*/\S+", endpoint) for endpoint in endpoints):
        raise ValueError
    return endpoints


def _domain(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", value):
        raise ValueError
    return value


def _mode(value: str) -> str:
    if value not in ("peer", "client"):
        raise ValueError
    return value


def _scout_addr(value: str) -> str:
    address, _, port = value.rpartition(":")
    if value and not (port.isdecimal() and ipaddress.ip_address(address.strip("[]")).is_multicast):
        raise ValueError
    return value


def _boolean(value: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "y": True, "t": True}
    words |= {"false": False, "0": False, "no": False, "off": False, "n": False, "f": False}
    return words[value.lower()]


def _timeout(value: str) -> float:
    timeout_s = float(value)
    if not 0 <= timeout_s <= _LONGEST_TIMEOUT_S:
        raise ValueError
    return timeout_s


def may_be_linked(one: ZenohNetwork, other: ZenohNetwork) -> bool:
    """Whether messages may get from one network of a domain to the other.

    Only where both look for others by multicast alone, at different addresses, they certainly do
    not: a link that somebody dials joins what it likes.
    """
    by_multicast = one.finds_by_multicast_alone and other.finds_by_multicast_alone
    addresses = {network.scout_addr or _USUAL_SCOUT_ADDR for network in (one, other)}
    return one.prefix == other.prefix and not (by_multicast and len(addresses) == 2)


def is_loopback(endpoint: str) -> bool:
    """Whether an endpoint such as `tcp/127.0.0.1:7447` is on this machine and nowhere else."""
    protocol, _, address = endpoint.partition("/")
    if protocol.startswith("unix"):
        return True
    host = re.split(r"[?#]", address)[0].rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_BOOLEANS = {True: "true", False: "false"}
_READERS: dict[str, Callable[[str], Any]] = {
    "domain": _domain,
    "mode": _mode,
    "connect": _endpoints,
    "listen": _endpoints,
    "multicast": _boolean,
    "scout_addr": _scout_addr,
    "gossip": _boolean,
    "interface": lambda value: value or LOOPBACK_INTERFACE,
    "connect_timeout": _timeout,
}
_EXPECTED = {
    "domain": "a name of letters, digits, '.', '_' and '-'",
    "mode": "peer or client",
    "connect": "endpoints like tcp/192.168.0.4:7447, separated by commas",
    "listen": "endpoints like tcp/127.0.0.1:0, separated by commas",
    "multicast": "true or false",
    "scout_addr": "a multicast address with its port, like 224.0.0.224:7446",
    "gossip": "true or false",
    "interface": "the name of a network interface",
    "connect_timeout": f"seconds from 0 to {_LONGEST_TIMEOUT_S:g}",
}
_VARIABLES = {
    "domain": "ZENOH_DOMAIN",
    "mode": "ZENOH_MODE",
    "connect": "ZENOH_CONNECT",
    "multicast": "ZENOH_MULTICAST",
    "scout_addr": "ZENOH_SCOUT_ADDR",
    "gossip": "ZENOH_GOSSIP",
    "interface": "ZENOH_INTERFACE",
    "connect_timeout": "ZENOH_CONNECT_TIMEOUT",
}

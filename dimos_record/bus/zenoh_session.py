"""Opening a Zenoh session as dimos does, and waiting until it knows who is there."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimos_record.bus.zenoh_url import ZenohNetwork, is_loopback
from dimos_record.errors import BusError, MissingExtra

if TYPE_CHECKING:
    import zenoh

_POLL_S = 0.01
_QUIET_S = 0.25
"""When no further peer was linked for so long, all that scouting found are."""
_LONGEST_SETTLING_S = 2.0
_DECLARING_S = 0.05
"""Peers know of a subscription by then; they do not acknowledge it."""


class _Process:
    """Zenoh's threads, which are one set per process, do not survive a fork."""

    opened_in: int | None = None


def open_session(network: ZenohNetwork) -> zenoh.Session:
    """Open a session that is linked to every peer that can be found.

    Raises:
        MissingExtra: Zenoh is not installed.
        BusError: Zenoh cannot open it, or this process was forked from one that used Zenoh.
    """
    try:
        import zenoh
    except ImportError:
        raise MissingExtra("the Zenoh bus", "zenoh") from None
    if _Process.opened_in not in (None, os.getpid()):
        raise BusError(
            f"cannot open {network.reach}: this process was forked from one that had used Zenoh, "
            "which does not survive that; fork first, or start processes with the method 'spawn'"
        )
    _Process.opened_in = os.getpid()
    try:
        session = zenoh.open(_config(network))
    except zenoh.ZError as error:
        raise BusError(f"cannot open {network.reach}: {_reason(network, error)}") from None
    _await_endpoints(session, network)
    _settle(session, network)
    return session


def may_close() -> bool:
    """Whether sessions of this process are its own, and not what a fork left behind."""
    return _Process.opened_in == os.getpid()


def let_declarations_spread(session: zenoh.Session) -> None:
    """Wait until the linked peers know what was declared last, as far as that can be known."""
    if session.info.peers_zid() or session.info.routers_zid():
        time.sleep(_DECLARING_S)


def links_beyond(session: zenoh.Session) -> list[str]:
    """The links that lead to other machines, such as `tcp/192.168.0.4:7447`.

    A peer on this machine that is linked to another machine tells of it (gossip), and Zenoh then
    makes a link there, even in a session that looks for others on loopback only.
    """
    links = ((str(link.src), str(link.dst)) for link in session.info.links())
    return sorted({far for here, far in links if _leads_away(here, far)})


def _leads_away(here: str, far: str) -> bool:
    return not is_loopback(far) and here.rpartition(":")[0] != far.rpartition(":")[0]


def has_pending(session: zenoh.Session) -> bool:
    """Whether the kernel holds something that Zenoh has not read yet; known on Linux only."""
    links = {(_port(link.src), _port(link.dst)) for link in session.info.links()}
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in map(str.split, rows):
            ports = int(row[1].rpartition(":")[2], 16), int(row[2].rpartition(":")[2], 16)
            if ports in links and not row[4].endswith(":00000000"):
                return True
    return False


def _port(locator: object) -> int:
    digits = str(locator).rpartition(":")[2]
    return int(digits) if digits.isdecimal() else -1


def _config(network: ZenohNetwork) -> zenoh.Config:
    """The settings that dimos makes (`_zenoh_config` in its zenohservice.py)."""
    import zenoh

    settings: dict[str, Any] = {
        "mode": network.mode,
        "connect/endpoints": list(network.connect),
        "listen/endpoints": list(network.listen_endpoints),
        "scouting/multicast/address": network.scout_addr,
        "connect/timeout_ms": int(network.connect_timeout * 1000),
    }
    settings = {name: value for name, value in settings.items() if value}  # else Zenoh's own choice
    settings |= {
        "scouting/multicast/enabled": network.multicast,
        "scouting/multicast/interface": network.interface,
        "scouting/gossip/enabled": network.gossip,
        # it silently loses payloads over 3 kB between some sessions
        "transport/shared_memory/enabled": False,
    }
    config: zenoh.Config = zenoh.Config()
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    return config


def _reason(network: ZenohNetwork, error: Exception) -> str:
    if network.mode == "client":
        endpoints = ", ".join(network.connect) or "none was found by scouting"
        return f"a client needs a router that can be reached ({endpoints})"
    return " ".join(str(error).split(" at /")[0].split())


def _await_endpoints(session: zenoh.Session, network: ZenohNetwork) -> None:
    """Wait for links to the endpoints that are dialled: to all of them, or one for a client."""
    pending = {endpoint: _addresses(endpoint) for endpoint in network.connect}
    missing = len(pending) - 1 if network.mode == "client" else 0
    deadline_s = time.monotonic() + network.connect_timeout
    while len(pending) > missing:
        linked = {str(link.dst).partition("/")[2] for link in session.info.links()}
        pending = {name: found for name, found in pending.items() if not found & linked}
        if time.monotonic() >= deadline_s:
            if len(pending) > missing:
                logging.getLogger("dimos_record").warning(
                    "no link to %s after %g s; what is published meanwhile does not get there",
                    ", ".join(pending),
                    network.connect_timeout,
                )
            return
        time.sleep(_POLL_S)


def _addresses(endpoint: str) -> set[str]:
    """An endpoint's HOST:PORT as given, and as a link may report it."""
    host, _, port = endpoint.partition("/")[2].rpartition(":")
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        found = set()
    return {f"{host}:{port}", *(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in found)}


def _settle(session: zenoh.Session, network: ZenohNetwork) -> None:
    """Wait for the links to all peers: Zenoh waits for the first one only.

    Whoever is not linked yet would miss what is published first. A session that found nobody has
    waited for half a second already.
    """
    if network.mode == "client":
        return
    linked = set(map(str, session.info.peers_zid()))
    deadline_s = time.monotonic() + _LONGEST_SETTLING_S
    quiet_s = time.monotonic() + _QUIET_S
    while linked and time.monotonic() < min(quiet_s, deadline_s):
        time.sleep(_POLL_S)
        now = set(map(str, session.info.peers_zid()))
        if now != linked:
            linked, quiet_s = now, time.monotonic() + _QUIET_S

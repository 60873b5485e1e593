"""Where a dimos transport puts its bytes: the bus and the channel, as the rest of us know them."""

from __future__ import annotations

from typing import Any, NamedTuple

from dimos.core.transport import (
    JpegLcmTransport,
    LCMTransport,
    ZenohTransport,
    pLCMTransport,
    pZenohTransport,
)

from dimos_record.bus.lcm_url import parse_lcm_url
from dimos_record.bus.zenoh_names import channel_of
from dimos_record.bus.zenoh_url import ZenohNetwork


class Wire(NamedTuple):
    """One end of a topic: raw bytes can be published and received there."""

    bus: str
    """URL of the bus."""
    channel: str
    """Wire name in our spelling: `/odom#geometry_msgs.PoseStamped`, on LCM and on Zenoh alike."""
    encoding: str = "lcm"
    """`lcm`, `pickle` (types without `lcm_encode`) or `jpeg` (pictures pinned to that)."""


def wire_of(transport: Any) -> Wire | None:
    """The wire of a transport; None for what carries no bytes of ours (WebRTC, ROS, DDS)."""
    if isinstance(transport, JpegLcmTransport):
        return Wire(_lcm_url(transport), transport.channel, "jpeg")
    if isinstance(transport, LCMTransport):
        return Wire(_lcm_url(transport), transport.channel)
    if isinstance(transport, pLCMTransport):
        return Wire(_lcm_url(transport), transport.channel, "pickle")
    if isinstance(transport, (ZenohTransport, pZenohTransport)):
        encoding = "lcm" if isinstance(transport, ZenohTransport) else "pickle"
        return _zenoh_wire(transport, encoding)
    return None


def _lcm_url(transport: Any) -> str:
    return parse_lcm_url(transport.lcm.config.url).url


def _zenoh_wire(transport: Any, encoding: str) -> Wire | None:
    network = zenoh_network(transport.zenoh.config, _domain(transport.channel))
    channel = channel_of(transport.channel, network.prefix)
    return None if channel is None else Wire(network.url, channel, encoding)


def _domain(key: str) -> str:
    first, _, rest = key.partition("/")
    return rest.partition("/")[0] if first == "dimos-domains" else ""


def zenoh_network(config: Any, domain: str) -> ZenohNetwork:
    """The Zenoh network that a dimos `ZenohConfig` joins, as a bus of ours."""
    return ZenohNetwork(
        domain=domain,
        mode=config.mode,
        connect=tuple(config.connect),
        listen=tuple(config.listen_endpoints),
        multicast=config.multicast,
        scout_addr=config.scout_addr,
        gossip=config.gossip_enabled,
        interface=config.multicast_interface,
        connect_timeout=config.connect_timeout,
    )

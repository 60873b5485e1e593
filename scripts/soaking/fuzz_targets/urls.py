"""URLs of buses: `udpm://`, `zenoh://`, `memory://`, and whether two are one network.

The text is cut at line feeds: each line is a URL.
"""

from __future__ import annotations

from dimos_record.bus.lcm_url import parse_lcm_url
from dimos_record.bus.memory import MemoryBus
from dimos_record.bus.networks import may_be_one
from dimos_record.bus.zenoh_url import is_loopback, parse_zenoh_url
from dimos_record.viewer.sinks import viewer_url
from soaking.fuzz_targets.checks import check_same, errors_of_ours


def seeds() -> list[bytes]:
    """URLs of each kind with each option."""
    texts = [
        "udpm://239.255.76.67:7667?ttl=0\nudpm://239.255.76.67:7667?ttl=1&recv_buf_size=1000",
        "udpm://\nudpm://:7667\nudpm://239.255.76.67",
        "udpm://[ff02::1]:7667\nudpm://239.1.1.1:99999",
        "zenoh://\nzenoh://?domain=",
        "zenoh://robot1?mode=client&connect=tcp/192.168.0.4:7447,tcp/[::1]:7447",
        "zenoh://?listen=tcp/127.0.0.1:0&multicast=off&scout_addr=224.0.0.224:7446&gossip=no",
        "zenoh://?interface=lo&connect_timeout=1.5",
        "memory://test\nmemory://a/b.c-d",
        "zenoh://?connect_timeout=1e400&scout_addr=[ff02::1]:1",
        "127.0.0.1:9876\nrerun+http://[::1]:1/proxy\nlocalhost",
        "http://x\n://\nudpm:/x\nzenoh://a b",
    ]
    return [text.encode() for text in texts]


def run(data: bytes) -> None:
    """Read each line as a URL of each kind; what can be read is written out and read again."""
    text = data[:600].decode("utf-8", "replace")
    lines = text.split("\n")
    for line in lines:
        with errors_of_ours(line):
            lcm = parse_lcm_url(line)
            check_same(lcm, parse_lcm_url(lcm.url), "an LCM URL")
        with errors_of_ours(line):
            zenoh = parse_zenoh_url(line)
            check_same(zenoh.url, parse_zenoh_url(zenoh.url).url, "a Zenoh URL")
            for endpoint in (*zenoh.connect, *zenoh.listen):
                is_loopback(endpoint)
        with errors_of_ours(line):
            viewer = viewer_url(line)
            check_same(viewer, viewer_url(viewer), "the URL of a viewer")
        if line.startswith("memory:"):
            with errors_of_ours(line), MemoryBus(line) as bus:
                check_same(line, bus.url, "the URL of a bus in memory")
    for other in lines[1:]:
        with errors_of_ours(text):
            may_be_one(lines[0], other)

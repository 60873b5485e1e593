"""Whether two buses are on one network: what is published on one arrives on the other."""

from __future__ import annotations

from dimos_record.bus.lcm_url import parse_lcm_url
from dimos_record.bus.zenoh_url import may_be_linked, parse_zenoh_url


def may_be_one(one: str, other: str) -> bool:
    """Whether what is published on the bus of one URL may arrive on that of the other.

    A bus that consists of several has the URLs of all of them, with blanks between.

    Raises:
        BusError: one of them is no URL of a bus.
    """
    return any(_is_one_network(a, b) for a in one.split() for b in other.split())


def _is_one_network(one: str, other: str) -> bool:
    scheme = one.partition(":")[0]
    if scheme != other.partition(":")[0]:
        return False
    if scheme == "zenoh":
        return may_be_linked(parse_zenoh_url(one), parse_zenoh_url(other))
    if scheme == "udpm":
        return parse_lcm_url(one)[:2] == parse_lcm_url(other)[:2]
    return one == other

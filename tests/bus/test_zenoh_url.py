"""Zenoh URLs, and the environment variables that fill in what they leave out."""

from __future__ import annotations

import os

import pytest

from dimos_record.bus.zenoh_url import ZenohNetwork, may_be_linked, parse_zenoh_url
from dimos_record.errors import BusError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ZENOH_", "ROBOT_IP")):
            monkeypatch.delenv(name)


def test_a_bare_url_stays_on_this_machine() -> None:
    network = parse_zenoh_url("zenoh://")
    assert network == ZenohNetwork()
    assert network.is_local
    assert network.prefix == "dimos/"
    assert network.reach == "Zenoh (this machine only)"
    assert network.listen_endpoints == ("tcp/127.0.0.1:0",)
    assert network.url == (
        "zenoh://?domain=&mode=peer&connect=&listen=tcp/127.0.0.1:0&multicast=true&scout_addr="
        "&gossip=true&interface=lo&connect_timeout=1"
    )


def test_every_option_can_be_given() -> None:
    network = parse_zenoh_url(
        "zenoh://fleet?mode=client&connect=tcp/1.2.3.4:7447,udp/[::1]:7&listen=tcp/0.0.0.0:7450"
        "&multicast=no&scout_addr=224.0.0.224:7450&gossip=0&interface=wlan0&connect_timeout=2.5"
    )
    assert network == ZenohNetwork(
        domain="fleet",
        mode="client",
        connect=("tcp/1.2.3.4:7447", "udp/[::1]:7"),
        listen=("tcp/0.0.0.0:7450",),
        multicast=False,
        scout_addr="224.0.0.224:7450",
        gossip=False,
        interface="wlan0",
        connect_timeout=2.5,
    )
    assert network.prefix == "dimos-domains/fleet/"
    assert network.reach == "Zenoh domain fleet via tcp/1.2.3.4:7447, udp/[::1]:7"


def test_the_environment_fills_in_what_dimos_would_read_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZENOH_DOMAIN", "fleet")
    monkeypatch.setenv("ZENOH_CONNECT", "tcp/10.0.0.1:7000, tcp/10.0.0.2:7447")
    monkeypatch.setenv("ROBOT_IP", "10.0.0.2")
    monkeypatch.setenv("ROBOT_IPS", "10.0.0.3:99")
    monkeypatch.setenv("ZENOH_SCOUTING", "True")
    monkeypatch.setenv("ZENOH_SCOUT_ADDR", "224.0.0.224:7450")
    monkeypatch.setenv("ZENOH_GOSSIP", "false")
    monkeypatch.setenv("ZENOH_CONNECT_TIMEOUT", "0")
    monkeypatch.setenv("ZENOH_MODE", "")
    network = parse_zenoh_url("zenoh://")
    assert network == ZenohNetwork(
        domain="fleet",
        connect=("tcp/10.0.0.2:7447", "tcp/10.0.0.3:99", "tcp/10.0.0.1:7000"),
        scout_addr="224.0.0.224:7450",
        gossip=False,
        interface="auto",
        connect_timeout=0,
    )
    assert not network.is_local
    assert network.listen_endpoints == ()
    assert parse_zenoh_url("zenoh://a?connect=&interface=lo&gossip=true").is_local
    monkeypatch.setenv("ZENOH_INTERFACE", "wlan0")
    assert parse_zenoh_url("zenoh://").interface == "wlan0"


@pytest.mark.parametrize("url", ["zenoh://", "zenoh://d?connect=tcp/h:1?prio=6-7&mode=client"])
def test_a_url_written_out_means_the_same_in_every_environment(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = parse_zenoh_url(url)
    monkeypatch.setenv("ZENOH_DOMAIN", "other")
    monkeypatch.setenv("ZENOH_CONNECT", "tcp/10.0.0.1:7447")
    monkeypatch.setenv("ZENOH_SCOUTING", "true")
    again = parse_zenoh_url(network.url)
    assert again == network._replace(listen=network.listen_endpoints)
    assert again.url == network.url


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("zenoh://?listen=tcp/127.0.0.1:7447&connect=tcp/localhost:7448", True),
        ("zenoh://?listen=tcp/[::1]:7447&multicast=false&interface=eth0", True),
        ("zenoh://?listen=tcp/0.0.0.0:7447", False),
        ("zenoh://?connect=tcp/127.0.0.1:7447", False),  # others can dial in from elsewhere
        ("zenoh://?listen=tcp/127.0.0.1:0&connect=tcp/10.0.0.1:7447", False),
        ("zenoh://?interface=auto", False),
        ("zenoh://?interface=auto&listen=tcp/127.0.0.1:0", False),
        ("zenoh://?mode=client&connect=tcp/127.0.0.1:7447", False),  # the router may lead on
        ("zenoh://?listen=tcp/localhost.example.org:7447", False),
    ],
)
def test_local_is_only_what_nothing_can_leave(url: str, local: bool) -> None:
    network = parse_zenoh_url(url)
    assert network.is_local is local
    assert ("this machine only" in network.reach) is local


A, B = "scout_addr=224.0.0.224:7447", "scout_addr=224.0.0.224:7448"


@pytest.mark.parametrize(
    ("one", "other", "linked"),
    [
        (A, B, False),
        ("", A, False),
        ("", "scout_addr=224.0.0.224:7446", True),  # Zenoh's own
        (A, f"{A}&interface=auto&gossip=false", True),
        (A, f"{B}&connect=tcp/127.0.0.1:7447", True),
        (A, f"{B}&listen=tcp/127.0.0.1:7447", True),
        (A, f"{B}&interface=auto", False),
        (A, f"{B}&multicast=false", True),
        (A, f"{B}&mode=client", True),
        (A, f"{A}&domain=fleet", False),
    ],
)
def test_networks_are_two_only_where_nothing_can_link_them(
    one: str, other: str, linked: bool
) -> None:
    networks = parse_zenoh_url(f"zenoh://?{one}"), parse_zenoh_url(f"zenoh://?{other}")
    as_a_bus_says = [parse_zenoh_url(network.url) for network in networks]
    for a, b in (networks, networks[::-1], as_a_bus_says):
        assert may_be_linked(a, b) is linked


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("zenoh://a/b", "not of the form"),
        ("zenoh://a#b", "not of the form"),
        ("zenoh://[a", "IPv6"),
        ("zenoh://a:b", "domain is 'a:b'"),
        ("zenoh://?mode=router", "peer or client"),
        ("zenoh://?connect=1.2.3.4:7447", "endpoints like"),
        ("zenoh://?listen=7447", "endpoints like"),
        ("zenoh://?multicast=maybe", "true or false"),
        ("zenoh://?scout_addr=10.0.0.1:7446", "multicast address"),
        ("zenoh://?scout_addr=224.0.0.224", "multicast address"),
        ("zenoh://?connect_timeout=-1", "seconds from 0"),
        ("zenoh://?connect_timeout=nan", "seconds from 0"),
        ("zenoh://?ttl=1", "unknown option 'ttl'"),
    ],
)
def test_a_bad_url_is_refused_in_one_sentence(url: str, complaint: str) -> None:
    with pytest.raises(BusError, match=complaint) as caught:
        parse_zenoh_url(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENOH_MULTICAST", "perhaps")
    with pytest.raises(BusError, match="ZENOH_MULTICAST is 'perhaps'; give true or false"):
        parse_zenoh_url("zenoh://")

"""Bus URLs: what opens, and what is refused with one sentence."""

from __future__ import annotations

import sys

import pytest

from dimos_record.bus import Bus, default_url, open_bus
from dimos_record.errors import BusError
from dimos_record.testing import free_lcm_url


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("udpm", "not one I know"),
        ("zmq://239.255.76.67:7667", "not one I know"),
        ("udpm://239.255.76.67", "names no port"),
        ("udpm://239.255.76.67:0", "names no port"),
        ("udpm://239.255.76.67:99999", "out of range"),
        ("udpm://239.255.76.67:port", "'port'"),
        ("udpm://192.168.0.1:7667", "not a multicast address"),
        ("udpm://robot.local:7667", "not a multicast address"),
        ("udpm://[ff02::1]:7667", "not a multicast address"),
        ("udpm://[ff02::1:7667", "IPv6"),
        ("udpm://239.255.76.67:7667/x", "not of the form"),
        ("udpm://239.255.76.67:7667?ttl=near", "ttl is 'near'"),
        ("udpm://239.255.76.67:7667?ttl=-1", "ttl is '-1'"),
        ("udpm://239.255.76.67:7667?ttl=256", "ttl is '256'"),
        ("udpm://239.255.76.67:7667?ttl=", "ttl is ''"),
        ("udpm://239.255.76.67:7667?recv_buf_size=0", "recv_buf_size is '0'"),
        ("udpm://239.255.76.67:7667?recv_buf_size=4294967296", "recv_buf_size is"),
        ("udpm://239.255.76.67:7667?buffer=1", "unknown option 'buffer'"),
        ("memory://", "not of the form"),
        ("memory://a?b=1", "not of the form"),
    ],
)
def test_a_bad_url_is_refused_in_one_sentence(url: str, complaint: str) -> None:
    with pytest.raises(BusError, match=complaint) as caught:
        open_bus(url)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_default_is_lcm_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LCM_DEFAULT_URL", raising=False)
    assert default_url() == "udpm://239.255.76.67:7667?ttl=0"
    monkeypatch.setenv("LCM_DEFAULT_URL", "")
    assert default_url() == "udpm://239.255.76.67:7667?ttl=0"


def test_lcm_default_url_is_the_default_when_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    url = free_lcm_url()
    monkeypatch.setenv("LCM_DEFAULT_URL", url)
    with open_bus() as bus:
        assert bus.url.startswith(url)


def test_a_url_is_completed_with_its_defaults() -> None:
    with open_bus("udpm://239.255.76.67:7670") as bus:
        assert bus.url == "udpm://239.255.76.67:7670?ttl=0&recv_buf_size=33554432"
        assert bus.reach == "LCM 239.255.76.67:7670 (this machine only)"
        assert bus.is_local
        assert isinstance(bus, Bus)
    with open_bus("udpm://239.255.76.68:7671?recv_buf_size=4096&ttl=1") as bus:
        assert bus.url == "udpm://239.255.76.68:7671?ttl=1&recv_buf_size=4096"
        assert bus.reach == "LCM 239.255.76.68:7671 (this network, ttl=1)"
        assert not bus.is_local
    with open_bus("udpm://?ttl=0") as bus:
        assert bus.reach == "LCM 239.255.76.67:7667 (this machine only)"


def test_a_missing_lcm_package_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIMOS_RECORD_NATIVE", "0")
    monkeypatch.setitem(sys.modules, "lcm", None)
    with pytest.raises(BusError, match="pip install lcm"):
        open_bus("udpm://239.255.76.67:7667")

"""dimos_record.testing, which users' own tests rely on."""

from __future__ import annotations

import pytest

from dimos_record.bus import open_bus
from dimos_record.testing import Collector, free_lcm_url


def test_a_free_url_opens_and_is_not_given_twice_in_a_row() -> None:
    urls = {free_lcm_url() for _ in range(5)}
    assert len(urls) > 1
    for url in urls:
        with open_bus(url) as bus:
            assert "this machine only" in bus.reach


def test_waiting_in_vain_says_what_did_arrive() -> None:
    with open_bus("memory://vain") as bus, Collector(bus, "/*", exclude=["/tf"]) as received:
        bus.publish("/odom", b"123")
        bus.publish("/tf", b"")
        with pytest.raises(TimeoutError, match=r"1 of 2 messages.*/odom \(3 bytes\)"):
            received.wait_for(2, timeout_s=0)


def test_a_collector_outside_its_with_block_says_so() -> None:
    with open_bus("memory://outside") as bus, pytest.raises(RuntimeError, match="with block"):
        _ = Collector(bus).subscription

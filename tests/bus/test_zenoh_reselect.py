"""Changing a selection under way neither loses nor doubles what stays selected, on Zenoh."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest

from dimos_record.bus import Selection, open_bus
from dimos_record.bus.zenoh_subscription import _Feed
from dimos_record.errors import BusError
from dimos_record.testing import Collector, free_zenoh_url
from tests.cli.commands import until

pytestmark = pytest.mark.once

COUNT = 30_000

PUBLISHER = """
import sys, time
from dimos_record.bus import open_bus

url, count = sys.argv[1], int(sys.argv[2])
with open_bus(url) as bus:
    for i in range(count):
        for topic in ("/a", "/b", "/c#test_msgs.C"):
            bus.publish(topic, b"%d" % i)
        if i % 50 == 0:
            time.sleep(0.001)  # so that the selection changes often meanwhile
    bus.publish("/a", b"end")
"""
NUMBERS = [b"%d" % i for i in range(COUNT)]


def of_topic(received: Collector, topic: str) -> list[bytes]:
    return [data for channel, data in received.messages if channel == topic]


def test_reselecting_under_load_keeps_every_message_of_the_other_topics() -> None:
    selections = [
        Selection.of(["/a", "/b", "/c"]),
        Selection.of(["/a", "/c"]),
        Selection.of(["*"], exclude=["/b"]),
        Selection.of(["/?"], exclude=["/b"]),
        Selection.of(["/a", "/c#test_msgs.C"]),
        Selection.of(["/{a,b}", "*#test_msgs.C"]),
        Selection.of(),
    ]
    url = free_zenoh_url()
    with open_bus(url) as bus, Collector(bus, "/a", "/c") as received:
        publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, url, str(COUNT)])
        received.wait_for(1, timeout_s=60)
        changes = 0
        while changes < 50 or publisher.poll() is None:
            received.subscription.reselect(selections[changes % len(selections)])
            changes += 1
        assert publisher.wait() == 0
        until(lambda: ("/a", b"end") in received.messages, "the last message", timeout_s=60)
        assert received.subscription.catch_up(60)
    assert of_topic(received, "/a") == [*NUMBERS, b"end"]
    assert of_topic(received, "/c#test_msgs.C") == NUMBERS
    of_b = [int(data) for data in of_topic(received, "/b")]
    assert of_b == sorted(set(of_b))


def test_what_is_published_after_reselect_returns_is_received() -> None:
    url = free_zenoh_url()
    with open_bus(url) as other, open_bus(url) as bus, Collector(bus, "/always") as received:
        expected = []
        for i in range(30):
            topic = f"/topic{i % 7}"
            received.subscription.reselect(Selection.of(["/always", topic]))
            other.publish(topic, b"%d" % i)
            other.publish(f"/topic{(i + 3) % 7}", b"not selected")
            expected.append((topic, b"%d" % i))
            received.wait_for(len(expected))
            other.publish("/always", b"%d" % i)
            expected.append(("/always", b"%d" % i))
            assert received.wait_for(len(expected)) == expected


def test_a_subscription_made_amid_traffic_misses_nothing_from_then_on() -> None:
    url = free_zenoh_url()
    with open_bus(url) as bus, Collector(bus, "/a") as first:
        publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, url, str(COUNT)])
        first.wait_for(1, timeout_s=60)
        late = [Collector(bus, "/c"), Collector(bus, "/a"), Collector(bus)]
        for i, collector in enumerate(late):
            first.wait_for(1000 * (i + 1), timeout_s=60)
            collector.__enter__()
        assert publisher.wait() == 0
        first.wait_for(COUNT + 1, timeout_s=60)
        for collector in late:
            assert collector.subscription.catch_up(60)
            of_a, of_c = of_topic(collector, "/a"), of_topic(collector, "/c#test_msgs.C")
            assert of_a or of_c
            assert not of_a or of_a == [*NUMBERS[int(of_a[0]) :], b"end"]
            assert not of_c or of_c == NUMBERS[int(of_c[0]) :]
        for collector in late:
            collector.__exit__()


def test_what_is_needed_no_more_is_not_received_any_more() -> None:
    def feeds() -> set[str]:
        return {t.name for t in threading.enumerate() if t.name.startswith("zenoh ")}

    with open_bus(free_zenoh_url()) as bus, Collector(bus, "/a", "/b/*") as received:
        assert feeds() == {"zenoh dimos/a/**", "zenoh dimos/b/*/**"}
        received.subscription.reselect(Selection.of(["/a", "/c"]))
        assert feeds() == {"zenoh dimos/a/**", "zenoh dimos/c/**"}
        received.subscription.reselect(Selection.of([]))
        assert feeds() == set()
        received.subscription.reselect(Selection.of(["/a"]))
        bus.publish("/a", b"again")
        assert received.wait_for(1) == [("/a", b"again")]


def test_a_reselection_that_fails_halfway_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare = _Feed.__init__

    def declare_or_fail(feed: _Feed, *rest: Any) -> None:
        if str(rest[-1]) == "dimos/b/**":
            bus.publish("/a", b"for the one that was declared before")
            raise BusError("cannot subscribe")
        declare(feed, *rest)

    with open_bus(free_zenoh_url()) as bus, Collector(bus, "/always") as received:
        monkeypatch.setattr(_Feed, "__init__", declare_or_fail)
        with pytest.raises(BusError, match="cannot subscribe"):
            received.subscription.reselect(Selection.of(["/always", "/a", "/b"]))
        bus.publish("/always", b"1")
        received.wait_for(1)
        assert received.subscription.catch_up(10)
        assert received.messages == [("/always", b"1")]

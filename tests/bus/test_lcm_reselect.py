"""Changing a selection under way neither loses nor doubles what stays selected."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dimos_record.bus import Selection, lcm_reception, open_bus
from dimos_record.bus.receiver import Receiver, Routes
from dimos_record.testing import Collector, free_lcm_url

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("way")]

COUNT = 30_000
AT_ONCE = 25
"""After so many messages per topic the publisher waits until it may go on."""

PUBLISHER = """
import sys
from lcm import LCM

url, count, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lcm = LCM(url)
for i in range(count):
    if i % at_once == 0:
        sys.stdin.readline()
    for topic in ("/a", "/b", "/c"):
        lcm.publish(topic, b"%d" % i)
lcm.publish("/a", b"end")
"""


class Fed(Collector):
    """Collects from a publisher that goes on as soon as most of what it has sent is here.

    So the smallest of kernel buffers holds what is under way, however busy the machine is.
    """

    def __enter__(self) -> Fed:
        super().__enter__()
        command = [sys.executable, "-c", PUBLISHER, self._bus.url, str(COUNT), str(AT_ONCE)]
        self.publisher = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._go_on()
        self._go_on()
        return self

    def __exit__(self, *exc: object) -> None:
        self.publisher.kill()
        self.publisher.communicate()
        super().__exit__(*exc)

    def _on_message(self, channel: str, data: bytes) -> None:
        super()._on_message(channel, data)
        if channel == "/a" and data != b"end":
            sent = int(data) + 1
            if sent % AT_ONCE == 0 and sent <= COUNT - 2 * AT_ONCE:
                self._go_on()

    def _go_on(self) -> None:
        assert self.publisher.stdin is not None
        self.publisher.stdin.write(b"\n")
        self.publisher.stdin.flush()


@pytest.mark.parametrize(
    ("way", "settle_s"),
    [("compiled", 0.1), ("package", 0.1), ("package", 0.05)],
    ids=["compiled", "package", "package, settling often"],
    indirect=["way"],
)
def test_reselecting_under_load_keeps_every_message_of_the_other_topics(
    settle_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lcm_reception, "_SETTLE_S", settle_s)
    selections = [
        Selection.of(["/a", "/b", "/c"]),
        Selection.of(["/a", "/c"]),
        Selection.of(["/?"], exclude=["/b"]),
        Selection.of(),
    ]
    with open_bus(free_lcm_url()) as bus, Fed(bus, "/a", "/c") as received:
        received.wait_for(1, timeout_s=60)
        changes = 0
        while changes < 50 or received.publisher.poll() is None:
            received.subscription.reselect(selections[changes % len(selections)])
            received.wait_for(min(2 * COUNT, len(received.messages) + 200), timeout_s=60)
            changes += 1
        assert received.publisher.wait() == 0
        with Collector(bus, "/flushed") as flushed:
            bus.publish("/flushed", b"")
            flushed.wait_for(1)
        lost = bus.lost_before_reception()
        messages = received.messages
    assert not lost
    numbers = [b"%d" % i for i in range(COUNT)]
    assert [data for topic, data in messages if topic == "/c"] == numbers
    assert [data for topic, data in messages if topic == "/a"] == [*numbers, b"end"]
    of_b = [int(data) for topic, data in messages if topic == "/b"]
    assert of_b == sorted(set(of_b))


def test_what_is_published_after_reselect_returns_is_received() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus, "/always") as received:
        expected = []
        for i in range(60):
            topic = f"/topic{i % 7}"
            received.subscription.reselect(Selection.of(["/always", topic]))
            bus.publish(topic, b"%d" % i)
            bus.publish(f"/topic{(i + 3) % 7}", b"not selected")
            bus.publish("/always", b"%d" % i)
            expected += [(topic, b"%d" % i), ("/always", b"%d" % i)]
            assert received.wait_for(len(expected)) == expected


def test_a_subscription_made_amid_traffic_misses_nothing_from_then_on() -> None:
    with open_bus(free_lcm_url()) as bus, Fed(bus, "/a") as first:
        first.wait_for(1, timeout_s=60)
        late = [Collector(bus, "/c"), Collector(bus, "/a"), Collector(bus)]
        for i, collector in enumerate(late):
            first.wait_for(1000 * (i + 1), timeout_s=60)
            collector.__enter__()
        assert first.publisher.wait() == 0
        first.wait_for(COUNT + 1, timeout_s=60)
        assert not bus.lost_before_reception()
        for collector in late:
            of_a = [data for topic, data in collector.messages if topic == "/a"]
            of_c = [data for topic, data in collector.messages if topic == "/c"]
            for numbers, last in ((of_a, [b"end"]), (of_c, [])):
                start = int(numbers[0]) if numbers else COUNT
                expected = [b"%d" % i for i in range(start, COUNT)] + (last if numbers else [])
                assert numbers == expected
            assert of_a or of_c


def test_growing_a_selection_topic_by_topic_works_for_long_lists() -> None:
    names = [f"/robot{i}/a_sensor_with_quite_a_long_name" for i in range(120)]
    with open_bus(free_lcm_url()) as bus, Collector(bus, *names[:1]) as received:
        for i, name in enumerate(names, 1):
            received.subscription.reselect(Selection.of(names[:i]))
            bus.publish(name, b"%d" % i)
        assert [channel for channel, _ in received.wait_for(len(names))] == names


@pytest.mark.parametrize("way", ["package"], indirect=True)
def test_lcm_holds_one_subscription_again_once_things_are_quiet() -> None:
    """What was deselected must not cost a call into Python for good."""
    calls: list[str] = []

    class CountingRoutes(Routes[Receiver]):
        def __missing__(self, channel: str) -> tuple[Receiver, ...]:
            calls.append(channel)
            return super().__missing__(channel)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lcm_reception, "Routes", CountingRoutes)
        with open_bus(free_lcm_url()) as bus, Collector(bus, "/a", "/gone") as received:
            received.subscription.reselect(Selection.of(["/a"]))
            for attempt in range(100_000):
                calls.clear()
                gone, kept = f"/gone#try.T{attempt}", f"/a#try.T{attempt}"  # new, so not cached
                bus.publish(gone, b"")
                bus.publish(kept, b"")
                received.wait_for(attempt + 1)
                if calls == [kept]:
                    return
    pytest.fail("LCM still delivers /gone to Python")

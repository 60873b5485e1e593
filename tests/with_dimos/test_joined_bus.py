"""Several buses are received as one, each channel from the bus that carries it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dimos_record.bus import Bus, Selection, open_bus
from dimos_record.bus.memory import MemoryBus
from dimos_record.errors import BusError
from dimos_record.integrations.dimos.joined_bus import JoinedBus

pytestmark = pytest.mark.dimos

ONE, OTHER = "memory://joined-one", "memory://joined-other"


@pytest.fixture
def buses() -> Iterator[tuple[JoinedBus, Bus, Bus]]:
    with JoinedBus() as joined, open_bus(ONE) as one, open_bus(OTHER) as other:
        joined.add("/odom", ONE, lambda: open_bus(ONE))
        joined.add("/view#sensor_msgs.Image", OTHER, lambda: open_bus(OTHER))
        yield joined, one, other


def test_each_channel_comes_from_its_own_bus_alone(buses: tuple[JoinedBus, Bus, Bus]) -> None:
    joined, one, other = buses
    heard: list[tuple[str, bytes]] = []
    joined.subscribe(Selection(), lambda channel, data: heard.append((channel, data)))
    for number, bus in enumerate((one, other)):
        for channel in ("/odom", "/view#sensor_msgs.Image", "/view#sensor_msgs.Imu", "/else"):
            bus.publish(channel, b"%d" % number)
    assert heard == [("/odom", b"0"), ("/view#sensor_msgs.Image", b"1")]


def test_a_bus_that_is_added_is_received_from_the_next_choice_on(
    buses: tuple[JoinedBus, Bus, Bus],
) -> None:
    joined, one, other = buses
    heard: list[str] = []
    subscription = joined.subscribe(Selection(("/odom",)), lambda channel, _: heard.append(channel))
    joined.add("/late", "memory://joined-late", lambda: open_bus("memory://joined-late"))
    with open_bus("memory://joined-late") as late:
        late.publish("/late", b"")
        subscription.reselect(Selection(("/late", "/view")))
        late.publish("/late", b"")
    one.publish("/odom", b"")
    other.publish("/view#sensor_msgs.Image", b"")
    assert heard == ["/late", "/view#sensor_msgs.Image"]
    assert subscription.failure is None
    assert subscription.catch_up(1.0)
    subscription.close()
    other.publish("/view#sensor_msgs.Image", b"")
    assert len(heard) == 2


def test_it_tells_where_messages_come_from_and_publishes_nothing(
    buses: tuple[JoinedBus, Bus, Bus],
) -> None:
    joined = buses[0]
    assert joined.url == f"{ONE} {OTHER}"
    assert "joined-one" in joined.reach
    assert "joined-other" in joined.reach
    assert joined.is_local
    assert joined.lost_before_reception() == 0
    assert JoinedBus().lost_before_reception() is None
    with pytest.raises(BusError, match="only receives"):
        joined.publish("/odom", b"")


def test_a_bus_may_be_added_while_the_others_are_asked(buses: tuple[JoinedBus, Bus, Bus]) -> None:
    joined = buses[0]

    class Slow(MemoryBus):
        def lost_before_reception(self) -> int:
            joined.add("/late", "memory://joined-late", lambda: open_bus("memory://joined-late"))
            return 2

    joined.add("/slow", "memory://joined-slow", lambda: Slow("memory://joined-slow"))
    assert joined.lost_before_reception() == 2
    assert "joined-late" in joined.url

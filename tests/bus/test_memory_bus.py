"""MemoryBus: the same contract as LCM's, within one process."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from dimos_record.bus import Arrival, Bus, Selection, memory, open_bus
from dimos_record.errors import BusError, ChannelTooLong, PatternError
from dimos_record.testing import Collector


def test_buses_of_one_name_share_messages_and_others_do_not() -> None:
    with (
        open_bus("memory://one") as bus,
        open_bus("memory://one") as twin,
        open_bus("memory://two") as other,
        Collector(twin, "/odom") as received,
        Collector(other) as elsewhere,
    ):
        bus.publish("/odom#geometry_msgs.PoseStamped", b"1")
        bus.publish("/tf", b"2")
        assert received.messages == [("/odom#geometry_msgs.PoseStamped", b"1")]
        assert elsewhere.messages == []
        assert isinstance(bus, Bus)
        assert bus.url == "memory://one"
        assert bus.reach == "memory one (this process only)"
        assert bus.is_local
        assert bus.lost_before_reception() == 0


def test_callbacks_run_in_the_publishers_thread_before_publish_returns() -> None:
    with open_bus("memory://threads") as bus:
        threads: list[int] = []
        bus.subscribe(Selection(), lambda channel, data: threads.append(threading.get_ident()))
        bus.publish("/a", b"")
        assert threads == [threading.get_ident()]


def test_a_callback_may_publish_subscribe_reselect_and_close() -> None:
    with open_bus("memory://callback") as bus, Collector(bus, "/echo", "/inner") as echoes:
        seen: list[str] = []

        def on_message(channel: str, data: bytes) -> None:
            seen.append(channel)
            if channel == "/first":
                bus.publish("/echo", data)
                subscription.reselect(Selection.of(["/second"]))
            else:
                bus.subscribe(Selection.of(["/inner"]), lambda channel, data: seen.append(channel))
                subscription.close()

        subscription = bus.subscribe(Selection.of(["/first"]), on_message)
        for channel in ("/first", "/first", "/second", "/second", "/inner"):
            bus.publish(channel, b"x")
        assert seen == ["/first", "/second", "/inner"]
        assert [channel for channel, _ in echoes.messages] == ["/echo", "/inner"]


def test_close_waits_for_a_callback_that_runs_in_another_thread() -> None:
    entered, leave = threading.Event(), threading.Event()
    done: list[str] = []

    def on_message(channel: str, data: bytes) -> None:
        entered.set()
        leave.wait(60)
        done.append("callback")

    with open_bus("memory://wait") as bus:
        subscription = bus.subscribe(Selection(), on_message)
        publisher = threading.Thread(target=bus.publish, args=("/a", b""))
        publisher.start()
        entered.wait(60)

        def close() -> None:
            subscription.close()
            done.append("closed")

        closer = threading.Thread(target=close)
        closer.start()
        leave.set()
        closer.join()
        publisher.join()
        assert done == ["callback", "closed"]
        bus.publish("/a", b"")
        assert len(done) == 2


def test_a_failing_callback_hurts_neither_publisher_nor_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(channel: str, data: bytes) -> None:
        raise ValueError("cannot take this")

    with open_bus("memory://fail") as bus, caplog.at_level(logging.ERROR, "dimos_record"):
        bus.subscribe(Selection(), fail)
        with Collector(bus) as received:
            bus.publish("/odom", b"1")
            bus.publish("/odom", b"2")
            assert len(received.messages) == 2
    [record] = caplog.records
    assert "/odom" in record.getMessage()


def test_a_closed_bus_says_so_and_takes_only_its_own_subscriptions_with_it() -> None:
    bus, twin = open_bus("memory://close"), open_bus("memory://close")
    with twin, Collector(twin) as at_twin, Collector(bus) as at_bus:
        bus.close()
        bus.close()
        twin.publish("/a", b"")
        assert len(at_twin.messages) == 1
        assert at_bus.messages == []
        with pytest.raises(BusError, match="closed"):
            bus.publish("/a", b"")
        with pytest.raises(BusError, match="closed"):
            bus.subscribe(Selection(), print)
        with pytest.raises(BusError, match="closed"):
            at_bus.subscription.reselect(Selection())


def test_nothing_stays_behind_after_the_last_bus_of_a_name() -> None:
    with open_bus("memory://gone"), open_bus("memory://gone"):
        assert "gone" in memory._ROOMS
    assert "gone" not in memory._ROOMS


def test_bad_names_and_patterns_are_refused() -> None:
    with open_bus("memory://names") as bus:
        bus.check_channel("/" + "a" * 1023)
        with pytest.raises(ChannelTooLong, match="1025 bytes"):
            bus.publish("/" + "a" * 1024, b"")
        with pytest.raises(BusError, match="cannot be the name"):
            bus.publish("", b"")
        with pytest.raises(PatternError):
            bus.subscribe(Selection(("[",)), print)


def test_many_messages_are_published_in_order_and_come_with_the_time_of_arrival() -> None:
    batches: list[list[Arrival]] = []
    sent = [(f"/{number % 3}", b"%d" % number) for number in range(100)]
    with open_bus("memory://arrivals") as bus:
        bus.subscribe_arrivals(Selection.of(exclude=["/2"]), batches.append)
        before_ns = time.monotonic_ns()
        bus.publish_all(sent)
        after_ns = time.monotonic_ns()
    arrivals = [arrival for batch in batches for arrival in batch]
    assert [(channel, data) for _, channel, data in arrivals] == [s for s in sent if s[0] != "/2"]
    times_ns = [arrival_ns for arrival_ns, _, _ in arrivals]
    assert times_ns == sorted(times_ns)
    assert before_ns <= times_ns[0] <= times_ns[-1] <= after_ns

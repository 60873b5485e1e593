"""LcmBus over real UDP multicast on this machine."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import lcm
import pytest

from dimos_record.bus import Selection, lcm_native, open_bus, receive_buffer
from dimos_record.errors import BusError, ChannelTooLong, PatternError
from dimos_record.testing import Collector, free_lcm_url
from tests.leftovers import nothing_left_behind

pytestmark = pytest.mark.usefixtures("way")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")


def test_a_message_arrives_on_every_bus_of_the_url() -> None:
    url = free_lcm_url()
    with (
        open_bus(url) as one,
        open_bus(url) as two,
        Collector(one) as at_one,
        Collector(two) as at_two,
    ):
        one.publish("/odom#geometry_msgs.PoseStamped", b"\x00\xff")
        two.publish("/empty", b"")
        expected = [("/odom#geometry_msgs.PoseStamped", b"\x00\xff"), ("/empty", b"")]
        assert at_one.wait_for(2) == at_two.wait_for(2) == expected


def test_overlapping_patterns_deliver_once() -> None:
    with (
        open_bus(free_lcm_url()) as bus,
        Collector(bus, "*", "/odom", "/o*", "/odom#geometry_msgs.PoseStamped") as all_of_it,
        Collector(bus, "/odom") as odom,
    ):
        for i in range(100):
            bus.publish("/odom#geometry_msgs.PoseStamped", b"%d" % i)
        bus.publish("/last", b"")
        numbers = [b"%d" % i for i in range(100)]
        assert [data for _, data in all_of_it.wait_for(101)][:100] == numbers
        assert [data for _, data in odom.messages] == numbers


def test_large_messages_arrive_whole() -> None:
    frames = [bytes([i]) * 921_600 for i in range(20)]
    with open_bus(free_lcm_url()) as bus, Collector(bus) as received:
        for i, frame in enumerate(frames):
            bus.publish("/camera#sensor_msgs.Image", frame)
            received.wait_for(i + 1)
        assert [data for _, data in received.messages] == frames


def test_channel_names_are_limited_to_63_bytes() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus) as received:
        for channel in ("/" + "a" * 59, "/" + "a" * 62, "/" + "ä" * 31):
            bus.publish(channel, b"x")
        for channel in ("/" + "a" * 63, "/" + "ä" * 32):
            size = len(channel.encode())
            with pytest.raises(ChannelTooLong, match=f"{channel}.* {size} bytes"):
                bus.publish(channel, b"x")
            with pytest.raises(ChannelTooLong):
                bus.check_channel(channel)
        bus.publish("/last", b"")
        assert [len(channel.encode()) for channel, _ in received.wait_for(4)] == [60, 63, 63, 5]


@pytest.mark.parametrize("channel", ["", "/a\0b", "/\ud800"])
def test_a_name_that_is_none_is_refused(channel: str) -> None:
    with open_bus(free_lcm_url()) as bus, pytest.raises(BusError, match="cannot be the name"):
        bus.publish(channel, b"")


def test_a_message_too_large_for_lcm_is_refused() -> None:
    with open_bus(free_lcm_url()) as bus, pytest.raises(BusError, match=r"/huge.*268435457 bytes"):
        bus.publish("/huge", bytes(2**28 + 1))


def test_a_closed_bus_says_so_and_closes_twice() -> None:
    bus = open_bus(free_lcm_url())
    collector = Collector(bus)
    with collector:
        bus.close()
        bus.close()
        with pytest.raises(BusError, match="closed"):
            bus.publish("/odom", b"")
        with pytest.raises(BusError, match="closed"):
            bus.subscribe(Selection(), print)
        with pytest.raises(BusError, match="closed"):
            collector.subscription.reselect(Selection.of(["/odom"]))


def test_a_bad_selection_is_refused_and_the_old_one_stays() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus, "/odom") as received:
        with pytest.raises(PatternError):
            received.subscription.reselect(Selection(("/cam[",)))
        with pytest.raises(PatternError):
            bus.subscribe(Selection(("/cam[",)), print)
        bus.publish("/odom", b"")
        assert received.wait_for(1) == [("/odom", b"")]
        assert received.subscription.selection == Selection.of(["/odom"])


def test_a_network_that_does_not_deliver_says_so_and_can_be_tried_again(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_bus(free_lcm_url()) as bus:
        with monkeypatch.context() as deaf:
            if way == "compiled":
                deaf.setattr(lcm_native, "_SELF_TEST_S", 0.2)
                deaf.setattr(lcm_native.NativeDispatcher, "_send_self_test", lambda self: None)
            else:
                deaf.setattr(lcm, "LCM", _Deaf)
            with pytest.raises(BusError, match=r"does not deliver.*ip route add"):
                bus.subscribe(Selection(), print)
        with Collector(bus) as received:
            bus.publish("/odom", b"")
            received.wait_for(1)


class _Deaf(lcm.LCM):
    def fileno(self) -> int:
        """What LCM does when its own test message does not come back."""
        return -1


def test_any_thread_may_publish_subscribe_and_close() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus) as everything:

        def work(name: str) -> None:
            for i in range(20):
                with Collector(bus, f"/{name}") as own:
                    bus.publish(f"/{name}", b"%d" % i)
                    assert (f"/{name}", b"%d" % i) in own.wait_for(1)

        failures: list[BaseException] = []

        def guarded(name: str) -> None:
            try:
                work(name)
            except (AssertionError, BusError, TimeoutError) as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(everything.wait_for(80)) == 80


def test_nothing_is_delivered_after_close_returns() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus) as others:
        for _ in range(20):
            seen: list[bytes] = []
            subscription = bus.subscribe(Selection(), lambda _, data, seen=seen: seen.append(data))
            for i in range(50):
                bus.publish("/a", b"%d" % i)
            subscription.close()
            count = len(seen)
            before = len(others.messages)
            bus.publish("/a", b"after")
            others.wait_for(before + 1)
            assert len(seen) == count
            subscription.close()


def test_a_callback_may_subscribe_reselect_and_close() -> None:
    with open_bus(free_lcm_url()) as bus, Collector(bus, "/done") as done:
        seen: list[str] = []

        def on_message(channel: str, _: bytes) -> None:
            seen.append(channel)
            if channel == "/first":
                subscription.reselect(Selection.of(["/second", "/third"]))
                bus.publish("/done", b"reselected")
            elif channel == "/second":
                inner.append(bus.subscribe(Selection.of(["/inner"]), on_message))
                bus.publish("/done", b"subscribed")
            elif channel == "/third":
                subscription.close()
                bus.publish("/done", b"closed")

        inner: list[object] = []
        subscription = bus.subscribe(Selection.of(["/first"]), on_message)
        for i, channel in enumerate(["/first", "/second", "/third"], 1):
            bus.publish(channel, b"")
            done.wait_for(i)
        for channel in ("/first", "/second", "/third", "/inner"):
            bus.publish(channel, b"")
        bus.publish("/done", b"")
        done.wait_for(4)
        assert seen == ["/first", "/second", "/third", "/inner"]


@needs_proc
def test_a_bus_that_nobody_listens_to_receives_nothing_and_can_be_listened_to_again() -> None:
    with open_bus(free_lcm_url()) as bus:
        for round_ in range(3):
            with Collector(bus, "/a") as first, Collector(bus, "/b") as second:
                bus.publish("/a", b"%d" % round_)
                bus.publish("/b", b"%d" % round_)
                assert first.wait_for(1) == [("/a", b"%d" % round_)]
                assert second.wait_for(1) == [("/b", b"%d" % round_)]
                assert _listeners(bus.url) == 1
            bus.publish("/a", b"to nobody")
            assert _listeners(bus.url) == 0
            assert bus.lost_before_reception() == 0


def _listeners(url: str) -> int:
    """Sockets that are bound to the port of an LCM URL."""
    port = int(url.partition("?")[0].rpartition(":")[2])
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return sum(int(row.split()[1].partition(":")[2], 16) == port for row in rows)


def test_a_callback_may_end_the_last_subscription_and_begin_another() -> None:
    done = threading.Event()
    with open_bus(free_lcm_url()) as bus:
        received: list[bytes] = []

        def first(channel: str, data: bytes) -> None:
            received.append(data)
            subscription.close()
            bus.subscribe(Selection.of(["/b"]), second)
            bus.publish("/b", b"2")

        def second(channel: str, data: bytes) -> None:
            received.append(data)
            done.set()

        subscription = bus.subscribe(Selection.of(["/a"]), first)
        bus.publish("/a", b"1")
        assert done.wait(60)
        assert received == [b"1", b"2"]


def test_a_callback_may_close_the_bus() -> None:
    bus = open_bus(free_lcm_url())
    bus.subscribe(Selection(), lambda channel, data: bus.close())
    closed_by_callback = next(t for t in threading.enumerate() if t.name.startswith("lcm "))
    bus.publish("/close", b"")
    closed_by_callback.join(60)
    assert not closed_by_callback.is_alive()
    bus.close()


def test_a_failing_callback_is_logged_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(channel: str, data: bytes) -> None:
        failed.append(data)
        raise ValueError("cannot take this")

    failed: list[bytes] = []
    with open_bus(free_lcm_url()) as bus, caplog.at_level(logging.ERROR, "dimos_record"):
        bus.subscribe(Selection(), fail)
        with Collector(bus) as after:
            for i in range(5):
                bus.publish("/odom", b"%d" % i)
            assert len(after.wait_for(5)) == 5
    assert len(failed) == 5
    [record] = caplog.records
    assert "/odom" in record.getMessage()
    assert "cannot take this" in caplog.text


@needs_proc
def test_opening_and_closing_leaks_neither_threads_nor_files() -> None:
    def cycle() -> None:
        with open_bus(free_lcm_url()) as bus, Collector(bus) as received:
            bus.publish("/a", b"")
            received.wait_for(1)
            received.subscription.reselect(Selection.of(["/b"]))
        with open_bus(free_lcm_url()) as bus:
            bus.publish("/a", b"")

    def threads() -> int:  # LCM's own are not among Python's
        return len(os.listdir("/proc/self/task"))

    threads_before = threads()
    cycle()
    with nothing_left_behind():
        for _ in range(30):
            cycle()
    deadline_s = time.monotonic() + 10  # the kernel lists a thread that was joined a little longer
    while threads() > threads_before and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert threads() <= threads_before


def test_a_script_that_forgets_to_close_still_ends() -> None:
    script = (
        "from dimos_record.bus import open_bus, Selection\n"
        f"bus = open_bus({free_lcm_url()!r})\n"
        "bus.subscribe(Selection(), lambda channel, data: None)\n"
        "for i in range(1000): bus.publish('/a', b'x')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_the_kernel_drops_is_counted() -> None:
    if not Path("/proc/net/udp").exists():
        pytest.skip("the kernel's count is known on Linux only")
    with open_bus(free_lcm_url() + "&recv_buf_size=4096") as bus:
        assert bus.lost_before_reception() is None
        with Collector(bus, "/none"):
            assert bus.lost_before_reception() == 0
            for _ in range(10_000):
                bus.publish("/flood", bytes(60_000))
                if bus.lost_before_reception():
                    break
        lost = bus.lost_before_reception()
    assert lost
    assert bus.lost_before_reception() >= lost


@needs_proc
def test_the_socket_gets_the_buffer_it_asks_for_or_a_warning_says_how(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receive_buffer._warn_small_buffer.cache_clear()
    limit = receive_buffer.largest_size()
    assert limit is not None
    wanted = 4 * limit
    url = f"{free_lcm_url()}&recv_buf_size={wanted}"
    for _ in range(2):
        before = receive_buffer.open_sockets()
        with open_bus(url) as bus, Collector(bus):
            port = int(url.split(":")[2].split("?")[0])
            udp = receive_buffer.find_new_socket(before, "239.255.76.67", port)
            assert udp is not None
            with udp:
                granted = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    warnings = [record.getMessage() for record in caplog.records]
    if granted >= wanted:  # this process has CAP_NET_ADMIN
        assert warnings == []
    else:
        assert granted == limit
        [warning] = warnings
        assert warning.endswith(f"sudo sysctl -w net.core.rmem_max={wanted}")


@needs_proc
def test_without_privileges_a_small_buffer_is_warned_about_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_buffer, "_SO_RCVBUFFORCE", socket.SO_RCVBUF)  # capped, no error
    receive_buffer._warn_small_buffer.cache_clear()
    limit = receive_buffer.largest_size()
    assert limit is not None
    for _ in range(2):
        with open_bus(f"{free_lcm_url()}&recv_buf_size={4 * limit}") as bus, Collector(bus):
            pass
    [record] = caplog.records
    assert record.getMessage().endswith(f"sudo sysctl -w net.core.rmem_max={4 * limit}")


def test_a_selection_of_thousands_of_topics_works() -> None:
    names = [f"/robot{i}/a_sensor_with_a_long_name/data" for i in range(2000)]
    with open_bus(free_lcm_url()) as bus, Collector(bus, *names) as received:
        for name in names:
            bus.publish("/other" + name, b"")
            bus.publish(name, b"")
        assert [channel for channel, _ in received.wait_for(2000)] == names


def test_catching_up_waits_for_everything_that_was_published_before() -> None:
    url = free_lcm_url()
    received: list[bytes] = []
    with open_bus(url) as publisher, open_bus(url) as bus:
        subscription = bus.subscribe(Selection(), lambda channel, data: received.append(data))
        for round_number in range(20):
            for number in range(200):
                publisher.publish("/number", b"%d" % number)
            assert subscription.catch_up(60)
            assert len(received) == 200 * (round_number + 1)
        subscription.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # it is what users are told, too
def test_a_forked_process_is_told_that_it_cannot_receive_and_can_close_what_it_inherited() -> None:
    with open_bus(free_lcm_url()) as bus:
        subscription = bus.subscribe(Selection.of(["/a"]), lambda channel, data: None)
        bus.subscribe(Selection.of(["/b"]), lambda channel, data: None)
        child = os.fork()
        if child == 0:  # no exception may leave this branch
            faulthandler.dump_traceback_later(30, exit=True)  # rather than hang
            try:
                with pytest.raises(BusError, match="open another bus to receive here"):
                    subscription.reselect(Selection.of(["/c"]))
                with pytest.raises(BusError, match="open another bus to receive here"):
                    bus.subscribe(Selection(), print)
                assert bus.senders() == []
                bus.lost_before_reception()
                subscription.close()
                bus.close()
            except BaseException:  # noqa: BLE001 - the parent is told
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with Collector(bus) as received:
            bus.publish("/a", b"")
            received.wait_for(1)


def test_catching_up_ends_when_the_bus_is_closed() -> None:
    bus = open_bus(free_lcm_url())
    subscription = bus.subscribe(Selection(), lambda channel, data: None)
    bus.close()
    assert not subscription.catch_up(60)

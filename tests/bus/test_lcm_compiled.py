"""The compiled way to receive and send LCM: what it offers beyond the package lcm, and with it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import lcm
import pytest

from dimos_record.bus import Arrival, Bus, Selection, Sender, lcm_native, open_bus
from dimos_record.bus._lcm_native import Publisher, Receiver
from dimos_record.errors import BusError, ChannelTooLong
from dimos_record.testing import Collector, free_lcm_url
from tests.leftovers import nothing_left_behind
from tests.record.recordings import wait_until

pytestmark = pytest.mark.once

WAIT_S = 60.0
ON_ITS_WAY_NS = 1_000_000
"""So long a packet may take from its sender into the sockets of this machine."""
LONG = "/" + "n" * 62
SIZES = [0, 1, 65_434, 65_435, 65_436, 65_496, 65_497, 130_000, 3_000_000]
"""With a name of 63 bytes, 65,435 is the most that fits into one packet; with "/a" it is 65,496."""


class Batches:
    """Collects batches of arrivals until as many messages have come as are waited for."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._come = threading.Condition()

    def __call__(self, arrivals: list[Arrival]) -> None:
        with self._come:
            self.arrivals += arrivals
            self._come.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        with self._come:
            assert self._come.wait_for(lambda: len(self.arrivals) >= count, WAIT_S)
            return [(channel, data) for _, channel, data in self.arrivals]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIMOS_RECORD_NATIVE", raising=False)


@pytest.fixture
def bus() -> Iterator[Bus]:
    with open_bus(free_lcm_url()) as bus:
        yield bus


def port_of(bus: Bus) -> int:
    return int(bus.url.partition("?")[0].rpartition(":")[2])


# --- with LCM itself


@pytest.mark.parametrize("channel", ["/a", LONG])
def test_what_lcm_sends_is_received(bus: Bus, channel: str) -> None:
    other = lcm.LCM(bus.url)
    with Collector(bus) as received:
        for count, size in enumerate(SIZES, 1):
            data = os.urandom(size)
            other.publish(channel, data)
            assert received.wait_for(count)[-1] == (channel, data)


@pytest.mark.parametrize("channel", ["/a", LONG])
@pytest.mark.parametrize("at_once", [False, True])
def test_lcm_receives_what_is_sent(bus: Bus, channel: str, at_once: bool) -> None:
    other = lcm.LCM(f"{bus.url.partition('&')[0]}&recv_buf_size=4000000")
    received: list[tuple[str, bytes]] = []
    every = other.subscribe(".*", lambda *message: received.append(message))
    every.set_queue_capacity(0)
    for size in SIZES:
        data = os.urandom(size)
        small = [("/small", b"%d" % i) for i in range(5)]
        if at_once:
            bus.publish_all([*small, (channel, data), ("/end", b"")])
        else:
            for message in [*small, (channel, data), ("/end", b"")]:
                bus.publish(*message)
        received.clear()
        while len(received) < 7:
            assert other.handle_timeout(int(WAIT_S * 1000))
        assert received == [*small, (channel, data), ("/end", b"")]


# --- arrivals


def test_arrivals_come_in_order_each_with_the_time_at_which_it_was_sent(bus: Bus) -> None:
    batches = Batches()
    bus.subscribe_arrivals(Selection.of(["/a", "/img"]), batches)
    sent_ns: list[int] = []
    for i in range(50):
        sent_ns += [time.monotonic_ns()] * 2
        bus.publish_all([("/a", b"%d" % i), ("/other", b""), ("/img", bytes(100_000))])
    assert batches.wait_for(100)[::2] == [("/a", b"%d" % i) for i in range(50)]
    times_ns = [arrival_ns for arrival_ns, _, _ in batches.arrivals]
    assert times_ns == sorted(times_ns)
    assert all(sent <= at for sent, at in zip(sent_ns, times_ns, strict=True))


def test_the_arrival_is_true_however_late_the_delivery(bus: Bus) -> None:
    go_on, is_held = threading.Event(), threading.Event()
    batches = Batches()

    def hold(arrivals: list[Arrival]) -> None:
        is_held.set()
        assert go_on.wait(WAIT_S)
        batches(arrivals)

    bus.subscribe_arrivals(Selection(), hold)
    bus.publish("/first", b"")
    assert is_held.wait(WAIT_S)
    bus.publish("/second", b"")
    wait_until(lambda: bus.senders()[0].received == 2)
    late_ns = time.monotonic_ns()
    go_on.set()
    batches.wait_for(2)
    assert batches.arrivals[1][0] < late_ns


def test_the_arrival_is_that_in_the_kernel_however_late_it_is_read() -> None:
    port = int(free_lcm_url().split(":")[2].partition("?")[0])
    receiver = Receiver("239.255.76.67", port, 4_000_000)
    publisher = Publisher("239.255.76.67", port, 0)
    receiver.be_patient(900_000_000)

    def arrival_is_that_in_the_kernel() -> bool:
        before_ns = time.monotonic_ns()
        publisher.send("/a", b"")
        sent_ns = time.monotonic_ns()
        receiver.mark()  # only this makes it read before its patience is at an end
        messages: list[Arrival] = []
        while not messages:
            messages, _ = receiver.take(10, 1000, int(WAIT_S * 1000))
        return before_ns <= messages[0][0] <= sent_ns

    # The kernel begins to stamp packets a little after it was asked to.
    wait_until(arrival_is_that_in_the_kernel)
    receiver.close()
    publisher.close()


def test_a_mark_is_not_passed_before_what_was_sent_earlier_can_have_arrived() -> None:
    port = int(free_lcm_url().split(":")[2].partition("?")[0])
    receiver = Receiver("239.255.76.67", port, 4_000_000)
    publisher = Publisher("239.255.76.67", port, 0)
    stop = threading.Event()

    def keep_it_busy() -> None:
        while not stop.is_set():
            publisher.send_all([("/a", b"")] * 100)

    sender = threading.Thread(target=keep_it_busy)
    sender.start()
    took_ns = []
    for _ in range(60):
        asked_ns = time.monotonic_ns()
        mark = receiver.mark()
        while receiver.reached() < mark:
            receiver.take(4096, 2**24, int(WAIT_S * 1000))
        took_ns.append(time.monotonic_ns() - asked_ns)
    stop.set()
    sender.join()
    receiver.close()
    publisher.close()
    assert min(took_ns) >= ON_ITS_WAY_NS


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_patient_taker_gets_in_one_batch_what_others_get_one_by_one(is_patient: bool) -> None:
    # What the machine does meanwhile may hold the taker up, or the sender: it is tried again.
    def is_as_it_should_be() -> bool:
        batches = _batches_of(20, is_patient)
        return batches <= 5 if is_patient else batches >= 10

    wait_until(is_as_it_should_be)


def _batches_of(count: int, is_patient: bool) -> int:
    """In how many batches messages are taken that are sent as soon as the one before is in."""
    port = int(free_lcm_url().split(":")[2].partition("?")[0])
    receiver = Receiver("239.255.76.67", port, 4_000_000)
    publisher = Publisher("239.255.76.67", port, 0)
    receiver.be_patient(int(is_patient))
    batches: list[int] = []

    def take_all() -> None:
        while sum(batches) < count:
            batches.append(len(receiver.take(count, 2**20, int(WAIT_S * 1000))[0]))

    taker = threading.Thread(target=take_all)
    taker.start()
    deadline_s = time.monotonic() + WAIT_S
    for number in range(1, count + 1):
        publisher.send("/a", b"")
        while [row[1] for row in receiver.senders()] != [number]:
            assert time.monotonic() < deadline_s
            time.sleep(0.0001)
    taker.join()
    receiver.close()
    publisher.close()
    return len(batches)


def test_single_messages_and_batches_of_them_can_be_had_from_one_bus(bus: Bus) -> None:
    one, other = Batches(), Batches()
    sent = [(f"/{i % 3}", b"%d" % i) for i in range(300)]
    bus.subscribe_arrivals(Selection.of(["/0", "/1"]), one)
    bus.subscribe_arrivals(Selection.of(["/1"]), other)
    with Collector(bus, "/2", "/0") as singly:
        bus.publish_all(sent)
        assert one.wait_for(200) == [m for m in sent if m[0] in ("/0", "/1")]
        assert other.wait_for(100) == [m for m in sent if m[0] == "/1"]
        assert singly.wait_for(200) == [m for m in sent if m[0] in ("/0", "/2")]


def test_a_receiver_of_batches_that_reselects_gets_what_it_selects_from_then_on(bus: Bus) -> None:
    batches = Batches()
    subscription = bus.subscribe_arrivals(Selection(), batches)
    both = [("/a", b""), ("/b", b"")]
    expected = []
    for topics in (["/a", "/b"], ["/a"], ["/b"], ["/a", "/b"]):
        subscription.reselect(Selection.of(topics))
        bus.publish_all(both * 3)
        assert subscription.catch_up(WAIT_S)
        expected += [message for message in both * 3 if message[0] in topics]
        assert batches.wait_for(0) == expected


def test_a_failing_receiver_of_batches_is_logged_once(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(arrivals: list[Arrival]) -> None:
        raise ValueError("cannot take these")

    bus.subscribe_arrivals(Selection(), fail)
    with Collector(bus) as received, caplog.at_level(logging.ERROR, "dimos_record"):
        for count in range(1, 4):
            bus.publish("/odom", b"")
            received.wait_for(count)
    [record] = caplog.records
    assert "/odom" in record.getMessage()


def test_a_receiver_of_batches_may_close_its_bus(bus: Bus) -> None:
    bus.subscribe_arrivals(Selection(), lambda arrivals: bus.close())
    thread = next(t for t in threading.enumerate() if t.name == f"lcm {port_of(bus)}")
    bus.publish("/close", b"")
    thread.join(WAIT_S)
    assert not thread.is_alive()


def test_what_nobody_wants_any_more_does_not_reach_python(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    deliver = lcm_native.NativeDispatcher._deliver

    def spy(self: lcm_native.NativeDispatcher, messages: list[Arrival], new: list[str]) -> None:
        reached.extend(channel for _, channel, _ in messages)
        deliver(self, messages, new)

    monkeypatch.setattr(lcm_native.NativeDispatcher, "_deliver", spy)
    with Collector(bus, "/a") as received:
        for count in range(1, 11):
            bus.publish("/unwanted", b"")
            bus.publish("/a", b"")
            received.wait_for(count)
        assert reached.count("/unwanted") == 1
        received.subscription.reselect(Selection.of(["/a", "/unwanted"]))
        bus.publish("/unwanted", b"")
        assert received.wait_for(11)[-1] == ("/unwanted", b"")


# --- losses


def test_every_sender_is_known_by_what_came_and_what_was_lost() -> None:
    url = free_lcm_url() + "&recv_buf_size=4096"
    sent = {"flood": 0, "calm": 0}
    with open_bus(url) as bus, open_bus(url) as flood, open_bus(url) as calm:
        batches = Batches()
        bus.subscribe_arrivals(Selection.of(["/end"]), batches)
        assert bus.senders() == []
        while not bus.lost_before_reception():
            flood.publish_all([("/flood", bytes(1000))] * 500)
            sent["flood"] += 500
        for name, sender in (("flood", flood), ("calm", calm)):
            sent[name] += _publish_until_the_last_comes(sender, batches)
        assert sorted(s.received + s.lost for s in _settled(bus, 2)) == sorted(sent.values())
        assert sum(s.lost for s in bus.senders()) == bus.lost_before_reception()


def _publish_until_the_last_comes(sender: Bus, batches: Batches) -> int:
    """A loss shows when something comes after it; returns how many messages that took."""
    for count in range(1, 1000):
        last = ("/end", os.urandom(16))
        sender.publish(*last)
        waited_until_s = time.monotonic() + 1
        while last not in batches.wait_for(0) and time.monotonic() < waited_until_s:
            time.sleep(0.01)
        if batches.wait_for(0)[-1:] == [last]:
            return count
    raise AssertionError("nothing comes")


def _settled(bus: Bus, count: int) -> list[Sender]:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        before = bus.senders()
        time.sleep(0.05)
        if (len(before) == count and bus.senders() == before) or time.monotonic() > deadline_s:
            return before


def test_senders_are_remembered_while_nobody_listens(bus: Bus) -> None:
    for _ in range(3):
        with Collector(bus) as received:
            bus.publish("/a", b"")
            received.wait_for(1)
    [sender] = bus.senders()
    assert (sender.received, sender.lost, sender.lost_channels) == (3, 0, {})
    assert sender.address.count(":") == 1
    bus.close()
    assert bus.senders() == [sender]


# --- sending


def test_many_messages_are_sent_or_none_if_one_cannot_be(bus: Bus) -> None:
    with Collector(bus) as received:
        with pytest.raises(ChannelTooLong, match="64 bytes"):
            bus.publish_all([("/a", b""), ("/" + "x" * 63, b"")])
        with pytest.raises(BusError, match="cannot be the name"):
            bus.publish_all([("/a", b""), ("", b"")])
        bus.publish_all([])
        bus.publish_all((f"/{i}", bytes(i)) for i in range(1000))
        assert received.wait_for(1000) == [(f"/{i}", bytes(i)) for i in range(1000)]
    bus.close()
    with pytest.raises(BusError, match="closed"):
        bus.publish_all([("/a", b"")])


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_that_a_message_could_not_be_sent_is_said(size: int) -> None:
    publisher = Publisher("239.255.76.67", 7667, 0)
    publisher.close()
    publisher.close()
    for send in (lambda: publisher.send("/a", bytes(size)), lambda: publisher.send_all([])):
        with pytest.raises(OSError, match="Bad file descriptor"):
            send()


# --- processes and resources


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # it is what users are told, too
def test_a_forked_process_is_a_sender_of_its_own_and_may_close_the_bus(bus: Bus) -> None:
    with Collector(bus) as received:
        bus.publish("/parent", b"1")
        child = os.fork()
        if child == 0:  # no exception may leave this branch
            try:
                bus.publish("/child", b"1")
                bus.publish_all([("/child", b"2")])
                bus.close()
            except BaseException:  # noqa: BLE001 - the parent is told
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        bus.publish("/parent", b"2")
        assert sorted(received.wait_for(4)) == [
            ("/child", b"1"),
            ("/child", b"2"),
            ("/parent", b"1"),
            ("/parent", b"2"),
        ]
        assert [(s.received, s.lost) for s in bus.senders()] == [(2, 0), (2, 0)]


def test_a_receiver_whose_socket_fails_gives_what_it_has_and_then_says_so() -> None:
    port = int(free_lcm_url().split(":")[2].partition("?")[0])
    others = set(os.listdir("/proc/self/task"))
    receiver = Receiver("239.255.76.67", port, 4_000_000)
    (thread,) = set(os.listdir("/proc/self/task")) - others
    publisher = Publisher("239.255.76.67", port, 0)
    publisher.send("/a", b"1")
    wait_until(lambda: receiver.senders() != [])
    with open(os.devnull) as no_socket:
        os.dup2(no_socket.fileno(), receiver.fileno())
    receiver.mark()
    wait_until(lambda: thread not in os.listdir("/proc/self/task"))
    [(_, channel, _)], _ = receiver.take(10, 1000, int(WAIT_S * 1000))
    assert channel == "/a"
    for _ in range(2):
        with pytest.raises(OSError, match="non-socket"):
            receiver.take(10, 1000, int(WAIT_S * 1000))
    receiver.close()
    publisher.close()


def test_opening_and_closing_many_times_leaves_nothing_behind() -> None:
    url = free_lcm_url()
    with nothing_left_behind():
        for _ in range(200):
            with open_bus(url) as bus, Collector(bus) as received:
                bus.publish("/a", b"")
                received.wait_for(1)


def test_a_receiver_that_is_closed_gives_what_it_has_and_no_more() -> None:
    port = int(free_lcm_url().split(":")[2].partition("?")[0])
    receiver = Receiver("239.255.76.67", port, 4_000_000)
    publisher = Publisher("239.255.76.67", port, 0)
    publisher.send("/a", b"1")
    mark = receiver.mark()
    ((_, channel, data),), new = receiver.take(10, 1000, int(WAIT_S * 1000))
    while receiver.reached() < mark:
        assert receiver.take(10, 1000, int(WAIT_S * 1000)) == ([], [])
    receiver.close()
    receiver.close()
    publisher.close()
    assert (channel, data, new) == ("/a", b"1", ["/a"])
    assert receiver.take(10, 1000, 0) == ([], [])
    assert receiver.fileno() == -1
    assert receiver.drops() == 0


# --- the choice


@pytest.mark.parametrize("hindrance", ["it is turned off", "it was not built"])
def test_without_the_compiled_part_the_package_lcm_is_used(hindrance: str) -> None:
    script = (
        "import sys\n"
        "from dimos_record.bus import Selection, open_bus\n"
        "from dimos_record.testing import Collector\n"
        f"if {hindrance == 'it was not built'}:\n"
        "    sys.modules['dimos_record.bus._lcm_native'] = None\n"
        f"with open_bus({free_lcm_url()!r}) as bus, Collector(bus) as received:\n"
        "    bus.publish_all([('/a', b'1'), ('/b', bytes(100_000))])\n"
        "    assert received.wait_for(2) == [('/a', b'1'), ('/b', bytes(100_000))]\n"
        "    assert bus.senders() == []\n"
        "assert 'lcm' in sys.modules\n"
        "assert not sys.modules.get('dimos_record.bus._lcm_native')\n"
    )
    off = {"DIMOS_RECORD_NATIVE": "0"} if hindrance == "it is turned off" else {}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=os.environ | off)


def test_a_compiled_part_that_is_not_there_is_looked_for_once() -> None:
    script = (
        "import sys\n"
        "asked = []\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        asked.append(name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.modules['dimos_record.bus._lcm_native'] = None\n"
        "from dimos_record.bus import open_bus\n"
        "for _ in range(3):\n"
        f"    open_bus({free_lcm_url()!r}).close()\n"
        "assert asked.count('dimos_record.bus.lcm_native') == 1, asked\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_with_the_compiled_part_the_package_lcm_is_not_even_imported() -> None:
    script = (
        "import sys\n"
        "from dimos_record.bus import open_bus\n"
        f"open_bus({free_lcm_url()!r}).close()\n"
        "assert 'lcm' not in sys.modules\n"
        "assert 'dimos_record.bus._lcm_native' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

"""ZenohBus over real sessions on this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import zenoh

from dimos_record.bus import Bus, Selection, open_bus, zenoh_session
from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.errors import BusError, MissingExtra, PatternError
from dimos_record.testing import Collector, free_zenoh_url
from tests.record.recordings import wait_until

RECEIVER = """
import sys
from dimos_record.bus import open_bus
from dimos_record.testing import Collector
url, count = sys.argv[1], int(sys.argv[2])
with open_bus(url) as bus, Collector(bus, "/numbers") as received:
    print("listening", flush=True)
    messages = received.wait_for(count, timeout_s=60)
    assert [data for _, data in messages] == [b"%d" % i for i in range(count)], messages[:3]
    print("complete", flush=True)
"""


@pytest.fixture(scope="module")
def url() -> str:
    return free_zenoh_url()


@pytest.fixture(scope="module")
def bus(url: str) -> Iterator[Bus]:
    with open_bus(url) as opened:
        yield opened


def zenoh_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("zenoh ")}


def test_a_message_arrives_on_every_bus_of_the_url(bus: Bus, url: str) -> None:
    with open_bus(url) as two, Collector(bus) as at_one, Collector(two) as at_two:
        assert isinstance(two, Bus)
        two.publish("/empty", b"")
        at_one.wait_for(1)
        bus.publish("/odom#geometry_msgs.PoseStamped", b"\x00\xff")
        expected = [("/empty", b""), ("/odom#geometry_msgs.PoseStamped", b"\x00\xff")]
        assert at_one.wait_for(2) == at_two.wait_for(2) == expected


def test_the_keys_are_those_of_dimos_and_deletions_are_no_messages(url: str) -> None:
    network = parse_zenoh_url(url)
    config = zenoh.Config()
    config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:0"]')
    config.insert_json5("scouting/multicast/interface", f'"{network.interface}"')
    config.insert_json5("scouting/multicast/address", f'"{network.scout_addr}"')
    with (
        zenoh.open(config) as other,
        other.declare_subscriber("dimos$*/**") as at_other,
        open_bus(url) as plain,
        open_bus(network._replace(domain="fleet").url) as fleet,
        Collector(plain, "/k/**", "/runs/**") as at_plain,
        Collector(fleet, "/k/**") as at_fleet,
    ):
        plain.publish("/k/odom#geometry_msgs.Pose", b"1")
        assert str(at_other.recv().key_expr) == "dimos/k/odom/geometry_msgs.Pose"
        fleet.publish("/k/odom#geometry_msgs.Pose", b"2")
        assert str(at_other.recv().key_expr) == "dimos-domains/fleet/k/odom/geometry_msgs.Pose"
        other.put("elsewhere/k/agent", b"not ours")
        other.put("dimos/runs/k/logs/host", b"not a topic")
        other.delete("dimos/k/agent")
        other.put("dimos/k/agent", b"3")
        assert at_plain.wait_for(2) == [("/k/odom#geometry_msgs.Pose", b"1"), ("/k/agent", b"3")]
        assert at_fleet.wait_for(1) == [("/k/odom#geometry_msgs.Pose", b"2")]


def test_every_process_that_listens_gets_the_first_message(url: str) -> None:
    """Zenoh itself waits for one peer; the others would miss what is published at once."""
    count = 2000
    command = [sys.executable, "-c", RECEIVER, url, str(count)]
    receivers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        for receiver in receivers:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "listening\n"
        with open_bus(url) as bus:
            for i in range(count):
                bus.publish("/numbers", b"%d" % i)
        # the publisher is gone before all of it is received
        for receiver in receivers:
            out, err = receiver.communicate(timeout=60)
            assert (receiver.returncode, out, err) == (0, "complete\n", "")
    finally:
        for receiver in receivers:
            receiver.kill()
            receiver.wait()


def test_overlapping_patterns_deliver_once(bus: Bus) -> None:
    with (
        Collector(bus, "/o/?*", "/o/odom", "/o/o*", "/o/odom#a.T", "/o/**") as all_of_it,
        Collector(bus, "/o/od*", "/o/*m", "/o/odom") as crossing,
        Collector(bus, "/o/odom") as odom,
    ):
        for i in range(100):
            bus.publish("/o/odom#geometry_msgs.PoseStamped", b"%d" % i)
        bus.publish("/o/last", b"")
        numbers = [b"%d" % i for i in range(100)]
        assert [data for _, data in all_of_it.wait_for(101)][:100] == numbers
        assert [data for _, data in crossing.wait_for(100)] == numbers
        assert crossing.subscription.catch_up(60)
        assert [data for _, data in crossing.messages] == numbers
        assert [data for _, data in odom.wait_for(100)] == numbers


def test_what_is_excluded_is_refused_before_it_is_copied(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dimos_record.bus import zenoh_subscription

    copied: list[str] = []

    class Payload:
        def __init__(self, sample: zenoh.Sample) -> None:
            self.sample = sample

        def to_bytes(self) -> bytes:
            copied.append(str(self.sample.key_expr))
            return self.sample.payload.to_bytes()

    class Watched:
        def __init__(self, sample: zenoh.Sample) -> None:
            self.key_expr, self.kind, self.payload = sample.key_expr, sample.kind, Payload(sample)

    make_deliver = zenoh_subscription._make_deliver

    def watch(feed: zenoh_subscription._Feed) -> object:
        deliver = make_deliver(feed)
        return lambda sample: deliver(Watched(sample))

    monkeypatch.setattr(zenoh_subscription, "_make_deliver", watch)
    with Collector(bus, "/x/*", exclude=["/x/image"]) as received:
        for _ in range(3):
            bus.publish("/x/image#sensor_msgs.Image", bytes(1000))
            bus.publish("/x/deep/er", b"")
            bus.publish("/x/odom", b"1")
        assert received.wait_for(3) == [("/x/odom", b"1")] * 3
        assert received.subscription.catch_up(60)
    assert copied == ["dimos/x/odom"] * 3


def test_large_messages_arrive_whole(bus: Bus, url: str) -> None:
    frames = [bytes([i]) * 921_600 for i in range(20)]
    with open_bus(url) as two, Collector(two, "/camera") as received:
        for frame in frames:
            bus.publish("/camera#sensor_msgs.Image", frame)
        assert [data for _, data in received.wait_for(20)] == frames


def test_catching_up_waits_for_what_was_published_before(bus: Bus, url: str) -> None:
    release = threading.Event()
    seen: list[bytes] = []

    def slow(channel: str, data: bytes) -> None:
        release.wait(60)
        seen.append(data)

    with open_bus(url) as two:
        subscription = two.subscribe(Selection.of(["/slow", "/also/slow"]), slow)
        for i in range(5000):
            two.publish("/slow", b"%d" % i)
        assert not subscription.catch_up(0.05)
        release.set()
        assert subscription.catch_up(60)
        assert len(seen) == 5000
        subscription.close()
        assert not subscription.catch_up(0.05)


def test_what_cannot_be_published_is_refused(bus: Bus) -> None:
    with pytest.raises(BusError, match="'/a//b'"):
        bus.publish("/a//b", b"")
    with pytest.raises(BusError, match=r"allows no '\*'"):
        bus.check_channel("/a*")
    bus.check_channel("/a#geometry_msgs.Pose")


def test_a_bad_selection_is_refused_and_the_old_one_stays(bus: Bus) -> None:
    with Collector(bus, "/kept") as received:
        with pytest.raises(PatternError):
            received.subscription.reselect(Selection(("/cam[",)))
        bus.publish("/kept", b"")
        assert received.wait_for(1) == [("/kept", b"")]
        assert received.subscription.selection == Selection.of(["/kept"])


def test_a_callback_that_raises_is_logged_once(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[bytes] = []

    def fail(channel: str, data: bytes) -> None:
        calls.append(data)
        raise ValueError("broken callback")

    subscription = bus.subscribe(Selection.of(["/broken"]), fail)
    with caplog.at_level(logging.ERROR, "dimos_record"):
        for _ in range(3):
            bus.publish("/broken", b"")
        assert subscription.catch_up(60)
    subscription.close()
    assert len(calls) == 3
    assert caplog.text.count("ValueError: broken callback") == 1


def test_a_callback_may_reselect_publish_and_close(bus: Bus) -> None:
    done = threading.Event()
    got: list[str] = []

    def step(channel: str, data: bytes) -> None:
        got.append(channel)
        if channel == "/step/1":
            subscription.reselect(Selection.of(["/step/2", "/step/3"]))
            bus.publish("/step/1", b"")
            bus.publish("/step/2", b"")
        elif channel == "/step/2":
            subscription.close()
            bus.publish("/step/3", b"")
            done.set()

    subscription = bus.subscribe(Selection.of(["/step/1"]), step)
    bus.publish("/step/1", b"")
    assert done.wait(60)
    subscription.close()
    assert got == ["/step/1", "/step/2"]


def test_a_bus_may_be_closed_from_its_own_callback(url: str) -> None:
    before = zenoh_threads()
    closed = threading.Event()
    own = open_bus(url)

    def close(channel: str, data: bytes) -> None:
        own.close()
        closed.set()

    subscription = own.subscribe(Selection.of(["/close"]), close)
    for thread in zenoh_threads() - before:
        own.publish("/close", b"")
        assert closed.wait(60)
        thread.join(60)
        assert not thread.is_alive()
    assert isinstance(subscription.failure, BusError)


def test_a_closed_bus_says_so_and_leaves_no_thread(url: str) -> None:
    before = zenoh_threads()
    own = open_bus(url)
    with Collector(own, "/a", "/b/*") as received:
        assert received.subscription.failure is None
        own.close()
        own.close()
        assert zenoh_threads() == before
        assert "closed" in str(received.subscription.failure)
        with pytest.raises(BusError, match="closed"):
            own.publish("/odom", b"")
        with pytest.raises(BusError, match="closed"):
            own.subscribe(Selection(), print)
        with pytest.raises(BusError, match="closed"):
            received.subscription.reselect(Selection.of(["/odom"]))


def test_any_thread_may_publish_subscribe_and_close(bus: Bus) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for i in range(20):
                with Collector(bus, f"/w/{name}") as own:
                    bus.publish(f"/w/{name}", b"%d" % i)
                    assert own.wait_for(1) == [(f"/w/{name}", b"%d" % i)]
        except (AssertionError, BusError, TimeoutError) as error:
            failures.append(error)

    with Collector(bus, "/w/*") as everything:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        everything.wait_for(80)


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise ValueError('the end')"])
def test_a_program_that_forgets_to_close_ends_quietly(url: str, ending: str) -> None:
    program = (
        "import sys\nfrom dimos_record.bus import *\n"
        f"bus = open_bus({url!r})\nbus.subscribe(Selection(), print)\nbus.publish('/a', b'1')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program + ending],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    expected = {"": 0, "sys.exit(3)": 3}.get(ending, 1)
    assert result.returncode == expected
    own = r"(Traceback .*|  File .*|ValueError: the end|)"
    assert [line for line in result.stderr.splitlines() if not re.fullmatch(own, line)] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_that_zenoh_does_not_work_there(url: str) -> None:
    program = (
        "import os\nfrom dimos_record.bus import *\nfrom dimos_record.errors import BusError\n"
        f"bus = open_bus({url!r})\n"
        "if os.fork():\n    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "bus.close()\n"
        f"try:\n    open_bus({url!r})\n"
        "except BusError as error:\n    os._exit(0 if 'forked' in str(error) else 2)\nos._exit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_a_client_without_a_router_says_so() -> None:
    with pytest.raises(BusError, match=r"needs a router.*tcp/127\.0\.0\.1:1\b"):
        open_bus("zenoh://?mode=client&connect=tcp/127.0.0.1:1&multicast=false&connect_timeout=0.1")


def test_an_endpoint_that_does_not_answer_is_warned_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = "zenoh://?connect=tcp/127.0.0.1:1&listen=tcp/127.0.0.1:0&multicast=false"
    with open_bus(f"{url}&connect_timeout=0.1"):
        assert "no link to tcp/127.0.0.1:1 after 0.1 s" in caplog.text


def test_endpoints_alone_connect_two_buses() -> None:
    alone = "zenoh://?multicast=false&listen=tcp/127.0.0.1:0"
    address = f"tcp/127.0.0.1:{_free_tcp_port()}"
    with (
        open_bus(f"zenoh://?multicast=false&listen={address}") as one,
        open_bus(f"{alone}&connect={address}") as two,
        Collector(one) as received,
    ):
        two.publish("/odom", b"1")
        assert received.wait_for(1) == [("/odom", b"1")]


def test_a_link_to_another_machine_ends_what_is_local(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer here that is linked elsewhere makes Zenoh link us there, too."""
    address = f"tcp/127.0.0.2:{_free_tcp_port()}"
    elsewhere = f"zenoh://?multicast=false&listen={address}"
    dialling = parse_zenoh_url(url)._replace(connect=(address,)).url
    with open_bus(elsewhere), open_bus(dialling), open_bus(url) as own:
        assert own.is_local
        assert own.reach == "Zenoh (this machine only)"
        monkeypatch.setattr(zenoh_session, "is_loopback", lambda far: "127.0.0.2" not in far)
        wait_until(lambda: not own.is_local)  # once gossip has linked the two
        assert own.reach == f"Zenoh via {address}"


def _free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_zenoh_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zenoh", None)
    with pytest.raises(MissingExtra, match=r"dimos-record\[zenoh\]"):
        open_bus(free_zenoh_url())

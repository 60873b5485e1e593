"""Our Zenoh bus and dimos's own transports hear each other, byte for byte."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from dimos.core.global_config import GlobalConfig
from dimos.core.transport import ZenohTransport, pZenohTransport
from dimos.core.transport_factory import make_transport
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.sensor_msgs.Image import Image
from dimos.protocol.pubsub.impl.zenohpubsub import Topic, ZenohPubSubBase
from dimos.protocol.rpc.zenohrpc import ZenohRPC
from dimos.protocol.service.zenohservice import ZenohConfig, ZenohSessionPool, _zenoh_config

from dimos_record import RecordReplay
from dimos_record.bus import open_bus, zenoh_session
from dimos_record.bus.zenoh_url import ZenohNetwork, parse_zenoh_url
from dimos_record.testing import Collector, free_zenoh_url
from tests.with_dimos.messages import color
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.dimos


class Run(NamedTuple):
    """A network of our own, and dimos's configuration for it."""

    url: str
    config: GlobalConfig
    settings: dict[str, Any]
    """What dimos's transports take to be on it."""


@pytest.fixture(scope="module", params=["", "fleet"], ids=["no domain", "domain fleet"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    network = parse_zenoh_url(free_zenoh_url(request.param))
    pool = ZenohSessionPool()
    config = GlobalConfig(transport="zenoh", zenoh_domain=request.param)
    yield Run(network.url, config, {"scout_addr": network.scout_addr, "session_pool": pool})
    pool.close_all()


def transport(run: Run, name: str, type_: type | None) -> Any:
    """The transport that dimos makes for a stream, on the network of the test."""
    made = make_transport(name, type_, g=run.config)
    if isinstance(made, pZenohTransport):
        return pZenohTransport(made._zenoh_topic, **run.settings)
    assert isinstance(made, ZenohTransport)
    return ZenohTransport(made.topic, **run.settings)


def twist(i: int) -> Twist:
    return Twist(Vector3(i, 0, 0), Vector3(0, 0, i))


def test_what_dimos_publishes_is_recorded_and_what_we_play_reaches_dimos(
    run: Run, tmp_path: Path
) -> None:
    images = [color(i) for i in range(3)]
    twists = [twist(i) for i in range(200)]
    outs = {
        "robot1/cmd": (transport(run, "robot1/cmd", Twist), twists),
        "camera": (transport(run, "/camera", Image), images),
        "agent": (transport(run, "/agent", None), [{"said": i} for i in range(50)]),
    }
    path = tmp_path / "dimos.db"
    with RecordReplay(path, bus=run.url) as rec:
        rec.start_recording()
        for out, messages in outs.values():
            for message in messages:
                out.broadcast(None, message)
        wait_until(lambda: rec.progress and rec.progress.total.received >= 253)
        rec.stop_recording()
    for out, _ in outs.values():
        out.stop()

    heard: list[tuple[str, bytes]] = []
    lock = threading.Lock()

    def hear(data: bytes, topic: Topic) -> None:
        with lock:
            heard.append((topic.key_expr, data))

    listener = ZenohPubSubBase(**run.settings)
    listener.start()
    prefix = "dimos-domains/fleet/" if run.config.zenoh_domain else "dimos/"
    keys = {
        "/robot1/cmd": f"{prefix}robot1/cmd/geometry_msgs.Twist",
        "/camera": f"{prefix}camera/sensor_msgs.Image",
        "/agent": f"{prefix}agent",
    }
    for key in keys.values():
        listener.subscribe(Topic(key), hear)
    with RecordReplay(path, bus=run.url) as rec:
        recorded = {topic: [row.raw for row in rec.select([topic])] for topic in keys}
        rec.play(speed=float("inf"), check_conflicts=False, block=True)
        wait_until(lambda: len(heard) >= 253)
    listener.stop()
    assert recorded["/robot1/cmd"] == [message.lcm_encode() for message in twists]
    assert recorded["/camera"] == [message.lcm_encode() for message in images]
    assert len(recorded["/agent"]) == 50
    for topic, key in keys.items():
        assert [data for name, data in heard if name == key] == recorded[topic]


def test_calls_of_dimos_modules_are_no_topics(run: Run) -> None:
    server, client = ZenohRPC(**run.settings), ZenohRPC(**run.settings)
    server.start()
    client.start()
    with open_bus(run.url) as bus, Collector(bus) as received:
        server.serve_rpc(lambda a, b: a + b, "Adder/add")
        assert client.call_sync("Adder/add", ([1, 2], {}))[0] == 3
        bus.publish("/after", b"")
        assert received.wait_for(1) == [("/after", b"")]
    client.stop()
    server.stop()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ZenohNetwork(), ZenohConfig(connect=[])),
        (ZenohNetwork(interface="auto"), ZenohConfig(connect=[], scouting=True)),
        (
            ZenohNetwork(
                mode="client", connect=("tcp/1.2.3.4:7447",), multicast=False, connect_timeout=0
            ),
            ZenohConfig(
                mode="client", connect=["tcp/1.2.3.4:7447"], multicast=False, connect_timeout=0
            ),
        ),
        (
            ZenohNetwork(
                connect=("tcp/1.2.3.4:7447",), scout_addr="224.0.0.224:7450", gossip=False
            ),
            ZenohConfig(connect=["tcp/1.2.3.4:7447"], scout_addr="224.0.0.224:7450", gossip=False),
        ),
        (ZenohNetwork(listen=("tcp/0.0.0.0:7450",)), ZenohConfig(listen=["tcp/0.0.0.0:7450"])),
    ],
)
def test_a_session_is_opened_with_the_settings_of_dimos(
    ours: ZenohNetwork, theirs: ZenohConfig
) -> None:
    assert str(zenoh_session._config(ours)) == str(_zenoh_config(theirs))


def test_the_environment_means_the_same_to_dimos_and_us(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "ZENOH_DOMAIN": "fleet",
        "ZENOH_CONNECT": "tcp/10.0.0.1:7000,tcp/10.0.0.2:7447",
        "ZENOH_SCOUTING": "on",
        "ZENOH_SCOUT_ADDR": "224.0.0.224:7450",
        "ZENOH_GOSSIP": "no",
        "ZENOH_MODE": "client",
        "ZENOH_MULTICAST": "0",
        "ZENOH_CONNECT_TIMEOUT": "2.5",
        "ROBOT_IP": "10.0.0.2",
        "ROBOT_IPS": "10.0.0.3:99",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from dimos.core import transport_factory
    from dimos.protocol.service import zenohservice

    config = GlobalConfig(transport="zenoh")
    monkeypatch.setattr(zenohservice, "global_config", config)
    theirs = ZenohConfig()
    ours = parse_zenoh_url("zenoh://")
    assert ours.prefix == transport_factory.zenoh_prefix(config)
    assert ours == ZenohNetwork(
        domain=config.zenoh_domain,
        mode=theirs.mode,
        connect=tuple(theirs.connect),
        listen=tuple(theirs.listen),
        multicast=theirs.multicast,
        scout_addr=theirs.scout_addr,
        gossip=theirs.gossip_enabled,
        interface=theirs.multicast_interface,
        connect_timeout=theirs.connect_timeout,
    )

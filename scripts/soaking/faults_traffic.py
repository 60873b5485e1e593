"""Publishers that do what nobody expects: other types, many topics, odd names, any size."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import Bus, open_bus
from dimos_record.bus.lcm_url import parse_lcm_url
from dimos_record.store import open_recording
from dimos_record.testing import Collector, free_lcm_url
from soaking.faults_rig import check_sound, demand, recorder, run, until
from soaking.harness import Outcome, Round

Message = tuple[str, bytes]

_PATIENT = "&recv_buf_size=80000000"
_LARGEST = 2**28
_POSE, _TWIST = "/odom#geometry_msgs.PoseStamped", "/odom#geometry_msgs.Twist"

ODD_NAMES = (
    *(
        "/ODOM",
        "/odom",
        "/Odom",
        "odom",
        "/odom/",
        "//odom",
        "/a/b",
        "/a__b",
        "/a_b",
        "/é",
        "/e\u0301",
    ),
    *("/x", "/x_blob", "/x_blob_blob", "/x_rtree", "/x_vec", "/rowid", "/id", "/ts", "/1", "1"),
    *("/sqlite_x", "sqlite_master", "_streams", "/_dr_spool", "_dr_topics", "/select", "/table"),
    *(
        "/a'b",
        '/a"b',
        "/a`b",
        "/a]b",
        "/a;DROP TABLE _streams",
        "/a--b",
        "%",
        "?",
        "*",
        "[a]",
        "{a}",
    ),
    *("#", "##", "#a", "/a#", "/a#b#c", "/", "///", " ", "-", "--help", "$HOME", "\\", ":memory:"),
    *("/" + "n" * 62, "é" * 31, "/\x1b[31mred", "/\u202eleft", "/\ufeff", "/\U0001f600"),
)
EVERY_BYTE = tuple(f"/x{chr(code)}" for code in range(1, 0x800) if chr(code) != "#")
"""Every byte that text can have in UTF-8, each in a name of its own."""


def type_changes(round_: Round, *, topics: int = 3) -> Outcome:
    """A publisher comes back with another type on its topic, then with another layout of a type."""
    bodies = [bytes([round_.dice.randrange(256)]) * 60 for _ in range(4)]
    lives: list[list[Message]] = [
        [(f"/{i}{_POSE}", b"layout-1" + bodies[0]) for i in range(topics)],
        [(f"/{i}{_TWIST}", b"layout-2" + bodies[1]) for i in range(topics)],
        [(f"/{i}{_POSE}", b"layout-3" + bodies[2]) for i in range(topics)],
        [(f"/{i}/odom", bodies[3]) for i in range(topics)],
    ]
    url, path = free_lcm_url() + _PATIENT, round_.folder / "walk.db"
    with recorder(path, url) as running:
        for messages in lives:
            with open_bus(url) as bus:
                bus.publish_all(messages)
        running.stop().expect(0, "Nothing was lost")
    check_is_in(path, [message for messages in lives for message in messages])
    with open_recording(path) as reader:
        topics_found = {info.topic for info in reader.streams.values()}
        demand(len(topics_found) == topics, f"the topics are {topics_found}")
        demand(len(reader.streams) == 3 * topics, f"the streams are {list(reader.streams)}")
    return Outcome()


def odd_names(round_: Round, *, names: Sequence[str] = ODD_NAMES) -> Outcome:
    """Topics of every name that LCM lets through are recorded, played, and what they were."""
    messages = [(name, b"%d %s" % (number, name.encode())) for number in range(2) for name in names]
    url, path = free_lcm_url() + _PATIENT, round_.folder / "walk.db"
    with recorder(path, url) as running, open_bus(url) as bus:
        publish_gently(bus, messages)
        running.stop().expect(0, "Nothing was lost")
    check_is_in(path, messages)
    info = run("info", path)
    info.expect(0)
    demand("\x1b" not in info.out, "an escape sequence in a name reaches the terminal")
    check_plays(path, messages)
    return Outcome({"names": len(names)})


def names_that_are_no_text(round_: Round) -> Outcome:
    """A name that is not UTF-8 does not keep anything else from being recorded."""
    url, path = free_lcm_url() + _PATIENT, round_.folder / "walk.db"
    bad = [b"/\xff", b"/\xc3\x28", b"/\xed\xa0\x80", b"/\xf8\x88\x80\x80\x80", b"/" + b"\x80" * 62]
    with recorder(path, url) as running, RawPublisher(url) as raw:
        for number in range(20):
            raw.publish(b"/good", b"%d" % number)
            raw.publish(round_.dice.choice(bad), b"bad")
        running.stop().expect(0)
    check_is_in(path, [("/good", b"%d" % number) for number in range(20)])
    return Outcome()


def sizes(round_: Round, *, most: int = _LARGEST) -> Outcome:
    """Messages of 0 bytes, of a packet and one byte more, and the largest that LCM carries."""
    url, path = free_lcm_url() + "&recv_buf_size=600000000", round_.folder / "walk.db"
    lengths = [size for size in (0, 1, 65_499, 65_500, 2**24 + 1, _LARGEST) if size <= most]
    messages = [
        (f"/size{size}", round_.dice.randbytes(min(size, 64)).ljust(size)) for size in lengths
    ]
    with recorder(path, url) as running, open_bus(url) as bus:
        for count, message in enumerate(messages, 1):
            bus.publish(*message)
            until(partial(_has, path, count), f"{message[0]} is recorded")
        if most == _LARGEST:
            _refuses_one_beyond(bus)
        running.stop().expect(0, "Nothing was lost")
    check_is_in(path, messages)
    return Outcome({"bytes": lengths[-1]})


def _has(path: Path, count: int) -> bool:
    with open_recording(path) as reader:
        return sum(reader.stats(name).count for name in reader.streams) >= count


def _refuses_one_beyond(bus: Bus) -> None:
    from dimos_record.errors import BusError

    try:
        bus.publish("/beyond", bytes(_LARGEST + 1))
    except BusError as error:
        demand("more than the 268435456 that LCM can carry" in str(error), str(error))
    else:
        demand(False, "a message that no receiver takes was sent without a word")


def many_topics(round_: Round, *, count: int = 10_000) -> Outcome:
    """Very many topics."""
    url, path = free_lcm_url() + _PATIENT, round_.folder / "walk.db"
    messages = [(f"/robot{i % 100}/topic{i}", b"%d" % n) for n in range(2) for i in range(count)]
    with recorder(path, url) as running, open_bus(url) as bus:
        publish_gently(bus, messages)
        peak_mb = running.peak_bytes() / 1e6
        running.stop(timeout_s=300).expect(0, "Nothing was lost")
    check_is_in(path, messages)
    began_s = time.monotonic()
    with RecordReplay(path) as rec:
        demand(len(list(rec.topics)) == count, "not every topic is there")
    open_s = time.monotonic() - began_s
    check_plays(path, messages)
    return Outcome(
        {
            "peak_mb": peak_mb,
            "open_s": open_s,
            "file_kb_per_topic": path.stat().st_size / 1e3 / count,
        }
    )


def publish_gently(bus: Bus, messages: Sequence[Message]) -> None:
    """Publish with a pause now and then, so that nothing is lost on the way."""
    for first in range(0, len(messages), 50):
        bus.publish_all(messages[first : first + 50])
        time.sleep(0.005)


def check_is_in(path: Path, messages: Iterable[Message]) -> None:
    """Check a recording, and that exactly these messages are in it."""
    check_sound(path)
    with open_recording(path) as reader:
        found = Counter(
            (info.channel, bytes(row.data))
            for name, info in reader.streams.items()
            for row in reader.rows(name)
        )
    _compare(found, Counter(messages), "recorded")


def check_plays(path: Path, messages: Sequence[Message]) -> None:
    """Play a recording, and check that exactly these messages come."""
    url = free_lcm_url() + _PATIENT
    with open_bus(url) as bus, Collector(bus) as collector:
        run("play", path, "--bus", url, "--speed", "1").expect(0)
        until(lambda: len(collector.messages) >= len(messages), "everything that was played")
        _compare(Counter(collector.messages), Counter(messages), "played")


def _compare(found: Counter[Message], wanted: Counter[Message], what: str) -> None:
    missing, extra = wanted - found, found - wanted
    if missing or extra:
        first = [(name, data[:20]) for name, data in [*missing, *extra][:3]]
        demand(
            False, f"not {what}: {missing.total()}, {what} beside them: {extra.total()}: {first}"
        )


class RawPublisher:
    """Sends LCM packets with names that no LCM library would send."""

    def __init__(self, url: str) -> None:
        network = parse_lcm_url(url)
        self._address = (network.address, network.port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        self._sent = 0

    def publish(self, channel: bytes, data: bytes) -> None:
        """Send a short message."""
        self._socket.sendto(
            b"LC02" + struct.pack(">I", self._sent) + channel + b"\0" + data, self._address
        )
        self._sent += 1

    def __enter__(self) -> RawPublisher:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

"""Numbered messages on several topics: publishing them, and finding them in a recording."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from dimos_record.bus import Bus, open_bus
from dimos_record.store import open_recording
from soaking.harness import PromiseBroken

_DIGITS = 10


class Topic(NamedTuple):
    """What is published on one topic."""

    name: str
    rate_hz: float
    size: int
    """Bytes of a message."""

    def message(self, number: int) -> bytes:
        """The message of that number: its digits, and filling that follows from them."""
        digits = b"%010d" % number
        return (digits * (self.size // _DIGITS + 1))[: max(_DIGITS, self.size)]


ROBOT = (
    Topic("fast", 1000, 50),
    Topic("camera", 30, 200_000),
    Topic("odom", 50, 100),
    Topic("slow", 4, 20),
    Topic("slower", 1, 1000),
)


class Traffic:
    """Publishes the topics at their rates, for as long as its ``with`` block lasts."""

    def __init__(self, bus: Bus, topics: Sequence[Topic] = ROBOT) -> None:
        self._bus, self._topics = bus, topics
        self.url = bus.url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")
        self.sent_s: dict[str, list[float]] = {topic.name: [] for topic in topics}
        """Per topic, when its message 0, 1, 2 ... was published, by the monotonic clock."""

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(0.001):
            since_s = time.monotonic() - began_s
            for topic in self._topics:
                sent_s = self.sent_s[topic.name]
                while len(sent_s) < since_s * topic.rate_hz:
                    self._bus.publish(f"/{topic.name}", topic.message(len(sent_s)))
                    sent_s.append(time.monotonic())

    def counts(self) -> dict[str, int]:
        """How many messages of each topic have been published."""
        return {name: len(sent_s) for name, sent_s in self.sent_s.items()}

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def traffic(url: str, topics: Sequence[Topic] = ROBOT) -> Iterator[Traffic]:
    """Traffic on a bus of its own."""
    with open_bus(url) as bus, Traffic(bus, topics) as running:
        yield running


def numbers(path: Path, topics: Sequence[Topic] = ROBOT) -> dict[str, list[int]]:
    """The numbers of the messages that a recording holds, per topic.

    Raises:
        PromiseBroken: a message is not as it was published.
    """
    found: dict[str, list[int]] = {}
    with open_recording(path) as reader:
        for topic in topics:
            if topic.name in reader.streams:
                found[topic.name] = [_number(topic, row.data) for row in reader.rows(topic.name)]
    return found


def _number(topic: Topic, data: bytes) -> int:
    digits = bytes(data[:_DIGITS])
    if not digits.isdigit() or topic.message(int(digits)) != data:
        raise PromiseBroken(f"/{topic.name}: a message is not as it was published: {digits!r}")
    return int(digits)


def check_no_holes(found: Mapping[str, Sequence[int]]) -> None:
    """Check that between the first and the last message of a topic none is missing or twice.

    Raises:
        PromiseBroken
    """
    for name, got in found.items():
        if got and list(got) != list(range(got[0], got[0] + len(got))):
            at = next(i for i in range(len(got)) if got[i] != got[0] + i)
            raise PromiseBroken(f"/{name}: after number {got[at - 1]} comes {got[at]}")


def oldest_missing_s(
    found: Mapping[str, Sequence[int]],
    sent_s: Mapping[str, Sequence[float]],
    since: Mapping[str, int],
    end_s: float,
) -> float:
    """How long before `end_s` the oldest message was published that is missing at the end.

    Args:
        since: per topic, the first number that has to be there.

    Raises:
        PromiseBroken: something is missing at the beginning.
    """
    oldest_s = 0.0
    for name, times in sent_s.items():
        got = found.get(name, ())
        if got and got[0] > since[name]:
            raise PromiseBroken(f"/{name}: the first is {got[0]}; {since[name]} should be there")
        after = got[-1] + 1 if got else since[name]
        if after < len(times) and times[after] < end_s:
            oldest_s = max(oldest_s, end_s - times[after])
    return oldest_s


def check_with_plain_sqlite(path: Path, expected: int) -> None:
    """Check a file with SQLite alone, which may change it: give it a copy.

    Args:
        expected: how many messages it has to hold.

    Raises:
        PromiseBroken
    """
    with closing(sqlite3.connect(path)) as db:
        (sound,) = db.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            raise PromiseBroken(f"{path.name}: integrity_check says {sound}")
        names = [name for (name,) in db.execute("SELECT stream FROM _dr_topics")]
        tables = [f'"{name}_blob"' for name in names] + ["_dr_spool"]
        found = sum(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
    if found != expected:
        raise PromiseBroken(f"{path.name}: plain SQLite finds {found} of {expected} messages")

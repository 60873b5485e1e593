"""The recorded time is that of the arrival, however late a message is delivered."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record.bus.base import Arrival, OnArrivals, Selection, Subscription
from dimos_record.bus.memory import MemoryBus
from dimos_record.record import keep_loop
from dimos_record.store import open_recording
from tests.record.recordings import payloads, session_on, wait_until, written

pytestmark = pytest.mark.once


class LateSubscription:
    """Holds back what arrives until it is asked for it."""

    def __init__(self, bus: MemoryBus, selection: Selection, on_arrivals: OnArrivals) -> None:
        self.answers = True
        self._held: list[Arrival] = []
        self._on_arrivals, self._delivering = on_arrivals, threading.Lock()
        self._inner = MemoryBus.subscribe_arrivals(bus, selection, self._hold)

    def _hold(self, arrivals: list[Arrival]) -> None:
        self._held += arrivals

    def deliver(self) -> None:
        with self._delivering:
            held, self._held = self._held, []
            if held:
                self._on_arrivals(held)

    @property
    def selection(self) -> Selection:
        return self._inner.selection

    @property
    def failure(self) -> None:
        return None

    def reselect(self, selection: Selection) -> None:
        self._inner.reselect(selection)

    def catch_up(self, timeout_s: float) -> bool:
        if self.answers:
            self.deliver()
        return self.answers

    def close(self) -> None:
        self._inner.close()


class LateBus(MemoryBus):
    subscription: LateSubscription
    on_the_way: tuple[Arrival, ...] = ()  # when somebody subscribes

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        self.subscription = LateSubscription(self, selection, on_arrivals)
        self.subscription._hold(list(self.on_the_way))
        return self.subscription


@pytest.fixture
def bus() -> Iterator[LateBus]:
    with LateBus("memory://late") as opened:
        yield opened


def test_the_recorded_time_is_that_of_the_arrival(tmp_path: Path, bus: LateBus) -> None:
    with session_on(bus, tmp_path / "walk.db") as session:
        bus.subscription.answers = False
        before_ns = session.now_ns()
        for number in range(3):
            bus.publish("/a", b"%d" % number)
        after_ns = session.now_ns()
        bus.subscription.deliver()
        wait_until(lambda: written(session) == 3)
    with open_recording(tmp_path / "walk.db") as reader:
        times_ns = [row.ts_ns for row in reader.rows("a")]
    assert times_ns == sorted(times_ns)
    assert before_ns <= times_ns[0] <= times_ns[-1] <= after_ns


def test_a_file_is_not_called_complete_before_what_has_arrived_is_in_it(
    tmp_path: Path, bus: LateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_loop, "KEEP_S", 0.1)

    def rounds() -> int:
        return int(ask("SELECT count(*) FROM _dr_clock"))

    def complete_until_ns() -> int:
        return int(ask("SELECT max(value) FROM _dr_meta WHERE key = 'complete_until_ns'") or 0)

    def ask(query: str) -> int | None:
        with sqlite3.connect(tmp_path / "walk.db") as db:
            found: int | None = db.execute(query).fetchone()[0]
        return found

    with session_on(bus, tmp_path / "walk.db") as session:
        bus.subscription.answers = False
        arrived_ns = session.now_ns()
        bus.publish("/a", b"late")
        known = rounds()
        wait_until(lambda: rounds() > known + 1)
        assert complete_until_ns() <= arrived_ns
        bus.subscription.answers = True
        wait_until(lambda: complete_until_ns() > arrived_ns)
        assert payloads(tmp_path / "walk.db", "a") == [b"late"]


def test_what_arrived_before_the_end_is_recorded_though_it_is_delivered_after_it(
    tmp_path: Path, bus: LateBus
) -> None:
    now_ns = time.monotonic_ns()
    bus.on_the_way = ((now_ns, "/a", b"in time"), (now_ns + 3600 * 10**9, "/a", b"too late"))
    with session_on(bus, tmp_path / "walk.db", duration_s=0.3) as session:
        assert session.wait(30.0)
    assert payloads(tmp_path / "walk.db", "a") == [b"in time"]


def test_what_arrived_before_a_pause_is_recorded(tmp_path: Path, bus: LateBus) -> None:
    with session_on(bus, tmp_path / "walk.db") as session:
        bus.publish("/a", b"before")
        session.pause()
        bus.publish("/a", b"during")
        session.resume()
        bus.publish("/a", b"after")
    assert payloads(tmp_path / "walk.db", "a") == [b"before", b"after"]

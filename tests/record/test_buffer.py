"""The buffer between the bus and the writer: bounded, exact, in order."""

from __future__ import annotations

import threading

import pytest

from dimos_record.bus.base import Arrival
from dimos_record.record.buffer import TapBuffer

pytestmark = pytest.mark.once


def arrivals(first: int, count: int, size: int = 100, channel: str = "/a") -> list[Arrival]:
    return [(first + i, channel, bytes(size)) for i in range(count)]


def times(taken: list[Arrival]) -> list[int]:
    return [arrival_ns for arrival_ns, _, _ in taken]


def test_batches_come_out_in_order_cut_where_a_limit_is() -> None:
    buffer = TapBuffer(10**9)
    for first in range(0, 100, 10):
        buffer.tap(arrivals(first, 10))
    assert times(buffer.take(25, 10**9)) == list(range(25))
    assert buffer.oldest_ns == 25
    assert times(buffer.take(10**9, 1500)) == list(range(25, 30))
    assert times(buffer.take(10**9, 1)) == [30]
    assert times(buffer.take(10**9, 10**9)) == list(range(31, 100))
    assert buffer.take(1, 1) == []
    assert (buffer.oldest_ns, buffer.newest_ns, buffer.waiting_bytes) == (None, 99, 0)


def test_of_a_batch_that_does_not_fit_whole_what_fits_is_kept_and_the_rest_counted() -> None:
    buffer = TapBuffer(2000)
    batch = [*arrivals(0, 3), *arrivals(3, 1, 5000, "/huge"), *arrivals(4, 5, 100, "/b")]
    before = list(batch)
    buffer.tap(batch)
    assert batch == before
    assert buffer.waiting_bytes <= 2000
    assert times(buffer.take(100, 10**9)) == [0, 1, 2, 4, 5, 6]
    assert buffer.dropped == {"/huge": 1, "/b": 2}
    buffer.tap(arrivals(9, 6))
    assert len(buffer.take(100, 10**9)) == 6
    assert buffer.dropped == {"/huge": 1, "/b": 2}


def test_a_message_larger_than_the_buffer_is_taken_while_nothing_else_waits() -> None:
    buffer = TapBuffer(1000)
    for number in range(3):
        buffer.tap(arrivals(number, 1, 5000))
    assert buffer.dropped == {"/a": 2}
    assert len(buffer.take(10, 1)) == 1
    buffer.tap(arrivals(3, 1, 5000))
    assert len(buffer.take(10, 1)) == 1
    assert buffer.waiting_bytes == 0


def test_whether_it_holds_enough_counts_messages_and_bytes() -> None:
    buffer = TapBuffer(10**6)
    assert not buffer.holds(1, 1)
    buffer.tap(arrivals(0, 10))
    assert buffer.holds(10, 10**6)
    assert buffer.holds(100, 3000)
    assert not buffer.holds(11, 3001)


def test_every_message_is_taken_or_counted_whoever_taps_and_takes_at_once() -> None:
    buffer, taken = TapBuffer(20_000), 0
    tapping = [threading.Thread(target=_tap_much, args=(buffer, f"/{name}")) for name in ("a", "b")]
    for thread in tapping:
        thread.start()
    while any(thread.is_alive() for thread in tapping):
        taken += len(buffer.take(7, 10**9))
        assert buffer.waiting_bytes <= 20_000
    for thread in tapping:
        thread.join()
    while batch := buffer.take(7, 10**9):
        taken += len(batch)
    assert taken + sum(buffer.dropped.values()) == 2 * 500 * 9
    assert buffer.waiting_bytes == 0


def _tap_much(buffer: TapBuffer, channel: str) -> None:
    for number in range(500):
        buffer.tap(arrivals(number, 9, 100, channel))

"""A callback on the bus's thread may use the object while sessions begin and end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus import Selection, open_bus
from dimos_record.testing import free_lcm_url

PATIENCE_S = 60.0


class Callback:
    """A callback that stays inside until it is told to go on, then uses the object."""

    def __init__(self, rec: RecordReplay) -> None:
        self._rec = rec
        self._echo = rec.stream("echo")
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.was_free: list[bool] = []

    def __call__(self, channel: str, data: bytes) -> None:
        self.entered.set()
        self.was_free.append(self.go_on.wait(PATIENCE_S))
        self._rec.bus.publish("/seen", data)
        self._echo.append(data)


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[RecordReplay]:
    with RecordReplay(tmp_path / "walk.db", bus=free_lcm_url()) as rec:
        yield rec


def _while_inside(rec: RecordReplay, callback: Callback, act: str, **options: bool) -> None:
    """Call a method while a callback is running that wants to use the object itself."""
    with open_bus(rec.bus.url) as other:
        subscription = rec.bus.subscribe(Selection.of(["/in"]), callback)
        other.publish("/in", b"1")
        assert callback.entered.wait(PATIENCE_S)
        acting = threading.Thread(target=getattr(rec, act), kwargs=options, daemon=True)
        acting.start()
        acting.join(0.05)  # it has most likely got as far as waiting for the callback
        callback.go_on.set()
        acting.join(PATIENCE_S)
        assert not acting.is_alive()
        subscription.close()


def test_a_session_ends_while_a_callback_publishes_and_appends(rec: RecordReplay) -> None:
    rec.start_recording()
    callback = Callback(rec)
    _while_inside(rec, callback, "stop_recording")
    rec.close()  # what came after the end of the session is written then, too
    assert callback.was_free == [True]
    assert [one.raw for one in rec.streams.echo] == [b"1"]


def test_a_session_begins_while_a_callback_publishes_and_appends(rec: RecordReplay) -> None:
    callback = Callback(rec)
    _while_inside(rec, callback, "start_recording", append=True)
    rec.stop_recording()
    assert callback.was_free == [True]
    assert [one.raw for one in rec.streams.echo] == [b"1"]


def test_all_is_closed_while_a_callback_publishes_and_appends(rec: RecordReplay) -> None:
    rec.start_recording()
    callback = Callback(rec)
    _while_inside(rec, callback, "close")
    rec.close()  # the callback has opened again what it needed
    assert callback.was_free == [True]
    assert [one.raw for one in rec.streams.echo] == [b"1"]

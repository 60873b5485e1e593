"""Things that go by themselves."""

from __future__ import annotations

from dimos_record.viewer.lifetimes import Gone, Lifetimes
from dimos_record.viewer.times import Moment


def at(ts_ns: int, number: int | None = None) -> Moment:
    return Moment(ts_ns, ts_ns - 100, ts_ns - 1, number)


def test_what_is_not_shown_again_goes_when_its_time_is_over() -> None:
    lifetimes = Lifetimes()
    lifetimes.note("a", at(100), 10)
    lifetimes.note("b", at(100), 5)
    lifetimes.note("for ever", at(100), 0)
    assert lifetimes.gone(at(104)) == []
    lifetimes.note("a", at(108), 10)
    assert lifetimes.gone(at(112, 7)) == [Gone("b", at(105, 7))]
    assert lifetimes.gone(at(130, 8)) == [Gone("a", at(118, 8))]
    lifetimes.note("a", at(140), 10)
    lifetimes.note("a", at(141), 0)
    assert lifetimes.gone(at(200)) == []


def test_what_is_played_ends_where_it_was_recorded() -> None:
    lifetimes = Lifetimes()
    lifetimes.note("a", Moment(1000, 5, None, 1), 10)
    assert lifetimes.gone(Moment(1020, 300, 7, 2)) == [Gone("a", Moment(1010, 15, None, 2))]

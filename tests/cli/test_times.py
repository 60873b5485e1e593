"""Positions as people write them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from dimos_record.cli.times import (
    MINUS,
    Timescale,
    clock,
    parse_end,
    parse_position,
    parse_section,
    parse_shift,
    parse_time,
    reads_as_time,
)
from dimos_record.errors import OptionError
from dimos_record.store.base import Marker

S = 1_000_000_000
ORIGIN = 1_763_649_785 * S + 400_000_000  # 2025-11-20 14:43:05.4 UTC, 15:43:05.4 in central Europe
MARKERS = (
    Marker(1, ORIGIN + 12 * S + 1, "fall"),
    Marker(2, ORIGIN + 20 * S, "Lap", ORIGIN + 30 * S),
    Marker(3, ORIGIN + 40 * S, "lap two"),
    Marker(4, ORIGIN + 50 * S, "again"),
    Marker(5, ORIGIN + 51 * S, "again"),
    Marker(6, ORIGIN + 52 * S, "Again"),
)
SCALE = Timescale(60.0, 5.0, ORIGIN, MARKERS, "walk.db")


@pytest.fixture(autouse=True)
def central_europe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "CET-1")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5),
        (".5", 0.5),
        ("0", 0.0),
        ("90s", 90.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1:23.5", 83.5),
        ("1:02:03", 3723.0),
    ],
)
def test_times_are_written_in_the_usual_ways(text: str, seconds: float) -> None:
    assert parse_time(text, "--delay") == seconds
    assert parse_position(f" {text} ", "--start", SCALE) == seconds
    assert reads_as_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-10", 50.0),
        (f"{MINUS}10", 50.0),
        ("-0:10.5", 49.5),
        ("-1h", 0.0),  # the last hour of a minute is all of it
        ("+10", 15.0),
        ("+1:00", 65.0),
        ("start", 5.0),
        ("END", 60.0),
        ("fall", 12.000000001),
        ("FALL", 12.000000001),
        ("Lap", 20.0),
        ("lap TWO", 40.0),
        ("Again", 52.0),
        ("@1763649785.9", 0.5),
        ("@1763649790", 4.6),
        ("2025-11-20T15:43:15.4", 10.0),
        ("2025-11-20 15:43:15.400000001", 10.000000001),
        ("2025-11-20T14:43:15.4Z", 10.0),
        ("2025-11-20T09:43:15.4-05:00", 10.0),
        ("@15:43:15.4", 10.0),
        ("@15:44", 54.6),
        ("@14:43:15.4z", 10.0),
        ("@15:43:05", 0.0),  # the second in which the recording begins
    ],
)
def test_a_position_can_be_written_in_many_ways(text: str, seconds: float) -> None:
    assert parse_position(text, "AT", SCALE) == pytest.approx(seconds, abs=1e-10)


def test_a_time_of_day_after_midnight_is_on_the_next_day() -> None:
    scale = Timescale(3600.0, 0.0, 1_763_678_000 * S, name="night.db")  # 23:33:20 in central Europe
    assert parse_position("@23:33:30", "AT", scale) == 10.0
    assert parse_position("@0:00", "AT", scale) == 1600.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soon", "AT: 'soon' is no marker of walk.db; these are: fall (0:12.0), Lap ("),
        ("soon", "Lap (0:20.0-0:30.0), lap two (0:40.0)"),
        ("AGAIN", "walk.db has 3 markers 'AGAIN': again (0:50.0), again (0:51.0), Again (0:52.0)"),
        ("again", "walk.db has 2 markers 'again': again (0:50.0), again (0:51.0); write the time"),
        ("@15:42", "@15:42 is outside of walk.db, which runs from 2025-11-20 15:43:05.400 to"),
        ("2025-11-21T15:43:15", "2025-11-21T15:43:15 is outside of walk.db"),
        ("@25:00", "'@25:00' is no time of day"),
        ("2025-13-20T15:43:15", "'2025-13-20T15:43:15' is no time of day"),
        ("@noon", "'@noon' is no time of day"),
    ],
)
def test_what_is_no_position_is_one_clear_sentence(text: str, said: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_position(text, "AT", SCALE)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "-", "1:", ":5", "1:2:3:4", "5 apples", "1e3", "--1", "inf", "9" * 400]
)
def test_what_is_no_time_is_refused_with_the_name_of_the_option(text: str) -> None:
    with pytest.raises(OptionError, match=r"--start: .* is not a time, and walk.db has no markers"):
        parse_position(text, "--start", Timescale(10.0, name="walk.db"))
    with pytest.raises(OptionError, match=r"--delay: .* is not a time; write for example"):
        parse_time(text, "--delay")


def test_without_a_known_day_there_is_no_time_of_day() -> None:
    with pytest.raises(OptionError, match="time of day of the recording is not known"):
        parse_position("@15:43", "seek", Timescale(10.0))


def test_a_shift_may_have_a_sign() -> None:
    assert [parse_shift(text, "SECONDS") for text in ("-50ms", "+0.5", "1:00")] == [-0.05, 0.5, 60]
    assert parse_shift(f"{MINUS}2", "SECONDS") == -2.0
    with pytest.raises(OptionError, match="SECONDS: '--1' is not a time"):
        parse_shift("--1", "SECONDS")


@pytest.mark.parametrize(
    ("words", "section"),
    [
        (["5", "+10"], (5.0, 15.0)),
        (["5", "-10"], (5.0, 50.0)),
        (["-10", "end"], (50.0, None)),
        (["start", "10"], (None, 10.0)),
        (["+1", "+2"], (6.0, 8.0)),
        (["Lap"], (20.0, 30.0)),
        (["fall", "lap two"], (12.000000001, 40.0)),
        (["fall", "+1"], (12.000000001, 13.000000001)),
    ],
)
def test_a_section_is_two_positions_or_an_interval_marker(
    words: list[str], section: tuple[float | None, float | None]
) -> None:
    assert parse_section(words, SCALE) == pytest.approx(section)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["10", "5"], "FROM 10 (0:10.0) is not before TO 5 (0:05.0)"),
        (["10", "+0"], "FROM 10 (0:10.0) is not before TO +0 (0:10.0)"),
        (["fall"], "the marker 'fall' is one moment of walk.db; write also where the section ends"),
        (["10"], "a section is FROM and TO, not 10 alone"),
        (["1", "2", "3"], "a section is FROM and TO, not 3 times"),
        (["soon", "later"], "FROM: 'soon' is no marker of walk.db"),
        (["5", "later"], "TO: 'later' is no marker of walk.db"),
    ],
)
def test_what_is_no_section_is_one_clear_sentence(words: list[str], said: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_section(words, SCALE)
    assert said in str(raised.value)


def test_the_end_of_a_section_that_is_the_end_of_all_leaves_out_no_message() -> None:
    assert parse_end("end", "--end", SCALE) is None
    assert parse_end("+3", "--end", SCALE, after_s=10.0) == 13.0


def test_positions_are_shown_as_on_a_clock() -> None:
    assert [clock(s) for s in (0, 4.25, 59.99, 61.5, 3599.96, 3723.9)] == [
        "0:00.0",
        "0:04.2",
        "0:59.9",
        "1:01.5",
        "59:59.9",
        "1:02:03",
    ]

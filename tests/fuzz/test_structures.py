"""Inputs made by hypothesis: patterns against a plain matcher, and orders for fuzz targets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dimos_record.bus.base import Selection, glob_to_regex
from dimos_record.errors import PatternError
from dimos_record.replay.remap import Remap

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from soaking.fuzz_targets import load

pytestmark = pytest.mark.once

quick = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
few = settings(quick, max_examples=25)

PARTS = ["a", "b", "/", "*", "**", "?", "[ab]", "[/a]", "[!a]"]


def matches_plainly(parts: tuple[str, ...], name: str) -> bool:
    """Whether a pattern without braces matches a name that has no type, by trying everything."""

    @cache
    def rest(part: int, at: int) -> bool:
        if part == len(parts):
            return at == len(name)
        here, char = parts[part], name[at : at + 1]
        if here in ("*", "**"):
            goes_on = char != "" and (here == "**" or char != "/")
            return rest(part + 1, at) or (goes_on and rest(part, at + 1))
        fits = {
            "?": char != "/",
            "[ab]": char in "ab",
            "[/a]": char in "/a",
            "[!a]": char not in "/a",
        }.get(here, char == here)
        return char != "" and fits and rest(part + 1, at + 1)

    return rest(0, 0)


@quick
@given(st.lists(st.sampled_from(PARTS), max_size=8), st.text("ab/", max_size=12))
def test_a_pattern_matches_what_trying_everything_finds(parts: list[str], name: str) -> None:
    pattern = "/" + "".join(parts)
    assume("***" not in pattern)  # which reads as two wildcards, but not as those of the list
    merged = _merged(parts)
    try:
        selection = Selection.of([pattern])
    except PatternError:
        return
    assert selection.matches("/" + name) == matches_plainly(("/", *merged), "/" + name)


def _merged(parts: list[str]) -> tuple[str, ...]:
    """The same with two single stars beside each other as the double star that they read as."""
    found: list[str] = []
    for part in parts:
        if part == "*" and found[-1:] == ["*"]:
            found[-1] = "**"
        else:
            found.append(part)
    return tuple(found)


def refusal(ask: Callable[[], object]) -> str:
    """What a pattern is refused with; nothing if it is not."""
    try:
        ask()
    except PatternError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "pattern",
    [
        "/*a*a*a*a*a*a*a*b",
        "/**a**a**a**a**a**b",
        "/**a*a**a*a**a*a**a*b",
        "/" + "{a*,b*}" * 9 + "c",
    ],
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    name = "/" + "a" * 400
    for ask in (
        lambda: Selection.of([pattern]).matches(name),
        lambda: Remap({pattern: "/x"}).channel(name),
    ):
        said = refusal(ask)
        assert not said or "too many wildcards" in said


@quick
@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_refused_in_a_sentence(text: str) -> None:
    assert "\n" not in refusal(lambda: glob_to_regex(text))


@pytest.mark.parametrize("name", ["command_lines", "recordings"])
def test_any_orders_are_followed_without_a_broken_promise(name: str) -> None:
    target = load(name)

    @few
    @given(st.binary(max_size=60))
    def follow(data: bytes) -> None:
        target.run(data)

    follow()


@pytest.mark.parametrize("name", ["times", "urls", "channels", "codecs", "stamps", "ros_messages"])
def test_any_bytes_are_read_without_a_broken_promise(name: str) -> None:
    target = load(name)

    @quick
    @given(st.binary(max_size=120))
    def read(data: bytes) -> None:
        target.run(data)

    read()

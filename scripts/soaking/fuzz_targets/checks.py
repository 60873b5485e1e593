"""What has to hold whatever comes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dimos_record.errors import DimosRecordError

LONGEST_SENTENCE = 500
"""Characters of an error, beside what it quotes of the input."""


class BrokenPromise(Exception):
    """Something was done that must not be, whatever the input."""


@contextmanager
def errors_of_ours(quoted: str = "") -> Iterator[None]:
    """Let errors of the library pass if they are one sentence; everything else comes out.

    Args:
        quoted: text of the input that a sentence may repeat, up to three times.
    """
    try:
        yield
    except DimosRecordError as error:
        check_sentence(str(error), 3 * len(repr(quoted)))


def check_sentence(sentence: str, quoted: int = 0) -> None:
    """Check that an error is something that people can read, in one line.

    Args:
        sentence: what it says.
        quoted: how many characters of it may be those of the input.
    """
    if not sentence.strip():
        raise BrokenPromise("an error says nothing")
    if "\n" in sentence or "\r" in sentence:
        raise BrokenPromise(f"an error has more than one line: {sentence!r}")
    if "Traceback" in sentence:
        raise BrokenPromise(f"an error shows a traceback: {sentence!r}")
    if len(sentence) > LONGEST_SENTENCE + quoted:
        raise BrokenPromise(f"an error has {len(sentence)} characters: {sentence[:300]!r}...")


def check_same(before: object, after: object, what: str) -> None:
    """Check a round trip."""
    if before != after:
        raise BrokenPromise(f"{what}: {before!r} came back as {after!r}")

"""Errors are one line that people can read, whatever is in them."""

from __future__ import annotations

import pytest

from dimos_record.errors import OptionError, RecordingNotFound, UnknownTopic, reason


@pytest.mark.parametrize("kind", [OptionError, RecordingNotFound, UnknownTopic])
def test_what_a_terminal_would_obey_is_written_out(kind: type[Exception]) -> None:
    assert str(kind("no topic '/\x1b[2J\n' in grün.db")) == "no topic '/\\x1b[2J\\n' in grün.db"


def test_a_sentence_that_quotes_very_much_keeps_its_beginning_and_its_end() -> None:
    text = str(OptionError("no such topic; there are " + "/topic, " * 5000 + "and no others"))
    assert text.startswith("no such topic; there are /topic")
    assert text.endswith("/topic, and no others")
    assert len(text) < 2100


def test_the_reason_of_another_library_is_one_line() -> None:
    assert reason(ValueError("Could not parse:\n  here.\n")) == "Could not parse: here"
    assert reason(KeyError()) == "KeyError"
    assert len(reason(ValueError("x" * 5000))) < 250

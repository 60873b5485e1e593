"""Errors of the library in the words of this program: what helps here is a key, not an option."""

from __future__ import annotations

import re

from dimos_record.cli.text import printable
from dimos_record.errors import DimosRecordError

_NAMED = 3
_ADVICE = (
    (r"; (add to it with --append, )?replace it with --overwrite, .*", "; choose another name"),
    (
        r": stop the module that publishes them, .*",
        ": stop that, or mute these streams with m",
    ),
    (
        r": leave them out with --exclude, .*",
        ": mute them with m, or begin again with a --bus that stays here (for LCM one with ttl=0)",
    ),
    (r", or lower the limit with --min-free", ", or record to another disk"),
    (r", or record one with: dimos-record record .*", ""),
    (r"; choose another name, or save\(\) it$", "; choose another name, or save it with w"),
    (r" with save_as\(\)$", " with W"),
    (r" with: dimos-record extract$", " with e"),
)
"""How the library advises users of the command line, and what is to be done here instead."""


def one_line(what: Exception | str) -> str:
    """An error as one sentence that begins with a capital and advises what can be done here."""
    if isinstance(what, OSError) and not isinstance(what, DimosRecordError):
        what = f"{what.filename}: {what.strerror}" if what.filename else str(what.strerror or what)
    if isinstance(what, DimosRecordError):
        what = str(what.args[0])  # in full: as a text it is shortened
    sentence = " ".join(str(what).split())
    for theirs, ours in _ADVICE:
        sentence = re.sub(theirs, ours, sentence)
    sentence = re.sub(r"(?<=is publishing ).*(?= on )", _some, sentence)
    is_word = sentence.partition(" ")[0].isalpha()
    return printable(sentence[:1].upper() + sentence[1:] if is_word else sentence)


def _some(topics: re.Match[str]) -> str:
    names = topics[0].split(", ")
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

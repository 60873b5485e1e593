"""Recordings with damaged bytes: what `doctor` notices and what `recover` saves."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from soaking.harness import Chapter, Fault, Figures, Outcome, Round, total
from tests.store.damage import KINDS, WRITERS, Original, look_at, try_one

_KEPT = tempfile.TemporaryDirectory(prefix="soak-damage-")


@cache
def _original(number: int) -> Original:
    """An undamaged recording of each way of writing."""
    make = WRITERS[number]
    return look_at(make(Path(_KEPT.name, f"{make.__name__}.db")))


def damage(round_: Round) -> Outcome:
    """Damage a copy of a recording in one way, salvage it, and compare."""
    original = _original(round_.number % len(WRITERS))
    kind = KINDS[round_.number // len(WRITERS) % len(KINDS)]
    found = try_one(original, kind, round_.dice, round_.folder)
    where = f"{original.path.name} {kind.__name__}"
    return Outcome(
        {"saved": found.saved, "messages": found.messages},
        [f"{where}: {problem}" for problem in found.problems],
    )


def _summary(rounds: Sequence[Figures]) -> str:
    saved, messages = total(rounds, "saved"), total(rounds, "messages")
    return f"{saved / max(1, messages):.1%} of {messages:,.0f} messages saved, none wrong"


CHAPTER = Chapter(
    "damage",
    "Damaged files",
    [
        Fault(
            name="damage",
            what="bytes, heads of pages, pages or sectors overwritten, the file or its log cut off",
            promise="Every message of which no page is damaged is saved; no message is wrong; the "
            "damaged file is not changed.",
            sees="`doctor` exits with 4 and names what is damaged; `recover` writes a new file "
            "and lists what is missing (exit code 6, or 4 where nothing is left).",
            run=damage,
            rounds=500,
            summary=_summary,
        )
    ],
)

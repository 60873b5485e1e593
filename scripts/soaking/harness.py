"""Chapters, their faults, and the rounds in which they are tried.

A chapter is a module `chapter_<name>.py` of this package with a `CHAPTER`. Each of its faults is
one thing that goes wrong, what is promised then, and a function that lets it go wrong once and
looks whether the promise was kept.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SHOWN_EVERY_S = 10.0


class PromiseBroken(Exception):
    """What is promised was not so; the text says what was found instead."""


class RoundTooLong(Exception):
    """A round hangs."""


Figures = Mapping[str, float]
"""What a round measured, by name; names carry their unit: `missing_ms`."""


@dataclass(frozen=True)
class Round:
    """One try of a fault."""

    number: int
    dice: random.Random
    """Seeded by the run's seed, the fault and the number: the same in every run."""
    folder: Path
    """Empty, and deleted afterwards."""
    minutes: float
    """How long a fault that runs for a time is to run."""
    say: Callable[[str], None] = lambda text: None
    """Progress within a long round, for stderr."""
    patience_s: float = 0.0
    """By how much later than promised something may happen, on a machine that does other things."""


@dataclass(frozen=True)
class Outcome:
    """What one round found. A broken promise is raised, or said here."""

    figures: Figures = field(default_factory=dict)
    broken: Sequence[str] = ()


def _no_figures(rounds: Sequence[Figures]) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, and what is promised then."""

    name: str
    """On the command line: `kill-recorder`."""
    what: str
    """What happens: the first column of the table, in Markdown."""
    promise: str
    """What is lost at most, in one sentence."""
    sees: str
    """The message, the exit code, the file that the user gets."""
    run: Callable[[Round], Outcome | None]
    """Try it once; raises `PromiseBroken`, and any other exception counts as broken, too."""
    rounds: int = 1
    """How often the long form tries it."""
    minutes: float | None = None
    """How long a round takes in the long form, if it runs for a time; then there is one round."""
    summary: Callable[[Sequence[Figures]], str] = _no_figures
    """What the figures of all rounds say, for the table: `at most 12 ms missing`."""
    timeout_s: float = 120.0
    """A round that takes longer (beside its minutes) hangs."""


@dataclass(frozen=True)
class Chapter:
    """Faults that belong together."""

    name: str
    title: str
    faults: Sequence[Fault]
    about: str = ""
    """A sentence or two on how it is tried, above the table."""


@dataclass
class Result:
    """What the rounds of one fault found."""

    fault: Fault
    rounds: int = 0
    seconds: float = 0.0
    minutes: float | None = None
    """What each round ran for, if it ran for a time."""
    figures: list[Figures] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    """(number of the round, what was found), of rounds in which the promise was broken."""

    @property
    def broken_rounds(self) -> int:
        """How many rounds broke the promise."""
        return len({number for number, _ in self.broken})


def find_chapters() -> list[Chapter]:
    """The chapters of this package, by name."""
    package = importlib.import_module(__package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [
        importlib.import_module(f"{__package__}.{name}")
        for name in sorted(names)
        if name.startswith("chapter_")
    ]
    return [module.CHAPTER for module in modules]


def faults_of(chapters: Iterable[Chapter], wanted: Sequence[str]) -> list[Fault]:
    """The faults of that name, or of chapters of that name; all if nothing is named.

    Raises:
        KeyError: nothing has such a name; its argument is the names that are unknown.
    """
    known = {fault.name for chapter in chapters for fault in chapter.faults}
    unknown = set(wanted) - known - {chapter.name for chapter in chapters}
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    return [
        fault
        for chapter in chapters
        for fault in chapter.faults
        if not wanted or fault.name in wanted or chapter.name in wanted
    ]


def run_fault(
    fault: Fault,
    folder: Path,
    *,
    rounds: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    first: int = 0,
    say: Callable[[str], None] = lambda text: None,
    result: Result | None = None,
) -> Result:
    """Try a fault as often, or as long, as asked for; or as its long form is.

    Args:
        folder: where the rounds have their folders; that of the first round that breaks the promise
            stays.
        first: number of the first round, to try again one that was broken.
        result: filled round by round, for who may be interrupted.
    """
    result = result or Result(fault)
    length = (minutes if minutes is not None else fault.minutes) if fault.minutes else None
    result.minutes = length
    count = 1 if fault.minutes else (rounds if rounds is not None else fault.rounds)
    shown_s = began_s = time.monotonic()
    for number in range(first, first + count):
        _try(fault, number, seed, length or 0.0, folder, say, result)
        result.seconds = time.monotonic() - began_s
        if time.monotonic() - shown_s > SHOWN_EVERY_S:
            shown_s = time.monotonic()
            say(f"{fault.name}: {result.rounds} of {count} rounds, {result.broken_rounds} broken")
    return result


def _try(
    fault: Fault,
    number: int,
    seed: int,
    minutes: float,
    parent: Path,
    say: Callable[[str], None],
    result: Result,
) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"{fault.name}-{number}-", dir=parent))
    dice = random.Random(f"{seed}/{fault.name}/{number}")
    try:
        with _no_longer_than(fault.timeout_s + 60 * minutes):
            outcome = fault.run(Round(number, dice, folder, minutes, say)) or Outcome()
        found = list(outcome.broken)
        result.figures.append(outcome.figures)
    except PromiseBroken as error:
        found = [str(error)]
    except Exception as error:  # noqa: BLE001 - whatever it is, the promise was not kept
        if not result.broken:
            say(traceback.format_exc())
        found = [f"{type(error).__name__}: {error}"]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    result.rounds += 1
    for text in found:
        say(f"BROKEN {fault.name}, round {number} of seed {seed}: {text}")
    if found and not result.broken:
        say(f"what is left of it: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    result.broken += [(number, text) for text in found]


@contextmanager
def _no_longer_than(timeout_s: float) -> Iterator[None]:
    """Interrupt the main thread after some time.

    Raises:
        RoundTooLong
    """

    def interrupt(number: int, frame: object) -> None:
        raise RoundTooLong(f"not done after {timeout_s:.0f} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def largest(rounds: Sequence[Figures], name: str) -> float:
    """The largest value of a figure over all rounds; 0 if there is none."""
    return max((figures[name] for figures in rounds if name in figures), default=0.0)


def total(rounds: Sequence[Figures], name: str) -> float:
    """The sum of a figure over all rounds."""
    return sum(figures.get(name, 0.0) for figures in rounds)

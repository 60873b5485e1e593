"""Bad input: everything that reads bytes or text from outside, fuzzed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from soaking.fuzz_run import has_atheris
from soaking.fuzz_sanitize import sanitized
from soaking.fuzz_targets import HAS_NATIVE, NAMES, load
from soaking.fuzz_watch import LONGEST_S, MOST_GROWTH_BYTES, Found, Slate, keep
from soaking.harness import Chapter, Fault, Figures, Outcome, PromiseBroken, Round, total

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "fuzz" / "cases"
_HANGS_AFTER_S = 60.0
"""Without another input: `LONGEST_S` ends an input in Python, this also one in C."""
_STARTS_WITHIN_S = 300.0


def fuzz_sanitized(round_: Round) -> Outcome:
    """Fuzz the compiled part in a build that notices every wrong access to memory.

    Raises:
        PromiseBroken: this machine cannot build it.
    """
    environment = sanitized(round_.folder)
    if environment is None:
        raise PromiseBroken("not tried: there is no gcc with its sanitizers here")
    return fuzz("packets", round_, environment)


def fuzz(
    name: str, round_: Round, environment: Mapping[str, str] = MappingProxyType({})
) -> Outcome:
    """Fuzz one target for as long as the round is, and again after each crash.

    Args:
        environment: variables for its process, which is then fuzzed without atheris.
    """
    end_s = time.monotonic() + 60 * round_.minutes
    executions, broken, start = 0, list[str](), 0
    while (left_s := end_s - time.monotonic()) > 0 or not start:
        seed = round_.dice.randrange(1 << 30)
        plain = bool(environment) or not has_atheris()
        ran = run_process(name, round_.folder, left_s, seed, CASES / name, plain, environment)
        executions += ran.executions
        broken += ran.broken
        start += 1
        if not ran.crashed:
            break
    return Outcome({"executions": executions, "atheris": float(not plain)}, broken)


class Ran:
    """What one process did: how many inputs, and what they broke."""

    def __init__(self, executions: int, broken: list[str], crashed: bool) -> None:
        self.executions, self.broken, self.crashed = executions, broken, crashed


def run_process(
    name: str,
    folder: Path,
    seconds: float,
    seed: int,
    cases: Path,
    plain: bool,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Ran:
    """Fuzz a target in a process of its own.

    Args:
        folder: for what it needs meanwhile.
        cases: where inputs go that break a promise.
        plain: change inputs at random, also where there is atheris.
        environment: variables for the process.
    """
    slate, said = folder / "slate", folder / "said"
    slate.unlink(missing_ok=True)
    reader = Slate(slate)
    command = [sys.executable, "-m", "soaking.fuzz_run", name, f"--seconds={seconds}"]
    command += [f"--seed={seed % (1 << 30)}", f"--slate={slate}", f"--cases={cases}"]
    command += [f"--corpus={folder / 'corpus'}", *(["--plain"] if plain else [])]
    paths = [str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    with said.open("wb") as out, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=errors,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                **environment,
            },
        )
        try:
            hung = _wait(process, reader, seconds)
        finally:
            process.kill()
            process.wait()
    executions, last = reader.read()
    found = [json.loads(line) for line in said.read_text().splitlines() if line[:2] == '{"']
    broken = [f"{one['kind']}, input {one['case']}" for one in found]
    crashed = hung or process.returncode != 0
    if crashed:
        how = "hangs" if hung else _ending(process.returncode)
        case = keep(Found(how, "", last), cases)
        tail = (folder / "errors").read_text(errors="replace").splitlines()[-1:]
        broken.append(f"{name} {how}, input {case.name}: {' '.join(tail)}")
    return Ran(executions, broken, crashed)


def _wait(process: subprocess.Popen[bytes], reader: Slate, seconds: float) -> bool:
    """Wait until it ends by itself; whether it hangs instead."""
    before, began_s = 0, time.monotonic()
    moved_s = began_s + _STARTS_WITHIN_S - _HANGS_AFTER_S
    while process.poll() is None:
        time.sleep(0.2)
        now_s = time.monotonic()
        if reader.read()[0] != before:
            before, moved_s = reader.read()[0], now_s
        if now_s > moved_s + _HANGS_AFTER_S:
            return True
    return False


def _ending(code: int) -> str:
    return f"dies of {signal.Signals(-code).name}" if code < 0 else f"ends with {code}"


def _summary(rounds: Sequence[Figures]) -> str:
    how = "by coverage, atheris" if total(rounds, "atheris") else "at random, without atheris"
    return f"{total(rounds, 'executions'):,.0f} inputs ({how})"


def _as_it_goes_on(title: str) -> str:
    """A title behind a colon: in small letters, unless it begins with an abbreviation."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _fault(name: str) -> Fault:
    target = load(name)
    return Fault(
        name=f"fuzz-{name}",
        what=f"bad input: {_as_it_goes_on(target.title)}",
        promise=f"No crash, no hang (at most {LONGEST_S:g} s of the processor), at most "
        f"{MOST_GROWTH_BYTES / 1e6:,.0f} MB of memory; what can be read comes back as it was.",
        sees="One sentence and a documented exit code.",
        run=partial(fuzz, name),
        minutes=5.0,
        summary=_summary,
        timeout_s=_STARTS_WITHIN_S + 2 * _HANGS_AFTER_S,
    )


_SANITIZED = Fault(
    name="fuzz-sanitized",
    what="bad input: the same packets, with the sanitizers of gcc",
    promise="No access to memory that is not the compiled part's own, no undefined behaviour.",
    sees="Nothing.",
    run=fuzz_sanitized,
    minutes=5.0,
    summary=_summary,
    timeout_s=_STARTS_WITHIN_S + 2 * _HANGS_AFTER_S,
)
CHAPTER = Chapter(
    "fuzz",
    "Bad input",
    [*map(_fault, NAMES), *([_SANITIZED] if HAS_NATIVE else [])],
    about="Inputs are made of valid ones, with [atheris](https://github.com/google/atheris) where "
    "it is installed (`pip install -e '.[fuzz]'`), else at random. Inputs that broke a promise are "
    "in `tests/fuzz/cases`, and tried in every run of the tests.",
)

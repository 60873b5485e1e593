"""Fuzzes one target in a process of its own: `python -m soaking.fuzz_run TARGET --seconds 60`.

With atheris, inputs are changed by what they reach in the code; without, at random. Every broken
promise is printed as a line of JSON, and its input kept as a case for the tests.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from soaking.fuzz_mutate import Mutator
from soaking.fuzz_targets import Target, load
from soaking.fuzz_watch import (
    MOST_INPUT_BYTES,
    Found,
    Slate,
    keep,
    limit_memory,
    limit_time,
    made_smaller,
    try_input,
)

INSTRUMENTED = ["dimos_record", "mcap", "mcap_ros2", "rosbags", "lz4", "tarfile", "json"]
_MOST_FOUND = 30


class Trial:
    """Runs inputs, and keeps each kind of broken promise once."""

    def __init__(self, target: Target, slate: Slate, cases: Path) -> None:
        self._target, self._slate, self._cases = target, slate, cases
        self._kinds: set[str] = set()
        self._out = os.fdopen(os.dup(1), "w")  # a target may redirect the one that all know

    def __call__(self, data: bytes) -> None:
        """Run one input."""
        self._slate.write(data[:MOST_INPUT_BYTES])
        found = try_input(self._target, data)
        if found is not None and found.kind not in self._kinds:
            self._kinds.add(found.kind)
            self._tell(made_smaller(self._target, found))
        if len(self._kinds) >= _MOST_FOUND:
            raise SystemExit(f"{_MOST_FOUND} kinds of broken promises are enough")

    def _tell(self, found: Found) -> None:
        path = keep(found, self._cases)
        line = json.dumps({"kind": found.kind, "case": path.name, "text": found.text})
        print(line, file=self._out, flush=True)


def has_atheris() -> bool:
    """Whether inputs can be chosen by coverage."""
    return importlib.util.find_spec("atheris") is not None


def run_mutator(
    trial: Trial, target: Target, cases: list[bytes], seconds: float, seed: int
) -> None:
    """Change inputs at random for some time."""
    seeds = [*target.seeds(), *cases]
    for data in seeds:
        trial(data)
    mutator = Mutator(seeds, random.Random(f"{seed}/{target.name}"))
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        trial(mutator.next())


def run_atheris(name: str, options: argparse.Namespace, make_trial: Any) -> None:
    """Let atheris change inputs; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        target = load(name)
        seeds = target.seeds()
        for data in seeds:  # imports what the library imports when it needs it
            try_input(target, data)
    trial = make_trial(target)
    options.corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*seeds, *_cases(options.cases)]):
        (options.corpus / f"seed-{number}").write_bytes(data)
    arguments = [
        f"-max_total_time={max(1, int(options.seconds))}",
        f"-seed={options.seed + 1}",
        "-timeout=0",
        "-rss_limit_mb=0",
        "-max_len=65536",
        f"-artifact_prefix={options.corpus}/",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(options.corpus)], trial)
    limit_time()
    limit_memory()
    atheris.Fuzz()


def _cases(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []


def main() -> None:
    """Fuzz for as long as was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--corpus", type=Path, required=True, help="inputs that reach more")
    parser.add_argument("--cases", type=Path, required=True, help="inputs that broke a promise")
    parser.add_argument("--slate", type=Path, required=True, help="the input that runs now")
    options = parser.parse_args()
    faulthandler.enable()
    limit_time()
    slate = Slate(options.slate)
    sys.setrecursionlimit(1000)
    if has_atheris() and not options.plain:
        run_atheris(options.target, options, lambda target: Trial(target, slate, options.cases))
        return
    target = load(options.target)
    limit_memory()
    trial = Trial(target, slate, options.cases)
    run_mutator(trial, target, _cases(options.cases), options.seconds, options.seed)


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        print(end, file=sys.stderr)
        raise
    except BaseException:
        traceback.print_exc()
        raise

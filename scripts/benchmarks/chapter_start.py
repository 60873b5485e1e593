"""What it takes until something begins: importing the library, the help of the command."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.chapter_length import compiled_once, elapsed_ms
from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.subjects import DIMOS, OURS, dimos_env

IMPORT, FACADE, HELP = "import", "import of the class to use", "--help"
_RUNS = 7


def _run(bench: Bench) -> Iterator[Measurement]:
    subjects = [OURS] + [DIMOS] * bool(bench.subjects.dimos_python)
    with bench.scratch() as folder:
        env = compiled_once(folder)
        for round_ in bench.rounds_of(5, 2):
            for case in filter(bench.wants, (IMPORT, FACADE, HELP)):
                for subject in alternating(subjects, round_):
                    bench.say(f"start: {case}, {subject}, round {round_ + 1}")
                    yield _measure(bench, case, subject, round_, env)


def _measure(
    bench: Bench, case: str, subject: str, round_: int, env: dict[str, str]
) -> Measurement:
    python, command = sys.executable, bench.subjects.ours
    if subject == DIMOS:
        python = str(bench.subjects.dimos_python)
        command, env = [str(Path(python).with_name("dimos"))], {**dimos_env(""), **env}
    modules = {
        (IMPORT, OURS): "import dimos_record",
        (FACADE, OURS): "from dimos_record import RecordReplay",
        (IMPORT, DIMOS): "import dimos",
        (FACADE, DIMOS): "from dimos.memory.store.sqlite import SqliteStore",
    }
    wanted = [*command, "--help"] if case == HELP else [python, "-c", modules[case, subject]]
    bare = [python, "-c", "pass"]
    elapsed_ms(wanted, env)  # compiles
    runs = _RUNS if subject == OURS else 2
    pairs = [(elapsed_ms(wanted, env), elapsed_ms(bare, env)) for _ in range(runs)]
    whole, empty = (statistics.median(values) for values in zip(*pairs, strict=True))
    figures: dict[str, float | None] = {
        "whole_ms": whole,
        "bare_ms": empty,
        "over_ms": statistics.median(whole - empty for whole, empty in pairs),
    }
    return Measurement(case, subject, round_, figures)


START = Chapter(
    "start",
    "Starting",
    f"Whole processes with all Python compiled before, and a bare interpreter in turn; the median "
    f"of {_RUNS}. `import dimos_record` alone imports next to nothing, so the import of its class "
    "(`RecordReplay`; of dimos, `SqliteStore`) is shown, too.",
    (
        Column("whole_ms", "ms", "{:,.0f}", ratio=True),
        Column("bare_ms", "bare python ms", "{:,.0f}"),
        Column("over_ms", "difference ms", "{:,.1f}"),
    ),
    _run,
)

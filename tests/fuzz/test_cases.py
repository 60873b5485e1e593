"""Every fuzz target over its seeds, and over every input that once broke a promise."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from soaking.chapter_fuzz import CASES, run_process  # noqa: E402
from soaking.fuzz_mutate import Mutator  # noqa: E402
from soaking.fuzz_targets import NAMES, load  # noqa: E402

pytestmark = pytest.mark.once

_KEPT = [(name, case.name) for name in NAMES for case in sorted((CASES / name).glob("*"))]
_MOST_SEEDS = 15


@pytest.mark.parametrize("name", NAMES)
def test_a_target_keeps_its_promises_over_its_seeds(name: str) -> None:
    target = load(name)
    for seed in target.seeds()[:_MOST_SEEDS]:
        target.run(seed)


@pytest.mark.parametrize(("name", "case"), _KEPT)
def test_what_once_broke_a_promise_does_not_any_more(name: str, case: str) -> None:
    load(name).run((CASES / name / case).read_bytes())


def test_every_folder_of_cases_is_of_a_target() -> None:
    assert {folder.name for folder in CASES.iterdir()} <= set(NAMES)


def test_a_broken_promise_is_found_and_kept_as_a_case(tmp_path: Path) -> None:
    ran = run_process("example", tmp_path, 60.0, 1, tmp_path / "cases", True)

    assert ran.executions
    assert any("BrokenPromise example.py:run" in one for one in ran.broken), ran.broken
    assert any("dies of SIGSEGV" in one for one in ran.broken), ran.broken
    kept = [path.read_bytes() for path in (tmp_path / "cases").iterdir()]
    assert b"!" in kept  # made as small as it can be
    assert any(data.startswith(b"crash") for data in kept)


def test_the_same_dice_change_inputs_the_same_way() -> None:
    seeds = [b"one", b"another"]
    first, second = (Mutator(seeds, random.Random(3)) for _ in range(2))

    made = [first.next() for _ in range(200)]

    assert made == [second.next() for _ in range(200)]
    assert len(set(made)) > 100

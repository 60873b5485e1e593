"""scripts/soak tries faults round by round, says which broke a promise, and keeps a table."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from soaking.harness import (
    Chapter,
    Fault,
    Outcome,
    PromiseBroken,
    Result,
    Round,
    faults_of,
    find_chapters,
    run_fault,
    total,
)
from soaking.report import to_markdown, update_page

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]


def fault(run: object, name: str = "break", **options: object) -> Fault:
    return Fault(name, f"what {name} does", "Nothing is lost.", "nothing", run, **options)  # type: ignore[arg-type]


def test_rounds_are_the_same_in_every_run_of_a_seed(tmp_path: Path) -> None:
    def run(round_: Round) -> Outcome:
        assert list(round_.folder.iterdir()) == []
        (round_.folder / "left").touch()
        return Outcome({"moment": round_.dice.random()})

    moments = [
        [
            figures["moment"]
            for figures in run_fault(fault(run), tmp_path, rounds=3, **which).figures
        ]
        for which in ({}, {}, {"seed": 1}, {"first": 1})
    ]
    assert moments[0] == moments[1] != moments[2]
    assert moments[3][:2] == moments[0][1:]
    assert list(tmp_path.iterdir()) == []


def test_a_broken_promise_is_counted_said_and_the_first_one_kept(tmp_path: Path) -> None:
    def run(round_: Round) -> Outcome:
        (round_.folder / "walk.db").touch()
        if round_.number == 2:
            raise PromiseBroken("3 messages are missing")
        if round_.number == 3:
            raise KeyError("odom")
        return Outcome(broken=["one", "two"] if round_.number == 4 else [])

    said: list[str] = []
    result = run_fault(fault(run), tmp_path, rounds=6, say=said.append)
    expected = [(2, "3 messages are missing"), (3, "KeyError: 'odom'"), (4, "one"), (4, "two")]
    assert result.broken == expected
    assert (result.rounds, result.broken_rounds) == (6, 3)
    assert "BROKEN break, round 2 of seed 0: 3 messages are missing" in said
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("break-2-")
    assert (kept / "walk.db").exists()


def test_a_round_that_hangs_breaks_the_promise(tmp_path: Path) -> None:
    hanging = fault(lambda round_: time.sleep(100), timeout_s=0.1)
    assert run_fault(hanging, tmp_path).broken == [(0, "RoundTooLong: not done after 0 s")]


def test_faults_are_found_by_their_name_and_by_that_of_their_chapter() -> None:
    one, two, three = (fault(None, name) for name in ("one", "two", "three"))
    chapters = [Chapter("first", "First", [one, two]), Chapter("second", "Second", [three])]
    assert faults_of(chapters, []) == [one, two, three]
    assert faults_of(chapters, ["first"]) == [one, two]
    assert faults_of(chapters, ["three", "one"]) == [one, three]
    with pytest.raises(KeyError, match="four"):
        faults_of(chapters, ["one", "four"])


def test_every_chapter_can_be_read_and_no_two_faults_have_one_name() -> None:
    chapters = find_chapters()
    names = [fault.name for chapter in chapters for fault in chapter.faults]
    assert len({*names, *(chapter.name for chapter in chapters)}) >= len(names)
    assert len(set(names)) == len(names)
    assert len({fault.what for chapter in chapters for fault in chapter.faults}) == len(names)
    table = to_markdown(chapters, [], {})
    assert table.count("| not tried yet |") == len(names)


def test_rows_of_faults_that_were_not_tried_stay_in_the_table(tmp_path: Path) -> None:
    one = fault(None, "one", summary=lambda rounds: f"{total(rounds, 'lost'):.0f} lost")
    chapters = [Chapter("first", "First", [one, fault(None, "two"), fault(None, "three")])]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- soak: begin -->\n<!-- soak: end -->\nafter\n")
    update_page(page, chapters, [Result(one, 7, figures=[{"lost": 1.0}, {"lost": 2.0}])])
    update_page(page, chapters, [Result(chapters[0].faults[1], 9, broken=[(3, "a | b\nc")])])
    lines = page.read_text().splitlines()
    (first,) = (line for line in lines if line.startswith("| what one does"))
    (second,) = (line for line in lines if line.startswith("| what two does"))
    assert " | 7 | held: 3 lost | " in first
    assert " | 9 | **broken** in 1 of 9: a \\| b c | " in second
    assert sum("not tried yet" in line for line in lines) == 1
    assert (lines[0], lines[-1]) == ("before", "after")


def test_an_unknown_name_is_refused_with_the_chapters_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "soaking", "kil"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no chapter or fault kil; the chapters are damage" in done.stderr

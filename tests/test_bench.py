"""scripts/bench measures, keeps every figure, prints tables, and rewrites its part of a page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark as scripts/bench does, with this Python."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        cwd=SCRIPTS.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_short_run_of_ours_alone_measures_recording_and_replay(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    cases = ["--only", "20 streams", "--only", "100 B at 1,000/s"]
    where = ["--json", str(results), "--folder", str(tmp_path)]
    done = bench("record", "replay", "--quick", "--rounds", "1", "--alone", *cases, *where)
    assert done.returncode == 0, done.stderr
    chapters = json.loads(results.read_text())["chapters"]
    recorded, replayed = chapters["record"][0]["figures"], chapters["replay"][0]["figures"]
    assert recorded["published"] == recorded["stored"] == 600
    assert recorded["lost"] == recorded["own_loss"] == recorded["doubled"] == 0
    assert recorded["cpu_s"] > 0
    assert recorded["file_per_byte"] > 1
    assert replayed["lost"] == 0
    assert replayed["p50_ms"] <= replayed["p99_ms"] <= replayed["max_ms"]
    assert "| 20 streams of 100 B at 10/s | ours" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_short_run_of_ours_alone_measures_reading_and_length(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    cases = ["--only", "100,000 messages", "--only", "1 KB poses, raw bytes"]
    where = ["--json", str(results), "--folder", str(tmp_path)]
    done = bench("length", "reading", "--quick", "--rounds", "1", "--alone", *cases, *where)
    assert done.returncode == 0, done.stderr
    chapters = json.loads(results.read_text())["chapters"]
    (long,), read = chapters["length"], chapters["reading"]
    assert long["figures"]["messages"] == 100_000
    assert {one["subject"] for one in read} == {"ours", "ours, by observations"}
    assert all(one["figures"]["missing"] == 0 for one in read)
    assert "whatever the length of the recording" in done.stdout


def test_an_unknown_chapter_is_refused_with_the_ones_there_are() -> None:
    done = bench("recrod")
    assert done.returncode == 2
    assert "no chapter recrod; there are record, times, rate, replay, speed" in done.stderr


def test_only_what_is_between_the_markers_of_a_page_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.report import update_page

    page = tmp_path / "page.md"
    other = "<!-- other: begin -->\nkept\n<!-- other: end -->\n"
    page.write_text(f"before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n{other}")
    for figures in ("new", "newer"):
        update_page(page, "bench", figures)
    expected = f"before\n<!-- bench: begin -->\n\nnewer\n<!-- bench: end -->\nafter\n{other}"
    assert page.read_text() == expected


@pytest.mark.parametrize("flaw", ["lost", "changed", "out_of_order"])
def test_a_promise_about_recording_inside_dimos_is_judged_by_every_run(
    monkeypatch: pytest.MonkeyPatch, flaw: str
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.chapter_dimos import FULL_STACK
    from benchmarks.measuring import Measurement
    from benchmarks.promises import judge

    perfect: dict[str, float | None] = {"lost": 0, "changed": 0, "out_of_order": 0}
    runs = [Measurement("LCM", "ours", round_, perfect) for round_ in range(2)]
    theirs = Measurement("LCM", "dimos", 0, {**perfect, flaw: 9})
    flawed = Measurement("LCM, file locked for 1 s", "ours", 0, {**perfect, flaw: 1})
    assert [v.holds for v in judge([replace(FULL_STACK, measurements=[*runs, theirs])])] == [True]
    assert [v.holds for v in judge([replace(FULL_STACK, measurements=[*runs, flawed])])] == [False]


def test_what_a_robot_lost_is_summed_over_its_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.chapter_dimos import TOPICS, losses

    whole = {"published": 10, "stored": 10, "lost_at_start": 0}
    whole |= {"misplaced": 0, "doubled": 0, "changed": 0}
    late = {**whole, "stored": 7, "lost_at_start": 2, "changed": 7}
    found = losses({name: late if name == "rgb" else whole for name in TOPICS})
    assert (found["published"], found["lost"], found["lost_at_start"]) == (80, 3, 2)
    assert (found["lost_rgb"], found["lost_imu"], found["changed"]) == (3, 0, 7)


def test_the_highest_rate_is_bisected_and_then_has_to_be_sustained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import chapter_rate
    from benchmarks.processes import Usage

    tried: list[tuple[int, float]] = []

    def attempt(
        bench: object, recorder: object, search: object, rate_hz: int, duration_s: float
    ) -> chapter_rate._Try:
        tried.append((rate_hz, duration_s))
        is_lost = rate_hz > (60 if duration_s == 1 else 50)
        return chapter_rate._Try(100, min(rate_hz, 80), int(is_lost), Usage(1, 0, 0, 0), 10_000)

    monkeypatch.setattr(chapter_rate, "_attempt", attempt)
    search = chapter_rate._Search("100 B", "pose", range(10, 101, 10), 1, 20)
    figures = chapter_rate._highest(None, None, search)  # type: ignore[arg-type]
    assert (figures["short_hz"], figures["rate_hz"]) == (60, 50)
    assert (figures["mb_s"], figures["unsent_hz"]) == (0.005, None)
    assert tried[-2:] == [(60, 20), (50, 20)]
    assert len(tried) < 10


def test_a_picture_of_a_chapter_has_every_subject_with_its_median(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.chapter_storage import STORAGE
    from benchmarks.measuring import Measurement
    from benchmarks.plots import draw

    rates = {"ours": (410.0, 420.0, 430.0), "plain file": (1400.0, 1500.0, 1450.0)}
    measurements = [
        Measurement("0.92 MB", subject, round_, {"mb_per_s": rate})
        for subject, of_rounds in rates.items()
        for round_, rate in enumerate(of_rounds)
    ]
    assert draw(replace(STORAGE, measurements=measurements), tmp_path / "picture.svg")
    shown = (tmp_path / "picture.svg").read_text()
    for text in ("0.92 MB: ours", "plain file", "MB/s", " 420<", " 1,450<"):
        assert text in shown, text
    assert not draw(replace(STORAGE, measurements=[]), tmp_path / "none.svg")

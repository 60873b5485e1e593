"""The command line of the benchmark; `scripts/bench` sets up what it needs and starts it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import (
    chapter_dimos,
    chapter_length,
    chapter_memory,
    chapter_rate,
    chapter_reading,
    chapter_record,
    chapter_replay,
    chapter_saving,
    chapter_start,
    chapter_storage,
    chapter_timeline,
    chapter_viewing,
    plots,
    promises,
    report,
)
from benchmarks.measuring import Bench, Chapter
from benchmarks.processes import SCRIPTS, Program
from benchmarks.profiles import Sampler
from benchmarks.subjects import find_subjects

CHAPTERS = (
    chapter_record.RECORD,
    chapter_record.TIMES,
    chapter_rate.RATE,
    chapter_replay.REPLAY,
    chapter_replay.SPEED,
    chapter_storage.STORAGE,
    chapter_length.LENGTH,
    chapter_reading.READING,
    chapter_memory.MEMORY,
    chapter_start.START,
    chapter_dimos.FULL_STACK,
    chapter_saving.SAVING,
    chapter_timeline.TIMELINE,
    chapter_viewing.VIEWING,
)
PAGE = SCRIPTS.parent / "docs" / "performance.md"


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures dimos-record beside lcm-logger, lcm-logplayer, dimos and mcap: "
        "everything in one run, in turn, with the spread over the rounds.",
        epilog="The tables go to stdout, what is being done to stderr. "
        "Example: scripts/bench record replay --quick",
    )
    names = [chapter.name for chapter in CHAPTERS]
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=", ".join(names))
    parser.add_argument(
        "--dimos", action="store_true", help="set up dimos first, where it is missing: 3 GB"
    )
    parser.add_argument("--quick", action="store_true", help="short runs, few rounds")
    parser.add_argument("--rounds", type=int, help="rounds of every case")
    parser.add_argument("--json", type=Path, default=Path("build/bench/results.json"))
    parser.add_argument(
        "--show", type=Path, metavar="JSON", help="measure nothing: show an earlier run's figures"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/bench"),
        help="where recordings are written, and deleted again (default: %(default)s)",
    )
    parser.add_argument(
        "--only", action="append", help="measure only cases with this text in their name"
    )
    parser.add_argument("--alone", action="store_true", help="measure ours only, without peers")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="tell where the time of ours goes, by py-spy; it makes ours slower meanwhile",
    )
    parser.add_argument("--command", help="the dimos-record to measure, to compare two builds")
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write the tables into {PAGE.name}"
    )
    chosen = parser.parse_args()
    if chosen.profile and not Sampler.is_installed():
        parser.error("--profile needs py-spy; install it with: pip install py-spy")
    unknown = set(chosen.chapters) - set(names)
    if unknown:
        parser.error(f"no chapter {', '.join(unknown)}; there are {', '.join(names)}")
    return chosen


def main() -> None:
    """Measure, and say what came out."""
    chosen = parse()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    wanted = [c for c in CHAPTERS if not chosen.chapters or c.name in chosen.chapters]
    if chosen.show:
        about = report.from_json(chosen.show.read_text(), wanted)
        print(_text(wanted, *about))
    else:
        about = _run(chosen, wanted)
    if chosen.update_docs:
        _update_page(wanted, *about)


def _update_page(chapters: list[Chapter], machine: dict[str, Any], missing: list[str]) -> None:
    """Every chapter has a part of the page of its own, and may come from a run of its own."""
    for chapter in chapters:
        if chapter.measurements:
            pictures = _draw([chapter])
            text = _text([chapter], machine, missing, pictures)
            report.update_page(PAGE, f"bench {chapter.name}", text)
            _say(f"Written into {PAGE}: {chapter.name}")


def _draw(chapters: list[Chapter]) -> dict[str, str]:
    """Draw what was measured; the pictures by chapter, as the page names them."""
    pictures = {}
    for chapter in chapters:
        path = PAGE.parent / "images" / f"performance-{chapter.name}.svg"
        if plots.draw(chapter, path):
            pictures[chapter.name] = str(path.relative_to(PAGE.parent))
    return pictures


def _run(chosen: argparse.Namespace, chapters: list[Chapter]) -> tuple[dict[str, Any], list[str]]:
    """Measure, print and keep the figures; returns what they were measured on."""
    chosen.folder.mkdir(parents=True, exist_ok=True)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    subjects = find_subjects(chosen.command, os.environ.get("BENCH_DIMOS_PYTHON") or None)
    if chosen.alone:
        subjects = subjects._replace(has_lcm_tools=False, dimos_python=None)
    bench = Bench(
        subjects=subjects,
        folder=chosen.folder.resolve(),
        quick=chosen.quick,
        rounds=chosen.rounds,
        only=tuple(chosen.only or ()),
        recv_buf_bytes=_granted_to_everyone(),
        say=_say,
    )
    missing = [] if chosen.alone else subjects.missing
    _say(*missing)
    sampler = Sampler(chosen.folder / "profiles", subjects.ours) if chosen.profile else None
    if sampler is not None:
        Program.sampler, bench = sampler, replace(bench, say=_both(sampler.say, _say))
    machine, began = report.describe_machine(bench.recv_buf_bytes), time.monotonic()
    try:
        _measure(chapters, bench)
    finally:  # what was measured before something failed is worth keeping
        machine["load_after"] = round(os.getloadavg()[0], 2)
        machine["minutes"] = round((time.monotonic() - began) / 60, 1)
        chosen.json.write_text(report.to_json(chapters, machine, missing))
        print(_text(chapters, machine, missing))
        if sampler is not None:
            print(sampler.to_markdown())
        _say(f"Every figure of every round: {chosen.json}")
    return machine, missing


def _measure(chapters: list[Chapter], bench: Bench) -> None:
    for chapter in chapters:
        for measurement in chapter.run(bench):
            chapter.measurements.append(measurement)
            figures = ", ".join(
                f"{name} {value:.4g}"
                for name, value in measurement.figures.items()
                if value is not None
            )
            _say(f"  {figures}")


def _text(
    chapters: list[Chapter],
    machine: dict[str, Any],
    missing: list[str],
    pictures: dict[str, str] | None = None,
) -> str:
    verdicts = promises.to_markdown(promises.judge(chapters))
    return "\n\n".join(
        filter(None, [verdicts, report.to_text(chapters, machine, missing, pictures)])
    )


def _granted_to_everyone() -> int:
    """The largest receive buffer that the kernel gives a process without privileges."""
    return int(Path("/proc/sys/net/core/rmem_max").read_text())


def _both(first: Callable[[str], None], second: Callable[[str], None]) -> Callable[[str], None]:
    def say(line: str) -> None:
        first(line)
        second(line)

    return say


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

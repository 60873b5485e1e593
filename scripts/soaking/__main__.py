"""The command line of the soak; `scripts/soak` sets up what it needs and starts it."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from soaking import report
from soaking.harness import Chapter, Fault, Result, faults_of, find_chapters, run_fault

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def parse(chapters: list[Chapter]) -> argparse.Namespace:
    """Read the arguments; `faults` is what they ask for."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Tries for a long time to break what dimos-record promises. "
        "What is being done goes to stderr, what was found to stdout; exits with 1 if a promise "
        "was broken. Ctrl-C ends it with what was found so far.",
        epilog="Example: scripts/soak kill-recorder power --rounds 20",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listed = [f"{c.name} ({', '.join(fault.name for fault in c.faults)})" for c in chapters]
    parser.add_argument("names", nargs="*", metavar="CHAPTER|FAULT", help="; ".join(listed))
    parser.add_argument("--rounds", type=int, help="how often to try each fault")
    parser.add_argument(
        "--minutes",
        type=float,
        help="how long, for faults that run for a time instead (robot, ring ...)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another one tries other moments")
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first round, to repeat one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every round")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "build" / "soak",
        help="where to record; what breaks a promise stays there (default: build/soak)",
    )
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write the tables into docs/{PAGE.name}"
    )
    chosen = parser.parse_args()
    try:
        chosen.faults = faults_of(chapters, chosen.names)
    except KeyError as error:
        names = ", ".join(chapter.name for chapter in chapters)
        parser.error(f"no chapter or fault {error.args[0]}; the chapters are {names}")
    return chosen


def main() -> None:
    """Try the faults, and say what came out."""
    chapters = find_chapters()
    chosen = parse(chapters)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    interrupted = False
    try:
        for fault in chosen.faults:
            _run(fault, chosen, results)
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted; what was found so far:")
    print(report.to_text(results))
    if chosen.json:
        chosen.json.write_text(report.to_json(results, chosen.seed))
    if chosen.update_docs:
        report.update_page(PAGE, chapters, results)
        _say(f"written into {PAGE}")
    sys.exit(130 if interrupted else any(result.broken for result in results))


def _run(fault: Fault, chosen: argparse.Namespace, results: list[Result]) -> None:
    _say(f"{fault.name}: {fault.promise}")
    results.append(Result(fault))
    run_fault(
        fault,
        chosen.folder.resolve(),
        rounds=chosen.rounds,
        minutes=chosen.minutes,
        seed=chosen.seed,
        first=chosen.first,
        say=_say,
        result=results[-1],
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

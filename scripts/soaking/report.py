"""What a soak found, as JSON and as the table of `docs/reliability.md`."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from soaking.harness import Chapter, Result

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
_NOT_TRIED = "not tried yet"
_HEAD = ("fault", "promise", "what the user sees", "rounds", "outcome", "revision, day")


def machine() -> dict[str, str | int | None]:
    """Where, and of what revision, something was found."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "revision": described.stdout.strip() or "unknown",
        "day": datetime.now(timezone.utc).date().isoformat(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def to_json(results: Iterable[Result], seed: int) -> str:
    """Every figure of every round."""
    found = [
        {
            "fault": result.fault.name,
            "rounds": result.rounds,
            "minutes": result.minutes,
            "seconds": round(result.seconds, 1),
            "broken": result.broken,
            "figures": list(result.figures),
        }
        for result in results
    ]
    return json.dumps({**machine(), "seed": seed, "results": found}, indent=1)


def outcome(result: Result) -> str:
    """What a row says of the rounds."""
    if result.broken:
        first = " ".join(result.broken[0][1].split())
        return f"**broken** in {result.broken_rounds} of {result.rounds}: {first}"
    return ": ".join(filter(None, ["held", result.fault.summary(result.figures)]))


def to_markdown(
    chapters: Sequence[Chapter], results: Iterable[Result], earlier: Mapping[str, str]
) -> str:
    """A table per chapter: the faults that were tried now, and the earlier rows of the others.

    Args:
        earlier: the rows of a page as it is, by their first cell.
    """
    about = machine()
    tried = {result.fault.name: result for result in results if result.rounds}
    parts = []
    for chapter in chapters:
        rows = []
        for fault in chapter.faults:
            cells = [fault.what, fault.promise, fault.sees]
            if result := tried.get(fault.name):
                when = f"{about['revision']}, {about['day']}"
                rows.append(_row(*cells, _rounds(result), outcome(result), when))
            else:
                first = _cell(fault.what)
                rows.append(earlier.get(first) or _row(*cells, "0", _NOT_TRIED, ""))
        table = "\n".join([_row(*_HEAD), "|" + "---|" * len(_HEAD), *rows])
        parts.append("\n\n".join(filter(None, [f"### {chapter.title}", chapter.about, table])))
    return "\n\n".join(parts) + "\n"


def _rounds(result: Result) -> str:
    return f"{result.minutes:g} min" if result.minutes else f"{result.rounds:,}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def update_page(page: Path, chapters: Sequence[Chapter], results: Iterable[Result]) -> None:
    """Write the tables between the markers of a page."""
    before, found, rest = page.read_text().partition(BEGIN)
    old, found_end, after = rest.partition(END)
    if not found or not found_end:
        raise SystemExit(f"{page} has no {BEGIN} ... {END} to write the tables between")
    rows = [line for line in old.splitlines() if line[:2] == "| " and _NOT_TRIED not in line]
    earlier = {line[2:].split(" | ")[0]: line for line in rows}
    text = to_markdown(chapters, results, earlier)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def to_text(results: Iterable[Result]) -> str:
    """For a terminal: a line per fault."""
    lines = [
        f"{result.fault.name:24} {_rounds(result):>8}  {result.seconds:7,.0f} s  {outcome(result)}"
        for result in results
    ]
    return "\n".join(lines)

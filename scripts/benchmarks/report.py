"""What was measured, as JSON and as tables for people and for `docs/performance.md`."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.measuring import Chapter, Column, Measurement
from benchmarks.subjects import DIMOS, LCM, MCAP, OURS, PLAIN

_NAMES = {
    ("record", LCM): "lcm-logger",
    ("times", LCM): "lcm-logger",
    ("rate", LCM): "lcm-logger",
    ("replay", LCM): "lcm-logplayer",
    ("speed", LCM): "lcm-logplayer",
    ("record", DIMOS): "dimos TransportRecorder",
    ("rate", DIMOS): "dimos TransportRecorder",
    ("replay", DIMOS): "dimos replay",
    ("dimos", DIMOS): "dimos --record",
    ("viewing", DIMOS): "dimos's to_rerun",
    ("reading", DIMOS): "dimos SqliteStore",
    ("storage", DIMOS): "dimos SqliteStore",
    ("storage", MCAP): "mcap writer",
    ("storage", PLAIN): "plain file",
}


def describe_machine(recv_buf_bytes: int) -> dict[str, Any]:
    """Where the figures come from."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "lcm": metadata.version("lcm"),
        "receive_buffer_bytes": recv_buf_bytes,
        "revision": revision.stdout.strip(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def to_json(chapters: Sequence[Chapter], machine: dict[str, Any], missing: list[str]) -> str:
    """Every figure of every round."""
    measured = {c.name: [m._asdict() for m in c.measurements] for c in chapters}
    return json.dumps({"machine": machine, "missing": missing, "chapters": measured}, indent=1)


def from_json(text: str, chapters: Sequence[Chapter]) -> tuple[dict[str, Any], list[str]]:
    """Put the figures of an earlier run into chapters; return its machine and what was missing."""
    kept = json.loads(text)
    for chapter in chapters:
        found = kept["chapters"].get(chapter.name, ())
        chapter.measurements = [Measurement(**measured) for measured in found]
    return kept["machine"], kept["missing"]


def to_text(
    chapters: Sequence[Chapter],
    machine: dict[str, Any],
    missing: list[str],
    pictures: Mapping[str, str] | None = None,
) -> str:
    """Markdown that also reads well as plain text; with a picture per chapter, by its name."""
    about = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, "
        f"{machine['system']}, Python {machine['python']}, SQLite {machine['sqlite']}, "
        f"LCM {machine['lcm']}, receive buffer {machine['receive_buffer_bytes'] / 2**20:g} MiB "
        f"for every program; revision {machine['revision']}; "
        f"load average {machine['load_before']} before the run and {machine['load_after']} after "
        f"it, {machine['minutes']} minutes."
    )
    parts = [about, *missing]
    for c in chapters:
        if c.measurements:
            parts += [f"### {c.title}", c.about]
            parts += [f"![{c.title}]({pictures[c.name]})"] if c.name in (pictures or {}) else []
            parts.append(_table(c))
    return "\n\n".join(parts) + "\n"


def update_page(page: Path, part: str, text: str) -> None:
    """Replace what is between the markers of a part of a page."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{page} has no {begin} ... {end} to write the figures between")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def _table(chapter: Chapter) -> str:
    columns = [c for c in chapter.columns if any(_values(chapter, c))]
    rows = [["", "", *(column.title for column in columns)]]
    for case in dict.fromkeys(m.case for m in chapter.measurements):
        subjects = list(dict.fromkeys(m.subject for m in chapter.measurements if m.case == case))
        subjects.sort(key=lambda subject: subject != OURS)
        for i, subject in enumerate(subjects):
            cells = [_spread(chapter.figures(case, subject, c.figure), c.format) for c in columns]
            rows.append([case if i == 0 else "", name_of(chapter, subject), *cells])
        for peer in subjects[1:]:
            cells = [_ratio(chapter, case, peer, c) for c in columns]
            rows.append(["", f"ours / {name_of(chapter, peer)}", *cells])
    return _markdown(rows)


def _values(chapter: Chapter, column: Column) -> list[bool]:
    return [m.figures.get(column.figure) is not None for m in chapter.measurements]


def name_of(chapter: Chapter, subject: str) -> str:
    """What a subject is called in a chapter: `lcm-logplayer` where LCM's player is meant."""
    return _NAMES.get((chapter.name, subject), subject)


def _ratio(chapter: Chapter, case: str, peer: str, column: Column) -> str:
    if not column.ratio:
        return ""
    return _spread(chapter.ratios(case, OURS, peer, column.figure), "{:.2f}", "x")


def _spread(values: list[float], form: str, unit: str = "") -> str:
    """The median, and in brackets the smallest and largest where they differ as shown."""
    if not values:
        return "-"
    shown = [form.format(v) for v in (statistics.median(values), min(values), max(values))]
    spread = "" if shown[1] == shown[2] else f" ({shown[1]}-{shown[2]})"
    return f"{shown[0]}{unit}{spread}"


def _markdown(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
        if number == 0:
            rules = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
            lines.append("| " + " | ".join(rules) + " |")
    return "\n".join(lines)

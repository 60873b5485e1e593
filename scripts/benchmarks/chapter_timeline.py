"""The terminal program's timeline on large recordings: the real screen, without a terminal."""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import Bench, Chapter, Column, Measurement
from benchmarks.processes import Process, Program, module_env, python_module
from benchmarks.subjects import OURS

_STREAMS = 20
_BATCH = 5000
_SIZE = (160, 48)
_KEYS = ["plus"] * 12 + ["minus"] * 12 + ["f"] * 12
_PROBE_S = 0.002
_START_NS = 1_700_000_000 * 10**9


def _run(bench: Bench) -> Iterator[Measurement]:
    cases = [("50 MB, 500,000 messages", 500_000, 100)]
    if not bench.quick:
        cases.append(("2 GB, 5 million messages", 5_000_000, 400))
    for case, messages, payload_bytes in cases:
        if not bench.wants(case):
            continue
        with bench.scratch() as folder:
            bench.say(f"timeline: writing {case}")
            path = folder / "recording.db"
            write(path, messages, payload_bytes)
            for round_ in bench.rounds_of(3):
                bench.say(f"timeline: {case}, round {round_ + 1}")
                yield Measurement(case, OURS, round_, _look(path, folder))


def _look(path: Path, folder: Path) -> dict[str, float | None]:
    command = python_module("chapter_timeline", path)
    with Program(command, folder / "log", env=dict(module_env())) as program:
        program.wait(300)
        said: dict[str, float | None] = json.loads(program.output.strip().splitlines()[-1])
    return said


def write(path: Path, messages: int, payload_bytes: int) -> None:
    """A recording of several streams, each a tenth faster than the one before."""
    from dimos_record.bus.base import split_channel
    from dimos_record.store.writer import RecordingWriter

    weights = [1.1**number for number in range(_STREAMS)]
    duration_ns = 3600 * 10**9
    counts = [int(messages * weight / sum(weights)) for weight in weights]
    counts[-1] += messages - sum(counts)
    steps = [duration_ns // count for count in counts]
    due = [(_START_NS, number) for number in range(_STREAMS)]
    data = os.urandom(payload_bytes)
    writer = RecordingWriter.create(path)
    writer.begin_session(_START_NS, {}, split=split_channel)
    batch = []
    for _ in range(messages):
        at_ns, number = due[0]
        heapq.heapreplace(due, (at_ns + steps[number], number))
        batch.append((at_ns, f"/sensor{number:02d}", data))
        if len(batch) == _BATCH:
            writer.write(batch)
            batch.clear()
    writer.write(batch)
    writer.end_session(_START_NS + duration_ns, "stopped", None, 0)
    writer.close()


async def look(path: Path) -> dict[str, float]:
    """Open a recording on the timeline, zoom and move on, and tell how long each took."""
    from dimos_record.cli.tui.app import TuiApp

    began = time.perf_counter()
    app, steps_s, stalls_s = TuiApp(path, "memory://bench"), [], [0.0]
    async with app.run_test(size=_SIZE) as pilot:
        watching = asyncio.create_task(_note_stalls(stalls_s))
        await _drawn(app)
        first_s = time.perf_counter() - began
        for key in _KEYS:
            pressed = time.perf_counter()
            await pilot.press(key)
            await _drawn(app)
            steps_s.append(time.perf_counter() - pressed)
        watching.cancel()
    app.release()
    return {
        "first_ms": first_s * 1e3,
        "step_ms": statistics.median(steps_s) * 1e3,
        "step_max_ms": max(steps_s) * 1e3,
        "stall_ms": max(stalls_s) * 1e3,
        "peak_mb": Process(os.getpid()).peak_bytes() / 1e6,
    }


async def _note_stalls(stalls_s: list[float]) -> None:
    """Note for how long the screen's thread had no time."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(_PROBE_S)
        stalls_s.append(time.perf_counter() - asked - _PROBE_S)


async def _drawn(app: Any) -> None:
    """Wait until what was asked for is on the screen."""
    while app.shown.scene is None or not app.shown.settled:
        await asyncio.sleep(0.001)


TIMELINE = Chapter(
    "timeline",
    "The timeline of the terminal program",
    "20 streams over an hour on a screen of 160x48: from the start of the program to the first "
    "picture, then zooming in 12 times, out 12 times and moving on 12 times, each until the new "
    "picture is there; for how long the screen's thread was busy at most meanwhile.",
    (
        Column("first_ms", "first picture ms", "{:,.0f}"),
        Column("step_ms", "step ms", "{:,.0f}"),
        Column("step_max_ms", "slowest step ms", "{:,.0f}"),
        Column("stall_ms", "longest stall ms", "{:,.0f}"),
        Column("peak_mb", "memory MB", "{:,.0f}"),
    ),
    _run,
)

if __name__ == "__main__":
    print(json.dumps(asyncio.run(look(Path(sys.argv[1])))))

"""What a recording's length costs: opening it, a jump in it, and `info` on it."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bench, Chapter, Column, Measurement
from benchmarks.messages import encoder
from benchmarks.processes import Program, module_env, python_module
from benchmarks.subjects import OURS

_STREAMS = 10
_BATCH = 10_000
_STEP_NS = 100_000
_SEEKS = 101
_START_NS = 1_700_000_000 * 10**9
_TYPE = "geometry_msgs.PoseStamped"


def _run(bench: Bench) -> Iterator[Measurement]:
    counts = [count for count in _counts(bench) if bench.wants(_case(count))]
    with bench.scratch() as folder:
        for count in counts:
            bench.say(f"length: writing {_case(count)}")
            write(folder / f"{count}.db", count)
        for round_ in bench.rounds_of(5, 2):
            for count in counts:
                bench.say(f"length: {_case(count)}, round {round_ + 1}")
                figures = _look(bench, folder / f"{count}.db", folder)
                yield Measurement(_case(count), OURS, round_, figures)


def _counts(bench: Bench) -> list[int]:
    return [100_000, 1_000_000] if bench.quick else [100_000, 1_000_000, 10_000_000]


def _case(count: int) -> str:
    return f"{count:,} messages"


def _look(bench: Bench, path: Path, folder: Path) -> dict[str, float | None]:
    env = compiled_once(folder)
    command = python_module("chapter_length", path)
    with Program(command, folder / "log", env={**module_env(), **env}) as program:
        program.wait(60)
        said: dict[str, float | None] = json.loads(program.output.strip().splitlines()[-1])
    elapsed_ms(["true"], env)
    info = [*bench.subjects.ours, "info", str(path)]
    elapsed_ms(info, env)
    return {
        **said,
        "info_command_ms": elapsed_ms(info, env),
        "bare_ms": elapsed_ms([sys.executable, "-c", "pass"], env),
    }


def compiled_once(folder: Path) -> dict[str, str]:
    """An environment in which Python keeps what it has compiled, as it does where it may write."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def elapsed_ms(command: list[str], env: dict[str, str]) -> float:
    """How long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1e3


def write(path: Path, count: int) -> None:
    """A recording of several streams of poses, written in batches and moved from the spool."""
    from dimos_record.bus.base import split_channel
    from dimos_record.store.writer import RecordingWriter

    data = encoder("pose")(0, 0)
    channels = [f"/pose{number}#{_TYPE}" for number in range(_STREAMS)]
    writer = RecordingWriter.create(path)
    writer.begin_session(_START_NS, {}, split=split_channel)
    for first in range(0, count, _BATCH):
        writer.write(
            [
                (_START_NS + number * _STEP_NS, channels[number % _STREAMS], data)
                for number in range(first, min(count, first + _BATCH))
            ]
        )
        writer.checkpoint()
    writer.end_session(_START_NS + count * _STEP_NS, "stopped", None, 0)
    writer.close()


def look(path: Path) -> dict[str, float]:
    """Open a recording, jump about in it, ask for its figures; tell how long each took."""
    from dimos_record.store import open_recording
    from dimos_record.store.summary import summarize

    open_recording(path).close()  # what is imported on the way counts elsewhere
    began = time.perf_counter()
    with open_recording(path) as reader:
        opened = time.perf_counter()
        first_ns, last_ns = reader.span_ns() or (0, 0)
        seeks = []
        places = random.Random(1)
        for _ in range(_SEEKS):
            at_ns = places.randrange(first_ns, last_ns)
            asked = time.perf_counter()
            found = [next(reader.rows(stream, start_ns=at_ns), None) for stream in reader.streams]
            seeks.append(time.perf_counter() - asked)
            assert all(row is None or at_ns <= row.ts_ns < at_ns + 10**9 for row in found)
        asked = time.perf_counter()
        summary = summarize(reader)
        info_s = time.perf_counter() - asked
    return {
        "open_ms": (opened - began) * 1e3,
        "seek_ms": statistics.median(seeks) * 1e3,
        "seek_max_ms": max(seeks) * 1e3,
        "info_ms": info_s * 1e3,
        "messages": summary.count,
        "file_mb": path.stat().st_size / 1e6,
    }


LENGTH = Chapter(
    "length",
    "Length of a recording",
    f"{_STREAMS} streams of poses of 100 B. A jump finds the first message of every stream from "
    f"there on; median and slowest of {_SEEKS} places. Opening, jumps and the figures of `info` "
    "are measured inside a process that has imported what it needs; the command `info` and a bare "
    "interpreter are whole processes. All of it with the file in the memory of the system.",
    (
        Column("file_mb", "file MB", "{:,.0f}"),
        Column("open_ms", "open ms", "{:.2f}"),
        Column("seek_ms", "jump ms", "{:.2f}"),
        Column("seek_max_ms", "slowest jump ms", "{:.2f}"),
        Column("info_ms", "figures ms", "{:.2f}"),
        Column("info_command_ms", "command info ms", "{:.0f}"),
        Column("bare_ms", "bare python ms", "{:.0f}"),
    ),
    _run,
)

if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]))))

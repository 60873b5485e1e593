"""Saving edits, beside copying the same file with `cp` and waiting until it is on the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.processes import Process, Program, module_env, python_module
from benchmarks.subjects import OURS

_COPY = "cp and sync"
_BATCH_BYTES, _BATCH_MESSAGES = 16_000_000, 5000
_START_NS = 1_700_000_000 * 10**9
_STEP_NS = 1_000_000


def _run(bench: Bench) -> Iterator[Measurement]:
    cases = (
        ("1 MB messages", 1_000_000, bench.pick(1000, 100)),
        ("400 B messages", 400, bench.pick(2_000_000, 100_000)),
    )
    for case, payload_bytes, count in cases:
        if not bench.wants(case):
            continue
        with bench.scratch() as folder:
            bench.say(f"saving: writing {count:,} {case}")
            path = folder / "recording.db"
            write(path, payload_bytes, count)
            for round_ in bench.rounds_of(5):
                for subject in alternating([OURS, _COPY], round_):
                    bench.say(f"saving: {case}, {subject}, round {round_ + 1}")
                    measure = _save if subject == OURS else _copy
                    yield Measurement(case, subject, round_, measure(path, folder))


def _save(path: Path, folder: Path) -> dict[str, float | None]:
    edited = folder / "edited.db"
    shutil.copyfile(path, edited)
    os.sync()
    command = python_module("chapter_saving", edited)
    with Program(command, folder / "log", env=dict(module_env())) as program:
        used = program.wait(300)
        said: dict[str, float | None] = json.loads(program.output.strip().splitlines()[-1])
    edited.unlink()
    return said | {"cpu_s": used.cpu_s}


def _copy(path: Path, folder: Path) -> dict[str, float | None]:
    copy = folder / "copy.db"
    os.sync()
    began = time.perf_counter()
    subprocess.run(["cp", path, copy], check=True)
    subprocess.run(["sync", copy], check=True)
    elapsed_s = time.perf_counter() - began
    size = copy.stat().st_size
    copy.unlink()
    return {"elapsed_s": elapsed_s, "mb_per_s": size / 1e6 / elapsed_s}


def write(path: Path, payload_bytes: int, count: int) -> None:
    """A recording of one topic."""
    from dimos_record.bus.base import split_channel
    from dimos_record.store.writer import RecordingWriter

    writer, data = RecordingWriter.create(path), os.urandom(payload_bytes)
    writer.begin_session(_START_NS, {}, split=split_channel)
    size = max(1, min(_BATCH_MESSAGES, _BATCH_BYTES // payload_bytes))
    for first in range(0, count, size):
        numbers = range(first, min(first + size, count))
        writer.write([(_START_NS + number * _STEP_NS, "/topic", data) for number in numbers])
        writer.checkpoint()
    writer.end_session(_START_NS + count * _STEP_NS, "stopped", None, 0)
    writer.close()


def save(path: Path) -> dict[str, float]:
    """Cut the hundredth part out of the middle and save; tell how long each took."""
    from dimos_record import RecordReplay

    with RecordReplay(path) as rec:
        end_s = rec.extent[1]
        began = time.perf_counter()
        rec.delete_section((end_s * 0.5, end_s * 0.51))
        cut_s = time.perf_counter() - began
        report = rec.save()
        elapsed_s = time.perf_counter() - began - cut_s
    return {
        "cut_ms": cut_s * 1e3,
        "elapsed_s": elapsed_s,
        "mb_per_s": report.size_after / 1e6 / elapsed_s,
        "peak_mb": Process(os.getpid()).peak_bytes() / 1e6,
    }


SAVING = Chapter(
    "saving",
    "Saving edits",
    "A hundredth is cut out of the middle of a recording of one topic, and the rest is saved; the "
    "same file is copied in turn. Both until all of it is on the disk.",
    (
        Column("cut_ms", "cut ms", "{:,.0f}"),
        Column("elapsed_s", "save s", "{:.2f}", ratio=True),
        Column("mb_per_s", "MB/s", "{:,.0f}"),
        Column("cpu_s", "CPU s", "{:.2f}"),
        Column("peak_mb", "memory MB", "{:,.0f}"),
    ),
    _run,
)

if __name__ == "__main__":
    print(json.dumps(save(Path(sys.argv[1]))))

"""Memory over time, while much is recorded and replayed."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.measuring import Bench, Chapter, Column, Measurement
from benchmarks.messages import encoder
from benchmarks.processes import Program, module_env, python_module
from benchmarks.recorders import Ours
from benchmarks.subjects import OURS

RECORDING, REPLAYING = "recording", "replaying"
_RATE_HZ = 120
_EVERY_S = 0.1
_BEGINNING_S = 1.0


def _run(bench: Bench) -> Iterator[Measurement]:
    gigabytes = bench.pick(10, 1)
    size_bytes = len(encoder("image")(0, 0))
    duration_s = gigabytes * 1e9 / size_bytes / _RATE_HZ
    for round_ in bench.rounds_of(1):
        with bench.scratch() as folder:
            url = bench.lcm_url()
            bench.say(f"memory: recording {gigabytes} GB, round {round_ + 1}")
            found = _record(bench, url, folder, duration_s)
            yield Measurement(f"{RECORDING} {gigabytes} GB", OURS, round_, found)
            bench.say(f"memory: replaying {gigabytes} GB, round {round_ + 1}")
            found = _replay(bench, url, folder)
            yield Measurement(f"{REPLAYING} {gigabytes} GB", OURS, round_, found)


def _record(bench: Bench, url: str, folder: Path, duration_s: float) -> dict[str, float | None]:
    publishing = python_module("publisher", "one_by_one", url, "image", _RATE_HZ, duration_s, 1)
    with Ours(bench.subjects.ours).start(url, folder, []) as program:
        with (
            _watched(program) as sizes,
            Program(publishing, folder / "publisher", env=module_env()) as publisher,
        ):
            publisher.wait(duration_s * 5 + 30)
            published = json.loads(publisher.output.strip().splitlines()[-1])
            program.wait_until_idle()
        program.finish()
    gigabytes = (folder / "ours.db").stat().st_size / 1e9
    return _figures(sizes, gigabytes, published["elapsed_ns"] / 1e9)


def _replay(bench: Bench, url: str, folder: Path) -> dict[str, float | None]:
    path = folder / "ours.db"
    command = [*bench.subjects.ours, "play", str(path), "--bus", url, "--speed", "max"]
    with Program(command, folder / "player") as program, _watched(program) as sizes:
        program.wait(600)
    return _figures(sizes, path.stat().st_size / 1e9, len(sizes) * _EVERY_S)


@contextmanager
def _watched(program: Program) -> Iterator[list[int]]:
    """The memory of a program every tenth of a second, until it has ended."""
    sizes: list[int] = []
    stopped = threading.Event()

    def watch() -> None:
        with suppress(OSError, ValueError):  # it has ended
            while not stopped.wait(_EVERY_S):
                sizes.append(program.process.resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        stopped.set()
        thread.join()


def _figures(sizes: list[int], gigabytes: float, elapsed_s: float) -> dict[str, float | None]:
    """What the memory was, but for the beginning, in which all of it is taken."""
    settled = sizes[max(len(sizes) // 10, int(_BEGINNING_S / _EVERY_S)) :]
    third = max(1, len(settled) // 3)
    first, last = statistics.median(settled[:third]), statistics.median(settled[-third:])
    return {
        "gigabytes": gigabytes,
        "elapsed_s": elapsed_s,
        "peak_mb": max(sizes) / 1e6,
        "first_third_mb": first / 1e6,
        "last_third_mb": last / 1e6,
        "growth_mb": (last - first) / 1e6,
    }


MEMORY = Chapter(
    "memory",
    "Memory",
    f"`dimos-record record` gets pictures of 0.92 MB at {_RATE_HZ}/s over LCM, then `dimos-record "
    "play` publishes them as fast as it can. Memory is what the process holds, looked at every "
    f"{_EVERY_S:g} s; the beginning, in which it is taken, is left out of the thirds, whose "
    "medians are compared: a second, or a tenth of the time.",
    (
        Column("gigabytes", "GB", "{:.1f}"),
        Column("elapsed_s", "s", "{:.0f}"),
        Column("peak_mb", "most MB", "{:,.0f}"),
        Column("first_third_mb", "first third MB", "{:,.0f}"),
        Column("last_third_mb", "last third MB", "{:,.0f}"),
        Column("growth_mb", "growth MB", "{:+,.1f}"),
    ),
    _run,
)

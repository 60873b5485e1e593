"""Replay: on time at the recorded rate, and as fast as possible."""

from __future__ import annotations

import signal
import statistics
from array import array
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating, percentiles_ms
from benchmarks.messages import FULL_STACK, Stream, schedule
from benchmarks.players import Player, players
from benchmarks.processes import Program, Usage, module_env, python_module

_KILOHERTZ = (Stream("/pose0#geometry_msgs.PoseStamped", "pose", 1000),)
_FAST_SMALL = (Stream("/pose0#geometry_msgs.PoseStamped", "pose", 100_000),)
_FAST_LARGE = (Stream("/image0#sensor_msgs.Image", "image", 100),)
_ALONE = "alone"
"""The folder with recordings of a single message."""


def _run_replay(bench: Bench) -> Iterator[Measurement]:
    """Timing at the recorded rate."""
    cases = (
        ("100 B at 1,000/s", _KILOHERTZ, bench.pick(5, 2), True),
        ("full stack, 68 MB/s", FULL_STACK, bench.pick(4, 2), False),
    )
    for case, streams, duration_s, with_dimos in cases:
        if not bench.wants(case):
            continue
        due_ns = [at_ns for at_ns, _ in schedule(streams, duration_s)]
        for round_, player, folder in _each(
            bench, streams, duration_s, bench.rounds_of(5, 2), with_dimos=with_dimos
        ):
            bench.say(f"replay: {case}, {player.name}, round {round_ + 1}")
            received, used = _play(bench, player, folder, duration_s)
            starts = [at_ns - due_ns[number] for number, at_ns in received]
            start_ns = statistics.median(starts or [0])
            figures: dict[str, float | None] = {
                "lost": len(due_ns) - len(received),
                "cpu_s": used.cpu_s,
                "start_cpu_s": None if round_ else _start_cpu_s(bench, player, folder),
                "first_ms": (starts[0] - start_ns) / 1e6 if starts else None,
                **percentiles_ms(at_ns - start_ns for at_ns in starts),
            }
            yield Measurement(case, player.name, round_, figures)


def _run_fast(bench: Bench) -> Iterator[Measurement]:
    """Messages per second, as fast as possible."""
    cases = (
        ("100 B", _FAST_SMALL, bench.pick(4, 2)),
        ("0.92 MB", _FAST_LARGE, bench.pick(6, 3)),
    )
    for case, streams, duration_s in cases:
        if not bench.wants(case):
            continue
        count = len(schedule(streams, duration_s))
        for round_, player, folder in _each(
            bench, streams, duration_s, bench.rounds_of(3), with_dimos=False
        ):
            bench.say(f"speed: {case}, {player.name}, round {round_ + 1}")
            received, used = _play(bench, player, folder, 30, as_fast_as_possible=True)
            rate = None
            if len(received) > 1:
                (first, first_ns), (last, last_ns) = received[0], received[-1]
                rate = (last - first) / ((last_ns - first_ns) / 1e9)
            figures: dict[str, float | None] = {
                "published_hz": rate,
                "published": count,
                "received": len(received),
                "lost_percent": (count - len(received)) / count * 100,
                "cpu_s": used.cpu_s,
            }
            yield Measurement(case, player.name, round_, figures)


def _each(
    bench: Bench,
    streams: tuple[Stream, ...],
    duration_s: float,
    rounds: range,
    *,
    with_dimos: bool,
) -> Iterator[tuple[int, Player, Path]]:
    """(round, player, folder with its recording), in alternating order."""
    by_name = {p.name: p for p in players(bench.subjects, with_dimos=with_dimos)}
    with bench.scratch() as folder:
        (folder / _ALONE).mkdir()
        for player in by_name.values():
            player.write(folder, streams, duration_s)
            player.write(folder / _ALONE, (streams[0]._replace(rate_hz=1),), 1)
        for round_ in rounds:
            for name in alternating(list(by_name), round_):
                yield round_, by_name[name], folder


def _start_cpu_s(bench: Bench, player: Player, folder: Path) -> float:
    """Processor time of playing a single message."""
    with player.start(folder / _ALONE, bench.lcm_url(), as_fast_as_possible=False) as program:
        return program.wait(30).cpu_s


def _play(
    bench: Bench,
    player: Player,
    folder: Path,
    duration_s: float,
    *,
    as_fast_as_possible: bool = False,
) -> tuple[list[tuple[int, int]], Usage]:
    """What a receiver got: (number, monotonic time in ns); and what the player used."""
    url, out = bench.lcm_url(), folder / "received"
    command = python_module("receiver", url, out)
    with Program(command, folder / "receiver.log", env=module_env()) as receiver:
        receiver.wait_for_output("ready")
        with player.start(folder, url, as_fast_as_possible=as_fast_as_possible) as program:
            used = program.wait(duration_s * 3 + 30)
        receiver.wait_until_idle()
        receiver.finish(signal.SIGTERM)
    found = array("q")
    found.frombytes(out.read_bytes())
    return list(zip(found[::2], found[1::2], strict=True)), used


REPLAY = Chapter(
    "replay",
    "Replay on time",
    "How far the times at which the kernel got the first packet of each message are from the "
    "recorded ones. Both are counted from the start that fits the median message; how far the "
    "first message is from that start is shown apart. What a receiver adds is the same whoever "
    "plays: a callback in Python some 6 us (p50), more than the players differ by. CPU is that of "
    "the whole player; what its start takes of it was measured by playing a single message. The "
    "busy loop is the limit of the machine: it is written in C, holds the recording in memory, and "
    "takes a whole core to never sleep.",
    (
        Column("lost", "lost", "{:,.0f}"),
        Column("p50_ms", "p50 ms", "{:.3f}", ratio=True),
        Column("p99_ms", "p99 ms", "{:.3f}", ratio=True),
        Column("max_ms", "max ms", "{:.2f}", ratio=True),
        Column("first_ms", "first ms", "{:+.2f}"),
        Column("cpu_s", "CPU s", "{:.2f}"),
        Column("start_cpu_s", "of it the start", "{:.2f}"),
    ),
    _run_replay,
)

SPEED = Chapter(
    "speed",
    "Replay as fast as possible",
    "Messages per second while playing with `--speed max` (ours) and `--speed=100000` (LCM's), "
    "by the kernel's time of their arrival, and how many of them a receiver in Python lost. The "
    "busy loop is the limit of the machine with a call into the kernel per packet, as LCM sends.",
    (
        Column("published_hz", "published/s", "{:,.0f}", ratio=True),
        Column("received", "received", "{:,.0f}"),
        Column("lost_percent", "lost %", "{:.2f}"),
        Column("cpu_s", "CPU s", "{:.2f}"),
    ),
    _run_fast,
)

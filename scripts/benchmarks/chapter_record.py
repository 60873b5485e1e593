"""Recording: what is lost, what it costs, what is written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating, percentiles_ms
from benchmarks.messages import FULL_STACK
from benchmarks.processes import Program, module_env, python_module
from benchmarks.publisher import channel_names
from benchmarks.recorders import Recorder, recorders
from benchmarks.subjects import DIMOS

ROBOT = "robot with four cameras, 68 MB/s"


class Load(NamedTuple):
    """Traffic that recorders get."""

    case: str
    kind: str
    rate_hz: int
    duration_s: float
    streams: int = 1
    suspended_s: float = 0.0
    """For how long the recorder is kept from running, to make it lose something."""

    @property
    def channels(self) -> list[str]:
        """What is published on."""
        if self.kind == "full_stack":
            return [stream.channel for stream in FULL_STACK]
        return channel_names(self.kind, self.streams)

    def publisher(self, url: str) -> list[str]:
        """The command that publishes it."""
        if self.kind == "full_stack":
            return python_module("publisher", "full_stack", url, self.duration_s)
        what = self.kind, self.rate_hz, self.duration_s, self.streams
        return python_module("publisher", "one_by_one", url, *what)


def _small(rate_hz: int, duration_s: float) -> Load:
    return Load(f"100 B at {rate_hz:,}/s", "pose", rate_hz, duration_s)


def _large(rate_hz: int, duration_s: float) -> Load:
    return Load(f"0.92 MB at {rate_hz}/s", "image", rate_hz, duration_s)


def record_loads(bench: Bench) -> list[Load]:
    """The traffic of the chapter `record`."""
    s = bench.pick(3, 2)
    return [
        *(_small(rate, s) for rate in (20_000, 50_000, 100_000)),
        *(_large(rate, s) for rate in (30, 120, 300)),
        Load(ROBOT, "full_stack", 0, bench.pick(15, 5)),
        Load("20 streams of 100 B at 10/s", "pose", 10, bench.pick(10, 3), 20),
        Load("100 B at 20,000/s, stopped for 1 s", "pose", 20_000, s, suspended_s=1.0),
    ]


def _run_record(bench: Bench) -> Iterator[Measurement]:
    for round_ in bench.rounds_of(3):
        for load in filter(lambda load: bench.wants(load.case), record_loads(bench)):
            for recorder in in_turn(recorders(bench.subjects), round_):
                yield run_recorder(bench, recorder, load, round_)


def _run_times(bench: Bench) -> Iterator[Measurement]:
    s = bench.pick(3, 2)
    for round_ in bench.rounds_of(3):
        loads = [_small(rate, s) for rate in (1_000, 20_000, 100_000)]
        for load in filter(lambda load: bench.wants(load.case), loads):
            # dimos keeps the header's time, not that of reception
            found = recorders(bench.subjects, python_only=True)
            with_times = [recorder for recorder in found if recorder.name != DIMOS]
            for recorder in in_turn(with_times, round_):
                yield run_recorder(bench, recorder, load, round_)


def in_turn(found: Sequence[Recorder], round_: int) -> list[Recorder]:
    """The recorders in the order of a round."""
    by_name = {recorder.name: recorder for recorder in found}
    return [by_name[name] for name in alternating(list(by_name), round_)]


def run_recorder(bench: Bench, recorder: Recorder, load: Load, round_: int) -> Measurement:
    """Let one recorder record one load, and look at what it kept."""
    bench.say(f"record: {load.case}, {recorder.name}, round {round_ + 1}")
    url = bench.lcm_url()
    with bench.scratch() as folder, recorder.start(url, folder, load.channels) as program:
        offset_ns = wall_offset_ns()
        log = folder / "publisher.log"
        with Program(load.publisher(url), log, env=module_env()) as publisher:
            if load.suspended_s:
                time.sleep(load.duration_s / 4)
                program.suspend(load.suspended_s)
            publisher.wait(load.duration_s * 3 + 20)
            sent = json.loads(publisher.output.strip().splitlines()[-1])
        program.wait_until_idle()
        recording_s = program.cpu_s() - program.ready_cpu_s
        used = program.finish()
        stored = recorder.stored(folder)
    published = sent["published"]
    payload_bytes = stored.messages * sent["published_bytes"] / published
    delays = [received_ns - offset_ns - sent_ns for received_ns, sent_ns in stored.delays_ns]
    lost = published - stored.messages
    figures: dict[str, float | None] = {
        "published": published,
        "published_hz": published / (sent["elapsed_ns"] / 1e9),
        "stored": stored.messages,
        "doubled": stored.doubled,
        "lost": lost,
        "lost_percent": lost / published * 100,
        "own_loss": stored.own_loss,
        "cpu_s": used.cpu_s,
        "finish_cpu_s": used.cpu_s - recording_s,
        "cpu_us_per_message": used.cpu_s / stored.messages * 1e6 if stored.messages else None,
        "written_per_byte": used.written_bytes / payload_bytes if payload_bytes else None,
        "file_per_byte": stored.file_bytes / payload_bytes if payload_bytes else None,
        "peak_mb": used.peak_bytes / 1e6,
        **percentiles_ms(delays),
    }
    return Measurement(load.case, recorder.name, round_, figures)


def wall_offset_ns() -> int:
    """Wall time less monotonic time, from the quickest of some readings."""
    from dimos_record.record.keeper import wall_offset_ns as read

    return read()


RECORD = Chapter(
    "record",
    "Recording",
    "A publisher in Python sends at the rate given, on one core of two; each recorder gets a run "
    "of its own. Lost is what was published less what is in the file. CPU is that of the "
    "recorder's process, from when it is ready until it has ended; what it took to end, from "
    "Ctrl-C on, is shown apart. Written and file size are per byte of payload that was kept. dimos "
    "stores images as JPEG. In the last case the recorder is kept from running for a second, to "
    "see what each says about its loss.",
    (
        Column("published_hz", "published/s", "{:,.0f}"),
        Column("lost", "lost", "{:,.0f}"),
        Column("lost_percent", "lost %", "{:.2f}"),
        Column("own_loss", "lost, as it says", "{:,.0f}"),
        Column("cpu_s", "CPU s", "{:.2f}", ratio=True),
        Column("finish_cpu_s", "to finish", "{:.2f}"),
        Column("cpu_us_per_message", "CPU us/message", "{:.3g}"),
        Column("written_per_byte", "written/B", "{:.2f}", ratio=True),
        Column("file_per_byte", "file/B", "{:.2f}"),
        Column("peak_mb", "memory MB", "{:.0f}"),
    ),
    _run_record,
)

TIMES = Chapter(
    "times",
    "Recorded receive times",
    "How long after a message was sent (its sender wrote the time into it; both are on one "
    "machine) the recorder says that it received it.",
    (
        Column("lost_percent", "lost %", "{:.2f}"),
        Column("p50_ms", "p50 ms", "{:.3f}", ratio=True),
        Column("p99_ms", "p99 ms", "{:.3f}", ratio=True),
        Column("max_ms", "max ms", "{:.2f}"),
    ),
    _run_times,
)

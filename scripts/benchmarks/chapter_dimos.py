"""Recording inside dimos: a robot with four cameras, recorded by ours and by `dimos --record`."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.processes import SCRIPTS, BenchError, Process, Program
from benchmarks.subjects import DIMOS, NOBODY, OURS, dimos_env

_LOCK_S = 1.0
TOPICS = ("rgb", "depth", "grey_left", "grey_right", "imu", "odometry", "tf", "lidar")

Kept = Mapping[str, Mapping[str, int]]
"""What `tests.with_dimos.check_full_stack` found, by topic."""


class Case(NamedTuple):
    """One way of recording the robot."""

    name: str
    transport: str = "lcm"
    sets_buffer: bool = True
    """Whether LCM's receive buffer is set for all; else each asks for what it does by default."""
    publishers_wait: bool = False
    stalls: bool = False
    is_locked: bool = False


PUBLISHERS_DROP = "Zenoh, as dimos publishes"
"""The case in which dimos's publishers drop what cannot be sent at once."""
_CASES = (
    Case("LCM"),
    Case("LCM, writer stalled for 1 s", stalls=True),
    Case("LCM, file locked for 1 s", is_locked=True),
    Case("LCM, buffers by default", sets_buffer=False),
    Case(PUBLISHERS_DROP, "zenoh"),
    Case("Zenoh, publishers that wait", "zenoh", publishers_wait=True),
)


def _run_full_stack(bench: Bench) -> Iterator[Measurement]:
    """Everything that the robot publishes, recorded."""
    if bench.subjects.dimos_python is None:
        return
    duration_s = bench.pick(60, 8)
    for round_ in bench.rounds_of(2):
        for case in filter(lambda case: bench.wants(case.name), _CASES):
            for subject in alternating(_subjects(case), round_):
                bench.say(f"dimos: {case.name}, {subject}, round {round_ + 1}")
                with bench.scratch() as folder:
                    figures = _record(bench, case, subject, duration_s, folder)
                yield Measurement(case.name, subject, round_, figures)


def _subjects(case: Case) -> list[str]:
    if case.publishers_wait:
        return [OURS]
    return [OURS, DIMOS, NOBODY] if case == _CASES[0] else [OURS, DIMOS]


def _record(
    bench: Bench, case: Case, subject: str, duration_s: float, folder: Path
) -> dict[str, float | None]:
    """Let the robot run and be recorded; return what came of it."""
    command = [str(bench.subjects.dimos_python), "-m", "tests.with_dimos.record_full_stack"]
    command += ["nobody" if subject == NOBODY else subject, str(folder), str(duration_s)]
    command += ["--stall-at", str(duration_s / 4)] if case.stalls else []
    command += ["--publishers-wait"] if case.publishers_wait else []
    env = _env(bench, case, folder)
    figures: dict[str, float | None] = {}
    with Program(command, folder / "log", env=env) as robot:
        robot.wait_for_output("ready")
        run_cpu_s = _cpu_s(robot)
        recorder = None if subject == NOBODY else _recorder(robot, folder)
        cpu_s = recorder.cpu_s() if recorder else 0.0
        if recorder and case.is_locked:
            time.sleep(duration_s / 4)
            _lock(_recording(folder))
        _wait_until_published(robot, folder / "notes", duration_s)
        if recorder:
            recorder.wait_until_idle()
            figures["cpu_s"] = recorder.cpu_s() - cpu_s
            figures["peak_mb"] = recorder.peak_bytes() / 1e6
            figures["written_mb"] = recorder.written_bytes() / 1e6
        figures["run_cpu_s"] = _cpu_s(robot) - run_cpu_s
        began_s = time.monotonic()
        robot.finish()
        figures["finish_s"] = time.monotonic() - began_s
    if recorder:
        figures |= losses(_check(bench, folder, env))
        figures["own_loss"] = _own_loss(folder, subject)
        figures["file_mb"] = _recording(folder).stat().st_size / 1e6
    return figures


def _env(bench: Bench, case: Case, folder: Path) -> Mapping[str, str]:
    from dimos_record.bus.zenoh_url import parse_zenoh_url
    from dimos_record.testing import free_lcm_url, free_zenoh_url

    env = dict(dimos_env(bench.lcm_url() if case.sets_buffer else free_lcm_url()))
    return env | {
        "DIMOS_TRANSPORT": case.transport,
        "ZENOH_SCOUT_ADDR": parse_zenoh_url(free_zenoh_url()).scout_addr,
        "XDG_STATE_HOME": str(folder),
        "PYTHONPATH": f"{env['PYTHONPATH']}:{SCRIPTS.parent}",
    }


def _recording(folder: Path) -> Path:
    """The file that ours or dimos writes."""
    found = [folder / "ours.db", *folder.glob("dimos/recordings/*/memory.db")]
    return next(path for path in found if path.exists())


def _recorder(robot: Program, folder: Path, timeout_s: float = 20.0) -> Process:
    """The process of the robot that writes the recording."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        for process in robot.processes():
            if any(name.endswith((".db", ".db-wal")) for name in process.open_files()):
                return process
        time.sleep(0.05)
    raise BenchError(f"nobody writes a recording in {folder}:\n{robot.output}")


def _wait_until_published(robot: Program, notes: Path, duration_s: float) -> None:
    """Wait until each of the four sensors has said how much it published."""
    robot.wait_until(
        lambda: len(list(notes.glob("*.json"))) == 4, duration_s * 3 + 30, "sensors do not end"
    )


def _lock(path: Path) -> None:
    """Keep everybody else from writing to a file for a second."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN EXCLUSIVE")
        time.sleep(_LOCK_S)
        db.execute("COMMIT")


def _cpu_s(robot: Program) -> float:
    """Processor time of all processes of a run."""
    return sum(process.cpu_s() for process in robot.processes())


def _check(bench: Bench, folder: Path, env: Mapping[str, str]) -> Kept:
    """Compare the recording with what was published."""
    command = [str(bench.subjects.dimos_python), "-m", "tests.with_dimos.check_full_stack"]
    command += [str(_recording(folder)), str(folder / "notes")]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{command} failed:\n{done.stderr}")
    kept: Kept = json.loads(done.stdout.splitlines()[-1])
    return kept


def losses(kept: Kept) -> dict[str, float | None]:
    """What is missing or different, in all and by topic."""

    def total(figure: str) -> int:
        return sum(topic[figure] for topic in kept.values())

    lost = {name: topic["published"] - topic["stored"] for name, topic in kept.items()}
    return {
        "published": total("published"),
        "lost": sum(lost.values()),
        "lost_at_start": total("lost_at_start"),
        "out_of_order": total("misplaced") + total("doubled"),
        "changed": total("changed"),
        **{f"lost_{name}": lost[name] for name in TOPICS},
    }


def _own_loss(folder: Path, subject: str) -> int:
    """What the recorder itself says it lost."""
    if subject == DIMOS:
        said = re.findall(r"dropped (\d+) messages", (folder / "log").read_text(errors="replace"))
        return sum(map(int, said))
    with closing(sqlite3.connect(_recording(folder))) as db:
        (before,) = db.execute("SELECT sum(lost_before_reception) FROM _dr_sessions").fetchone()
        (dropped,) = db.execute("SELECT sum(dropped) FROM _dr_account").fetchone()
    return (before or 0) + (dropped or 0)


FULL_STACK = Chapter(
    "dimos",
    "Recording inside dimos",
    "A robot of four modules in dimos, each in a process of its own, publishes RGB, depth and two "
    "grey pictures of 640x480 at 30 Hz, IMU at 400, odometry at 200, tf at 20 and clouds of 380 kB "
    "at 10 Hz: 65 MiB/s, from the moment that it starts. It is recorded by "
    "`blueprint.record(FILE)`, by `dimos --record`, and not at all. Every message has a number; "
    "what is in the file is compared with what was published, byte by byte. Changed: dimos stores "
    "colour and grey pictures as JPEG. CPU is that of the process that records (with dimos its "
    "main process), and that of the whole run, both from when dimos says that it is ready. Buffers "
    "by default: dimos asks LCM for no receive buffer, ours for 32 MiB. On Zenoh, dimos's "
    "publishers drop pictures and clouds that cannot be sent at once; in the last case they are "
    "told to wait.",
    (
        Column("published", "published", "{:,.0f}"),
        Column("lost", "lost", "{:,.0f}"),
        Column("lost_at_start", "at the start", "{:,.0f}"),
        *(Column(f"lost_{name}", name.replace("_", " "), "{:,.0f}") for name in TOPICS),
        Column("own_loss", "lost, as it says", "{:,.0f}"),
        Column("changed", "changed", "{:,.0f}"),
        Column("out_of_order", "out of order", "{:,.0f}"),
        Column("cpu_s", "CPU s", "{:.1f}", ratio=True),
        Column("run_cpu_s", "whole run", "{:.1f}", ratio=True),
        Column("finish_s", "s to end", "{:.1f}"),
        Column("peak_mb", "memory MB", "{:.0f}"),
        Column("written_mb", "written MB", "{:,.0f}"),
        Column("file_mb", "file MB", "{:,.0f}"),
    ),
    _run_full_stack,
)

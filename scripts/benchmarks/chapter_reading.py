"""Reading all of a stream: its raw bytes, and its numbers and pictures as NumPy arrays."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.chapter_storage import append_ours
from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.messages import encoder
from benchmarks.processes import Program, module_env, python_module
from benchmarks.subjects import DIMOS, OURS, dimos_env

ONE_BY_ONE = "ours, by observations"
_POSE = ("pose.position", "pose.orientation")


class _Case(NamedTuple):
    name: str
    kind: str
    how: str
    """`raw` or `arrays`."""
    count: int


def _cases(bench: Bench) -> list[_Case]:
    images, poses = bench.pick(600, 200), bench.pick(300_000, 50_000)
    return [
        _Case("0.92 MB images, raw bytes", "image", "raw", images),
        _Case("0.92 MB images, arrays of pixels", "image", "arrays", images),
        _Case("1 KB poses, raw bytes", "pose1k", "raw", poses),
        _Case("1 KB poses, arrays of numbers", "pose1k", "arrays", poses),
    ]


def _run(bench: Bench) -> Iterator[Measurement]:
    cases = [case for case in _cases(bench) if bench.wants(case.name)]
    subjects = [OURS, ONE_BY_ONE] + [DIMOS] * bool(bench.subjects.dimos_python)
    with bench.scratch() as folder:
        for kind, count in {case.kind: case.count for case in cases}.items():
            bench.say(f"reading: writing {count:,} of {kind}")
            append_ours(folder / f"ours_{kind}.db", kind, count)
            if DIMOS in subjects:
                command = bench.subjects.dimos_program(
                    "append", folder / f"dimos_{kind}.db", kind, count
                )
                with Program(command, folder / "log", env=dimos_env("")) as program:
                    program.wait(600)
        for round_ in bench.rounds_of(5, 2):
            for case in cases:
                for subject in alternating(subjects, round_):
                    bench.say(f"reading: {case.name}, {subject}, round {round_ + 1}")
                    yield _measure(bench, case, subject, folder, round_)


def _measure(bench: Bench, case: _Case, subject: str, folder: Path, round_: int) -> Measurement:
    if subject == DIMOS:
        path = folder / f"dimos_{case.kind}.db"
        command, env = (
            bench.subjects.dimos_program("read", path, case.kind, case.how),
            dimos_env(""),
        )
    else:
        path = folder / f"ours_{case.kind}.db"
        command = python_module("chapter_reading", subject, path, case.kind, case.how)
        env = module_env()
    with Program(command, folder / "log", env=env) as program:
        program.wait(300)
        said = json.loads(program.output.strip().splitlines()[-1])
    payload = case.count * len(encoder(case.kind)(0, 0))
    figures: dict[str, float | None] = {
        "messages_per_s": case.count / said["elapsed_s"],
        "mb_per_s": payload / 1e6 / said["elapsed_s"],
        "cpu_us": said["cpu_s"] / case.count * 1e6,
        "missing": case.count - said["messages"],
    }
    return Measurement(case.name, subject, round_, figures)


def raw(query: Any) -> int:
    """All payloads, with their times."""
    return sum(1 for row in query.rows() if row.data)


def arrays(query: Any) -> int:
    """The pixels of every picture, or the numbers of all poses at once."""
    if query.info.type_name == "sensor_msgs.Image":
        return sum(1 for picture in query.images() if picture.array.shape)
    return len(query.to_numpy(*_POSE)["ts_ns"])


def raw_one_by_one(query: Any) -> int:
    """The bytes of one observation after the other."""
    return sum(1 for one in query if one.raw)


def arrays_one_by_one(query: Any) -> int:
    """What is decoded of one observation after the other, as arrays."""
    import numpy as np

    if query.info.type_name == "sensor_msgs.Image":
        return sum(1 for one in query if len(np.frombuffer(one.data.data, np.uint8)))
    places, turns = [], []
    for one in query:
        pose = one.data.pose
        places.append((pose.position.x, pose.position.y, pose.position.z))
        turn = pose.orientation
        turns.append((turn.x, turn.y, turn.z, turn.w))
    return min(len(np.array(places)), len(np.array(turns)))


_READERS: dict[tuple[str, str], Callable[[Any], int]] = {
    (OURS, "raw"): raw,
    (OURS, "arrays"): arrays,
    (ONE_BY_ONE, "raw"): raw_one_by_one,
    (ONE_BY_ONE, "arrays"): arrays_one_by_one,
}


def read(subject: str, path: Path, kind: str, how: str) -> dict[str, float]:
    """Read a recording of one stream; what is imported on the way does not count."""
    from dimos_record import RecordReplay

    reader = _READERS[subject, how]
    with RecordReplay(path) as rec:
        query = rec.streams[f"{kind.removesuffix('1k')}0"]
        reader(query.limit(3))
        began, used = time.perf_counter(), time.process_time()
        messages = reader(query)
        return {
            "messages": messages,
            "elapsed_s": time.perf_counter() - began,
            "cpu_s": time.process_time() - used,
        }


READING = Chapter(
    "reading",
    "Reading a stream",
    "All of a stream, from files that the system has in memory, by a process that has imported "
    "what it needs. Ours: `rows()` for raw bytes, `images()` and `to_numpy()` for arrays, and "
    "beside them one observation after the other. dimos has no way to raw bytes but its blob "
    "store, which is asked for each observation; its arrays are those of its decoded messages, "
    "and of poses what a loop makes of them.",
    (
        Column("messages_per_s", "messages/s", "{:,.0f}", ratio=True),
        Column("mb_per_s", "MB/s", "{:,.0f}"),
        Column("cpu_us", "CPU us/message", "{:,.2f}", ratio=True),
        Column("missing", "missing", "{:,.0f}"),
    ),
    _run,
)

if __name__ == "__main__":
    subject_, path_, kind_, how_ = sys.argv[1:]
    print(json.dumps(read(subject_, Path(path_), kind_, how_)))

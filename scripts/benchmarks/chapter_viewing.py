"""Messages into Rerun's archetypes: our converters, straight from the bytes, and dimos's path."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.processes import Program, python_module
from benchmarks.subjects import DIMOS, OURS, dimos_env

IMAGE, CLOUD = "640 x 480 image, rgb8", "cloud of 20,000 points"
_CASES = {
    IMAGE: "sensor_msgs.Image",
    "640 x 480 depth image, 16UC1": "sensor_msgs.Image",
    CLOUD: "sensor_msgs.PointCloud2",
    "map of 400 x 400 cells": "nav_msgs.OccupancyGrid",
    "path of 200 poses": "nav_msgs.Path",
    "pose": "geometry_msgs.PoseStamped",
}
_SEED = 5
_BATCHES = 15
_SIDE = 400

Shown = Iterable[tuple[str, Any]]
"""Paths and archetypes to log."""


def _run(bench: Bench) -> Iterator[Measurement]:
    subjects = [OURS, DIMOS] if bench.subjects.dimos_python else [OURS]
    for round_ in bench.rounds_of(3):
        for case in filter(bench.wants, _CASES):
            for subject in alternating(subjects, round_):
                bench.say(f"viewing: {case}, {subject}, round {round_ + 1}")
                yield Measurement(case, subject, round_, _measure(bench, case, subject))


def _measure(bench: Bench, case: str, subject: str) -> dict[str, float | None]:
    """One process, with the same Python and the same Rerun for both."""
    with bench.scratch() as folder:
        command = python_module("chapter_viewing", subject, case, bench.pick(100, 20), folder)
        command[0] = bench.subjects.dimos_python or command[0]
        with Program(command, folder / "log", env=dict(dimos_env(""))) as program:
            program.wait(180)
            said: dict[str, float | None] = json.loads(program.output.strip().splitlines()[-1])
    return said


def measure(subject: str, case: str, count: int, folder: Path) -> dict[str, float]:
    """Convert the same message again and again; the fastest of some batches counts."""
    import rerun as rr

    data, convert = sample(case), _CONVERTERS[subject](_CASES[case])
    convert(data)
    recording = rr.RecordingStream("bench")
    recording.save(folder / "bench.rrd")

    def log() -> None:
        for path, archetype in convert(data):
            recording.log(path, archetype)

    figures = {
        "convert_us": _fastest_us(lambda: convert(data), count),
        "log_us": _fastest_us(log, count),
    }
    batches = [batch for _, one in convert(data) for batch in one.as_component_batches()]
    return figures | {"kb": sum(batch.as_arrow_array().nbytes for batch in batches) / 1e3}


def _fastest_us(work: Callable[[], object], count: int) -> float:
    """Time of one call in the fastest batch: what the machine does besides only adds."""
    fastest = float("inf")
    for _ in range(_BATCHES):
        began = time.perf_counter()
        for _ in range(count):
            work()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest / count * 1e6


def _ours(type_name: str) -> Callable[[bytes], Shown]:
    from dimos_record.viewer.converters import converter_for

    converter = converter_for(type_name)
    if converter is None:
        raise LookupError(f"nobody converts {type_name}")
    convert = converter.convert
    return lambda data: [(one.path or "entity", one.archetype) for one in convert(data)]


def _dimos(type_name: str) -> Callable[[bytes], Shown]:
    from dimos.msgs.helpers import resolve_msg_type

    cls = resolve_msg_type(type_name)
    if cls is None:
        raise LookupError(f"dimos has no {type_name}")
    return lambda data: [("entity", cls.lcm_decode(data).to_rerun())]


_CONVERTERS = {OURS: _ours, DIMOS: _dimos}


def sample(case: str) -> bytes:
    """The bytes of the message of a case."""
    from dimos_lcm import std_msgs

    header = std_msgs.Header(stamp=std_msgs.Time(sec=1), frame_id="base_link")
    if "image" in case:
        return _image(header, is_depth="depth" in case)
    makers = {"sensor_msgs.PointCloud2": _cloud, "nav_msgs.OccupancyGrid": _map}
    makers |= {"nav_msgs.Path": _path, "geometry_msgs.PoseStamped": _pose}
    return bytes(makers[_CASES[case]](header).lcm_encode())


def _image(header: Any, is_depth: bool) -> bytes:
    """Soft colours, as pictures have them: noise would be hard on dimos's JPEG."""
    import numpy as np
    from dimos_lcm import sensor_msgs

    y, x = np.mgrid[:480, :640]
    if is_depth:
        pixels = (1000 + 300 * np.sin(x / 15) + 3 * y).astype("<u2")
    else:
        waves = [127 + 100 * np.sin(x / a + y / b) for a, b in ((30, 50), (70, 20), (45, 45))]
        pixels = np.stack(waves, axis=-1).astype(np.uint8)
    message = sensor_msgs.Image(
        data_length=pixels.nbytes,
        header=header,
        height=480,
        width=640,
        encoding="16UC1" if is_depth else "rgb8",
        step=pixels.nbytes // 480,
        data=pixels.tobytes(),
    )
    return bytes(message.lcm_encode())


def _cloud(header: Any) -> Any:
    import numpy as np
    from dimos_lcm import sensor_msgs

    points = np.random.default_rng(_SEED).uniform(0, 9, (20_000, 4)).astype("<f4")
    fields = [
        sensor_msgs.PointField(name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    return sensor_msgs.PointCloud2(
        fields_length=4,
        data_length=points.nbytes,
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        point_step=16,
        row_step=points.nbytes,
        data=points.tobytes(),
        is_dense=True,
    )


def _map(header: Any) -> Any:
    from dimos_lcm import geometry_msgs, nav_msgs, std_msgs

    info = nav_msgs.MapMetaData(
        map_load_time=std_msgs.Time(),
        resolution=0.05,
        width=_SIDE,
        height=_SIDE,
        origin=_pose_of(geometry_msgs, 0.0),
    )
    cells = [(i * 7) % 102 - 1 for i in range(_SIDE * _SIDE)]
    return nav_msgs.OccupancyGrid(data_length=len(cells), header=header, info=info, data=cells)


def _path(header: Any) -> Any:
    from dimos_lcm import geometry_msgs, nav_msgs

    poses = [
        geometry_msgs.PoseStamped(header=header, pose=_pose_of(geometry_msgs, i * 0.1))
        for i in range(200)
    ]
    return nav_msgs.Path(poses_length=len(poses), header=header, poses=poses)


def _pose(header: Any) -> Any:
    from dimos_lcm import geometry_msgs

    return geometry_msgs.PoseStamped(header=header, pose=_pose_of(geometry_msgs, 1.0))


def _pose_of(geometry_msgs: Any, x: float) -> Any:
    return geometry_msgs.Pose(
        position=geometry_msgs.Point(x=x), orientation=geometry_msgs.Quaternion(w=1.0)
    )


_COLUMNS: Sequence[Column] = (
    Column("convert_us", "decoded and converted, us", "{:,.0f}", ratio=True),
    Column("log_us", "and logged, us", "{:,.0f}", ratio=True),
    Column("kb", "kB for Rerun"),
)

VIEWING = Chapter(
    "viewing",
    "Viewing",
    "From the bytes of one message to Rerun's archetypes, and then into a file of Rerun's: the "
    "time of one message, in the fastest of 15 batches, in the same Python with the same Rerun. "
    "dimos's path is `lcm_decode(data).to_rerun()`; it makes a JPEG of a colour image, ours gives "
    "Rerun the pixels as they are, which is faster and takes more room.",
    _COLUMNS,
    _run,
)

if __name__ == "__main__":
    os.environ.setdefault("PYTEST_VERSION", "0")
    subject_, case_, count_, folder_ = sys.argv[1:]
    print(json.dumps(measure(subject_, case_, int(count_), Path(folder_))))

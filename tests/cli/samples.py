"""Recordings for the tests of the commands, and a look at what a command did to a folder."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dimos_lcm.geometry_msgs import Point, Pose, PoseStamped, Quaternion
from dimos_lcm.sensor_msgs import LaserScan
from dimos_lcm.std_msgs import Header, Time

from dimos_record import RecordReplay
from tests.cli.commands import CLI, T0, S


def pose_at(i: int) -> PoseStamped:
    """A robot that drives 0.1 m along x per message, ten messages per second."""
    stamp = Time(sec=(T0 + i * S // 10) // S, nsec=(T0 + i * S // 10) % S)
    pose = Pose(position=Point(x=i / 10, y=2.0, z=0.0), orientation=Quaternion(w=1.0))
    return PoseStamped(header=Header(seq=i, stamp=stamp, frame_id="map"), pose=pose)


def scan_at(i: int) -> LaserScan:
    """A scan with an echo at 1.5 m, one that never came, and eighteen at 2 m."""
    ranges = [1.5, float("inf")] + [2.0] * 18
    header = Header(seq=i, stamp=Time(sec=T0 // S + i, nsec=0), frame_id="laser")
    return LaserScan(header=header, ranges_length=len(ranges), ranges=ranges)


def write_robot(path: Path, messages: int = 50) -> Path:
    """`/odom` at 10 Hz, `/scan` at 1 Hz, and `/bytes` without a type, once."""
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", type_name="geometry_msgs.PoseStamped")
        scan = rec.stream("scan", type_name="sensor_msgs.LaserScan")
        for i in range(messages):
            odom.append(pose_at(i), ts_ns=T0 + i * S // 10)
            if i % 10 == 0:
                scan.append(scan_at(i // 10), ts_ns=T0 + i * S // 10)
        rec.stream("bytes").append(bytes(range(100)), ts_ns=T0)
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content; None for a folder, or what nobody may read."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        readable = path.is_file() and path.stat().st_mode & 0o400
        found[str(path.relative_to(folder))] = path.read_bytes() if readable else None
    return found


def run_in(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; file permissions also bind root there."""
    return subprocess.run(
        [*_bound(), *CLI, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _bound() -> list[str]:
    """What makes file permissions bind root as well."""
    if os.geteuid() == 0 and shutil.which("setpriv"):
        return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return []


def run_each_in(folder: Path, commands: Sequence[Sequence[str]]) -> list[tuple[int, str, str]]:
    """Run commands one after the other as `run_in` does, in one process: code, stdout, stderr."""
    done = subprocess.run(
        [*_bound(), sys.executable, "-c", _RUN_EACH],
        cwd=folder,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


_RUN_EACH = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from dimos_record.cli.main import main
found = []
for arguments in json.load(sys.stdin):
    sys.argv = ["dimos-record", *arguments]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as ended:
            found.append((ended.code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""


def make_newer(path: Path) -> None:
    """Let a recording be one of a schema that nobody knows yet."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE _dr_meta SET value = 99 WHERE key = 'schema_version'")
    connection.close()

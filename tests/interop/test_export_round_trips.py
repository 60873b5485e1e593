"""The demo robot and a real log of a robot out into a format, and in again: `compare` says equal.

MCAP has tests of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dimos_record import RecordReplay
from dimos_record.demo_robot.robot import DemoRobot
from dimos_record.demo_robot.sensors import Sample, Sensors
from dimos_record.interop.importing import import_file
from dimos_record.messages import type_name_of

pytestmark = pytest.mark.once

NAV2 = Path(__file__).parents[3] / "shared" / "data" / "nav2_turtlebot.mcap"
NOW_NS = 1_700_000_000_123_456_789
LOG = ("walk.lcm", {})
TABLES = ("tables", {"format": "parquet", "raw": True})


def write_demo(path: Path) -> Path:
    """Three readings of every sensor of the demo robot."""
    sensors = Sensors(robot := DemoRobot())
    with RecordReplay(path) as rec:
        for seq in range(3):
            state = robot.step(0.2)
            for topic, makers in sensors.by_topic.items():
                for i, sensor in enumerate(makers):
                    ts_ns = NOW_NS + state.t_ns + i
                    message = sensor(Sample(state, seq, ts_ns - 1_234_567))
                    stream = rec.stream(topic, type_name=type_name_of(message))
                    stream.append(message, ts_ns=ts_ns)
    return path


def write_nav2(path: Path) -> Path:
    """8,197 messages of a TurtleBot that navigates."""
    return import_file(NAV2, path).path


@pytest.mark.parametrize(("name", "options"), [LOG, TABLES], ids=["lcm", "parquet"])
@pytest.mark.parametrize("make", [write_demo, write_nav2])
def test_a_recording_comes_back_equal(
    tmp_path: Path, make: Any, name: str, options: dict[str, Any]
) -> None:
    if make is write_nav2 and not NAV2.exists():
        pytest.skip("the recorded file is not in this checkout")
    with RecordReplay(make(tmp_path / "there.db")) as there:
        report = there.export(tmp_path / name, **options)
        back = import_file(report.path, tmp_path / "back.db")
        assert (back.count, back.problems) == (there.info().count, ())
        compared = there.compare(tmp_path / "back.db")
        assert compared.equal
        with RecordReplay(tmp_path / "back.db") as again:
            before, after = times_and_latched(there), times_and_latched(again)
    said = {(loss.topic, loss.what) for loss in report.losses}
    if name == "walk.lcm":
        below = {what for _, what in said if "latched" not in what}
        assert below <= {"times below a microsecond", "tags"}
        latched = {topic for topic, what in said if "latched" in what}
        before = [time_ns // 1000 * 1000 for time_ns in before[0]], before[1] - latched
    assert after == before


def times_and_latched(rec: RecordReplay) -> tuple[list[int], set[str]]:
    return [row.ts_ns for row in rec.view().rows()], {
        info.topic for info in rec.reader.streams.values() if info.latched
    }

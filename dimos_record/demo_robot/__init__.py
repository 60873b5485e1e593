"""A simulated robot that drives through a room, for trying the recorder without a robot.

`DemoRobot` and the sensors are pure simulation; `run` publishes them on a bus in real time;
`topics` lists what is published. The names are imported when first used: only `topics` is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dimos_record.demo_robot.topics import DemoTopic, topics

if TYPE_CHECKING:
    from dimos_record.demo_robot.publisher import Progress, run
    from dimos_record.demo_robot.robot import Command, DemoRobot, RobotState
    from dimos_record.demo_robot.sensors import Sample, Sensors

__all__ = [
    "Command",
    "DemoRobot",
    "DemoTopic",
    "Progress",
    "RobotState",
    "Sample",
    "Sensors",
    "run",
    "topics",
]

_HOMES = {
    "Command": "robot",
    "DemoRobot": "robot",
    "Progress": "publisher",
    "RobotState": "robot",
    "Sample": "sensors",
    "Sensors": "sensors",
    "run": "publisher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

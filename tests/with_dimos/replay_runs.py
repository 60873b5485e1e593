"""A recording to replay, and blueprints that run for the length of a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dimos.core.coordination.blueprints import Blueprint, autoconnect
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.global_config import global_config
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from dimos_record import RecordReplay
from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.testing import free_zenoh_url
from tests.with_dimos.messages import color, pose, transform
from tests.with_dimos.processes import wait_until
from tests.with_dimos.replay_modules import Dog, Follower, Trainer, Viewer

POSES, PICTURES, TRANSFORMS = 40, 20, 4
START_NS = 1_700_000_000 * 10**9
POSE_STEP_NS = 20_000_000


def pose_bytes(i: int) -> bytes:
    data: bytes = pose(i).lcm_encode()
    return data


def picture_bytes(i: int) -> bytes:
    data: bytes = color(i % 12).lcm_encode()
    return data


def write_walk(path: Path) -> Path:
    """A recording of what a `Dog` publishes and hears, 0.8 s long."""
    with RecordReplay(path) as rec:
        poses = rec.stream("pose", topic="/pose", type_name="geometry_msgs.PoseStamped")
        pictures = rec.stream("picture", topic="/picture", type_name="sensor_msgs.Image")
        transforms = rec.stream("tf", topic="/tf", type_name="tf2_msgs.TFMessage")
        for i in range(POSES):
            ts_ns = START_NS + i * POSE_STEP_NS
            poses.append(pose_bytes(i), ts_ns=ts_ns)
            if i % 2 == 0:
                pictures.append(picture_bytes(i // 2), ts_ns=ts_ns + 1)
            if i % 10 == 5:
                transforms.append(TFMessage(transform(i)).lcm_encode(), ts_ns=ts_ns + 2)
    return path


def robot(notes: Path) -> Blueprint:
    """A driver, two that listen to it, and one that refers to it."""
    modules = (Dog, Follower, Viewer, Trainer)
    return autoconnect(*(module.blueprint(notes=str(notes)) for module in modules))


@contextmanager
def running(blueprint: Blueprint, transport: str = "lcm") -> Iterator[ModuleCoordinator]:
    """The blueprint, run by the real coordinator on a network of this process."""
    before = global_config.model_dump()
    settings: dict[str, Any] = {"transport": transport, "viewer": "none", "n_workers": 1}
    if transport == "zenoh":
        settings["zenoh_scout_addr"] = parse_zenoh_url(free_zenoh_url()).scout_addr
    try:
        coordinator = ModuleCoordinator.build(blueprint.global_config(**settings))
        try:
            yield coordinator
        finally:
            coordinator.stop()
    finally:
        global_config.update(**before)


def until_finished(replay: Any) -> dict[str, Any]:
    """Wait for the end of the recording; returns the last status."""
    wait_until(lambda: replay.replay_status()["state"] == "finished")
    status: dict[str, Any] = replay.replay_status()
    return status

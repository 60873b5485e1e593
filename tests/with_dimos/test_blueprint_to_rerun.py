"""A real dimos blueprint, recorded from outside or by dimos, replayed into dimos's rerun-bridge."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from rerun.experimental import RrdReader

from dimos_record.bus import Selection, default_url, open_bus
from dimos_record.integrations.dimos.replay_module import ReplayModule
from dimos_record.record.options import RecordOptions
from dimos_record.record.session import RecordingSession
from dimos_record.replay.options import PlayOptions
from dimos_record.replay.player import Player
from dimos_record.replay.timeline import Timeline
from dimos_record.store.reader import RecordingReader
from dimos_record.store.target import open_target
from dimos_record.testing import Collector
from tests.with_dimos.modules import GAIN, Homing, Wanderer
from tests.with_dimos.processes import DIMOS, running, wait_until

pytestmark = pytest.mark.dimos

TOPICS = ("/pose", "/picture", "/cmd_vel")
ENOUGH = 20
"""Messages per topic."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blueprint's topics, recorded while the real coordinator runs it."""
    path = tmp_path_factory.mktemp("walk") / "walk.db"
    with (
        open_bus(default_url()) as bus,
        RecordingSession(
            bus, open_target(path), Selection.of(TOPICS), RecordOptions(strict=True)
        ) as session,
    ):
        coordinator = ModuleCoordinator.build(_blueprint())
        try:
            wait_until(lambda: _fewest(session) >= ENOUGH)
        finally:
            coordinator.stop()
    return path


def _blueprint() -> Any:
    return autoconnect(Wanderer.blueprint(), Homing.blueprint()).global_config(
        transport="lcm", viewer="none", n_workers=1
    )


def _fewest(session: RecordingSession) -> int:
    accounts = session.progress().accounts
    return min((accounts[name].received for name in accounts), default=0) * (len(accounts) == 3)


def test_a_blueprint_is_recorded_from_outside_by_topic(walk: Path) -> None:
    with RecordingReader.open(walk) as reader:
        assert {info.channel for info in reader.streams.values()} == {
            "/pose#geometry_msgs.PoseStamped",
            "/picture#sensor_msgs.Image",
            "/cmd_vel#geometry_msgs.Twist",
        }
        poses = [PoseStamped.lcm_decode(row.data) for row in reader.rows("pose")]
        commands = [Twist.lcm_decode(row.data) for row in reader.rows("cmd_vel")]
        pictures = reader.stats("picture").count
    assert [pose.x for pose in poses] == list(range(len(poses)))
    assert pictures == pytest.approx(len(poses), abs=1)
    # The module that steers answers each pose; it may have missed the first ones.
    first = round(commands[0].linear.x / GAIN)
    answers = [GAIN * pose.x for pose in poses[first:]]
    assert [command.linear.x for command in commands] == answers[: len(commands)]
    assert len(commands) >= ENOUGH


@pytest.fixture
def rerun_bridge(lcm_url: str, dimos_env: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """`dimos rerun-bridge` without a viewer, which saves all it logs to an .rrd file."""
    with listening_bridge(dimos_env, tmp_path) as bridge:
        yield bridge


@contextmanager
def listening_bridge(dimos_env: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--rerun-open", "none", "--rerun-web", "false", "--rerun-save", "true"]
    options += ["--connect-url", f"rerun+http://127.0.0.1:{port}/proxy"]
    env = {**dimos_env, "DIMOS_RUN_ID": "walk"}
    with running([DIMOS, "rerun-bridge", *options], env, tmp_path / "bridge.log") as bridge:
        bridge.wait_for_output("bridge listening on LCM")
        yield bridge


def test_dimos_rerun_bridge_shows_what_we_replay(
    walk: Path, lcm_url: str, rerun_bridge: Any, tmp_path: Path
) -> None:
    with RecordingReader.open(walk) as reader, open_bus(lcm_url) as bus:
        recorded = {
            info.channel: [row.data for row in reader.rows(name)]
            for name, info in reader.streams.items()
        }
        options = PlayOptions(speed=2.0, delay_s=3.0)  # for the bridge to subscribe
        with Collector(bus) as heard, Player(Timeline(reader), bus, options) as player:
            player.start()
            assert player.wait(60.0)
            messages = heard.wait_for(sum(map(len, recorded.values())))
    received: dict[str, list[bytes]] = defaultdict(list)
    for channel, data in messages:
        received[channel].append(data)
    assert received == recorded

    assert rerun_bridge.interrupt() == 0, rerun_bridge.output
    shown = _logged(tmp_path / "dimos" / "recordings" / "walk" / "rerun.rrd")
    poses = [PoseStamped.lcm_decode(data) for data in recorded["/pose#geometry_msgs.PoseStamped"]]
    assert shown["/world/pose", "Transform3D:translation"] == [[[p.x, p.y, p.z]] for p in poses]
    pictures = recorded["/picture#sensor_msgs.Image"]
    assert len(shown["/world/picture", "EncodedImage:blob"]) == len(pictures)


@pytest.fixture(scope="module")
def dimos_walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blueprint's topics, recorded by dimos's own `--record`."""
    from dimos.core.global_config import global_config
    from dimos.memory import tap

    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(tap, "RECORDINGS_DIR", tmp_path_factory.mktemp("recordings"))
    monkeypatch.setenv("DIMOS_RUN_ID", "walk")
    path = tap.recording_dir() / "memory.db"
    coordinator = ModuleCoordinator.build(_blueprint())
    try:
        global_config.update(record="sqlite")
        with (
            open_bus(default_url()) as bus,
            Collector(bus, "/pose") as heard,
            tap.recording(coordinator),
        ):
            heard.wait_for(ENOUGH)
    finally:
        global_config.update(record="")
        coordinator.stop()
        monkeypatch.undo()
    return path


def test_a_recording_of_dimos_replays_through_the_blueprint_and_rerun_shows_it(
    dimos_walk: Path, dimos_env: dict[str, str], tmp_path: Path
) -> None:
    with RecordingReader.open(dimos_walk) as reader:
        recorded = [row.data for row in reader.rows("pose")]
    replayed = _blueprint().replay(dimos_walk, only=Wanderer)
    assert [atom.module for atom in replayed.active_blueprints] == [Homing, ReplayModule]
    env = {**dimos_env, "LCM_DEFAULT_URL": default_url()}
    with (
        open_bus(default_url()) as bus,
        Collector(bus, "/pose", "/cmd_vel") as heard,
        listening_bridge(env, tmp_path) as bridge,
    ):
        coordinator = ModuleCoordinator.build(replayed)
        try:
            messages = heard.wait_for(2 * len(recorded))
        finally:
            coordinator.stop()
        assert bridge.interrupt() == 0, bridge.output
    by_topic = {topic: [d for c, d in messages if c.startswith(topic)] for topic in TOPICS}
    assert by_topic["/pose"] == recorded
    poses = [PoseStamped.lcm_decode(data) for data in recorded]
    answers = [Twist.lcm_decode(data).linear.x for data in by_topic["/cmd_vel"]]
    assert answers == [GAIN * pose.x for pose in poses]
    shown = _logged(tmp_path / "dimos" / "recordings" / "walk" / "rerun.rrd")
    assert shown["/world/pose", "Transform3D:translation"] == [[[p.x, p.y, p.z]] for p in poses]


def _logged(path: Path) -> dict[tuple[str, str], list[Any]]:
    """What an .rrd file holds: the values by entity and component, in the order of logging."""
    rows = defaultdict(list)
    for chunk in RrdReader(str(path)).stream().to_chunks():
        batch = chunk.to_record_batch()
        if "log_tick" not in batch.schema.names:
            continue
        ticks = batch.column("log_tick").to_pylist()
        for component in batch.schema.names:
            if ":" in component:
                values = batch.column(component).to_pylist()
                rows[str(chunk.entity_path), component] += zip(ticks, values, strict=True)
    return {
        key: [value for _, value in sorted(found, key=lambda row: row[0]) if value is not None]
        for key, found in rows.items()
    }

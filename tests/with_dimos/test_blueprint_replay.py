"""`blueprint.replay(recording)`, run by the real coordinator: who starts, and who receives what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.transport import JpegLcmTransport
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.sensor_msgs.Image import Image

import dimos_record.integrations.dimos  # noqa: F401 - gives blueprints their methods
from dimos_record import RecordReplay
from dimos_record.bus import default_url, open_bus
from dimos_record.errors import PublisherConflict
from dimos_record.integrations.dimos.remote_errors import error_in
from dimos_record.testing import Collector
from tests.with_dimos.messages import HEIGHT, WIDTH, pose
from tests.with_dimos.processes import wait_until
from tests.with_dimos.replay_modules import LIVE, Dog, Follower, Viewer, notes
from tests.with_dimos.replay_runs import (
    PICTURES,
    POSES,
    TRANSFORMS,
    picture_bytes,
    pose_bytes,
    robot,
    running,
    until_finished,
    write_walk,
)

pytestmark = pytest.mark.dimos

NOTHING = {
    "by_spec": None,
    "again": None,
    "by_class": None,
    "measured": None,
    "maybe": None,
}
"""What a trainer gets from a driver that is not started."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walk(tmp_path_factory.mktemp("walk") / "walk.db")


class Run(NamedTuple):
    """A blueprint that is running, its replay, and where its modules write."""

    coordinator: Any
    replay: Any
    notes: Path
    status: dict[str, Any]
    """At the end of the recording."""

    def poses(self, to: str = "follower") -> list[bytes]:
        return [bytes.fromhex(line["data"]) for line in notes(self.notes, to=to, stream="pose")]

    def pictures(self, to: str = "viewer") -> list[bytes]:
        return [bytes.fromhex(line["data"]) for line in notes(self.notes, to=to, stream="picture")]


@pytest.fixture(scope="module", params=["lcm", "zenoh"])
def run(
    walk: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Run]:
    """A robot whose driver is replaced, with a remapped stream, at the end of the recording."""
    written = tmp_path_factory.mktemp("run") / "notes"
    blueprint = robot(written).remappings([(Follower, "pose", "here"), (Dog, "pose", "here")])
    view = RecordReplay(walk).view().remap({"/pose": "/here"})
    with running(blueprint.replay(view), request.param) as coordinator:
        replay = coordinator.get_instance("replay")
        status = until_finished(replay)
        run = Run(coordinator, replay, written, status)
        wait_until(lambda: len(run.poses()) >= POSES and len(run.pictures()) >= PICTURES)
        yield run


def test_the_driver_is_not_even_constructed(run: Run) -> None:
    assert notes(run.notes, constructed="dog") == []


def test_every_recorded_message_arrives_as_it_was_recorded(run: Run) -> None:
    assert run.poses()[:POSES] == [pose_bytes(i) for i in range(POSES)]
    assert run.pictures()[:PICTURES] == [picture_bytes(i) for i in range(PICTURES)]


def test_the_status_says_what_was_published_where(run: Run, walk: Path) -> None:
    """Transforms too, although a driver is not replaced for the sake of these."""
    assert run.status["published"] == {"/here": POSES, "/picture": PICTURES, "/tf": TRANSFORMS}
    assert run.status["recording"] == str(walk)
    assert run.status["duration_s"] == pytest.approx(0.78)


def test_references_to_the_driver_can_be_used_and_do_nothing(run: Run) -> None:
    assert notes(run.notes, trainer="trainer")[:1] == [{"trainer": "trainer", **NOTHING}]


def test_the_coordinator_of_another_run_on_the_bus_does_not_disturb_a_replay(run: Run) -> None:
    """It builds what it calls by the same name."""
    with pytest.raises(Exception, match="another run on this bus is a replay of ") as raised:
        run.replay.build()
    assert isinstance(error_in(raised.value), PublisherConflict)
    status = run.replay.replay_status()
    assert (status["state"], status["published"]) == ("finished", run.status["published"])


def test_a_replay_is_steered_by_rpc(run: Run) -> None:
    received = len(run.poses())
    run.replay.seek_replay(0.4)
    assert run.replay.replay_status()["state"] == "paused"
    assert run.replay.step_replay(3) == 3  # pose 20, picture 10, pose 21
    wait_until(lambda: len(run.poses()) == received + 2)
    assert run.poses()[received:] == [pose_bytes(20), pose_bytes(21)]
    assert run.replay.step_replay(-1) == 1
    run.replay.set_replay_rate(4.0)
    run.replay.loop_replay(0.0, 0.1)
    run.replay.seek_replay(0.0)
    run.replay.resume_replay()
    wait_until(lambda: run.poses()[received:].count(pose_bytes(0)) >= 3)
    run.replay.pause_replay()
    status = run.replay.replay_status()
    assert (status["state"], status["rate"]) == ("paused", 4.0)
    assert pose_bytes(30) not in run.poses()[received:]
    run.replay.loop_replay(None)
    run.replay.resume_replay()
    assert until_finished(run.replay)["position_s"] == pytest.approx(0.78)


def test_a_module_that_comes_later_or_again_finds_everything_as_before(run: Run) -> None:
    """The replay itself may be restarted as well: it begins again."""
    late = Follower.blueprint(notes=str(run.notes), instance_name="late").remappings(
        [("late", "pose", "here")]
    )
    run.coordinator.load_blueprint(late)
    assert run.replay.replay_status()["state"] == "finished"
    run.coordinator.restart_module("trainer", reload_source=False).train()
    assert notes(run.notes, trainer="trainer")[1:] == [{"trainer": "trainer", **NOTHING}]
    run.coordinator.restart_module("replay", reload_source=False)
    until_finished(run.coordinator.get_instance("replay"))
    wait_until(lambda: len(run.poses("late")) >= POSES)
    assert run.poses("late") == [pose_bytes(i) for i in range(POSES)]


@pytest.mark.parametrize(("namespaced", "transport"), [("before", "lcm"), ("after", "zenoh")])
def test_of_two_robots_one_is_replayed_and_one_runs(
    walk: Path, tmp_path: Path, namespaced: str, transport: str
) -> None:
    written = tmp_path / "notes"
    live = robot(written).namespace("robot2")
    if namespaced == "before":
        both = autoconnect(robot(written).namespace("robot1"), live)
        view = RecordReplay(walk).view().remap({"/*": "/robot1/*"})
        blueprint, name = both.replay(view, only="robot1"), "replay"
    else:
        blueprint = autoconnect(robot(written).replay(walk).namespace("robot1"), live)
        name = "robot1/replay"
    with running(blueprint, transport) as coordinator:
        until_finished(coordinator.get_instance(name))
        run = Run(None, None, written, {})
        wait_until(lambda: len(run.poses("robot1/follower")) >= POSES)
        wait_until(lambda: len(run.poses("robot2/follower")) >= 5)
    assert run.poses("robot1/follower") == [pose_bytes(i) for i in range(POSES)]
    assert all(PoseStamped.lcm_decode(data).x >= LIVE for data in run.poses("robot2/follower"))
    assert notes(written, constructed="robot1/dog") == []
    assert len(notes(written, constructed="robot2/dog")) == 1
    assert notes(written, trainer="robot1/trainer") == [{"trainer": "robot1/trainer", **NOTHING}]
    [trainer2] = notes(written, trainer="robot2/trainer")
    assert trainer2["by_spec"] == trainer2["by_class"] == "robot2/dog stands"
    assert (trainer2["maybe"], trainer2["measured"]) == ("robot2/dog stands", 1.5)


def test_a_view_is_applied_where_it_plays_also_into_a_pinned_transport(
    walk: Path, tmp_path: Path
) -> None:
    """Pictures recorded as pixels go to a JPEG transport on LCM, poses onto Zenoh."""
    written = tmp_path / "notes"
    ahead = 100
    recording = RecordReplay(walk)
    view = (
        recording.seek(0.4)
        .every(2, topics="/pose")
        .filter(lambda one: one.topic != "/pose" or _x(one) != 22)
        .map(lambda one: _ahead(one, ahead) if one.topic == "/pose" else one)
    )
    pinned = robot(written).transports(
        {("picture", Image): JpegLcmTransport.spec("/jpeg_picture", Image)}
    )
    view = view.remap({"/picture": "/jpeg_picture"})
    with running(pinned.replay(view, disable="Trainer"), "zenoh") as coordinator:
        assert coordinator.get_instance("trainer") is None
        until_finished(coordinator.get_instance("replay"))
        run = Run(None, None, written, {})
        kept = [20 + 2 * i for i in range(10) if 20 + 2 * i != 22]
        wait_until(lambda: len(run.poses()) >= len(kept) and len(run.pictures()) >= 10)
    assert run.poses() == [pose_bytes(i + ahead) for i in kept]
    shapes = [line["shape"] for line in notes(written, to="viewer", stream="picture")]
    assert shapes == [[HEIGHT, WIDTH, 3]] * 10


def _ahead(observation: Any, metres: int) -> Any:
    return observation.derive(data=pose(_x(observation) + metres))


def _x(observation: Any) -> int:
    return round(observation.data.pose.position.x)


def test_two_recordings_play_into_one_blueprint_each_with_its_options(
    walk: Path, tmp_path: Path
) -> None:
    written = tmp_path / "notes"
    blueprint = robot(written).replay(walk, only="/pose", clock_topic="/clock")
    blueprint = blueprint.replay(walk, only="/picture", speed=2.0, restamp=True)
    with (
        open_bus(default_url()) as bus,
        Collector(bus, "/clock") as clock,
        running(blueprint) as coordinator,
    ):
        first, second = (until_finished(coordinator.get_instance(n)) for n in ("replay", "replay2"))
        wait_until(lambda: len(notes(written, to="viewer")) == PICTURES)
        assert {channel for channel, _ in clock.messages} == {"/clock#std_msgs.Time"}
    assert first["published"]["/pose"] == POSES
    assert second["published"] == {"/picture": PICTURES}
    run = Run(None, None, written, {})
    assert run.poses() == [pose_bytes(i) for i in range(POSES)]
    stamps = [Image.lcm_decode(data).ts for data in run.pictures()]
    assert all(stamp > Path(walk).stat().st_mtime for stamp in stamps)
    assert notes(written, constructed="dog") == []


def test_the_run_ends_with_the_recording(walk: Path, tmp_path: Path) -> None:
    written = tmp_path / "notes"
    blueprint = autoconnect(
        Dog.blueprint(notes=str(written)), Viewer.blueprint(notes=str(written))
    ).replay(walk, speed=4.0, exit_at_end=True)
    with running(blueprint) as coordinator:
        coordinator.loop()  # returns when the run has been shut down
    assert len(notes(written, to="viewer")) == PICTURES

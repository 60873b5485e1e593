"""What `blueprint.replay(recording)` makes of a blueprint, and what it refuses; little is run."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from dimos.core.coordination.blueprint_config.errors import BlueprintConfigError
from dimos.core.coordination.blueprint_config.parser import BlueprintConfigParser
from dimos.core.coordination.blueprints import Blueprint, autoconnect
from dimos.core.coordination.coordinator_rpc import CoordinatorRPC
from dimos.core.coordination.module_coordinator import (
    ModuleCoordinator,
    ModuleDescriptor,
    resolve_module_refs,
)
from dimos.core.global_config import global_config
from dimos.core.transport import LCMTransport
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.protocol.rpc.zenohrpc import ZenohRPC
from dimos.protocol.service.zenohservice import default_session_pool

import dimos_record.integrations.dimos  # noqa: F401 - gives blueprints their methods
from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.errors import (
    BusError,
    CommandsRefused,
    DecodeError,
    OptionError,
    PlanError,
    PublisherConflict,
    RecordingNotFound,
)
from dimos_record.integrations.dimos import replay_module, run_end
from dimos_record.integrations.dimos.receivers import RpcReachingBus, open_bus_to_modules
from dimos_record.integrations.dimos.replaced import ReplacedModule
from dimos_record.integrations.dimos.replay_module import ReplayModule
from dimos_record.integrations.dimos.routed_bus import RoutedBus, refuse_commands, route_of
from dimos_record.integrations.dimos.run_end import shut_down_run
from dimos_record.integrations.dimos.wires import wire_of
from dimos_record.store.memory import MemoryStore
from dimos_record.store.observation import Observation
from dimos_record.testing import free_zenoh_url
from tests.with_dimos.messages import pose, twist
from tests.with_dimos.processes import wait_until
from tests.with_dimos.replay_modules import (
    Dog,
    Follower,
    Listens,
    Music,
    Needs,
    StandsUp,
    Trainer,
    Viewer,
    notes,
)
from tests.with_dimos.replay_runs import robot, running, write_walk

pytestmark = pytest.mark.dimos


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walk(tmp_path_factory.mktemp("walk") / "walk.db")


@pytest.fixture
def blueprint(tmp_path: Path) -> Blueprint:
    """A robot that runs on LCM."""
    return robot(tmp_path / "notes").global_config(transport="lcm", viewer="none", n_workers=1)


FAR = "udpm://239.255.76.67:17999?ttl=1"
"""A network that reaches beyond this machine; nothing is published there."""


def names(blueprint: Blueprint) -> list[str]:
    return [atom.name for atom in blueprint.blueprints]


# --- what is made


def test_the_replay_takes_the_place_of_the_driver(blueprint: Blueprint, walk: Path) -> None:
    replayed = blueprint.replay(walk)
    assert names(replayed) == ["follower", "viewer", "trainer", "replay"]
    streams = {stream.name: stream.type for stream in replayed.blueprints[-1].streams}
    assert streams["pose"] is PoseStamped
    assert "dog" in names(blueprint)


def test_a_replay_and_a_recorder_take_no_worker_from_the_modules(
    blueprint: Blueprint, walk: Path, tmp_path: Path
) -> None:
    assert blueprint.replay(walk).global_config_overrides["n_workers"] == 2
    assert blueprint.record(tmp_path / "new.db").global_config_overrides["n_workers"] == 2
    assert blueprint.global_config_overrides["n_workers"] == 1


def test_nothing_stays_open_for_a_daemon_to_inherit(blueprint: Blueprint, walk: Path) -> None:
    blueprint.replay(walk)  # what is imported for it may open something, once
    files, threads = set(os.listdir("/proc/self/fd")), set(threading.enumerate())
    replayed = blueprint.replay(RecordReplay(walk).seek(0.2).every(2))
    # what tests before this one have left may end meanwhile
    assert set(os.listdir("/proc/self/fd")) <= files
    assert set(threading.enumerate()) <= threads
    assert "replay" in names(replayed)


def test_a_blueprint_with_a_replay_can_be_pickled_and_configured(
    blueprint: Blueprint, walk: Path
) -> None:
    replayed = blueprint.replay(RecordReplay(walk).view().filter(lambda one: True))
    assert names(pickle.loads(pickle.dumps(replayed))) == names(replayed)
    parsed = BlueprintConfigParser(replayed).parse(["--replay.speed", "3"], environ={})
    assert parsed.module_kwargs("replay")["speed"] == 3.0
    assert "--replay.restamp" in BlueprintConfigParser(replayed).format_help()


@pytest.mark.parametrize("namespace", [None, "robot1"])
def test_options_of_a_replaced_module_are_accepted_and_ignored(
    blueprint: Blueprint, walk: Path, tmp_path: Path, namespace: str | None
) -> None:
    """Those of a command line and of a configuration file that are made for the robot."""
    replayed = blueprint.replay(walk)
    dog = "dog"
    if namespace:
        replayed, dog = replayed.namespace(namespace), f"{namespace}_dog"
    config = tmp_path / "config"
    config.write_text(json.dumps({dog: {"notes": "there"}}))
    parsed = BlueprintConfigParser(replayed).parse(
        [f"--{dog}.notes", "here"], config_path=config, environ={}
    )
    assert [name for name in parsed.module_configs if name.endswith("dog")] == []
    with pytest.raises(BlueprintConfigError, match=r"--dog\.bark"):
        BlueprintConfigParser(replayed).parse(["--dog.bark", "1"], environ={})


def test_ports_have_names_that_the_module_has_room_for(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with RecordReplay(path) as rec:
        for i, topic in enumerate(("/start", "/a/b-c", "/a__b_c")):
            rec.stream(f"s{i}", topic=topic, type_name="geometry_msgs.PoseStamped").append(
                pose(0).lcm_encode()
            )
    followers = [
        Follower.blueprint(instance_name=f"f{i}").remappings([(f"f{i}", "pose", name)])
        for i, name in enumerate(("start", "a/b-c", "a__b_c"))
    ]
    replayed = autoconnect(*followers).replay(path)
    ports = [stream.name for stream in replayed.blueprints[-1].streams]
    assert ports == ["start_2", "a__b_c", "a__b_c_2"]
    assert [replayed.remapping_map["replay", port] for port in ports] == [
        "start",
        "a/b-c",
        "a__b_c",
    ]


def test_one_topic_is_as_good_as_several(blueprint: Blueprint, walk: Path) -> None:
    one = blueprint.replay(walk, only="/pose", latched="/picture")
    several = blueprint.replay(walk, only=(t for t in ["/pose"]), latched=iter(["/picture"]))
    for replayed in (one, several):
        assert replayed.blueprints[-1].kwargs["latched"] == ("/picture",)
        assert [stream.name for stream in replayed.blueprints[-1].streams] == ["pose"]


def test_placements_on_hosts_forget_what_is_replaced(blueprint: Blueprint, walk: Path) -> None:
    placed = autoconnect(blueprint, Dog.blueprint().hosted(host="dog-nx"))
    placed = autoconnect(placed, Viewer.blueprint().hosted(host="desk"))
    hosts = [(one.host, one.module_names) for one in placed.replay(walk).hosted_placements]
    assert hosts == [("desk", ("viewer",))]


def test_a_reference_that_was_chosen_by_remapping_gets_a_stand_in_too(
    blueprint: Blueprint, walk: Path
) -> None:
    replayed = blueprint.remappings([(Trainer, "by_spec", Dog)]).replay(walk)
    assert ("trainer", "by_spec") not in replayed.remapping_map
    refs = {atom.name: atom.module_refs for atom in replayed.blueprints}
    assert refs["trainer"] == ()


def test_a_reference_that_nobody_meets_yet_is_left_to_dimos(walk: Path) -> None:
    part = autoconnect(Trainer.blueprint(), Viewer.blueprint()).replay(walk)
    [trainer] = [atom for atom in part.blueprints if atom.name == "trainer"]
    assert {ref.spec for ref in trainer.module_refs} >= {StandsUp, Dog}


def test_a_reference_that_could_mean_several_is_not_bound_to_the_one_that_is_left(
    blueprint: Blueprint, walk: Path
) -> None:
    other = Dog.blueprint(instance_name="other").remappings(
        [("other", "pose", "other_pose"), ("other", "picture", "other_picture")]
    )
    two = autoconnect(blueprint, other)
    with pytest.raises(PlanError, match=r"trainer\.\w+ could mean several modules.*only other"):
        two.replay(walk)


def test_nobodys_reference_is_bound_to_what_records_or_replays(
    blueprint: Blueprint, walk: Path, tmp_path: Path
) -> None:
    """dimos binds it to any module with methods of these names."""
    alone = autoconnect(blueprint, Listens.blueprint())
    bound = resolve_module_refs(alone.replay(walk).record(tmp_path / "new.db"))
    assert [name for consumer, name in bound if consumer == "listens"] == []
    with_music = autoconnect(blueprint, Listens.blueprint(), Needs.blueprint(), Music.blueprint())
    bound = resolve_module_refs(with_music.replay(walk).record(tmp_path / "new.db"))
    assert bound["needs", "music"] == bound["listens", "music"] == "music"


def test_a_stand_in_answers_methods_with_nothing_and_has_nothing_else() -> None:
    module = ReplacedModule("trainer.dog", "dog", "replaced", {"sit", "measure"}, {"measure"})
    there = pickle.loads(pickle.dumps(module))
    assert there.sit("now", slowly=True) is None

    async def measure() -> object:
        return await there.measure()

    assert asyncio.run(measure()) is None
    assert not hasattr(there, "fly")


# --- what is refused


def test_a_blueprint_without_any_recorded_stream_is_refused(walk: Path) -> None:
    with pytest.raises(PlanError, match="no stream to replay into this blueprint"):
        autoconnect(Trainer.blueprint()).replay(walk)


def test_a_type_that_differs_is_refused(blueprint: Blueprint, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with RecordReplay(path) as rec:
        stream = rec.stream("pose", topic="/pose", type_name="geometry_msgs.Twist")
        stream.append(twist(0).lcm_encode())
    with pytest.raises(PlanError, match=r"/pose was recorded as geometry_msgs\.Twist"):
        blueprint.replay(path)


def test_two_replays_of_one_topic_are_refused(blueprint: Blueprint, walk: Path) -> None:
    with pytest.raises(PublisherConflict, match="second publisher of /pose"):
        blueprint.replay(walk).replay(walk, only="/pose")


def test_a_function_that_cannot_travel_is_named(blueprint: Blueprint, walk: Path) -> None:
    lock = threading.Lock()

    def guarded(observation: object) -> bool:
        with lock:
            return True

    with pytest.raises(OptionError, match=r"guarded .*line \d+.*cannot travel"):
        blueprint.replay(RecordReplay(walk).view().filter(guarded))


def test_a_function_may_look_into_its_own_recording(blueprint: Blueprint, walk: Path) -> None:
    with RecordReplay(walk) as rec:
        at_first = rec.streams.pose.first().ts
        view = rec.view().filter(lambda one: one.ts - rec.streams.pose.first().ts < 0.1)
        replayed = blueprint.replay(view.tags(nothing=1), only="Dog")
        packed = replayed.blueprints[-1].kwargs["assignment"].view
    with (there := pickle.loads(pickle.dumps(packed)).open()).recording:
        assert len(there.operators) == 2
        assert next(iter(replace(there, operators=there.operators[:1]))).ts == at_first
        assert there.count() == 0


def test_a_recording_in_memory_is_refused(blueprint: Blueprint) -> None:
    with (
        RecordReplay(store=MemoryStore()) as rec,
        pytest.raises(OptionError, match="save the recording into a file"),
    ):
        blueprint.replay(rec)


@pytest.mark.parametrize("options", [{"start_s": 5.0}, {"speed": 0.0}, {"loop": (3.0, 2.0)}])
def test_options_that_make_no_sense_are_refused_at_once(
    blueprint: Blueprint, walk: Path, options: dict[str, float]
) -> None:
    with pytest.raises(OptionError):
        blueprint.replay(walk, **options)


def test_a_file_that_vanishes_is_one_sentence(blueprint: Blueprint, tmp_path: Path) -> None:
    replayed = blueprint.replay(write_walk(tmp_path / "brief.db"))
    (tmp_path / "brief.db").unlink()
    with pytest.raises(RecordingNotFound, match=r"brief\.db .* is gone"), running(replayed):
        pass
    assert notes(tmp_path / "notes") == []


def test_a_replay_that_is_pushed_out_by_another_is_missed(blueprint: Blueprint, walk: Path) -> None:
    other = Follower.blueprint(instance_name="follower2").replay(walk)
    both = autoconnect(other, blueprint.replay(walk))
    with pytest.raises(PlanError, match="pushed out of the blueprint"), running(both):
        pass


@contextmanager
def publishing(topic: str) -> Iterator[None]:
    """Somebody publishes a pose again and again, on dimos's own network."""
    transport = LCMTransport(topic, PoseStamped)
    wire = wire_of(transport)
    assert wire is not None
    over = threading.Event()

    def publish() -> None:
        with open_bus(wire.bus) as bus:
            while not over.wait(0.02):
                bus.publish(wire.channel, pose(0).lcm_encode())

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("namespace", [None, "robot1"])
def test_a_topic_that_is_live_already_is_refused(
    blueprint: Blueprint, walk: Path, tmp_path: Path, namespace: str | None
) -> None:
    replayed = blueprint.replay(walk)
    if namespace:
        replayed = pickle.loads(pickle.dumps(replayed.namespace(namespace)))
    topic = f"/{namespace}/pose" if namespace else "/pose"
    with (
        publishing(topic),
        pytest.raises(PublisherConflict, match=f"somebody is publishing {topic} "),
        running(replayed),
    ):
        pass
    assert notes(tmp_path / "notes") == []


def test_a_check_that_does_not_find_its_blueprint_says_so(
    blueprint: Blueprint, walk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check = blueprint.replay(walk).requirement_checks[-1]
    check()
    assert f"somebody publishes the topics of {walk} already is not checked" in caplog.text


def test_what_is_live_outside_of_the_namespace_is_nobodys_concern(
    blueprint: Blueprint, walk: Path
) -> None:
    replayed = blueprint.replay(walk, paused=True, disable="Trainer").namespace("robot1")
    with publishing("/pose"), running(replayed) as coordinator:
        assert coordinator.get_instance("robot1/replay").replay_status()["state"] == "paused"


def test_commands_stay_on_this_machine_unless_they_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "commands.db"
    with RecordReplay(path) as rec:
        stream = rec.stream("cmd_vel", topic="/cmd_vel", type_name="geometry_msgs.Twist")
        stream.append(twist(0).lcm_encode())
    far = {("cmd_vel", type(twist(0))): LCMTransport.spec("/cmd_vel", type(twist(0)), url=FAR)}
    blueprint = Follower.blueprint().transports(far)
    refused = blueprint.replay(path, check_conflicts=False)
    with pytest.raises(CommandsRefused, match="allow_commands"), running(refused):
        pass


class Carrier:
    """A transport that carries messages, and no bytes."""

    def __init__(self) -> None:
        self.published: list[PoseStamped] = []

    def publish(self, message: PoseStamped) -> None:
        self.published.append(message)


@contextmanager
def module_of(replayed: Blueprint) -> Iterator[ReplayModule]:
    """The replay module of a blueprint, in this process, with transports on LCM."""
    atom = replayed.blueprints[-1]
    module = ReplayModule(**atom.kwargs)
    try:
        for stream in atom.streams:
            name = replayed.remapping_map.get((atom.name, stream.name), stream.name)
            module.set_transport(stream.name, LCMTransport(f"/{name}", stream.type))
        yield module
    finally:
        module.stop()


def test_a_failure_is_logged_also_after_the_end_was_reached_once(
    walk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the run ends with it, if it is to end with the replay."""
    ended = threading.Event()
    monkeypatch.setattr(replay_module, "shut_down_run", lambda *_: ended.set())
    passes: list[object] = []

    def fails_in_the_second_pass(one: Observation) -> Observation:
        if one.id == 1:
            passes.append(one)
        if len(passes) > 1:
            raise ValueError("out of order")
        return one

    view = RecordReplay(walk).view().select("/pose").map(fails_in_the_second_pass)
    with module_of(Follower.blueprint().replay(view, speed=math.inf)) as module:
        module.build()
        module.on_system_modules([])
        wait_until(lambda: module.replay_status()["state"] == "finished")
        module.config.exit_at_end = True
        module.resume_replay()
        wait_until(lambda: "has failed: ValueError('out of order')" in caplog.text)
        assert ended.wait(60)


def test_a_replay_that_cannot_be_prepared_leaves_nothing_open(walk: Path) -> None:
    with module_of(Follower.blueprint().replay(walk)) as module:
        module.config.start_s = 99.0
        with pytest.raises(OptionError, match="beyond the end"):
            module.build()
        assert not [fd for fd in os.listdir("/proc/self/fd") if _leads_to(fd, walk)]


def _leads_to(fd: str, path: Path) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == str(path)
    except FileNotFoundError:
        return False


def test_what_only_a_transport_of_dimos_can_carry_is_decoded_for_it() -> None:
    carrier = Carrier()
    route = route_of("/cmd_vel", carrier, PoseStamped, open_bus)
    with RoutedBus({"/there": route}, ()) as bus:
        bus.check_channel("/there")
        bus.publish("/there", pose(3).lcm_encode())
        with pytest.raises(DecodeError):
            bus.publish("/there", b"no pose")
        with pytest.raises(BusError, match="no stream for /elsewhere"):
            bus.publish("/elsewhere", b"")
    assert [message.x for message in carrier.published] == [3.0]
    with pytest.raises(CommandsRefused, match="its transport reaches beyond this machine"):
        refuse_commands([route], "walk.db")


def test_a_replay_on_zenoh_knows_when_it_reaches_a_module() -> None:
    url = free_zenoh_url()
    module = ZenohRPC(scout_addr=parse_zenoh_url(url).scout_addr)
    module.start()
    try:
        module.serve_rpc(lambda: [], "dog/get_stream_descriptors")
        with open_bus_to_modules(url) as bus:
            assert isinstance(bus, RpcReachingBus)
            assert bus.reaches("dog")
            assert not bus.reaches("cat", timeout_s=0.1)
    finally:
        module.stop()
        default_session_pool.release(module.config)


class OtherRun:
    """Serves as the coordinator of a run, the way dimos's own does."""

    def __init__(self, *modules: str) -> None:
        self.modules = [ModuleDescriptor("Dog", "dogs.Dog", [], name) for name in modules]
        self.ended = False
        self.rpcs = {
            "ping": self.ping,
            "list_modules": self.list_modules,
            "shutdown": self.shutdown,
        }

    def ping(self) -> str:
        return "pong"

    def list_modules(self) -> list[ModuleDescriptor]:
        return self.modules

    def shutdown(self) -> None:
        self.ended = True


class BusyRun(OtherRun):
    """Does not answer the first time."""

    def __init__(self, *modules: str) -> None:
        super().__init__(*modules)
        self.asked = 0
        self.free = threading.Event()

    def list_modules(self) -> list[ModuleDescriptor]:
        self.asked += 1
        if self.asked == 1:
            self.free.wait(60)
        return self.modules


@contextmanager
def served(run: OtherRun) -> Iterator[None]:
    before = global_config.transport
    global_config.update(transport="lcm")
    service = CoordinatorRPC.serve(run)
    try:
        yield
    finally:
        service.stop()
        global_config.update(transport=before)


def test_only_the_run_that_a_replay_belongs_to_is_ended_by_it() -> None:
    run, ending = OtherRun("dog", "replay"), threading.Event()
    with served(run):
        assert not shut_down_run({"cat", "replay"}, ending)
        assert not run.ended
        assert shut_down_run({"dog", "replay"}, ending)
        assert run.ended


def test_a_coordinator_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_end, "_TIMEOUT_S", 0.5)
    run, ending = BusyRun("dog", "replay"), threading.Event()
    with served(run):
        assert shut_down_run({"dog", "replay"}, ending)
        run.free.set()
    assert run.ended
    assert run.asked >= 2


def test_nobody_is_asked_any_more_when_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_end, "_TIMEOUT_S", 0.1)
    ending = threading.Event()
    ending.set()
    assert not shut_down_run({"replay"}, ending)


def test_dimos_still_calls_checks_from_where_the_blueprint_is_known() -> None:
    """`ReplayCheck` finds it among the variables of its callers."""
    seen: list[object] = []

    def peek() -> str:
        seen.extend(sys._getframe(1).f_locals.values())
        return "stop here"

    with pytest.raises(SystemExit):
        ModuleCoordinator.build(Follower.blueprint().requirements(peek))
    assert any(isinstance(value, Blueprint) for value in seen), "replay_check cannot find it now"

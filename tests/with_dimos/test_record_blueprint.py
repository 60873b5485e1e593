"""`blueprint.record(FILE)`: a module that has the first message of every module of a blueprint."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.transport import JpegLcmTransport
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.sensor_msgs.Image import Image

import dimos_record.integrations.dimos  # noqa: F401 - gives blueprints their methods
from dimos_record import RecordReplay
from dimos_record.errors import (
    DiskFull,
    NotARecording,
    OptionError,
    PlanError,
    RecordingExists,
    StorageError,
)
from dimos_record.integrations.dimos.late_modules import recorded_too
from dimos_record.integrations.dimos.record_module import RecordModule
from dimos_record.integrations.dimos.remote_errors import error_in
from dimos_record.testing import free_lcm_url
from tests.with_dimos.messages import color, pose, same_value
from tests.with_dimos.processes import running as program
from tests.with_dimos.processes import wait_until
from tests.with_dimos.recorded_modules import Counter, Courier, Eye, Listener
from tests.with_dimos.replay_modules import Follower
from tests.with_dimos.replay_runs import running, until_finished, write_walk

pytestmark = pytest.mark.dimos

FLEET = [f"robot{i}" for i in range(10)]


def first_count(rec: RecordReplay, stream: str) -> bytes:
    return next(iter(rec.reader.rows(stream))).data


def until_recorded(recorder: Any, topics: int) -> None:
    """Wait until so many topics have a message."""
    wait_until(lambda: len(recorder.recording_progress()["accounts"]) >= topics)


class Run(NamedTuple):
    """A blueprint that was recorded."""

    path: Path
    streams: list[Any]
    """What dimos lists of the running blueprint."""


@pytest.fixture(scope="module", params=["lcm", "zenoh"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ten robots that publish as they start, one under another name, and one that comes later."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.db"
    clients = ({"name": "me", "openai_apikey": "secret"},)
    settings = {"api_key": "secret", "clients": clients, "step_s": 0.05}
    robots = [Counter.blueprint(**settings).namespace(name) for name in FLEET]
    robots[1] = robots[1].remappings([("robot1/counter", "count", "robot1/steps")])
    chosen = autoconnect(*robots, Listener.blueprint()).default_record_modules(Counter)
    recorded = chosen.record(path, meta={"operator": "me"})
    with running(recorded, request.param) as coordinator:
        streams = coordinator.list_streams()
        with recorded_too(coordinator):
            coordinator.load_blueprint(Counter.blueprint().namespace("late"))
        until_recorded(coordinator.get_instance(RecordModule), 3 * len(FLEET) + 3)
    return Run(path, streams)


def test_the_first_message_of_every_module_is_recorded(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        first = {
            name: PoseStamped.lcm_decode(first_count(rec, name)).x
            for name in rec.streams
            if name.endswith(("__count", "__steps"))
        }
        transforms = [name for name in rec.streams if name.endswith("tf")]
    first.pop("late__count")
    assert first == {f"{name}__{'steps' if name == 'robot1' else 'count'}": 0.0 for name in FLEET}
    assert len(transforms) == len(FLEET) + 1


def test_nothing_is_lost_or_doubled_and_the_bytes_are_those_of_the_wire(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        assert rec.info().dropped == 0
        assert rec.info().lost_before_reception == 0
        sent = [row.data for row in rec.reader.rows("robot3__count")]
    assert sent == [pose(i).lcm_encode() for i in range(len(sent))]


def test_each_topic_says_which_module_it_comes_from(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        assert rec.reader.find("/robot1/steps").module == "robot1/counter"
        assert rec.reader.find("/robot2/tf").module == "robot2/counter"
        assert rec.reader.find("/late/count").module == "late/counter"
        buses = {info.bus for info in rec.reader.streams.values()}
    assert len(buses) == 1


def test_a_module_that_is_loaded_later_is_recorded_from_its_first_message_on(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        values = [PoseStamped.lcm_decode(row.data).x for row in rec.reader.rows("late__count")]
    assert values == list(range(len(values)))
    assert values


def test_only_the_modules_that_the_blueprint_names_are_recorded(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        assert not [name for name in rec.streams if "answer" in name]
    recorded = {one.name for one in fleet.streams if one.module == "RecordModule"}
    assert recorded == {
        f"{name}__{stream}" for name in FLEET for stream in ("count", "note", "tf")
    } - {"robot1__count"} | {"robot1__steps"}


def test_what_only_python_reads_is_recorded_and_marked(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        note = rec.reader.find("/robot0/note")
        assert (note.codec, note.type_name) == ("pickle", None)
        assert pickle.loads(first_count(rec, note.name)) == {"i": 0}


def test_dimos_opens_the_recording(fleet: Run, open_store: Any, tmp_path: Path) -> None:
    copy = tmp_path / "fleet.db"
    copy.write_bytes(fleet.path.read_bytes())
    store = open_store(copy)
    assert same_value(store.stream("robot5__count").first().data, pose(0))
    assert store.stream("robot5__note").first().data == {"i": 0}


def test_the_session_says_what_was_run(fleet: Run) -> None:
    with RecordReplay(fleet.path) as rec:
        meta = rec.info().sessions[0].meta
    assert meta["operator"] == "me"
    assert meta["default_modules"] == [f"{name}/counter" for name in FLEET]
    robot = meta["modules"]["robot0/counter"]
    assert robot["class"] == "tests.with_dimos.recorded_modules.Counter"
    assert robot["config"]["step_s"] == 0.05
    assert robot["config"]["clients"] == [{"name": "me"}]
    assert "secret" not in str(meta)
    assert meta["global_config"]["viewer"] == "none"
    assert len(meta["modules"]) == len(FLEET) + 1
    assert all(len(revision) >= 40 for revision in meta["code"].values())


def _info(*arguments: str) -> str:
    command = [sys.executable, "-m", "dimos_record.cli.main", "info", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_info_shows_modules_and_that_nothing_was_lost(fleet: Run) -> None:
    shown = _info(str(fleet.path))
    assert "robot4/counter" in shown
    # Zenoh does not tell what it drops
    assert "Nothing was lost" in shown or "Nothing was dropped" in shown


# --- other blueprints, on LCM


def test_a_namespace_can_be_put_around_a_blueprint_that_records(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    inner = autoconnect(Counter.blueprint(), Listener.blueprint()).default_record_modules(Counter)
    recorded = pickle.loads(pickle.dumps(inner.record(path, exclude="/note").namespace("robot1")))
    with running(recorded) as coordinator:
        until_recorded(coordinator.get_instance("robot1/recordmodule"), 2)
    with RecordReplay(path) as rec:
        assert {one.topic: one.module for one in rec.reader.streams.values()} == {
            "/robot1/count": "robot1/counter",
            "/robot1/tf": "robot1/counter",
        }
        meta = rec.info().sessions[0].meta
    assert set(meta["modules"]) == {"robot1/counter", "robot1/listener"}
    assert meta["default_modules"] == ["robot1/counter"]


def test_other_transports_in_the_same_blueprint_are_recorded_too(
    tmp_path: Path, open_store: Any
) -> None:
    path = tmp_path / "mixed.db"
    pinned = {
        ("view", Image): JpegLcmTransport.spec("/compressed", Image),
        ("count", PoseStamped): Courier.spec("/hidden"),
    }
    blueprint = autoconnect(Counter.blueprint(), Eye.blueprint()).transports(pinned)
    with running(blueprint.record(path, topics=["/count", "/compressed", "/tf"]), "zenoh") as run:
        until_recorded(run.get_instance(RecordModule), 3)
    with RecordReplay(path) as rec:
        streams = {info.topic: info for info in rec.reader.streams.values()}
        assert set(streams) == {"/count", "/compressed", "/tf"}
        assert streams["/count"].bus == "Courier"
        assert str(streams["/compressed"].bus).startswith("udpm://")
        assert str(streams["/tf"].bus).startswith("zenoh://")
        assert first_count(rec, "count") == pose(0).lcm_encode()
    assert open_store(path).stream("compressed").first().data.shape == color(0).shape


def test_everything_overrides_what_the_blueprint_names(tmp_path: Path) -> None:
    chosen = autoconnect(Counter.blueprint(), Eye.blueprint()).default_record_modules(Eye)
    ports = {
        name: {port.stream for port in made.blueprints[-1].kwargs["task"].ports}
        for name, made in {
            "default": chosen.record(tmp_path / "a.db"),
            "everything": chosen.record(tmp_path / "a.db", everything=True),
            "topic": chosen.record(tmp_path / "a.db", everything=True, topics="/[cv]*"),
        }.items()
    }
    assert ports == {
        "default": {"view"},
        "everything": {"view", "count", "note", "tf"},
        "topic": {"view", "count"},
    }


def test_what_a_replay_publishes_is_not_recorded(tmp_path: Path) -> None:
    from tests.with_dimos.replay_runs import robot, write_walk

    replayed = robot(tmp_path).replay(write_walk(tmp_path / "walk.db"))
    task = replayed.record(tmp_path / "again.db").blueprints[-1].kwargs["task"]
    streams = {port.stream for port in task.ports}
    assert streams
    assert not streams & {"pose", "picture"}


def test_a_file_that_exists_is_one_sentence_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    path.write_bytes(b"precious")
    with (
        pytest.raises(RecordingExists, match=r"walk\.db exists already"),
        running(Counter.blueprint().record(path)),
    ):
        pass
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("how", [{"append": True}, {"overwrite": True}])
def test_what_is_no_recording_is_one_sentence_before_anything_starts(
    tmp_path: Path, how: dict[str, bool]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"precious")
    with (
        pytest.raises(NotARecording, match=r"notes\.txt is not a recording"),
        running(Counter.blueprint().record(path, **how)),
    ):
        pass
    assert path.read_bytes() == b"precious"


def test_a_disk_that_is_full_is_one_sentence_without_an_option_of_another_command(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(DiskFull, match=r"free some space, or record to another disk$"),
        running(Counter.blueprint().record(tmp_path / "walk.db", min_free_bytes=10**18)),
    ):
        pass


def test_what_only_the_recorder_notices_is_one_sentence_too(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    in_the_last_moment = Counter.blueprint().record(path).requirements(path.touch)
    with pytest.raises(Exception) as raised, running(in_the_last_moment):
        pass
    error = error_in(raised.value)
    assert isinstance(error, RecordingExists)
    assert str(error).startswith(f"{path} exists already")
    assert path.read_bytes() == b""


def test_a_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="there is no folder"),
        running(Counter.blueprint().record(tmp_path / "nowhere" / "walk.db")),
    ):
        pass


def test_a_blueprint_that_publishes_nothing_cannot_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="nothing would be recorded"):
        Counter.blueprint().record(tmp_path / "walk.db", topics="/odom")
    with pytest.raises(OptionError, match="contradict"):
        Counter.blueprint().record(tmp_path / "walk.db", append=True, overwrite=True)
    with pytest.raises(OptionError, match="cannot be chosen"):
        Counter.blueprint().record(tmp_path / "walk.db", codecs={"*": "zip"})
    with pytest.raises(OptionError, match="already"):
        Counter.blueprint().record(tmp_path / "walk.db").record(tmp_path / "walk.db")


def test_two_recorders_in_one_blueprint_write_two_files(tmp_path: Path) -> None:
    both = Counter.blueprint().record(tmp_path / "a.db", topics="/count")
    both = both.record(tmp_path / "b.db", topics="/note")
    with running(both) as coordinator:
        until_recorded(coordinator.get_instance("recordmodule"), 1)
        until_recorded(coordinator.get_instance("recordmodule2"), 1)
    with RecordReplay(tmp_path / "a.db") as first, RecordReplay(tmp_path / "b.db") as second:
        assert list(first.streams) == ["count"]
        assert list(second.streams) == ["note"]


def test_a_recorder_that_is_unloaded_has_finished_its_file(tmp_path: Path) -> None:
    path = tmp_path / "walk.db"
    with running(Counter.blueprint()) as coordinator:
        coordinator.load_blueprint(_recorder_of(Counter.blueprint(), path))
        until_recorded(coordinator.get_instance(RecordModule), 2)
        coordinator.unload_module(RecordModule)
        with RecordReplay(path) as rec:
            assert rec.info().self_contained
            assert rec.info().sessions[0].state == "finished"


def test_modules_can_be_loaded_when_the_recorder_is_gone(tmp_path: Path) -> None:
    recorded = Counter.blueprint().record(tmp_path / "walk.db")
    with running(recorded) as coordinator, recorded_too(coordinator):
        coordinator.unload_module(RecordModule)
        coordinator.load_blueprint(Eye.blueprint())
        assert coordinator.list_module_names() == ["Counter", "Eye"]


def test_a_replay_that_is_loaded_later_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    replayed = Follower.blueprint(notes=str(tmp_path / "notes")).replay(
        write_walk(tmp_path / "walk.db"), check_conflicts=False
    )
    with running(Eye.blueprint().record(path)) as coordinator, recorded_too(coordinator):
        coordinator.load_blueprint(replayed.namespace("robot1"))
        until_finished(coordinator.get_instance("robot1/replay"))
        coordinator.load_blueprint(Counter.blueprint())
        until_recorded(coordinator.get_instance(RecordModule), 4)
    with RecordReplay(path) as rec:
        assert set(rec.streams) == {"view", "count", "note", "tf"}


def _recorder_of(blueprint: Any, path: Path) -> Any:
    """The recorder alone, to be loaded beside what runs already."""
    from dataclasses import replace

    recorded = blueprint.record(path)
    return replace(recorded, blueprints=recorded.blueprints[-1:])


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a run, with a log, whose coordinator was killed."""
    folder = tmp_path_factory.mktemp("killed")
    path, script = folder / "walk.db", folder / "run.py"
    script.write_text(
        "import os, signal, sys\n"
        "from dimos.core.coordination.module_coordinator import ModuleCoordinator\n"
        "from dimos_record.integrations.dimos.record_module import RecordModule\n"
        "from tests.with_dimos.recorded_modules import Counter\n"
        "from tests.with_dimos.test_record_blueprint import until_recorded\n"
        "if __name__ == '__main__':\n"
        "    settings = dict(transport='lcm', viewer='none', n_workers=1)\n"
        "    run = Counter.blueprint(api_key='secret').global_config(**settings)\n"
        "    coordinator = ModuleCoordinator.build(run.record(sys.argv[1]))\n"
        "    until_recorded(coordinator.get_instance(RecordModule), 3)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], os.getcwd()]),
        "LCM_DEFAULT_URL": free_lcm_url(),
        "DIMOS_RUN_LOG_DIR": str(folder),
        "DIMOS_RUN_ID": "20261120-101530-1a2b-test-walk",
    }
    command = [sys.executable, str(script), str(path), "--counter.api-key=secret"]
    with program(command, env, folder / "output") as run:
        wait_until(lambda: run.process.poll() is not None)
        assert run.process.returncode == -9, run.output
        wait_until(lambda: _state(path) == ("finished", True))
    return path


def _state(path: Path) -> tuple[str, bool]:
    with RecordReplay(path) as rec:
        return rec.info().sessions[0].state, rec.info().self_contained


def test_a_run_whose_coordinator_is_killed_leaves_a_finished_recording(killed: Path) -> None:
    with RecordReplay(killed) as rec:
        assert first_count(rec, "count") == pose(0).lcm_encode()
        assert rec.info().dropped == 0


def test_the_log_of_the_run_is_in_the_recording(killed: Path) -> None:
    with RecordReplay(killed) as rec:
        lines = rec.log()
        start_ns = rec.info().sessions[0].start_ns
    deployed = next(one for one in lines if "Deployed module" in one.line and "Counter" in one.line)
    assert deployed.level == "info"
    assert "python_worker" in str(deployed.source)
    assert all(abs(one.ts_ns - start_ns) < 60 * 10**9 for one in lines)
    assert "Deployed module" in _info("--log", str(killed))


def test_the_session_says_which_run_it_was_and_no_secrets(killed: Path) -> None:
    with RecordReplay(killed) as rec:
        meta = rec.info().sessions[0].meta
    assert (meta["run_id"], meta["blueprint"]) == ("20261120-101530-1a2b-test-walk", "test-walk")
    assert "secret" not in str(meta)

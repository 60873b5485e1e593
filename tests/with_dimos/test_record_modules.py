"""`rec.add_module` and `rec.record_blueprint`: modules instead of topics."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.transport import JpegLcmTransport, LCMTransport
from dimos.msgs.sensor_msgs.Image import Image

import dimos_record.integrations.dimos  # noqa: F401 - gives blueprints their methods
from dimos_record import RecordReplay
from dimos_record.bus import default_url, open_bus
from dimos_record.errors import (
    BusError,
    NotARecording,
    NotRunning,
    OptionError,
    PlanError,
    RecordingBusy,
)
from dimos_record.integrations.dimos import attaching
from dimos_record.integrations.dimos.attaching import attach, detach
from dimos_record.integrations.dimos.record_module import RecordModule
from dimos_record.integrations.dimos.remote_errors import error_in
from dimos_record.integrations.dimos.running import connected
from dimos_record.store.base import SessionInfo
from dimos_record.testing import free_lcm_url
from tests.with_dimos.messages import pose
from tests.with_dimos.processes import wait_until
from tests.with_dimos.recorded_modules import Counter, Deaf, Eye, Listener
from tests.with_dimos.replay_runs import running

pytestmark = pytest.mark.dimos

LCM = {"transport": "lcm", "viewer": "none", "n_workers": 1}
ROBOT = autoconnect(Counter.blueprint(), Listener.blueprint(), Eye.blueprint()).global_config(**LCM)
COUNTER = ["/count#geometry_msgs.PoseStamped", "/note", "/tf#tf2_msgs.TFMessage"]


def selected(rec: RecordReplay, *more: str) -> list[str]:
    """Those channels of the robot that would be recorded."""
    every = [*COUNTER, "/answer#std_msgs.String", "/view#sensor_msgs.Image", *more]
    return [channel for channel in every if rec.selection.matches(channel)]


def until_recorded(rec: RecordReplay, *streams: str) -> None:
    def all_there() -> bool:
        progress = rec.progress
        return progress is not None and set(streams) <= set(progress.accounts)

    wait_until(all_there)


def test_a_module_is_its_outputs_and_its_shared_ports(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "walk.db")
    rec.add_module(Counter.blueprint())
    assert selected(rec) == COUNTER
    rec.add_module(Eye.blueprint().blueprints[0])
    rec.remove_module(Counter.blueprint())
    assert selected(rec) == ["/view#sensor_msgs.Image"]


def test_a_class_gives_the_names_that_it_declares(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "walk.db")
    rec.add_module(Counter)
    assert selected(rec) == COUNTER
    rec.remove_module(Counter)
    assert selected(rec) == []


def test_a_blueprint_is_what_it_names(tmp_path: Path) -> None:
    chosen = ROBOT.default_record_modules(Eye)
    rec, everything = RecordReplay(tmp_path / "a.db"), RecordReplay(tmp_path / "b.db")
    rec.record_blueprint(chosen)
    assert selected(rec) == ["/view#sensor_msgs.Image"]
    everything.record_blueprint(chosen, everything=True)
    assert len(selected(everything)) == 5


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    rec = RecordReplay(tmp_path / "walk.db")
    with pytest.raises(OptionError, match="is no module"):
        rec.add_module("/odom")
    with pytest.raises(PlanError, match="nothing would be recorded"):
        rec.record_blueprint(ROBOT.disabled_modules(Counter, Listener, Eye))


def test_one_object_records_from_one_bus(tmp_path: Path) -> None:
    pinned = {("view", Image): JpegLcmTransport.spec("/view", Image)}
    mixed = ROBOT.transports(pinned).global_config(transport="zenoh")
    with pytest.raises(OptionError, match=r"udpm://.*use blueprint\.record"):
        RecordReplay(tmp_path / "walk.db").record_blueprint(mixed)
    chosen = RecordReplay(tmp_path / "walk.db", bus="memory://mine")
    chosen.record_blueprint(mixed)
    assert chosen.bus.url == "memory://mine"
    chosen.close()


def test_a_module_is_not_looked_for_on_another_bus_that_nobody_chose(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        usual = rec.bus.url
        with pytest.raises(OptionError, match=r"publishes on zenoh.*uses udpm.*give bus="):
            rec.record_blueprint(ROBOT.global_config(transport="zenoh"))
        rec.record_blueprint(ROBOT)
        assert rec.bus.url == usual
        assert len(selected(rec)) == 5


def test_a_bus_that_was_chosen_and_is_not_that_of_the_modules_is_used_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = default_url()
    same = url.partition("?")[0] + "?ttl=0&recv_buf_size=9000000"
    with RecordReplay(tmp_path / "walk.db", bus=same) as rec:
        rec.record_blueprint(ROBOT)
    assert "which was asked for" not in caplog.text
    with RecordReplay(tmp_path / "walk.db", bus=free_lcm_url()) as rec:
        rec.add_module(Counter.blueprint().global_config(**LCM))
        rec.add_module(Eye.blueprint().global_config(**LCM))
        assert len(selected(rec)) == 4
    said = [one.getMessage() for one in caplog.records if "asked for" in one.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(f"modules publish on {url.partition('?')[0]}")


def test_a_blueprint_is_recorded_from_its_first_message_on(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db") as rec:
        rec.record_blueprint(ROBOT)
        rec.start_recording()
        with running(ROBOT):
            until_recorded(rec, "count", "note", "tf", "answer", "view")
        rec.stop_recording()
        first = next(iter(rec.reader.rows("count"))).data
        assert first == pose(0).lcm_encode()
        assert rec.reader.find("/view").module == "eye"
        assert rec.reader.find("/note").codec == "pickle"
        assert set(rec.info().sessions[0].meta["modules"]) == {"counter", "listener", "eye"}


def test_a_running_blueprint_is_followed(tmp_path: Path) -> None:
    with (
        running(autoconnect(Counter.blueprint(), Listener.blueprint())) as coordinator,
        RecordReplay(tmp_path / "all.db") as everything,
        RecordReplay(tmp_path / "one.db") as one,
    ):
        one.add_module(coordinator.get_instance(Counter))
        one.start_recording()
        everything.record_blueprint(coordinator)
        everything.start_recording()
        until_recorded(everything, "count", "note", "answer")
        coordinator.load_blueprint(Eye.blueprint())
        until_recorded(everything, "view")
        everything.stop_recording()
        coordinator.load_blueprint(Eye.blueprint().namespace("late"))
        until_recorded(one, "count", "note")
        one.stop_recording()
        assert set(everything.streams) == {"count", "note", "answer", "view"}
        assert everything.reader.find("/answer").module == "Listener"
        assert set(one.streams) == {"count", "note"}
        assert one.reader.find("/count").module == "Counter"
        assert everything.info().sessions[0].meta["global_config"]["viewer"] == "none"


def test_a_module_that_cannot_be_recorded_is_loaded_all_the_same(tmp_path: Path) -> None:
    elsewhere = {("view", Image): LCMTransport.spec("/view", Image, url=free_lcm_url())}
    with (
        running(autoconnect(Counter.blueprint(), Listener.blueprint())) as coordinator,
        RecordReplay(tmp_path / "walk.db") as rec,
    ):
        rec.record_blueprint(coordinator)
        rec.start_recording()
        coordinator.load_blueprint(Eye.blueprint().transports(elsewhere))
        until_recorded(rec, "count", "note", "answer")
        rec.stop_recording()
        assert set(rec.streams) == {"count", "note", "answer"}


def test_an_attached_recorder_records_the_named_module_and_not_its_twin_in_a_namespace(
    tmp_path: Path,
) -> None:
    fleet = autoconnect(Counter.blueprint(), Counter.blueprint().namespace("robot1"))
    with running(fleet) as coordinator:
        coordinator.start_rpc_service()
        with connected() as robot:
            one = attach(robot, tmp_path / "one.db", modules=["Counter"])
            detach(robot)
            other = attach(robot, tmp_path / "other.db", modules=["robot1/counter"])
            detach(robot)
    assert one.topics == ("/count", "/note", "/tf")
    assert other.topics == ("/robot1/count", "/robot1/note", "/robot1/tf")


def test_an_attached_recorder_says_what_it_cannot_record_only_of_what_is_there(
    tmp_path: Path,
) -> None:
    unheard = {("view", Image): Deaf.spec("/view")}
    with running(Counter.blueprint()) as coordinator:
        coordinator.start_rpc_service()
        with connected() as robot:
            attach(robot, tmp_path / "walk.db")
            coordinator.load_blueprint(Eye.blueprint().transports(unheard))
            coordinator.load_blueprint(Counter.blueprint().namespace("late"))
            path, _ = detach(robot)
            with pytest.raises(BusError, match="nobody can listen to /view"):
                attach(robot, tmp_path / "all.db")
    with RecordReplay(path) as rec:
        assert {"count", "late__count"} <= set(rec.streams)


def test_what_keeps_an_attached_recorder_from_recording_is_said_and_it_makes_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged.db"
    with running(Counter.blueprint()) as coordinator:
        coordinator.start_rpc_service()
        with connected() as robot:

            def left_behind() -> None:
                """As by an `attach` that is killed under way."""
                with monkeypatch.context() as killed, refused(damaged):
                    killed.setattr(robot, "unload", lambda name: None)
                    attach(robot, damaged, append=True)

            left_behind()
            with pytest.raises(NotRunning, match="was not recording, and has been taken out: "):
                detach(robot)
            left_behind()
            attach(robot, tmp_path / "walk.db")
            detach(robot)
            with refused(damaged):
                attach(robot, damaged, append=True)
            assert [module.cls for module in robot.modules()] == ["Counter"]


def test_a_recorder_is_not_attached_to_a_robot_of_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(Counter.blueprint()) as coordinator:
        coordinator.start_rpc_service()
        with connected() as robot:
            attach(robot, tmp_path / "walk.db")
            with monkeypatch.context() as we:
                we.setattr(attaching.socket, "gethostname", lambda: "laptop")
                with pytest.raises(OptionError, match=r"runs on .*this machine \(laptop\)"):
                    detach(robot)
            _, session = detach(robot)
            monkeypatch.setattr(attaching.socket, "gethostname", lambda: "laptop")
            with pytest.raises(OptionError, match=r"runs on .*this machine \(laptop\)"):
                attach(robot, tmp_path / "far.db")
            assert [module.cls for module in robot.modules()] == ["Counter"]
    assert session.state == "finished"
    assert not (tmp_path / "far.db").exists()


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Something that is no recording cannot be recorded into, which only the recorder notices."""
    path.write_text("no recording")
    with pytest.raises(NotARecording, match=f"{path.name} is not a recording"):
        yield


def test_another_run_on_the_bus_does_not_end_a_recording(tmp_path: Path) -> None:
    """Its coordinator builds what it calls by the same name."""
    with running(Counter.blueprint().record(tmp_path / "walk.db")) as coordinator:
        recorder = coordinator.get_instance(RecordModule)
        with pytest.raises(Exception, match="another run on this bus is recording to ") as raised:
            recorder.build()
        assert isinstance(error_in(raised.value), RecordingBusy)
        written = recorder.recording_progress()["written"]
        wait_until(lambda: recorder.recording_progress()["written"] > written + 10)


def test_a_recorder_that_nobody_stops_finishes_its_file_at_sigterm(tmp_path: Path) -> None:
    """A coordinator sends nothing else when it is interrupted while it stops its modules."""
    path = tmp_path / "walk.db"
    with running(Counter.blueprint().record(path)) as coordinator:
        recorder = coordinator.get_instance(RecordModule)
        wait_until(lambda: recorder.recording_progress()["written"])
        os.kill(_session(path).meta["pid"], signal.SIGTERM)
        wait_until(lambda: _session(path).state == "finished")
    assert _session(path).reason == "stopped"


def _session(path: Path) -> SessionInfo:
    with RecordReplay(path) as rec:
        return rec.reader.sessions()[-1]


def test_what_was_recorded_by_module_plays_like_any_other(tmp_path: Path) -> None:
    with RecordReplay(tmp_path / "walk.db", bus="memory://played-by-module") as rec:
        rec.add_module(Eye)
        rec.start_recording()
        with open_bus("memory://played-by-module") as robot:
            robot.publish("/view#sensor_msgs.Image", b"\x00" * 100)
        rec.stop_recording()
        assert rec.reader.find("/view").module == "eye"
        assert rec.play(block=True).stats.published == 1

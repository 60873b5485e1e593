"""A blueprint records into a ring, which dimos and we look into while it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dimos.core.coordination.blueprints import autoconnect
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.memory.store.sqlite import SqliteStore

from dimos_record import RecordReplay
from dimos_record.blueprints.demo_robot import demo_robot_always
from dimos_record.blueprints.driver import DemoDriver
from dimos_record.bus import default_url, open_bus
from dimos_record.errors import RecordingExists
from dimos_record.integrations.dimos import record
from dimos_record.integrations.dimos.record_module import RecordModule
from dimos_record.store import open_recording
from dimos_record.store.segments import segments_of
from tests.with_dimos.processes import wait_until

pytestmark = pytest.mark.dimos


def test_the_demo_robot_can_record_always() -> None:
    (recorder,) = (atom for atom in demo_robot_always.blueprints if atom.module is RecordModule)
    options = recorder.kwargs["task"].options
    assert options.ring_s == 300
    assert options.is_ring


def test_a_blueprint_records_into_a_ring(tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    blueprint = record(
        autoconnect(DemoDriver.blueprint(picture_width=160)),
        ring,
        ring=["10m", "1GB"],
        split_s=1.0,
        keep_on="/estop",
    ).global_config(transport="lcm", viewer="none", n_workers=1)
    coordinator = ModuleCoordinator.build(blueprint)
    try:
        wait_until(lambda: len(segments_of(ring)) > 3)
        (ring / "segment-00001.db").unlink()  # as the recorder will do in ten minutes
        with RecordReplay(ring) as rec:
            report = rec.keep(tmp_path / "kept.db", last_s=60)
        shutil.copy(segments_of(ring)[1], tmp_path / "one.db")
    finally:
        coordinator.stop()
    with open_recording(report.path) as kept, open_recording(tmp_path / "one.db") as one:
        assert kept.stats("odom").count > 10
        assert one.stats("camera_info").count > 0
    with SqliteStore(path=str(tmp_path / "one.db")) as store:
        assert store.stream("odom").count() > 0
        assert store.stream("camera_info").first().data.width == 160


def test_a_recording_that_is_no_ring_is_refused_before_anything_starts(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    with open_bus(default_url()) as bus, RecordReplay(precious, bus=bus) as rec:
        rec.start_recording(split_s=60)
        rec.stop_recording()
    blueprint = record(autoconnect(DemoDriver.blueprint()), precious, ring="10m")
    with pytest.raises(RecordingExists, match="no ring"):
        ModuleCoordinator.build(blueprint.global_config(transport="lcm", viewer="none"))
    assert segments_of(precious)

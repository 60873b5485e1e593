"""Errors of the library advise keys here, and no options of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record.bus import open_bus
from dimos_record.cli.tui.advice import one_line
from dimos_record.cli.tui.files import existing_recording
from dimos_record.errors import DimosRecordError
from dimos_record.record.keeper import check_room
from dimos_record.replay.commands import refuse_commands
from dimos_record.replay.conflicts import refuse_conflicts
from dimos_record.store.recording_file import already_exists
from dimos_record.testing import free_lcm_url


def test_a_file_that_exists_is_replaced_by_no_option() -> None:
    error = already_exists(Path("walk.db"))
    assert one_line(error) == "walk.db exists already; choose another name"


def test_a_disk_without_room_has_no_option_either(tmp_path: Path) -> None:
    with pytest.raises(DimosRecordError) as raised:
        check_room(tmp_path / "walk.db", 1 << 60)
    assert one_line(raised.value).endswith("free some space, or record to another disk")


def test_publishers_in_the_way_are_named_shortly_and_can_be_muted() -> None:
    channels = [f"/camera_{i}#sensor_msgs.Image" for i in range(300)]
    with open_bus("memory://advice") as bus:

        def publish(_listen_s: float) -> None:
            for channel in channels:
                bus.publish(channel, b"x")

        with pytest.raises(DimosRecordError) as raised:
            refuse_conflicts(bus, channels, 1.0, publish)
        assert one_line(raised.value) == (
            "Somebody is publishing /camera_0 (1 messages/s), /camera_1 (1 messages/s), "
            f"/camera_10 (1 messages/s) and 297 more on {bus.reach}: stop that, or mute these "
            "streams with m"
        )


def test_commands_that_would_leave_the_machine_can_be_muted() -> None:
    with (
        open_bus(free_lcm_url().replace("ttl=0", "ttl=1")) as bus,
        pytest.raises(DimosRecordError) as raised,
    ):
        refuse_commands(bus, ["/cmd_vel#geometry_msgs.Twist"], "walk.db")
    sentence = one_line(raised.value)
    assert "mute them with m, or begin again with a --bus" in sentence
    assert "--exclude" not in sentence


def test_a_recording_that_is_missing_is_not_made_by_another_command(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(DimosRecordError) as raised:
        existing_recording(str(path))
    assert one_line(raised.value) == f"There is no recording {path}; check the name"


def test_an_error_of_the_system_names_the_file() -> None:
    assert one_line(OSError(28, "No space left on device", "a.db")) == (
        "a.db: No space left on device"
    )


def test_a_sentence_begins_with_a_capital_but_a_file_keeps_its_name() -> None:
    assert one_line("there is nothing\n to undo") == "There is nothing to undo"
    assert one_line("walk.db is read-only") == "walk.db is read-only"

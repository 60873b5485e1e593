"""A short round of those faults of scripts/soak that no other test tries."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from soaking import faults_disk, faults_exit, faults_traffic
from soaking.harness import Round

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.testing import Collector

pytestmark = pytest.mark.once


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    return Round(0, random.Random(0), tmp_path, 0.0)


def test_a_publisher_may_come_back_with_another_type(round_: Round) -> None:
    faults_traffic.type_changes(round_, topics=1)


def test_names_that_are_no_text_do_not_keep_others_from_being_recorded(round_: Round) -> None:
    faults_traffic.names_that_are_no_text(round_)


def test_messages_of_any_size_are_recorded(round_: Round) -> None:
    faults_traffic.sizes(round_, most=70_000)


def test_a_disk_that_stalls_loses_nothing(round_: Round) -> None:
    faults_disk.slow_disk(round_, stall_s=0.4)


def test_a_child_that_a_recording_program_forks_changes_nothing(round_: Round) -> None:
    (fork,) = [way for way in faults_exit.WAYS if "os.fork" in way.code]
    faults_exit.program_ends(round_, ways=[fork])


def test_topics_of_any_name_are_recorded_and_played_as_they_were(tmp_path: Path) -> None:
    messages = [(name, b"%d" % i) for i, name in enumerate(faults_traffic.ODD_NAMES)]
    path = tmp_path / "walk.db"
    with open_bus("memory://odd") as bus:
        rec = RecordReplay(path, bus=bus)
        with rec, rec.recording(min_free_bytes=0):
            bus.publish_all(messages)
    with (
        open_bus("memory://odd") as bus,
        Collector(bus) as played,
        RecordReplay(path, bus=bus) as rec,
    ):
        rec.play(speed=float("inf"), block=True)
        assert Counter(played.messages) == Counter(messages)

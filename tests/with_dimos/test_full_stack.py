"""A robot with four cameras, 65 MiB/s, recorded inside dimos: every message, in order, as sent."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.bus.zenoh_url import parse_zenoh_url
from dimos_record.testing import free_lcm_url, free_zenoh_url
from tests.with_dimos.check_full_stack import Kept, check
from tests.with_dimos.full_stack import TOPICS, published
from tests.with_dimos.processes import Program, running, wait_until

pytestmark = pytest.mark.dimos

DURATION_S = 3.0
TROUBLE_AT_S = 1.0


@contextmanager
def recorded(folder: Path, env: dict[str, str], transport: str, *options: str) -> Iterator[Program]:
    """Records the robot; at the end of the block until it has published everything."""
    network = {
        "DIMOS_TRANSPORT": transport,
        "LCM_DEFAULT_URL": free_lcm_url() + "&recv_buf_size=32000000",
        "ZENOH_SCOUT_ADDR": parse_zenoh_url(free_zenoh_url()).scout_addr,
    }
    command = [sys.executable, "-m", "tests.with_dimos.record_full_stack", "ours", str(folder)]
    command += [str(DURATION_S), *options]
    with running(command, {**env, **network}, folder / "log") as robot:
        robot.wait_for_output("ready")
        yield robot
        wait_until(lambda: published(folder / "notes"), timeout_s=60)
        assert robot.interrupt() == 0, robot.output


def check_everything_is_there(folder: Path) -> None:
    path = folder / "ours.db"
    complete = {name: topic.count(DURATION_S) for name, topic in TOPICS.items()}
    kept = check(path, folder / "notes")
    assert kept == {name: Kept(count, stored=count) for name, count in complete.items()}
    with RecordReplay(path) as rec:
        info = rec.info()
        assert (info.dropped, info.lost_before_reception or 0) == (0, 0)
        assert {name: rec.account[name].written for name in rec.streams} == complete


@pytest.mark.parametrize(
    ("transport", "options"), [("lcm", ()), ("zenoh", ("--publishers-wait",))], ids=["lcm", "zenoh"]
)
def test_everything_is_recorded(
    tmp_path: Path, dimos_env: dict[str, str], transport: str, options: tuple[str, ...]
) -> None:
    with recorded(tmp_path, dimos_env, transport, *options):
        pass
    check_everything_is_there(tmp_path)


def test_everything_is_recorded_while_the_writer_stalls_for_a_second(
    tmp_path: Path, dimos_env: dict[str, str]
) -> None:
    with recorded(tmp_path, dimos_env, "lcm", "--stall-at", str(TROUBLE_AT_S)) as robot:
        robot.wait_for_output("stalled")
    check_everything_is_there(tmp_path)


def test_everything_is_recorded_while_another_program_locks_the_file_for_a_second(
    tmp_path: Path, dimos_env: dict[str, str]
) -> None:
    with recorded(tmp_path, dimos_env, "lcm"):
        time.sleep(TROUBLE_AT_S)
        other = sqlite3.connect(tmp_path / "ours.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(1.0)
        other.execute("COMMIT")
        other.close()
    check_everything_is_there(tmp_path)

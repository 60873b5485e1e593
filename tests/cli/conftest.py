from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dimos_record.cli.main import main
from tests.interop.ros2_files import Recorded, cdr, write_mcap


@pytest.fixture(scope="session")
def rosbag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MCAP file: 20 texts on /chat, one on /latched, and one message that nothing can be."""
    now_ns = 1_700_000_000_000_000_000
    texts = [
        Recorded("/chat", "std_msgs/String", cdr("std_msgs/String", {"data": str(i)}), now_ns + i)
        for i in range(20)
    ]
    latched = Recorded(
        "/latched",
        "std_msgs/String",
        cdr("std_msgs/String", {"data": "stays"}),
        now_ns,
        metadata=(("offered_qos_profiles", "- durability: transient_local"),),
    )
    values = {"header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": ""}, "width": 0.1}
    gripper = Recorded("/gripper", "acme_msgs/Gripper", cdr("acme_msgs/Gripper", values), now_ns)
    path = tmp_path_factory.mktemp("rosbag") / "rosbag.mcap"
    return write_mcap(path, [latched, gripper, *texts])


class Ran(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int | str | None
    out: str
    err: str


RunHere = Callable[..., Ran]


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> RunHere:
    """Run a command in the test's own folder, and in this process: that is faster."""

    def run_command(*arguments: str | Path) -> Ran:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["dimos-record", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code, *capfd.readouterr())

    return run_command

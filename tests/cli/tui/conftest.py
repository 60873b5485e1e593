from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from dimos_record.bus import Bus, open_bus
from tests.cli.samples import write_robot
from tests.cli.tui.snapshots import Snapshots

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    # known where this folder is named: pytest tests/cli/tui --update-snapshots
    parser.addoption(
        "--update-snapshots", action="store_true", help="Write the pictures of the screens anew."
    )


@pytest.fixture
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    """Compares screens with the pictures in `snapshots/`."""
    return Snapshots(update=request.config.getoption("--update-snapshots", default=False))


@pytest.fixture
def bus() -> Iterator[Bus]:
    """A bus within this process, of a name of its own."""
    with open_bus(f"memory://tui-{next(_numbers)}") as opened:
        yield opened


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Six seconds: /odom at 10 Hz, /scan at 1 Hz, /bytes once."""
    return write_robot(tmp_path / "walk.db", 61)

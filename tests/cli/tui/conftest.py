from __future__ import annotations

import pytest

from tests.cli.tui.snapshots import Snapshots


def pytest_addoption(parser: pytest.Parser) -> None:
    # known where this folder is named: pytest tests/cli/tui --update-snapshots
    parser.addoption(
        "--update-snapshots", action="store_true", help="Write the pictures of the screens anew."
    )


@pytest.fixture
def snapshots(request: pytest.FixtureRequest) -> Snapshots:
    """Compares screens with the pictures in `snapshots/`."""
    return Snapshots(update=request.config.getoption("--update-snapshots", default=False))

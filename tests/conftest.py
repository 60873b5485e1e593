from __future__ import annotations

import importlib.util
import os
import signal

import pytest

from dimos_record.testing import free_lcm_url


def pytest_configure() -> None:
    # Whatever opens the default bus, in a child process too, must not reach a robot on the network.
    os.environ["LCM_DEFAULT_URL"] = free_lcm_url() + "&recv_buf_size=4000000"
    # A shell in the background ignores Ctrl-C, and nohup ignores hang-ups; the programs under test
    # would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("dimos") is None:
        needs_dimos = pytest.mark.skip(reason="needs dimos; run scripts/test --env dimos")
        for item in items:
            if item.get_closest_marker("dimos"):
                item.add_marker(needs_dimos)

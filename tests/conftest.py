from __future__ import annotations

import importlib.util
import os
import signal
import sys

import pytest
from hypothesis import settings

from dimos_record.testing import free_lcm_url

# The same examples in every run; `pytest --hypothesis-profile default` tries others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    # Whatever opens the default bus, in a child process too, must not reach a robot on the network.
    os.environ["LCM_DEFAULT_URL"] = free_lcm_url() + "&recv_buf_size=4000000"
    # A shell in the background ignores Ctrl-C, and nohup ignores hang-ups; the programs under test
    # would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # Open3D, which dimos loads, talks about its own memory when Python ends: after pytest's last
    # line, which has to stay the last.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if "open3d" in sys.modules and reporter is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(reporter._session.exitstatus))


ONCE = ("edit", "lfs", "replay")
"""Folders in which nothing depends on what else is installed, and which take long; see `once`."""


@pytest.hookimpl(tryfirst=True)  # before pytest looks at what `-m` says
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in ONCE:
            item.add_marker(pytest.mark.once)
    if importlib.util.find_spec("dimos") is None:
        needs_dimos = pytest.mark.skip(reason="needs dimos; run scripts/test --env dimos")
        for item in items:
            if item.get_closest_marker("dimos"):
                item.add_marker(needs_dimos)

"""What the tests with the real dimos share. Run them with `scripts/test --env dimos`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dimos_record.testing import free_lcm_url
from tests.dimos_env.sitecustomize import is_enough_for_dimos
from tests.with_dimos.processes import wait_until

HERE = Path(__file__).parent
# Without dimos they cannot even be imported.
collect_ignore_glob = [] if importlib.util.find_spec("dimos") else ["test_*.py"]
ROUNDS = 4


def pytest_configure(config: pytest.Config) -> None:
    # dimos writes its logs there as soon as it is imported.
    state = tempfile.TemporaryDirectory(prefix="dimos-state-")
    os.environ["XDG_STATE_HOME"] = state.name
    config.add_cleanup(state.cleanup)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if is_enough_for_dimos():
        return
    old = pytest.mark.skip(reason="SQLite is too old for dimos; run scripts/test --env dimos")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(old)


class Recorded(NamedTuple):
    """A recording of ours, and what was published while it was made."""

    path: Path
    published: dict[str, list[Any]]
    """dimos's messages by stream name, in order."""
    unknown: set[str]
    """Streams that dimos has no class for."""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Every type of `messages`, published over LCM and recorded; do not open it for writing."""
    from dimos_record.bus import Selection, open_bus
    from dimos_record.record.options import RecordOptions
    from dimos_record.record.session import RecordingSession
    from dimos_record.store.names import stream_name
    from dimos_record.store.target import open_target
    from tests.with_dimos.messages import CODECS, MAKERS, channel_of

    path = tmp_path_factory.mktemp("recorded") / "ours.db"
    published: dict[str, list[Any]] = {stream_name(topic, ()): [] for topic in MAKERS}
    url = free_lcm_url() + "&recv_buf_size=4000000"
    with open_bus(url) as bus, open_bus(url) as robot:
        session = RecordingSession(
            bus, open_target(path), Selection.of(), RecordOptions(codecs=CODECS)
        )
        with session:
            for i in range(ROUNDS):
                for topic, make in MAKERS.items():
                    message = make(i)
                    published[stream_name(topic, ())].append(message)
                    robot.publish(channel_of(topic, message), message.lcm_encode())
                robot.publish("/raw", b"no type at all")
                robot.publish("/custom#my_msgs.Gripper", b"\x01" * 20)
                robot.publish("/mislabelled#sensor_msgs.Imu", b"\x02" * 200)
                received = (i + 1) * (len(MAKERS) + 3)
                wait_until(lambda n=received: session.progress().total.received == n)
    return Recorded(path, published, {"raw", "custom", "mislabelled"})


@pytest.fixture
def ours(recorded: Recorded, tmp_path: Path) -> Path:
    """A copy of `recorded`, since dimos writes into what it opens."""
    return Path(shutil.copy(recorded.path, tmp_path / "ours.db"))


@pytest.fixture
def open_store() -> Iterator[Callable[..., Any]]:
    """Opens files with dimos's own store, and closes them at the end."""
    from dimos.memory.store.sqlite import SqliteStore

    stores = []

    def open_one(path: Path) -> Any:
        store = SqliteStore(path=str(path))
        store.start()
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        store.stop()


@pytest.fixture
def lcm_url() -> str:
    """An LCM network of the test's own, with a buffer for pictures."""
    return free_lcm_url() + "&recv_buf_size=4000000"


@pytest.fixture
def dimos_env(lcm_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of dimos's processes: on `lcm_url`, with logs and state in `tmp_path`."""
    xdg = {f"XDG_{kind}_HOME": str(tmp_path) for kind in ("STATE", "CONFIG", "CACHE", "DATA")}
    return {
        **os.environ,
        **xdg,
        "XDG_RUNTIME_DIR": str(tmp_path),
        "LCM_DEFAULT_URL": lcm_url,
        "DIMOS_TRANSPORT": "lcm",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

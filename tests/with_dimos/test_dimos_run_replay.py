"""`dimos --replay-db FILE run replay` puts our recording back on LCM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dimos_record.bus import open_bus
from dimos_record.testing import Collector
from tests.with_dimos.conftest import Recorded
from tests.with_dimos.processes import DIMOS, running

pytestmark = pytest.mark.dimos


def test_dimos_run_replay_publishes_every_message_as_it_was(
    recorded: Recorded,
    ours: Path,
    lcm_url: str,
    dimos_env: dict[str, str],
    open_store: Callable[..., Any],
    tmp_path: Path,
) -> None:
    # dimos names the topic of a stream after its table, and encodes the messages it has decoded.
    previews = open_store(ours).stream("camera__preview")
    expected = {
        f"/{name}#{published[0].msg_name}": [message.lcm_encode() for message in published]
        for name, published in recorded.published.items()
    }
    expected["/camera__preview#sensor_msgs.Image"] = [o.data.lcm_encode() for o in previews]
    options = ["--viewer", "none", "--n-workers", "1", "--replay-db", str(ours)]
    with (
        open_bus(lcm_url) as bus,
        Collector(bus, exclude=["/rpc/**"]) as collector,
        running([DIMOS, *options, "run", "replay"], dimos_env, tmp_path / "replay.log") as dimos,
    ):
        messages = collector.wait_for(sum(map(len, expected.values())), timeout_s=60.0)
        assert dimos.interrupt() == 0, dimos.output
    received: dict[str, list[bytes]] = defaultdict(list)
    for channel, data in messages:
        received[channel].append(data)
    assert received == expected

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


def test_dimos_run_replay_publishes_every_message_with_its_value(
    recorded: Recorded,
    ours: Path,
    lcm_url: str,
    dimos_env: dict[str, str],
    open_store: Callable[..., Any],
    tmp_path: Path,
) -> None:
    published = recorded.published | {
        "camera__preview": [o.data for o in open_store(ours).stream("camera__preview")]
    }
    options = ["--viewer", "none", "--n-workers", "1", "--replay-db", str(ours)]
    count = sum(map(len, published.values()))
    for attempts_left in (2, 1, 0):
        with (
            open_bus(lcm_url) as bus,
            Collector(bus, exclude=["/rpc/**"]) as collector,
            running([DIMOS, *options, "run", "replay"], dimos_env, tmp_path / "log") as dimos,
        ):
            try:
                messages = collector.wait_for(count, timeout_s=20.0)
            except TimeoutError:
                # dimos leaves out what it is late for when its many threads come up slowly, and
                # this recording is over within milliseconds
                if not attempts_left:
                    raise
                continue
            assert dimos.interrupt() == 0, dimos.output
            break
    received = defaultdict(list)
    for channel, data in messages:
        received[channel].append(data)
    # dimos names the topic of a stream after its table
    assert set(received) == {f"/{name}#{sent[0].msg_name}" for name, sent in published.items()}
    for name, sent in published.items():
        replayed = map(type(sent[0]).lcm_decode, received[f"/{name}#{sent[0].msg_name}"])
        assert list(map(value, replayed)) == list(map(value, sent)), name


def value(message: Any) -> bytes:
    """Every field of a message but its stamp.

    dimos 0.0.15 encodes messages in several threads over one shared `Time` (a default argument in
    dimos_lcm), so that now and then a message goes out with the stamp of another stream's.
    """
    message = type(message).lcm_decode(message.lcm_encode())
    if hasattr(message, "ts"):
        message.ts = 0.0
    encoded: bytes = message.lcm_encode()
    return encoded

"""`dimos --replay-db FILE run replay` puts our recording back on LCM."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dimos.msgs.std_msgs.String import String

from dimos_record.bus import open_bus
from dimos_record.testing import Collector
from tests.with_dimos.conftest import Recorded
from tests.with_dimos.processes import DIMOS, running

pytestmark = pytest.mark.dimos


LEAD_S = 8.0
"""Between the start of the replay and the first message that counts, seconds."""


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
    lead_in(open_store(ours), published)
    options = ["--viewer", "none", "--n-workers", "1", "--replay-db", str(ours)]
    with (
        open_bus(lcm_url) as bus,
        Collector(bus, exclude=["/rpc/**", "/lead_in"]) as collector,
        running([DIMOS, *options, "run", "replay"], dimos_env, tmp_path / "log") as dimos,
    ):
        messages = collector.wait_for(sum(map(len, published.values())), timeout_s=90.0)
        assert dimos.interrupt() == 0, dimos.output
    received = defaultdict(list)
    for channel, data in messages:
        received[channel].append(data)
    # dimos names the topic of a stream after its table
    assert set(received) == {f"/{name}#{sent[0].msg_name}" for name, sent in published.items()}
    for name, sent in published.items():
        replayed = map(type(sent[0]).lcm_decode, received[f"/{name}#{sent[0].msg_name}"])
        assert list(map(value, replayed)) == list(map(value, sent)), name


def lead_in(store: Any, streams: Iterable[str]) -> None:
    """Begin a recording with a message that does not count, and give each other a time of its own.

    dimos's clock runs from the first message of all, and what is over when it comes to a stream is
    left out: with messages from the start on, that depends on how fast its many threads come up.
    """
    start = min(store.stream(name).first().ts for name in streams)
    store.stream("lead_in", String).append(String("here it begins"), ts=start)
    with closing(sqlite3.connect(store.config.path)) as connection, connection:
        for i, name in enumerate(streams):
            connection.execute(
                f'UPDATE "{name}" SET ts = ? + id * 0.4 + ? * 0.02', (start + LEAD_S, i)
            )


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

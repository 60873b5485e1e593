"""The soak of `scripts/ring_soak` for some seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record.ring_soak import Soak, run

pytestmark = pytest.mark.once


def test_a_ring_that_is_killed_and_stopped_loses_nothing_else(tmp_path: Path) -> None:
    soak = Soak(tmp_path, ring_s=2, last_s=0.5, mb_per_s=1.0, slack_s=60)
    run(soak, 4.5)
    assert soak.faults == []
    assert len(soak.keeps) >= 3
    assert len(soak.missing_at_restarts) <= 2
    assert soak.messages > 0

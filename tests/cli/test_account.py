"""The account of a session: what `dimos-record record` prints at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.cli.account import print_account
from dimos_record.cli.text import rate
from dimos_record.store.segments import segments_of
from tests.cli.commands import until


def test_the_rates_of_a_ring_are_those_of_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ring"
    with RecordReplay(folder, bus="memory://test-account") as rec:
        rec.start_recording(split_bytes=1_000_000)

        def has_four_segments() -> bool:
            rec.bus.publish("/n", bytes(100_000))
            return len(segments_of(folder)) >= 4

        until(has_four_segments, "four segments")
        rec.stop_recording()
        for segment in segments_of(folder)[:2]:
            segment.unlink()
        print_account(rec)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "/n" in line)
    with RecordReplay(folder) as rec:
        assert rate(rec.topics.n.rate_hz) in line

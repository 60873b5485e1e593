"""The account of a session: what `dimos-record record` prints at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dimos_record import RecordReplay
from dimos_record.cli.account import loss_sentence, print_account, senders_as_json
from dimos_record.cli.text import rate
from dimos_record.store.segments import segments_of
from dimos_record.store.senders import SenderAccount
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


LOSSY = SenderAccount("127.0.0.1:45123", 9_000, 312, {"/camera/color#sensor_msgs.Image": 12})
FINE = SenderAccount("127.0.0.1:45124", 10, 0, {})


@pytest.mark.once
@pytest.mark.parametrize(
    ("dropped", "packets", "senders", "sentence"),
    [
        (0, 0, (), "Nothing was lost"),
        (0, None, (), "Nothing was dropped; what was lost on its way here is not known"),
        (0, None, (FINE,), "Nothing was lost"),
        (0, 7, (), "LOST: 7 packets were lost before reception, in the kernel's buffer"),
        (0, 7, (FINE,), "LOST: 7 packets were lost before reception, in the kernel's buffer"),
        (
            3,
            700,
            (LOSSY, FINE),
            "LOST: 3 messages were dropped, since they could not be written in time and "
            "312 messages of 127.0.0.1:45123 (on /camera/color 12) were lost before reception",
        ),
    ],
)
def test_a_loss_is_said_once_by_sender_where_that_is_known(
    dropped: int, packets: int | None, senders: tuple[SenderAccount, ...], sentence: str
) -> None:
    assert loss_sentence(dropped, packets, senders) == sentence


@pytest.mark.once
def test_losses_by_sender_are_there_as_json() -> None:
    assert senders_as_json(()) == {"messages_lost_before_reception": None, "senders": []}
    found = senders_as_json((LOSSY, FINE))
    assert found["messages_lost_before_reception"] == 312
    assert found["senders"][0]["lost_channels"] == {"/camera/color#sensor_msgs.Image": 12}
    assert [one["address"] for one in found["senders"]] == ["127.0.0.1:45123", "127.0.0.1:45124"]

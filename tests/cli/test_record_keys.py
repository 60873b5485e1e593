"""The keys of `dimos-record record`, pressed in a real terminal (tmux)."""

from __future__ import annotations

from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.testing import free_lcm_url
from tests.cli.commands import CLI, Terminal


def test_space_pauses_and_goes_on_and_q_finishes_the_file(tmp_path: Path) -> None:
    url, path = free_lcm_url(), tmp_path / "walk.db"
    with open_bus(url) as bus, Terminal(tmp_path) as terminal:
        terminal.run([*CLI, "record", path, "--bus", url])
        terminal.wait_for(r"space pauses")
        bus.publish("/number", b"before")
        terminal.wait_for(r"\b1 messages")
        terminal.press("Space")
        terminal.wait_for(r"PAUSED")
        bus.publish("/number", b"meanwhile")
        terminal.press("Space")
        terminal.wait_for(r"(?m)^0:\d\d\.\d  1 messages")
        bus.publish("/number", b"after")
        terminal.wait_for(r"\b2 messages")
        terminal.press("q")
        terminal.wait_for(r"Nothing was lost")
    with RecordReplay(path) as rec:
        assert [one.raw for one in rec.streams.number] == [b"before", b"after"]
        assert rec.info().self_contained

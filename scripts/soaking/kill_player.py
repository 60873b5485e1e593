"""`kill -9` of a player: the recording is the same afterwards, and plays again."""

from __future__ import annotations

import hashlib
import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.testing import Collector, free_lcm_url
from soaking.faults_rig import CLI, Command
from soaking.harness import Fault, Figures, Outcome, PromiseBroken, Round, total
from soaking.recorded import TOPICS, finished, killed
from soaking.traffic import numbers

_RECORDINGS = (
    lambda: finished("walk.db"),
    lambda: killed("killed.db"),
    lambda: finished("walks", split_s=1.0),
)
_WAYS = (
    (),
    ("--speed", "max"),
    ("--speed", "8", "--loop"),
    ("--start", "1", "--speed", "0.5"),
    ("--ab", "0.5,1", "--restamp"),
)


def kill_player(round_: Round) -> Outcome:
    """Kill one in one of several situations, and compare every byte and name of the recording."""
    path = _RECORDINGS[round_.number % len(_RECORDINGS)]()
    before, expected = _files(path), numbers(path, TOPICS)
    url = free_lcm_url() + "&recv_buf_size=8000000"
    way = _WAYS[round_.number // len(_RECORDINGS) % len(_WAYS)]
    with open_bus(url) as bus, Collector(bus) as received:
        command = [*CLI, "play", str(path), "--bus", url, "--force", "-q", *way]
        with Command(command, round_.folder / "log") as player:
            if round_.number % 8:
                player.wait_for("Playing ")
            time.sleep(round_.dice.uniform(0, 0.6))
            player.send(signal.SIGKILL)
            player.wait()
        messages = received.messages
    if _files(path) != before:
        raise PromiseBroken(f"{path.name} was changed by a player that was killed")
    known = {topic.message(n) for topic in TOPICS for n in expected[topic.name]}
    if not known.issuperset(data for _, data in messages):
        raise PromiseBroken("a message was published that is not in the recording")
    _check_next_player(path, expected)
    if _files(path) != before:
        raise PromiseBroken(f"{path.name} was changed by a player")
    return Outcome({"played": len(messages), "before": int(not messages)})


def _files(path: Path) -> dict[str, tuple[int, str]]:
    """Every file of a recording: time of change, and a digest."""
    found = path.rglob("*") if path.is_dir() else path.parent.glob(f"*{path.name}*")
    return {
        str(file): (file.stat().st_mtime_ns, hashlib.blake2b(file.read_bytes()).hexdigest())
        for file in found
        if file.is_file()
    }


def _check_next_player(path: Path, expected: dict[str, list[int]]) -> None:
    with open_bus("memory://next") as bus, Collector(bus) as received:
        with RecordReplay(path, bus=bus) as rec:
            rec.play(math.inf, block=True, check_conflicts=False)
        played = {channel: 0 for channel, _ in received.messages}
        for channel, _ in received.messages:
            played[channel] += 1
    if played != {f"/{name}": len(got) for name, got in expected.items()}:
        raise PromiseBroken(f"the next player has played {played}")


def _summary(rounds: Sequence[Figures]) -> str:
    return (
        f"{total(rounds, 'played'):,.0f} messages played until then; "
        f"{total(rounds, 'before'):.0f} were killed before the first"
    )


KILL_PLAYER = Fault(
    name="kill-player",
    what="`kill -9` of a player, of a finished file, of one that a killed recorder left, and of a "
    "folder of segments",
    promise="No byte and no name of the recording changes; the next player plays all of it.",
    sees="Nothing has to be done.",
    run=kill_player,
    rounds=200,
    summary=_summary,
)

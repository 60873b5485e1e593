"""The network interface goes down and comes up again, in a network namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dimos_record.testing import free_lcm_url
from soaking.faults_rig import (
    ROOT,
    Command,
    check_sound,
    demand,
    numbers,
    publishing,
    recorder,
)
from soaking.harness import Outcome, PromiseBroken, Round

_UP = ("ip link set lo up", "ip link set lo multicast on", "ip route add 224.0.0.0/4 dev lo")


def interface_down(round_: Round, *, native: bool) -> Outcome:
    """Let all of it happen in a process of its own, which alone has that network."""
    command = ["unshare", "--net", sys.executable, "-m", __name__, str(round_.folder)]
    env = {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "DIMOS_RECORD_NATIVE": str(int(native))}
    with Command(command, round_.folder / "network", env=env) as running:
        ended = running.wait()
    demand("unshare failed" not in ended.said, "not tried: this user may not unshare a network")
    demand(ended.code == 0, ended.said)
    return Outcome({"missing": float(ended.out)})


def _go_down_and_up(folder: Path) -> int:
    """Take the interface down for a second, twice.

    Returns:
        How many messages are missing that the bus took.
    """
    _ip(*_UP)
    path, down_at, up_at = folder / "walk.db", [], []
    url = free_lcm_url() + "&recv_buf_size=8000000"
    with publishing(url, large_bytes=0) as publisher, recorder(path, url) as running:
        for _ in range(2):
            publisher.wait_for_more(100)
            down_at.append(publisher.sent["/count"])
            _ip("ip link set lo down")
            publisher.wait_for_more(200)
            _ip(*_UP)
            up_at.append(publisher.sent["/count"])
        publisher.wait_for_more(100)
        demand(running.runs, f"it ended:\n{running.said}")
        ended = running.stop()
    ended.expect(0)
    check_sound(path)
    found = numbers(path)
    demand(found == sorted(set(found)), "messages twice, or out of order")
    for before, after in zip(down_at, up_at, strict=True):
        demand(any(after < number < after + 90 for number in found), "nothing after it came up")
        demand(before - 5 in found, "what came before it went down is missing")
    missing = set(range(found[0], found[-1] + 1)) - set(found) - set(publisher.unsent)
    outside = [
        n
        for n in missing
        if not any(a - 2 <= n <= b + 2 for a, b in zip(down_at, up_at, strict=True))
    ]
    demand(not outside, f"missing, though the interface was up: {outside[:10]}")
    return len(missing)


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    try:
        print(_go_down_and_up(Path(sys.argv[1])))
    except PromiseBroken as error:
        sys.exit(str(error))

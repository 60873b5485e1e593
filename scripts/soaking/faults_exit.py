"""Programs that end, in every way there is, while they record; and recorders that meet."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dimos_record.store import open_recording
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import (
    CLI,
    COUNT,
    ROOT,
    Command,
    check_no_hole,
    check_sound,
    demand,
    numbers,
    publishing,
    recorder,
    run,
)
from soaking.harness import Outcome, Round

_HEAD = """
import atexit, os, signal, sys, threading, time
from dimos_record import RecordReplay
path, url = sys.argv[1:]
rec = RecordReplay(path, bus=url)
rec.start_recording(min_free_bytes=0)
def go():
    while rec.progress.total.written < 20:
        time.sleep(0.01)
"""


class Way(NamedTuple):
    """A way of ending."""

    name: str
    code: str
    exit_code: int
    reason: str | None
    """Why the session ended, as it says; None if it was killed, and `recover` is to end it."""
    number: int | None = None
    """A signal that is sent once it says `go`."""


_END = "end of the program"
_SLEEP = "go(); print('go', file=sys.stderr, flush=True); time.sleep(60)"
_PUBLISH = """
def publish():
    while True:
        rec.bus.publish("/mine", b"x")
        time.sleep(0.001)
threading.Thread(target=publish, daemon=True).start()
go()
"""
_FORK = """
with rec:
    go()
    child = os.fork()
    if not child:
        try:
            rec.stream("mine").append(b"x")
        except Exception as error:
            sys.exit("forked" not in str(error))
        sys.exit(2)
    if os.waitpid(child, 0)[1]:
        os._exit(9)
    go()
"""
WAYS = (
    Way("main thread returns", "go()", 0, _END),
    Way("sys.exit", "go(); sys.exit(3)", 3, _END),
    Way("exception", "go(); raise ValueError('mine')", 1, _END),
    Way("exception in a with block", "with rec:\n    go(); raise ValueError('mine')", 1, "stopped"),
    Way("closed by atexit", "atexit.register(rec.close); go()", 0, _END),
    Way(
        "exit of another thread",
        "threading.Thread(target=lambda: (go(), sys.exit(3))).start()",
        0,
        _END,
    ),
    Way("daemon thread publishes on", _PUBLISH, 0, _END),
    Way("object is dropped", "go(); del rec", 0, _END),
    Way("child is forked, writes and exits", _FORK, 0, "stopped"),
    Way("Ctrl-C", _SLEEP, -signal.SIGINT, _END, signal.SIGINT),
    Way("SIGTERM", _SLEEP, -signal.SIGTERM, None, signal.SIGTERM),
    Way("SIGHUP", _SLEEP, -signal.SIGHUP, None, signal.SIGHUP),
    Way("os._exit", "go(); os._exit(4)", 4, None),
    Way(
        "os._exit of a thread",
        "threading.Thread(target=lambda: (go(), os._exit(4))).start(); time.sleep(60)",
        4,
        None,
    ),
    Way("abort", "go(); os.abort()", -signal.SIGABRT, None),
)
"""The library in a program; one that is killed leaves what any kill leaves."""


def program_ends(round_: Round, *, ways: Sequence[Way] = WAYS) -> Outcome:
    """A program of one's own ends while it records, in one of the ways there are."""
    way = ways[round_.number % len(ways)]
    url, path = free_lcm_url() + "&recv_buf_size=8000000", round_.folder / "walk.db"
    command = [sys.executable, "-c", _HEAD + way.code, str(path), url]
    env = {"PYTHONPATH": str(ROOT)}
    with publishing(url), Command(command, round_.folder / "program", env=env) as running:
        if way.number is not None:
            running.wait_for("go")
            running.send(way.number)
        ended = running.wait()
    demand(ended.code == way.exit_code, f"{way.name}: exit code {ended.code}:\n{ended.said}")
    demand("dimos" not in ended.said, f"{way.name}: it says\n{ended.said}")
    found = check_no_hole(path)
    demand(len(found) >= 15, f"{way.name}: {len(found)} messages")
    with open_recording(path) as reader:
        (session,) = reader.sessions()
    if way.reason is None:
        demand(session.state == "killed", f"{way.name}: the session is {session.state}")
        run("recover", path).expect(0)
    else:
        demand(session.reason == way.reason, f"{way.name}: ended by {session.reason}")
    check_sound(path)
    demand(numbers(path) == found, f"{way.name}: not the same after recover")
    return Outcome()


def recorder_is_asked_to_end(round_: Round) -> Outcome:
    """`dimos-record record` gets a signal: Ctrl-C, SIGTERM, or its terminal is closed."""
    number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[round_.number % 3]
    url, path = free_lcm_url() + "&recv_buf_size=8000000", round_.folder / "walk.db"
    with publishing(url) as publisher, recorder(path, url) as running:
        publisher.wait_for_more(round_.dice.randrange(10, 300))
        asked = publisher.sent[COUNT]
        running.stop(number).expect(0, "Nothing was lost")
    check_sound(path)
    found = check_no_hole(path)
    demand(found[-1] >= asked - 1, f"what came before the signal is missing: {asked}, {found[-1]}")
    return Outcome()


def two_recorders(round_: Round) -> Outcome:
    """A second recorder is started on the same file, in every way; then after the first."""
    url, path = free_lcm_url() + "&recv_buf_size=8000000", round_.folder / "walk.db"
    again = [*CLI, "record", str(path), "--bus", url, "--duration", "0.5s"]
    with publishing(url) as publisher:
        with recorder(path, url, log=round_.folder / "first") as running:
            publisher.wait_for_more(20)
            for option, code in ((None, 3), ("--append", 5), ("--overwrite", 5)):
                command = [*again, *([option] if option else [])]
                with Command(command, round_.folder / "second") as second:
                    ended = second.wait()
                said = "exists already" if option is None else "is being recorded into by process"
                ended.expect(code, said)
            first = running.stop()
        first.expect(0, "Nothing was lost")
        before = check_no_hole(path)
        _race([*again, "--append"], round_.folder)
    check_sound(path)
    with open_recording(path) as reader:
        sessions = reader.sessions()
    demand([one.state for one in sessions] == ["finished"] * 2, f"sessions: {sessions}")
    demand(numbers(path)[: len(before)] == before, "the second has changed what the first wrote")
    return Outcome()


def _race(command: Sequence[str], folder: Path) -> None:
    """Start two at once: one records, and the other is refused."""
    with Command(command, folder / "one") as one, Command(command, folder / "other") as other:
        codes = sorted((one.wait().code, other.wait().code))
        demand(codes == [0, 5], f"exit codes {codes}:\n{one.said}\n{other.said}")

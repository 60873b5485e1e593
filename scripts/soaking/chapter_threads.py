"""Cycles of everything in one process, and one recording that many threads use at once."""

from __future__ import annotations

import gc
import logging
import math
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.bus import open_bus
from dimos_record.errors import DimosRecordError
from dimos_record.testing import free_lcm_url
from soaking.faults_rig import ROOT, check_sound, demand, until
from soaking.harness import Chapter, Fault, Figures, Outcome, Round, largest, total

_S = 1_000_000_000
_WARM_UP = 20
_PYTHON_KB, _PROCESS_KB = (200.0, 0.2), (10_000.0, 10.0)
"""How much more memory may be used at the end: at once, and per cycle."""
_URLS = {
    "lcm": lambda: free_lcm_url() + "&recv_buf_size=4000000",
    "memory": lambda: "memory://soak",
}


# --- cycles


def cycles(round_: Round, *, count: int = 500) -> Outcome:
    """Open, record, stop, play, seek, query, edit, save and close, in a process of its own."""
    figures: dict[str, float] = {}
    for kind in _URLS:
        folder = round_.folder / kind
        folder.mkdir()
        command = [sys.executable, "-m", __name__, kind, str(count), str(folder)]
        env = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        demand(done.returncode == 0, f"{kind}:\n{done.stderr}")
        python_kb, process_kb = map(float, done.stdout.split())
        figures |= {f"{kind}_python_kb": python_kb, f"{kind}_process_kb": process_kb}
    return Outcome({"cycles": count * len(_URLS), **figures})


def run_cycles(kind: str, count: int, folder: Path) -> tuple[float, float]:
    """Go through the cycles, and compare what is open before and afterwards.

    Returns:
        By how much the memory of Python's objects, and of the process, grew, in kB.

    Raises:
        PromiseBroken: something is left.
    """
    for number in range(_WARM_UP):
        _cycle(_URLS[kind](), folder / f"{number}.db")
    tracemalloc.start()
    before, began, objects = _what_is_open(), _memory(), tracemalloc.take_snapshot()
    for _ in range(count):
        _cycle(_URLS[kind](), folder / "again.db")
    until(lambda: _what_is_open() == before, f"{_what_is_open()} is what it was: {before}")
    python_kb, process_kb = ((b - a) / 1000 for a, b in zip(began, _memory(), strict=True))
    for grown_kb, (at_once, per_cycle) in ((python_kb, _PYTHON_KB), (process_kb, _PROCESS_KB)):
        most_kb = at_once + per_cycle * count
        demand(
            grown_kb < most_kb,
            f"{grown_kb:.0f} kB more in use, of at most {most_kb:.0f}; {_grown_since(objects)}",
        )
    left = [path.name for path in folder.iterdir() if path.suffix != ".db"]
    demand(not left, f"files are left: {left}")
    return python_kb, process_kb


def _cycle(url: str, path: Path) -> None:
    with RecordReplay(path, bus=url) as rec:
        with rec.recording(overwrite=path.exists(), min_free_bytes=0):
            for number in range(20):
                rec.bus.publish("/a", b"%d" % number)
            until(lambda: rec.progress and rec.progress.total.received >= 20, "received")
        player = rec.play(math.inf, listen_s=0)
        player.wait(60)
        rec.seek(rec.duration / 2)
        rec.play_previous(3)
        demand(rec.streams.a.count() == 20, "not every message is there")
        next(iter(rec.select("/a").every(2)))
        rec.rename_topic("/a", "/b")
        rec.save()
        rec.play(0.001, listen_s=0)


def _what_is_open() -> tuple[list[str], dict[str, int]]:
    """The names of the threads, and how many files and sockets of each kind there are."""
    gc.collect()
    kinds: dict[str, int] = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:  # that by which the folder was listed
            continue
        kind = target.partition(":")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    return sorted(thread.name for thread in threading.enumerate()), kinds


def _memory() -> tuple[int, int]:
    """Bytes of Python's objects, and of the process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return tracemalloc.get_traced_memory()[0], pages * os.sysconf("SC_PAGE_SIZE")


def _grown_since(before: tracemalloc.Snapshot) -> str:
    """Where the objects were made that there are more of."""
    lines = tracemalloc.take_snapshot().compare_to(before, "lineno")[:8]
    return "; ".join(f"{line.traceback}: {line.size_diff / 1000:.0f} kB" for line in lines)


# --- many threads


Deed = Callable[[RecordReplay, random.Random, Path], object]


def _append(rec: RecordReplay, dice: random.Random, folder: Path) -> None:
    rec.stream(dice.choice("abcd")).append(b"x")


def _publish(rec: RecordReplay, dice: random.Random, folder: Path) -> None:
    for _ in range(20):
        rec.bus.publish("/published", b"y")


def _cut(rec: RecordReplay, dice: random.Random, folder: Path) -> None:
    start_s = dice.uniform(0, 9)
    rec.delete_section((start_s, start_s + 0.1))


def _save_as(rec: RecordReplay, dice: random.Random, folder: Path) -> None:
    rec.save_as(folder / f"copy-{dice.randrange(10**9)}.db")


_DEEDS: Sequence[Deed] = (
    *(_append, _append, _publish, _publish, _cut, _save_as),
    lambda rec, dice, folder: rec.start_recording(append=True, min_free_bytes=0),
    lambda rec, dice, folder: rec.stop_recording(),
    lambda rec, dice, folder: rec.pause_recording(),
    lambda rec, dice, folder: rec.resume_recording(),
    lambda rec, dice, folder: rec.add_topic("/published"),
    lambda rec, dice, folder: rec.remove_topic("/published"),
    lambda rec, dice, folder: rec.play(dice.choice([1, 10, math.inf]), listen_s=0),
    lambda rec, dice, folder: rec.seek(dice.uniform(0, 9)),
    lambda rec, dice, folder: rec.pause(),
    lambda rec, dice, folder: rec.resume(),
    lambda rec, dice, folder: rec.play_next(2),
    lambda rec, dice, folder: rec.play_previous(2),
    lambda rec, dice, folder: rec.loop(1, 2),
    lambda rec, dice, folder: rec.stop_playback(),
    lambda rec, dice, folder: rec.streams.a.count(),
    lambda rec, dice, folder: list(rec.streams.b.limit(20)),
    lambda rec, dice, folder: (list(rec.topics), rec.duration, rec.progress, rec.account),
    lambda rec, dice, folder: rec.info(),
    lambda rec, dice, folder: sum(1 for _ in rec.select("/a").every(3)),
    lambda rec, dice, folder: rec.undo(),
    lambda rec, dice, folder: rec.redo(),
    lambda rec, dice, folder: rec.trim((0.5, 9.5)),
    lambda rec, dice, folder: rec.add_marker(dice.uniform(0, 9), "here"),
    lambda rec, dice, folder: rec.save(),
    lambda rec, dice, folder: rec.close(),
)


def many_threads(round_: Round, *, kind: str, seconds: float = 10.0) -> Outcome:
    """Eight threads do anything with one `RecordReplay`; what is refused says so."""
    path, before = round_.folder / "walk.db", set(threading.enumerate())
    logging.getLogger("dimos_record").addHandler(logging.NullHandler())
    done, refused, broken = [0], [0], list[str]()
    with open_bus(_URLS[kind]()) as bus, RecordReplay(path, bus=bus) as rec:
        for name in "abc":
            stream = rec.stream(name)
            for i in range(200):
                stream.append(b"%d" % i, ts_ns=1_700_000_000 * _S + i * _S // 20)
        end_s = time.monotonic() + seconds

        def work(number: int) -> None:
            dice = random.Random(f"{round_.dice.random()}/{number}")
            while time.monotonic() < end_s:
                try:
                    dice.choice(_DEEDS)(rec, dice, round_.folder)
                    done[0] += 1
                except DimosRecordError:
                    refused[0] += 1
                except Exception as error:  # noqa: BLE001 - what it is about: nothing else comes
                    broken.append(repr(error))

        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 60)
        demand(not any(thread.is_alive() for thread in threads), "threads wait for each other")
    until(lambda: set(threading.enumerate()) <= before, f"{threading.enumerate()} have ended")
    with RecordReplay(path, bus="memory://after") as rec:
        if any(not entry.undone for entry in rec.history):
            rec.revert()
        rec.stream("a").append(b"last")
    check_sound(path)
    return Outcome({"done": done[0], "refused": refused[0]}, sorted(set(broken)))


def _cycles_summary(rounds: Sequence[Figures]) -> str:
    python_kb = max(largest(rounds, f"{kind}_python_kb") for kind in _URLS)
    process_mb = max(largest(rounds, f"{kind}_process_kb") for kind in _URLS) / 1000
    return (
        f"{total(rounds, 'cycles'):,.0f} cycles; the process grew by {process_mb:.1f} MB, objects "
        f"of Python by {python_kb:.0f} kB"
    )


CHAPTER = Chapter(
    "threads",
    "Threads and handles",
    (
        Fault(
            "cycles",
            "500 cycles of open, record, stop, play, seek, query, edit, save and close in one "
            "process, over LCM and in memory",
            "No thread, file or socket is left; memory does not grow.",
            "Nothing.",
            cycles,
            timeout_s=3600.0,
            summary=_cycles_summary,
        ),
        *(
            Fault(
                f"threads-{kind}",
                f"eight threads record, append, query, play, seek, edit, save and close one "
                f"`RecordReplay` ({kind}) at once",
                "Nothing that was written; nobody waits for ever.",
                "What cannot be done at that moment is refused with an error of ours.",
                partial(many_threads, kind=kind),
                rounds=10,
                summary=lambda rounds: (
                    f"{total(rounds, 'done'):,.0f} calls done, "
                    f"{total(rounds, 'refused'):,.0f} refused"
                ),
            )
            for kind in _URLS
        ),
    ),
    "Cycles run in a process of their own, whose threads, descriptors and memory are compared "
    "after a warm-up and at the end.",
)

if __name__ == "__main__":
    print(*run_cycles(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))

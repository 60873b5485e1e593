"""Kills a process again and again while it saves a recording, and looks at what is left.

Run it with scripts/kill_save.
"""

from __future__ import annotations

import argparse
import enum
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from dimos_record.bus import split_channel
from dimos_record.store import open_recording
from dimos_record.store.target import open_target
from dimos_record.store.unfinished import clean_up
from tests.edit.recordings import S, check_integrity, cut, names_in, query
from tests.store.samples import MS, ROOT, START_NS, begin

IMAGE_BYTES = 100_000
SMALL_PER_IMAGE = 20


class Kept(enum.Enum):
    """What a kill has left."""

    BEFORE = "as before"
    AFTER = "as after"


def edited_recording(path: Path, mb: int, segments: int = 0) -> Path:
    """A recording of pictures and small messages, of which a tenth is cut.

    Returns:
        Its path, which ends in `.db` if it is a file.
    """
    path = path if segments else path.with_suffix(".db")
    images = max(20, mb * 1_000_000 // IMAGE_BYTES)
    per_segment = -(-images // max(1, segments))
    target = open_target(path, split=bool(segments))
    writer = begin(target.writer, session="killed")
    for number in range(images):
        if number and number % per_segment == 0 and segments:
            following = target.next_writer(writer)
            at_ns = START_NS + number * 100 * MS
            following.begin_session(at_ns, {"pid": 0, "session": "killed"}, split=split_channel)
            writer.end_session(at_ns, "split", 0, 0)
            writer.close()
            writer = following
        writer.write(_messages(number))
    writer.end_session(START_NS + images * S // 10, "stopped", 0, 0)
    writer.close()
    cut(path, images / 30, images / 20)
    return path


def _messages(number: int) -> list[tuple[int, str, bytes]]:
    start_ns = START_NS + number * 100 * MS
    first = number * SMALL_PER_IMAGE
    small = [
        (start_ns + i * 5 * MS, "/odom", b"%08d" % (first + i) * 10) for i in range(SMALL_PER_IMAGE)
    ]
    return [(start_ns, "/camera", b"%08d" % number + bytes(IMAGE_BYTES)), *small]


def after_a_kill(path: Path) -> Kept:
    """Look at a recording whose save was killed.

    Raises:
        AssertionError: it is neither as before nor as after.
    """
    check_integrity(path)
    with open_recording(path) as reader:
        edited = reader.edited
        files = getattr(reader.base, "files", [path])
    kept = {name: _numbers(files, name) for name in ("camera", "odom")}
    images = kept["camera"][-1] + 1
    low, high = START_NS + round(images / 30 * S), START_NS + round(images / 20 * S)
    times = {"camera": 100 * MS, "odom": 5 * MS}
    for name, found in kept.items():
        everything = range(images * (SMALL_PER_IMAGE if name == "odom" else 1))
        left = [n for n in everything if not low <= START_NS + n * times[name] < high]
        assert found == (list(everything) if edited else left), f"{name} of {path} is not whole"
    return Kept.BEFORE if edited else Kept.AFTER


def _numbers(files: list[Path | str], name: str) -> list[int]:
    sql = f"SELECT CAST(substr(data, 1, 8) AS TEXT) FROM {name}_blob ORDER BY id"
    return [int(text) for file in files for (text,) in query(Path(file), sql)]


def saving(path: Path) -> subprocess.Popen[str]:
    """A process that has just begun to save."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("save_until_killed.py"), path],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    return process


def kill_while_saving(path: Path, after_s: float) -> Kept:
    """Kill a save after some time, and check what it leaves; at the end, nothing is left over."""
    with saving(path) as process:
        time.sleep(after_s)
        process.kill()
    kept = after_a_kill(path)
    allowed = {path.name, f".{path.name}.saving-{process.pid}"}
    assert names_in(path.parent) <= allowed, names_in(path.parent) - allowed
    clean_up(path)
    assert names_in(path.parent) == {path.name}
    return kept


def _copy(recording: Path, path: Path) -> None:
    if recording.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(recording, path)
    else:
        shutil.copy(recording, path)


def _time_to_save(recording: Path, path: Path) -> float:
    _copy(recording, path)
    with saving(path) as process:
        began = time.monotonic()
        process.communicate()
        return time.monotonic() - began


def main() -> None:
    """Kill as often as the command line says, and print what was left."""
    parser = argparse.ArgumentParser(prog="scripts/kill_save", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how often to kill")
    parser.add_argument("--mb", type=int, default=200, help="size of the recording")
    parser.add_argument("--segments", type=int, default=0, help="a folder of so many files")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    moments, counts = random.Random(options.seed), Counter[Kept]()
    with tempfile.TemporaryDirectory(prefix="kill-save-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        recording = edited_recording(folder / "walk", options.mb, options.segments)
        path = folder / "work" / recording.name
        swap_s = min(_time_to_save(recording, path) for _ in range(3))
        print(f"a save takes {swap_s:.2f} s; killing {options.rounds} times", flush=True)
        for number in range(options.rounds):
            _copy(recording, path)
            if number % 2:
                kept = kill_while_saving(path, moments.uniform(0, 1.1) * swap_s)
            else:
                # around the moment when the files change places, which moves with the load
                kept = kill_while_saving(path, moments.uniform(0.95, 1.05) * swap_s)
                swap_s *= 0.97 if kept is Kept.AFTER else 1.03
            counts[kept] += 1
            if (number + 1) % 20 == 0:
                print(f"{number + 1}: {_shown(counts)}", flush=True)
    print(f"{options.rounds} kills: {_shown(counts)}; integrity ok, nothing left over")


def _shown(counts: Counter[Kept]) -> str:
    return ", ".join(f"{counts[kept]} {kept.value}" for kept in Kept)


if __name__ == "__main__":
    main()

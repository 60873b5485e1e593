"""Disks that get full, disks that stall, and files that another program locks."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dimos_record.testing import free_lcm_url
from soaking.faults_rig import (
    COUNT,
    LARGE,
    Ended,
    check_no_hole,
    check_sound,
    demand,
    numbers,
    publishing,
    recorder,
    run,
)
from soaking.faults_shim import Shim
from soaking.harness import Outcome, Round

ROOMY = "&recv_buf_size=8000000"
CANNOT_WRITE = 5
ABOUT_A_SECOND = 250
"""Messages in 1.25 s, by which power cuts are judged, too."""


@contextmanager
def small_disk(folder: Path, mb: int, *, ballast_mb: int = 0) -> Iterator[Path]:
    """A file system of its own, on which something else lies as well.

    Raises:
        PromiseBroken: this user may not mount one.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    demand(mounted, "not tried: this user may not mount a file system")
    try:
        if ballast_mb:
            (folder / "ballast").write_bytes(bytes(ballast_mb * 1_000_000))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disk_full(round_: Round, *, mb: int = 40, large_bytes: int = 100_000) -> Outcome:
    """Record until a disk is full, free some room, and record on."""
    url = free_lcm_url() + ROOMY
    with small_disk(round_.folder / "disk", mb, ballast_mb=mb // 3) as disk:
        path = disk / "walk.db"
        with publishing(url, large_bytes=large_bytes) as publisher:
            with recorder(path, url, log=round_.folder / "log") as running:
                ended = running.wait()
            ended.expect(CANNOT_WRITE, "free some space")
            demand(not list(disk.glob("walk.db-*")), f"more than one file: {list(disk.iterdir())}")
            first = check_no_hole(path)
            check_account(ended, path)
            check_sound(path)
            (disk / "ballast").unlink()
            again = ("--append", "--duration", "1s")
            with recorder(path, url, *again, log=round_.folder / "log") as running:
                running.wait().expect(0)
        check_sound(path)
        later = [number for number in numbers(path) if number > first[-1]]
        demand(len(later) > 100, f"after room was freed only {len(later)} messages were recorded")
        demand(later == list(range(later[0], later[0] + len(later))), "holes after it was freed")
        demand(numbers(path)[: len(first)] == first, "what had been recorded before has changed")
        demand(publisher.sent[COUNT] >= later[-1], "more than was sent")
    return Outcome({"recorded": len(first)})


def disk_filled_by_others(round_: Round, *, mb: int = 60) -> Outcome:
    """Another program takes all that is left at once, and gives it back a second later."""
    url = free_lcm_url() + ROOMY
    with small_disk(round_.folder / "disk", mb) as disk:
        path, ballast = disk / "walk.db", disk / "ballast"
        with (
            publishing(url) as publisher,
            recorder(path, url, log=round_.folder / "log") as running,
        ):
            publisher.wait_for_more(round_.dice.randrange(100, 300))
            _fill(ballast)
            time.sleep(1)
            ballast.unlink()
            ended = running.wait()
            ended.expect(CANNOT_WRITE, "free some space")
        found = check_no_hole(path)
        check_account(ended, path)
        run("recover", path).expect(0)
        check_sound(path)
        demand(numbers(path) == found, "recover has changed what is in it")
    return Outcome({"recorded": len(found)})


def _fill(path: Path) -> None:
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:  # full
        pass


def slow_disk(round_: Round, *, stall_s: float) -> Outcome:
    """The disk stops for some time while everything goes on arriving."""
    shim, url, path = Shim(round_.folder), free_lcm_url() + ROOMY, round_.folder / "walk.db"
    with publishing(url) as publisher, recorder(path, url, env=shim.env) as running:
        publisher.wait_for_more(round_.dice.randrange(50, 250))
        shim.stall(stall_s)
        publisher.wait_for_more(100)
        ended = running.stop()
    ended.expect(0, "Nothing was lost")
    check_sound(path)
    check_account(ended, path)
    return Outcome({"recorded": len(check_no_hole(path)) + len(check_no_hole(path, LARGE))})


def slow_disk_small_buffer(round_: Round, *, stall_s: float) -> Outcome:
    """The disk stops for longer than the buffer can hold: what is dropped is counted exactly."""
    shim, url, path = Shim(round_.folder), free_lcm_url() + ROOMY, round_.folder / "walk.db"
    options = ("--buffer", "1MB")
    with publishing(url) as publisher, recorder(path, url, *options, env=shim.env) as running:
        publisher.wait_for_more(round_.dice.randrange(50, 250))
        shim.stall(stall_s)
        publisher.wait_for_more(100)
        ended = running.stop()
    ended.expect(0, "LOST: ", "were dropped", "the buffer is full")
    check_sound(path)
    dropped = check_account(ended, path)
    missing = sum(
        (found[-1] - found[0] + 1) - len(found) for found in (numbers(path), numbers(path, LARGE))
    )
    demand(dropped == missing, f"{dropped} are counted as dropped, and {missing} are missing")
    return Outcome({"dropped": dropped})


def locked(round_: Round, *, lock_s: float, mode: str = "EXCLUSIVE") -> Outcome:
    """Another program locks the file."""
    url, path = free_lcm_url() + ROOMY, round_.folder / "walk.db"
    with publishing(url) as publisher, recorder(path, url) as running:
        publisher.wait_for_more(round_.dice.randrange(50, 250))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
            db.execute(f"BEGIN {mode}")
            time.sleep(lock_s)
            db.execute("COMMIT")
        publisher.wait_for_more(100)
        ended = running.stop()
    ended.expect(0, "Nothing was lost")
    check_sound(path)
    check_account(ended, path)
    return Outcome({"recorded": len(check_no_hole(path)) + len(check_no_hole(path, LARGE))})


def read_only(round_: Round) -> Outcome:
    """The file and its folder are made read-only while they are recorded into."""
    url, folder = free_lcm_url() + ROOMY, round_.folder / "in"
    folder.mkdir()
    path = folder / "walk.db"
    with publishing(url) as publisher, recorder(path, url, log=round_.folder / "log") as running:
        publisher.wait_for_more(200)
        path.chmod(0o444)
        folder.chmod(0o555)
        publisher.wait_for_more(400)
        ended = running.stop()
    ended.expect(0, "Nothing was lost")
    check_sound(path)
    return Outcome({"recorded": len(check_no_hole(path))})


@contextmanager
def image(folder: Path, mb: int) -> Iterator[Path]:
    """A file system in a file, mounted.

    Raises:
        PromiseBroken: this user may not mount one.
    """
    folder.mkdir()
    file = folder.with_suffix(".img")
    file.write_bytes(bytes(mb * 1_000_000))
    commands = (["mkfs.ext4", "-q", str(file)], ["mount", "-o", "loop", str(file), str(folder)])
    for command in commands:
        done = subprocess.run(command, capture_output=True, check=False)
        demand(done.returncode == 0, f"not tried: {command[0]} is not possible here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remounted_read_only(round_: Round) -> Outcome:
    """The file system becomes read-only, as Linux does after an error of a disk."""
    url = free_lcm_url() + ROOMY
    with image(round_.folder / "disk", 64) as disk:
        path = disk / "walk.db"
        with (
            publishing(url) as publisher,
            recorder(path, url, log=round_.folder / "log") as running,
        ):
            publisher.wait_for_more(round_.dice.randrange(200, 400))
            number = publisher.sent[COUNT]
            subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=True)
            ended = running.wait()
        ended.expect(CANNOT_WRITE, "check the disk")
        subprocess.run(["umount", str(disk)], check=True)
        subprocess.run(
            ["mount", "-o", "loop", str(disk.with_suffix(".img")), str(disk)], check=True
        )
        found = check_no_hole(path)
        missing = number - found[-1]
        demand(missing <= ABOUT_A_SECOND, f"{missing} messages before it are missing")
        run("recover", path).expect(0)
        check_sound(path)
        demand(numbers(path) == found, "recover has changed what is in it")
    return Outcome({"missing": missing})


def check_account(ended: Ended, path: Path) -> int:
    """Compare what the file says of a session with what is in it.

    Returns:
        How many messages it says were dropped.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        query = "SELECT sum(received), sum(written), sum(dropped) FROM _dr_account"
        received, written, dropped = db.execute(query).fetchone()
    demand(received == written + dropped, f"{received} are not {written} + {dropped}: {ended.out}")
    there = len(numbers(path)) + len(numbers(path, LARGE))
    demand(written == there, f"{written} were written, it says, and {there} are there")
    return int(dropped)

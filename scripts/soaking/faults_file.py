"""The file of a recording is taken away while it is recorded into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dimos_record.testing import free_lcm_url
from soaking.faults_rig import (
    COUNT,
    check_no_hole,
    check_sound,
    demand,
    numbers,
    publishing,
    recorder,
    run,
)
from soaking.harness import Outcome, Round

GONE = (5, "was removed, renamed or replaced while it was recorded into")

Take = Callable[[Path], "Path | None"]
"""Takes a recording away; tells where it is now, None if nowhere."""


def deleted(path: Path) -> None:
    """Delete the file alone; its log stays for a moment."""
    path.unlink()


def folder_deleted(path: Path) -> None:
    """Delete the folder with all that is in it."""
    shutil.rmtree(path.parent)


def renamed(path: Path) -> Path:
    """Rename the file alone, as people do who do not know of its log."""
    return path.rename(path.with_name("elsewhere.db"))


def renamed_with_log(path: Path) -> Path:
    """Rename the file and what lies beside it."""
    for file in sorted(path.parent.glob("walk.db*")):
        file.rename(str(file).replace("walk.db", "elsewhere.db"))
    return path.with_name("elsewhere.db")


def folder_renamed(path: Path) -> Path:
    """Rename the folder."""
    return path.parent.rename(path.parent.with_name("out")) / path.name


def replaced(path: Path) -> None:
    """Put another file in its place."""
    other = path.with_name("other")
    other.write_text("precious")
    os.replace(other, path)


def taken_away(round_: Round, *, take: Take) -> Outcome:
    """Take the file away, and look at what is left of it."""
    folder, url = round_.folder / "in", free_lcm_url() + "&recv_buf_size=8000000"
    folder.mkdir()
    path = folder / "walk.db"
    with publishing(url) as publisher, recorder(path, url, log=round_.folder / "log") as running:
        publisher.wait_for_more(round_.dice.randrange(30, 400))
        number, now = publisher.sent[COUNT], take(path)
        ended = running.wait()
    ended.expect(*GONE)
    demand("recover" not in ended.said, f"advice on a file that is not there:\n{ended.said}")
    if now is not None:
        found = check_no_hole(now)
        demand(found[-1] >= number - 1, f"{number - found[-1]} messages before it are missing")
        run("recover", now).expect(0)
        check_sound(now)
        demand(numbers(now) == found, "recover has changed what is in it")
    if take is replaced:
        demand(path.read_text() == "precious", "what was put in its place was changed")
        path.unlink()
    return _record_again(path, url, round_)


def _record_again(path: Path, url: str, round_: Round) -> Outcome:
    """Nothing stands in the way of a new recording of that name."""
    path.parent.mkdir(exist_ok=True)
    options, log = ("--duration", "0.3s"), round_.folder / "log"
    with publishing(url), recorder(path, url, *options, log=log) as running:
        running.wait().expect(0)
    check_sound(path)
    check_no_hole(path)
    return Outcome()

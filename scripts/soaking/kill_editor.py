"""`kill -9` of the commands that edit: a recording is as before or as after."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dimos_record.store.recovery import recover
from soaking.faults_rig import CLI, Command, run
from soaking.harness import Fault, Figures, Outcome, PromiseBroken, Round, total
from soaking.recorded import finished, state

_LEFT_OVER = re.compile(r"\.(.+)\.(saving|replaced)-\d+(-wal|-shm|-journal)?")
"""What a killed command may leave, hidden, beside the recording that it wrote."""
_BESIDE = ("-wal", "-shm", "-journal")

States = dict[str, Any]
"""What each recording of a folder shows, by its name."""


class Edit(NamedTuple):
    """A command, and what was done before it."""

    name: str
    arguments: str
    before: Sequence[str] = ()
    folder: bool = False
    """Whether the recording is a folder of segments."""


_CUT = ("cut {walk} 1 1.8", "mark {walk} 2.2 fall")
EDITS = (
    Edit("trim", "trim {walk} 0.5 2.5"),
    Edit("cut", "cut {walk} -t /scan", _CUT),
    Edit("undo", "undo {walk} 1", _CUT),
    Edit("rename", "rename {walk} /odom /robot1/odom", _CUT),
    Edit("save", "save {walk}", _CUT),
    Edit("save a trim", "save {walk}", ("trim {walk} 0.5 2.5", "codec {walk} /camera lz4+lcm")),
    Edit("save a folder", "save {walk}", _CUT, folder=True),
    Edit("mark a folder", "mark {walk} 0.5 stumble", _CUT, folder=True),
    Edit("extract", "extract {walk} 0.5 2.5 {out}", _CUT),
    Edit("split", "split {walk} 1 2", _CUT),
    Edit("merge", "merge {out} {walk} {other}"),
)


class _Tried(NamedTuple):
    """What a command does when it is not killed."""

    before: States
    after: States
    seconds: float
    folder: Path
    """As it is before."""


_FOLDER = tempfile.TemporaryDirectory(prefix="soak-edit-")
_turning_s: dict[str, float] = {}
"""When a command makes its change, about: a kill then is as often before as after."""


@cache
def _tried(edit: Edit) -> _Tried:
    folder = Path(_FOLDER.name) / edit.name.replace(" ", "-")
    source = finished("walks", split_s=1.0) if edit.folder else finished("walk.db")
    _copy(source, folder / "before" / source.name)
    _copy(finished("walk.db"), folder / "before" / "other.db")
    for command in edit.before:
        run(*_arguments(command, folder / "before")).expect(0)
    _copy(folder / "before", folder / "after")
    began_s = time.monotonic()
    run(*_arguments(edit.arguments, folder / "after")).expect(0)
    seconds = time.monotonic() - began_s
    after = _states(folder / "after")
    shutil.rmtree(folder / "after")
    return _Tried(_states(folder / "before"), after, seconds, folder / "before")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def _arguments(command: str, folder: Path) -> list[str]:
    walk = folder / ("walks" if (folder / "walks").exists() else "walk.db")
    names = {"walk": walk, "other": folder / "other.db", "out": folder / "out.db"}
    return [part.format(**names) for part in command.split()]


def _states(folder: Path) -> States:
    """What each recording of a folder shows; what is hidden does not count."""
    return {
        path.name: state(path)
        for path in folder.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(_BESIDE)
    }


def kill_editor(round_: Round) -> Outcome:
    """Kill one of the commands, and compare all recordings that there are then."""
    edit = EDITS[round_.number % len(EDITS)]
    tried, folder = _tried(edit), round_.folder / "work"
    _copy(tried.folder, folder)
    turning_s = _turning_s.setdefault(edit.name, tried.seconds * 0.9)
    if round_.number // len(EDITS) % 2:
        after_s = round_.dice.uniform(0.5, 1.1) * tried.seconds
    else:
        after_s = round_.dice.uniform(0.95, 1.05) * turning_s
    with Command([*CLI, *_arguments(edit.arguments, folder)], round_.folder / "log") as editor:
        time.sleep(after_s)
        editor.send(signal.SIGKILL)
        editor.wait()
    done = _check(edit, tried, folder)
    _turning_s[edit.name] = turning_s * (0.97 if done else 1.03)
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    _check_next_command(edit, tried, folder)
    return Outcome({"after": int(done), "before": int(not done), "left": int(bool(left))})


def _check(edit: Edit, tried: _Tried, folder: Path) -> bool:
    """Whether a command that was killed had done its work; else it has done nothing."""
    for path in folder.iterdir():
        if path.name.startswith(".") and not _LEFT_OVER.fullmatch(path.name):
            raise PromiseBroken(f"{edit.name} has left {path.name}")
    found = _states(folder)
    for name in tried.before.keys() | tried.after.keys() | found.keys():
        if found.get(name) not in (tried.before.get(name), tried.after.get(name)):
            raise PromiseBroken(f"{edit.name}: {name} is neither as before nor as after")
    if edit.name != "split" and found not in (tried.before, tried.after):
        raise PromiseBroken(f"{edit.name}: {sorted(found)} are partly as before, partly as after")
    return found == tried.after


def _check_next_command(edit: Edit, tried: _Tried, folder: Path) -> None:
    """The same command does the rest; after that nothing is left over."""
    if _states(folder) == tried.before:
        run(*_arguments(edit.arguments, folder)).expect(0)
        if _states(folder) != tried.after:
            raise PromiseBroken(f"{edit.name}, done again, is not as it should be")
    for path in list(folder.iterdir()):
        if not path.name.startswith(".") and not path.name.endswith(_BESIDE):
            recover(path)
    names = {path.name for path in folder.iterdir()}
    if names - tried.before.keys() - tried.after.keys():
        raise PromiseBroken(f"{edit.name}: in the end there are {sorted(names)}")


def _summary(rounds: Sequence[Figures]) -> str:
    return (
        f"{total(rounds, 'before'):.0f} as before, {total(rounds, 'after'):.0f} as after; "
        f"{total(rounds, 'left'):.0f} left a hidden file, which the next command deleted"
    )


KILL_EDITOR = Fault(
    name="kill-editor",
    what="`kill -9` of trim, cut, undo, rename, mark, save (in place, of a file and of a folder), "
    "extract, split, merge",
    promise="The recording is as before or as after, never between; `split` may leave a part of "
    "its files, each of them whole. The same command can be given again.",
    sees="At most a hidden file `.walk.db.saving-1234` beside it, which the next command or "
    "`recover` deletes.",
    run=kill_editor,
    rounds=400,
    summary=_summary,
)

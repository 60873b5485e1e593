"""Recordings that are being written beside their place, and what a killed process left of them.

`.walk.db.saving-1234` is what process 1234 writes and will call `walk.db` when it is complete.
`.walk.replaced-1234` is a folder that is being replaced where that takes two steps.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dimos_record.store.in_use import users_of

_SAVING, _REPLACED = "saving", "replaced"


def unfinished_path(target: Path) -> Path:
    """What a recording is called while this process writes it."""
    return _beside(target, _SAVING)


def replaced_path(target: Path) -> Path:
    """What a folder is called while this process replaces it."""
    return _beside(target, _REPLACED)


def _beside(target: Path, role: str) -> Path:
    return target.with_name(f".{target.name}.{role}-{os.getpid()}")


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clean_up(target: Path) -> list[Path]:
    """Delete what killed processes left of writing a recording, or put back what they took away.

    Returns:
        What was deleted.
    """
    for path in _left_over(target, _REPLACED):
        if not target.exists():  # killed between the two steps
            path.rename(target)
    removed = [*_left_over(target, _SAVING), *_left_over(target, _REPLACED)]
    for path in removed:
        remove(path)
    return removed


def _left_over(target: Path, role: str) -> Iterator[Path]:
    prefix = f".{target.name}.{role}-"
    try:
        names = os.listdir(target.parent)
    except OSError:
        return
    for name in names:
        pid = name[len(prefix) :]
        if name.startswith(prefix) and pid.isdecimal():
            path = target.with_name(name)
            if not _is_running(int(pid)) or _is_not_open(path, int(pid)):
                yield path


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_not_open(path: Path, pid: int) -> bool:
    """Whether a running process has nothing to do with a file that bears its number.

    Numbers are used again, in a container always the same ones. Who writes has it open.
    """
    readable = os.access(f"/proc/{pid}/fd", os.R_OK | os.X_OK)
    return readable and all(user.pid != pid for user in users_of([path]))

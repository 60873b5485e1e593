"""Who has a file open."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import RecordingBusy
from dimos_record.store.connection import identity

_BESIDE = ("", "-wal", "-shm", "-journal")
_COMMAND_LENGTH = 80


class User(NamedTuple):
    """A process that has a file open."""

    pid: int
    command: str
    descriptors: int
    """How often it has."""


def users_of(files: Iterable[Path | str]) -> list[User]:
    """The processes that have any of these files or folders open, this one included.

    Only Linux tells, and only of processes that this user may look into; elsewhere nobody is found,
    and SQLite's locks have to do.
    """
    wanted = {found for file in files if (found := identity(file)) is not None}
    if not wanted or not os.path.isdir("/proc/self/fd"):
        return []
    users = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        descriptors = _count(f"/proc/{name}/fd", wanted)
        if descriptors:
            users.append(User(int(name), _command(name), descriptors))
    return users


def _count(folder: str, wanted: set[tuple[int, int]]) -> int:
    try:
        names = os.listdir(folder)
    except OSError:  # the process has ended, or belongs to somebody else
        return 0
    return sum(identity(f"{folder}/{name}") in wanted for name in names)


def _command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    text = " ".join(word.decode(errors="replace") for word in words if word)
    return text if len(text) <= _COMMAND_LENGTH else text[: _COMMAND_LENGTH - 3] + "..."


def refuse_if_used(recording: Path, files: Iterable[Path], *, own: int = 0) -> None:
    """Raise if anybody has files of a recording open.

    Args:
        recording: what the message calls it.
        files: its files; logs and journals beside them count, too.
        own: how many descriptors this process itself may have.

    Raises:
        RecordingBusy: somebody has; the message names the process.
    """
    for user in users_of(f"{file}{suffix}" for file in files for suffix in _BESIDE):
        if user.pid != os.getpid():
            raise RecordingBusy(
                f"{recording} is open in process {user.pid} ({user.command}); close it there first"
            )
        if user.descriptors > own:
            raise RecordingBusy(
                f"{recording} is open elsewhere in this program; close it there first"
            )

"""What a power cut may leave of a folder: built from a log of all that a process did to it.

`powerloss.c` writes the log. Whatever was flushed (fsync, fdatasync) is on the disk. Of what came
after that, the disk has anything: see `Damage`. Two kinds of disks are rebuilt:

- like ext4 in its default mode (`data=ordered`): names change in the order of the calls, and a
  flush of a file that has grown or is new flushes all names that changed before it;
- any that POSIX allows: a name is only sure after a flush of its folder, names change in any
  order, and what a file has grown by may hold garbage.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_SOURCE = Path(__file__).with_name("powerloss.c")
_HEAD = struct.Struct("=6Q")
_PAGE, _SECTOR = 4096, 512
"""What the kernel writes at once, and what a disk does."""


class Event(NamedTuple):
    """One call of the process."""

    kind: str
    time_s: float
    """By the monotonic clock."""
    inode: int
    at: int
    data: bytes
    path: str
    """Relative to the folder; of a renaming what it is called then."""
    before: str = ""
    """What was renamed."""


def build(folder: Path) -> Path:
    """Compile the library that logs."""
    library = folder / "powerloss.so"
    compiler = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run([*compiler, "-lpthread"], check=True, capture_output=True)
    return library


def environment(library: Path, folder: Path, log: Path) -> dict[str, str]:
    """What a process has to have in its environment to be logged."""
    watched = {"POWERLOSS_FOLDER": str(folder), "POWERLOSS_LOG": str(log)}
    return {"LD_PRELOAD": str(library), **watched}


def read_log(log: Path, folder: Path) -> Iterator[Event]:
    """All that was done to a folder and its files, in order."""
    base = os.path.realpath(folder)
    with open(log, "rb") as file:
        while head := file.read(_HEAD.size):
            kind, time_ns, inode, at, size, path_bytes = _HEAD.unpack(head)
            names = file.read(path_bytes).decode().split("\0")
            data = file.read(size) if chr(kind) == "W" else b""
            names = [os.path.relpath(name, base) for name in names if name]
            before = names[0] if len(names) == 2 else ""
            path = names[-1] if names else ""
            yield Event(chr(kind), time_ns / 1e9, inode, at, data, path, before)


class _Change(NamedTuple):
    """Of a file's content: bytes that were written, or a new size."""

    at: int
    data: bytes | None


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    """What is on the disk for sure."""
    pending: list[_Change] = field(default_factory=list)
    flushed: int = 0
    """How many changes are in `content`."""
    size: int = 0
    """As the process sees it."""
    has_grown: bool = True
    """Whether a flush has to write its metadata, and on ext4 everybody's."""


@dataclass
class _NameChange:
    kind: str
    path: str
    before: str
    number: int
    """Of the file; 0 is a folder."""
    other: int = 0
    """What an exchange puts in place of `before`."""
    is_sure: bool = False
    """Whether its folder was flushed since."""


class Cut(NamedTuple):
    """How a power cut treats what was not flushed."""

    is_ordered: bool
    """Whether names are as on ext4; else as POSIX allows."""
    ways: tuple[str, ...] = ("nothing", "everything", "beginning", "pages", "sectors")
    """What is done to a file, one of these for each."""


class Disk:
    """A folder as it is on the disk, and what may come of it.

    Args:
        folder: what was there before, all of it flushed.
    """

    def __init__(self, folder: Path) -> None:
        self._files: dict[int, _File] = {}
        """By a number of their own: that of an inode is used again."""
        self._numbers: dict[int, int] = {}
        """By inode, of the files that there are now."""
        self._names: dict[str, int] = {}
        """What the process sees: number of a file; 0 is a folder."""
        self._sure_names: dict[str, int] = {}
        self._pending: list[_NameChange] = []
        self._sure_in_order = 0
        """How many of the pending ones a disk that keeps the order has."""
        self._syncs: dict[int, tuple[int, int]] = {}
        """Per flush that has begun: how much of the file, and how many names, it covers."""
        self._folders: dict[int, str] = {}
        """By inode."""
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_dir():
                self._names[name] = 0
            elif not name.endswith("-shm"):
                content = bytearray(path.read_bytes())
                file = _File(content, size=len(content), has_grown=False)
                self._names[name] = self._add(path.stat().st_ino, file)
        self._sure_names = dict(self._names)

    def _add(self, inode: int, file: _File) -> int:
        number = self._numbers[inode] = len(self._files) + 1
        self._files[number] = file
        return number

    def _file(self, inode: int) -> _File | None:
        return self._files.get(self._numbers.get(inode, 0))

    def apply(self, event: Event) -> None:
        """Go on by one call of the process."""
        file = self._file(event.inode)
        if event.kind == "O":
            self._open(event)
        elif event.kind == "W" and file is not None:
            file.pending.append(_Change(event.at, event.data))
            if event.at + len(event.data) > file.size:
                file.size, file.has_grown = event.at + len(event.data), True
        elif event.kind == "T" and file is not None:
            file.pending.append(_Change(event.at, None))
            file.size, file.has_grown = event.at, True
        elif event.kind == "B":
            done = file.flushed + len(file.pending) if file is not None else 0
            self._syncs[event.at] = (done, len(self._pending))
        elif event.kind == "E":
            self._flush(event)
        elif event.kind in "RXUM":
            self._rename(event)

    def _open(self, event: Event) -> None:
        if event.path.endswith("-shm"):  # written through memory; SQLite does not rely on it
            return
        if event.at:  # a folder: known by its inode when it is flushed
            self._numbers.pop(event.inode, None)
            self._folders[event.inode] = event.path
        elif event.path not in self._names:
            self._folders.pop(event.inode, None)
            number = self._names[event.path] = self._add(event.inode, _File())
            self._pending.append(_NameChange("O", event.path, "", number))

    def _rename(self, event: Event) -> None:
        names, number = self._names, self._names.get(event.before or event.path, 0)
        change = _NameChange(event.kind, event.path, event.before, number)
        if event.path.endswith("-shm") or (event.kind == "U" and event.path not in names):
            return
        if event.kind == "X":
            change.other = names[event.path]
        self._pending.append(change)
        _apply_name(names, change)

    def _flush(self, event: Event) -> None:
        done, names = self._syncs.pop(event.at)
        file = self._file(event.inode)
        if event.inode in self._folders:
            folder = self._folders[event.inode]
            for change in self._pending[:names]:
                if _parent(change.path) == folder:
                    change.is_sure = True
            self._sure_in_order = max(self._sure_in_order, names)
        elif file is not None:
            count = max(0, done - file.flushed)
            for change in file.pending[:count]:
                _write(file.content, change)
            del file.pending[:count]
            file.flushed += count
            if file.has_grown:
                self._sure_in_order = max(self._sure_in_order, names)
                file.has_grown = bool(file.pending)

    def after_cut(self, cut: Cut, dice: random.Random, folder: Path) -> None:
        """Write what a power cut at this moment may leave of the folder into an empty one."""
        for name, number in sorted(self._names_after(cut, dice).items()):
            path = folder / name
            if not path.parent.is_dir():
                continue
            if not number:
                path.mkdir()
                continue
            path.write_bytes(_content_after(self._files[number], cut, dice))
            if dice.random() < 0.2 and name.endswith("-wal"):
                path.with_name(path.name[:-4] + "-shm").write_bytes(dice.randbytes(32768))

    def _names_after(self, cut: Cut, dice: random.Random) -> Mapping[str, int]:
        names = dict(self._sure_names)
        if cut.is_ordered:
            chosen = self._pending[: dice.randint(self._sure_in_order, len(self._pending))]
        else:
            share = dice.choice((0.0, 0.5, 1.0))
            chosen = [c for c in self._pending if c.is_sure or dice.random() < share]
        for change in chosen:
            _apply_name(names, change)
        return names


def _apply_name(names: dict[str, int], change: _NameChange) -> None:
    if change.kind in "OM":
        names[change.path] = change.number
    elif change.kind == "U":
        names.pop(change.path, None)
    else:
        moved = {n: i for n, i in names.items() if n.startswith(f"{change.before}/")}
        other = {n: i for n, i in names.items() if n.startswith(f"{change.path}/")}
        for name in (*moved, *other):
            del names[name]
        names[change.path] = change.number
        names |= {change.path + name[len(change.before) :]: i for name, i in moved.items()}
        names.pop(change.before, None)
        if change.kind == "X":
            names[change.before] = change.other
            names |= {change.before + name[len(change.path) :]: i for name, i in other.items()}


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."


def _write(content: bytearray, change: _Change) -> None:
    if change.data is None:
        _resize(content, change.at)
        return
    if len(content) < change.at:
        _resize(content, change.at)
    content[change.at : change.at + len(change.data)] = change.data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _content_after(file: _File, cut: Cut, dice: random.Random) -> bytes:
    """What a file may hold: what was flushed, and all, a part or nothing of what came later."""
    content, pending = bytearray(file.content), file.pending
    way = dice.choice(cut.ways)
    if way == "nothing" or not pending:
        return bytes(content)
    if way == "everything":
        for change in pending:
            _write(content, change)
    elif way == "beginning":
        _write_beginning(content, pending, dice)
    else:
        unit = _PAGE if way == "pages" else _SECTOR
        _write_some(content, pending, unit, cut, dice)
    return bytes(content)


def _write_beginning(content: bytearray, pending: list[_Change], dice: random.Random) -> None:
    """The changes up to one of them, of which a part is done."""
    last = dice.randrange(len(pending))
    for change in pending[:last]:
        _write(content, change)
    at, data = pending[last]
    if data is not None:
        _write(content, _Change(at, data[: dice.randrange(0, len(data) + 1, _SECTOR)]))


def _write_some(
    content: bytearray, pending: list[_Change], unit: int, cut: Cut, dice: random.Random
) -> None:
    """Each page or sector is as it was at some time: after one of the changes to it, or none.

    A disk writes what the memory holds of a page whenever it likes.
    """
    share, flushed_size, versions = dice.random(), len(content), dict[int, int]()
    resizes = dice.randint(0, len(pending))
    sized = [i for i, change in enumerate(pending) if change.data is None]
    if cut.is_ordered and sized:  # nothing behind a truncation is on the disk without that
        resizes = len(pending)
    for number, (at, data) in enumerate(pending):
        if data is None:
            if number < resizes:
                _resize(content, at)
            continue
        for begin in range(at - at % unit, at + len(data), unit):
            if begin not in versions:
                versions[begin] = (
                    dice.randint(0, len(pending)) if dice.random() < share else len(pending)
                )
            if number < versions[begin]:
                first, end = max(begin, at), min(begin + unit, at + len(data))
                _write(content, _Change(first, data[first - at : end - at]))
    if not cut.is_ordered and len(content) > flushed_size and dice.random() < 0.5:
        _fill_holes(content, flushed_size, pending, versions, unit, dice)


def _fill_holes(
    content: bytearray,
    flushed_size: int,
    pending: list[_Change],
    versions: dict[int, int],
    unit: int,
    dice: random.Random,
) -> None:
    """What a file has grown by, and was not written, holds what was on the disk before."""
    first = -(-flushed_size // unit) * unit
    for begin in range(first, len(content), unit):
        if not versions.get(begin, 0):
            size = min(unit, len(content) - begin)
            content[begin : begin + size] = dice.randbytes(size)

"""Damages recordings in many ways and checks what `salvage` makes of them.

`scripts/soak damage` runs this on 500 files; `test_salvage.py` on a few of them. What must be saved
is known from the undamaged file: every message none of whose pages is damaged, and whatever SQLite
itself reads of the damaged file.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import NotARecording, RecordingDamaged
from dimos_record.store.checksum import checksum, seed_of
from dimos_record.store.doctor import diagnose
from dimos_record.store.salvage import salvage
from dimos_record.store.salvage.btree import payload, record
from dimos_record.store.salvage.pages import Pages
from dimos_record.store.salvage.trees import Trees
from dimos_record.store.writer import RecordingWriter
from tests.store.samples import (
    MS,
    ODOM,
    START_NS,
    begin,
    image,
    pose,
    python,
)
from tests.store.samples import (
    record as finished,
)

SECOND = 1_000_000_000
IMAGES = "/camera/color#sensor_msgs.Image"

Key = tuple[str, int]
"""Stream and number of a message."""
Content = tuple[int, int, bytes]
"""seq, ts_ns, payload."""
Place = tuple[str, int]
"""("db", number of a page) or ("wal", place of a page in the log)."""


class Original(NamedTuple):
    """An undamaged recording, and where everything is in it."""

    path: Path
    messages: dict[Key, Content]
    places: dict[Key, set[Place]]
    topics: dict[str, tuple[str, str, str | None, str]]
    described: list[set[Place]]
    """The pages of each copy of what the streams are."""
    page_size: int


def batches(rounds: int, seed: int) -> Iterator[list[tuple[int, str, bytes]]]:
    """What a robot sends: poses, a command without a type, a map now and then, pictures."""
    dice = random.Random(seed)
    for i in range(rounds):
        now = START_NS + i * 100 * MS
        batch = [(now, ODOM, pose(now, dice.random())), (now, "/cmd", dice.randbytes(40))]
        batch += [(now, f"/joint{n}#geometry_msgs.PoseStamped", pose(now + n, n)) for n in (1, 2)]
        if i % 3 == 0:
            pixels = dice.randbytes(3 * 160 * 120)
            batch.append((now, IMAGES, image("rgb8", pixels, 160, 120)))
        if i % 50 == 0:
            batch.append((now, "/map", dice.randbytes(200_000)))
        yield batch


def write_finished(path: Path) -> Path:
    """A recording that ended well."""
    return finished(path, batches(150, 1))


def write_of_many_streams(path: Path) -> Path:
    """40 topics: what the file says of its tables does not fit on its first page."""
    names = [f"/robot{i}/sensor_data" for i in range(40)]
    return finished(
        path, ([(START_NS + i, name, bytes([i]) * 500) for name in names] for i in range(60))
    )


def write_appended(path: Path) -> Path:
    """Three sessions, so that tables alternate in the file."""
    finished(path, batches(60, 2))
    for part in range(2):
        writer = begin(RecordingWriter.append(path))
        for batch in batches(60, 3 + part):
            writer.write([(ts + (part + 1) * 100 * SECOND, *rest) for ts, *rest in batch])
        writer.end_session(START_NS + 1, "stopped", 0, 0)
        writer.close()
    return path


def write_killed(path: Path) -> Path:
    """A recorder that was killed: messages in the log, some of them in the spool."""
    process = python(
        """
        import os, sys
        from pathlib import Path
        from dimos_record.store.sessions import process_identity
        from dimos_record.store.writer import RecordingWriter
        from tests.store.damage import batches
        from tests.store.samples import begin

        writer = begin(RecordingWriter.create(Path(sys.argv[1])), **process_identity())
        for i, batch in enumerate(batches(130, 5)):
            writer.write(batch)
            if i % 20 == 19:
                writer.drain()
            if i in (40, 80):
                writer.copy_log()
            if i == 80:
                writer.checkpoint()
        os.kill(os.getpid(), 9)
        """,
        path,
        check=False,
    )
    if process.returncode != -9:
        raise RuntimeError(process.stderr)
    return path


WRITERS = (write_finished, write_of_many_streams, write_appended, write_killed)


def look_at(path: Path) -> Original:
    """Read an undamaged recording with SQLite, and find out where its messages are."""
    with tempfile.TemporaryDirectory() as folder:  # SQLite may change it
        copy = copied(path, Path(folder))
        with closing(sqlite3.connect(copy)) as connection:
            stored = read(connection)
            columns = "stream, topic, channel, type_name, codec"
            topics = {
                row[0]: row[1:] for row in connection.execute(f"SELECT {columns} FROM _dr_topics")
            }
    with Pages.of(path) as pages:
        trees, places = Trees(pages), dict[Key, set[Place]]()
        for name in topics:
            for table in (name, f"{name}_blob"):
                for number, where in _places(trees, table):
                    places.setdefault((name, number), set()).update(where)
        numbers = {row[0]: row[1] for row in trees.records(trees.tree("_dr_topics"))}
        for number, where, values in _spool(trees):
            places.setdefault((numbers[values[1]], number), set()).update(where)
        described = [
            {_place(pages, number) for number in trees.tree(table).pages}
            for table in ("_dr_topics", "_dr_topics_copy")
        ]
        if places.keys() != stored.keys():
            raise RuntimeError(f"{path}: SQLite finds other messages than its pages hold")
        return Original(path, stored, places, topics, described, pages.size)


def copied(path: Path, folder: Path) -> Path:
    """A copy of a recording with its log."""
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", folder / f"{path.name}{suffix}")
    return folder / path.name


def read(connection: sqlite3.Connection, *, proven: bool = False) -> dict[Key, Content]:
    """The messages that SQLite finds, as far as it gets; or those with right checksums."""
    found: dict[Key, Content] = {}
    try:
        names = dict(connection.execute("SELECT id, stream FROM _dr_topics").fetchall())
    except (sqlite3.DatabaseError, UnicodeError):
        return found
    for number, name in names.items():
        columns, seed = "crc, m.id, seq, ts_ns, data", seed_of(name)
        spool = f"SELECT {columns} FROM _dr_spool m WHERE topic = {number}"
        table = f"SELECT {columns} FROM {name} m JOIN {name}_blob b ON b.id = m.id"
        for query in (spool, table):
            try:
                for crc, *message in connection.execute(query):
                    if not proven or crc == checksum(seed, *message):
                        found[name, message[0]] = tuple(message[1:])
            except (sqlite3.DatabaseError, OverflowError, TypeError, UnicodeError, struct.error):
                continue
    return found


def _places(trees: Trees, table: str) -> Iterator[tuple[int, set[Place]]]:
    for page in trees.tree(table).pages:
        for cell in trees.cells_on(("page", page)):
            where = {_place(trees.pages, page)}

            def read(number: int, where: set[Place] = where) -> bytes:
                where.add(_place(trees.pages, number))
                return trees.pages[number]

            payload(cell, read)
            yield cell.rowid, where


def _spool(trees: Trees) -> Iterator[tuple[int, set[Place], tuple[object, ...]]]:
    for page in trees.tree("_dr_spool").pages:
        for cell in trees.cells_on(("page", page)):
            values = record(trees.payload(cell) or b"") or ()
            yield int(values[2]), {_place(trees.pages, page)}, values


def _place(pages: Pages, number: int) -> Place:
    return ("wal", pages.log.pages[number]) if number in pages.log.pages else ("db", number)


Damaged = set[Place]
Damage = Callable[[Path, Original, random.Random], Damaged]


def _change(file: Path, changes: dict[int, bytes]) -> None:
    with open(file, "r+b") as opened:
        for at, data in changes.items():
            opened.seek(at)
            opened.write(data)


def _hit(file: Path, original: Original, at: int, size: int) -> Damaged:
    """The pages that bytes of a file belong to."""
    page = original.page_size
    if not file.name.endswith("-wal"):
        return {("db", number) for number in range(at // page + 1, (at + size - 1) // page + 2)}
    first, last = ((byte - 32) // (page + 24) for byte in (at, at + size - 1))
    return {("wal", 32 + n * (page + 24) + 24) for n in range(first, last + 1)}


def _files(path: Path) -> list[Path]:
    return [file for file in (path, Path(f"{path}-wal")) if file.exists() and file.stat().st_size]


def flip(path: Path, original: Original, dice: random.Random) -> Damaged:
    """Single bytes are otherwise, somewhere."""
    hit: Damaged = set()
    for _ in range(dice.choice([1, 1, 3, 20, 100])):
        file = dice.choice(_files(path))
        at = dice.randrange(file.stat().st_size)
        _change(file, {at: bytes([_byte(file, at) ^ dice.randrange(1, 256)])})
        hit |= _hit(file, original, at, 1)
    return hit


def _byte(file: Path, at: int) -> int:
    with open(file, "rb") as opened:
        opened.seek(at)
        return opened.read(1)[0]


def flip_structure(path: Path, original: Original, dice: random.Random) -> Damaged:
    """Bytes at the head of pages are otherwise: their kind, counts and pointers."""
    hit: Damaged = set()
    for _ in range(dice.choice([1, 3, 10])):
        page = dice.randrange(path.stat().st_size // original.page_size)
        at = page * original.page_size + dice.randrange(120)
        _change(path, {at: bytes([_byte(path, at) ^ dice.randrange(1, 256)])})
        hit |= _hit(path, original, at, 1)
    return hit


def zero_pages(path: Path, original: Original, dice: random.Random) -> Damaged:
    """Whole pages are zero."""
    hit: Damaged = set()
    count = path.stat().st_size // original.page_size
    for page in dice.sample(range(count), min(count, dice.choice([1, 2, 5, 20]))):
        _change(path, {page * original.page_size: bytes(original.page_size)})
        hit |= _hit(path, original, page * original.page_size, original.page_size)
    return hit


def zero_first_page(path: Path, original: Original, dice: random.Random) -> Damaged:
    """The header and the list of the tables are gone; sometimes another page with it."""
    hit = zero_pages(path, original, dice) if dice.random() < 0.5 else set()
    _change(path, {0: bytes(original.page_size)})
    return hit | _hit(path, original, 0, original.page_size)


def overwrite_sectors(path: Path, original: Original, dice: random.Random) -> Damaged:
    """Sectors of the disk hold something else, across the borders of pages."""
    hit: Damaged = set()
    for _ in range(dice.choice([1, 3, 8])):
        file = dice.choice(_files(path))
        at = dice.randrange(0, file.stat().st_size, 512)
        size = min(dice.choice([512, 4096, 65536]), file.stat().st_size - at)
        _change(file, {at: dice.randbytes(size)})
        hit |= _hit(file, original, at, size)
    return hit


def truncate(path: Path, original: Original, dice: random.Random) -> Damaged:
    """The end of the file is missing."""
    size = path.stat().st_size
    left = dice.randrange(size // 20, size)
    os.truncate(path, left)
    return _hit(path, original, left, size - left)


def lose_log(path: Path, original: Original, dice: random.Random) -> Damaged:
    """The log is gone, or its end is."""
    log = Path(f"{path}-wal")
    if not log.exists():
        return truncate(path, original, dice)
    size = log.stat().st_size
    left = dice.choice([0, dice.randrange(size)])
    os.truncate(log, left)
    if not left:
        log.unlink()
    return _hit(log, original, max(left, 32), size - max(left, 32))


KINDS: tuple[Damage, ...] = (
    flip,
    flip_structure,
    zero_pages,
    zero_first_page,
    overwrite_sectors,
    truncate,
    lose_log,
)


class Outcome(NamedTuple):
    """What became of one damaged file."""

    saved: int
    messages: int
    problems: list[str]
    """What must not be; empty if all is well."""
    complete: bool
    """Whether the report says that nothing is missing."""


def try_one(original: Original, damage: Damage, dice: random.Random, folder: Path) -> Outcome:
    """Damage a copy, salvage it, and compare with the original."""
    path = copied(original.path, folder)
    hit = damage(path, original, dice)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    target = folder / "saved.db"
    problems: list[str] = []
    healthy = _is_healthy(path)
    try:
        report = salvage(path, target)
        complete = report.complete
        with closing(sqlite3.connect(target)) as connection:
            saved = read(connection)
            if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                problems.append("the new recording is damaged itself")
            columns = "stream, topic, channel, type_name, codec"
            topics = {
                row[0]: row[1:] for row in connection.execute(f"SELECT {columns} FROM _dr_topics")
            }
        guessed = {stream.stream for stream in report.streams if stream.guessed}
        problems += [
            f"stream {name} is now {topics[name]}"
            for name in {name for name, _ in saved} - guessed
            if topics[name] != original.topics.get(name)
        ]
        if sum(stream.saved for stream in report.streams) != len(saved):
            problems.append("the report counts other messages than there are")
    except RecordingDamaged:
        saved, complete = {}, False
    if healthy and not complete and damage is not lose_log:
        problems.append("the doctor has not noticed that messages are lost")
    if {file: file.read_bytes() for file in before} != before:
        problems.append("the damaged file was changed")
    wrong = [key for key, content in saved.items() if original.messages.get(key) != content]
    problems += [f"message {key} is wrong" for key in wrong[:3]]
    problems += [f"message {key} is missing" for key in _owed(original, hit, path) - saved.keys()][
        :3
    ]
    if complete and len(saved) < len(original.messages) and damage is not lose_log:
        problems.append("the report says that nothing is missing")
    return Outcome(len(saved) - len(wrong), len(original.messages), problems, complete)


def _is_healthy(path: Path) -> bool:
    """What the doctor says, as far as damage goes."""
    try:
        return not diagnose(path).damaged
    except (RecordingDamaged, NotARecording):
        return False


def _owed(original: Original, hit: Damaged, path: Path) -> set[Key]:
    """The messages that have to be saved."""
    named = any(pages and not pages & hit for pages in original.described)
    owed = {key for key, where in original.places.items() if named and not where & hit}
    with closing(sqlite3.connect(path)) as connection:
        found = read(connection, proven=True)
    return owed | {key for key, content in found.items() if original.messages.get(key) == content}

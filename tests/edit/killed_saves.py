"""A recording whose save is killed, and what is left of it."""

from __future__ import annotations

import enum
from pathlib import Path

from dimos_record.bus import split_channel
from dimos_record.store import open_recording
from dimos_record.store.target import open_target
from tests.edit.recordings import S, check_integrity, cut, query
from tests.store.samples import MS, START_NS, begin

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

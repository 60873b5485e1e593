"""What every import has to keep to, whatever the file."""

from __future__ import annotations

import zlib
from contextlib import closing
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.errors import DimosRecordError
from dimos_record.interop.formats import open_source, recognise
from dimos_record.interop.importing import Wanted, import_file
from soaking.fuzz_targets.checks import BrokenPromise, check_same, check_sentence

_OF_MESSAGES = 2_000
"""Characters of an error that lists the topics of a file."""
_READ_ONLY = 4
"""Of so many files, all but one are only read: writing a recording takes longer."""


def check_import(source: Path) -> None:
    """Read a file or folder, and sometimes import it: all of it that is reported, or nothing."""
    try:
        recognise(source)
        _read(source)
    except DimosRecordError as error:
        check_sentence(str(error), _OF_MESSAGES)
    if not zlib.crc32(_content(source)) % _READ_ONLY:
        _import(source)


def _content(source: Path) -> bytes:
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    return b"".join(file.read_bytes() for file in files)


def _read(source: Path) -> None:
    _, opened = open_source(source)
    with closing(opened):
        for message in opened.messages(Wanted()):
            if not -(2**63) <= message.ts_ns < 2**63:
                raise BrokenPromise(f"a message has the time {message.ts_ns}")
        for problem in opened.problems:
            check_sentence(problem.reason)
        list(opened.markers)


def _import(source: Path) -> None:
    target = source.parent / "imported.db"
    try:
        report = import_file(source, target)
    except DimosRecordError as error:
        check_sentence(str(error), _OF_MESSAGES)
        left = sorted(path.name for path in source.parent.iterdir() if path != source)
        if left:
            raise BrokenPromise(f"a failed import leaves {left}") from error
        return
    with closing(RecordReplay(target)) as rec:
        check_same(report.count, sum(1 for _ in rec.select("*")), "imported messages")
        rec.info()
        _ = rec.markers

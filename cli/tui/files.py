"""Names of recordings, as the program asks for them."""

from __future__ import annotations

from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.store.paths import path_for_writing
from dimos_record.store.target import check_target


def existing_recording(name: str) -> Path:
    """The path of a recording that can be opened.

    Raises:
        DimosRecordError: there is none of that name, or it cannot be opened.
    """
    with RecordReplay(name) as rec:
        return Path(rec.reader.name)


def new_recording(name: str) -> Path:
    """The path of a recording that can be created.

    Raises:
        DimosRecordError: something is there already, or its folder is not.
    """
    path = path_for_writing(name)
    check_target(path)
    return path

"""Which file a recording's name means.

A path with a folder in it is taken as it stands. A bare name means the project's data folder where
there is one (`data/` beside `data/.lfs`, or ``DIMOS_RECORD_DATA``), else the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from dimos_record.errors import AmbiguousName, OptionError, RecordingNotFound

ARCHIVE_SUFFIX = ".tar.gz"
_SUFFIX = ".db"


def path_for_writing(name: str | os.PathLike[str]) -> Path:
    """Where a recording of this name is to be written.

    Raises:
        OptionError: the name is empty.
    """
    path = _checked(name)
    if not _is_bare(name):
        return path
    folder = data_folder()
    return folder / path if folder is not None else path


def path_for_reading(name: str | os.PathLike[str]) -> Path:
    """Which existing recording a name means; for a bare one also without its `.db`.

    Raises:
        RecordingNotFound: there is none; the message says where was looked, or where it is packed.
        AmbiguousName: the data folder and the current folder both have one.
        OptionError: the name is empty.
    """
    path = _checked(name)
    if not _is_bare(name):
        return path
    folders = [folder for folder in (data_folder(), Path()) if folder is not None]
    found: dict[Path, Path] = {}
    for folder in folders:
        for candidate in (folder / path, folder / f"{path}{_SUFFIX}"):
            if candidate.exists():
                found.setdefault(candidate.resolve(), candidate)
                break
    if len(found) > 1:
        both = " and ".join(str(candidate) for candidate in found.values())
        raise AmbiguousName(f"{name} could be {both}; write the path of the one that you mean")
    if not found and (archive := archive_for(name)) is not None:
        raise RecordingNotFound(
            f"{name} is packed in {archive}; unpack it with: dimos-record fetch {name}"
        )
    if not found:
        looked = " and ".join(str(folder.absolute()) for folder in folders)
        raise RecordingNotFound(
            f"there is no recording {name} in {looked}; check the name, or record one with: "
            f"dimos-record record {name}"
        )
    return next(iter(found.values()))


def archive_for(name: str | os.PathLike[str]) -> Path | None:
    """The archive that holds the recording of a name, or None if there is none.

    For `walk` that is `walk.tar.gz`, else `walk.db.tar.gz`, in the folder `.lfs` of the data
    folder; for a path, in `.lfs` beside it.
    """
    path = _checked(name)
    folder = data_folder() if _is_bare(name) else path.parent
    if folder is None:
        return None
    names = [f"{path.name}{suffix}{ARCHIVE_SUFFIX}" for suffix in ("", _SUFFIX)]
    candidates = [folder / ".lfs" / one for one in names]
    return next((one for one in candidates if one.is_file()), None)


def data_folder(start: Path | None = None) -> Path | None:
    """The project's data folder, or None where there is none.

    ``DIMOS_RECORD_DATA``, else the nearest `data/` that has a `.lfs` in it, from here upwards.

    Args:
        start: a folder to look from, instead of the current one.
    """
    named = os.environ.get("DIMOS_RECORD_DATA")
    if named:
        return Path(named)
    here = Path.cwd() if start is None else start
    for folder in (here, *here.parents):
        if (folder / "data" / ".lfs").is_dir():
            return folder / "data"
    return None


def _checked(name: str | os.PathLike[str]) -> Path:
    text = os.fspath(name)
    if not text or text.isspace():
        raise OptionError("the name of the recording is empty; write for example walk.db")
    return Path(text).expanduser()


def _is_bare(name: str | os.PathLike[str]) -> bool:
    text = os.fspath(name)
    return os.sep not in text and not text.startswith("~")

"""Recordings in Git LFS: `publish` packs one into `data/.lfs`, `fetch` gets it out of there."""

from __future__ import annotations

import os
from pathlib import Path

from dimos_record.errors import RecordingNotFound
from dimos_record.store.paths import archive_for, path_for_reading


def existing(name: str | os.PathLike[str]) -> Path:
    """The path of an existing recording, which is fetched if it is packed in the data folder.

    Raises:
        RecordingNotFound: there is none; the message says where was looked.
        Others: see `lfs.fetch.fetch`.
    """
    try:
        return path_for_reading(name)
    except RecordingNotFound:
        if archive_for(name) is None:
            raise
    from dimos_record.lfs.fetch import fetch

    return fetch(name)

"""Where and with what a session was recorded: host, process, versions, code revision."""

from __future__ import annotations

import platform
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from dimos_record.record.secrets import argv_without_secrets
from dimos_record.store.sessions import process_identity

_PACKAGES = ("dimos-record", "lcm", "dimos-lcm", "numpy", "dimos", "eclipse-zenoh")


def describe_session(bus_url: str, bus_reach: str) -> dict[str, Any]:
    """What a session's `meta` says about where the recording comes from; no credentials."""
    return {
        "session": uuid.uuid4().hex,
        **process_identity(),
        "argv": argv_without_secrets(sys.argv),
        "git_revision": git_revision(),
        "packages": _versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "bus": bus_url,
        "bus_reach": bus_reach,
    }


def _versions() -> dict[str, str]:
    from importlib import metadata  # which takes long to import

    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision(folder: Path | None = None) -> str | None:
    """Revision of the code in a folder, with a `+` when it was changed since.

    Args:
        folder: the working folder, if it is not given.
    """
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None

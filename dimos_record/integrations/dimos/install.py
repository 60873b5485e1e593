"""Giving dimos's own console script our options, and taking them away again.

One line of the script is replaced: the import of what it runs. The original is kept beside it, and
where dimos-record is gone, the script runs dimos as before.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from dimos_record.errors import DimosRecordError, MissingExtra, StorageError

_ORIGINAL = b"from dimos.cli.entry import main\n"
_OURS = b"""\
try:  # changed by `dimos-record install-cli`; `dimos-record uninstall-cli` takes it back
    from dimos_record.cli.entry import dimos_main as main
except ImportError:
    from dimos.cli.entry import main
"""
_KEPT = ".before-dimos-record"


class Change(NamedTuple):
    """What was done to the console script."""

    script: Path
    original: Path
    """Where the original is kept while the script is changed."""
    done: bool
    """False where nothing had to be done."""


def install() -> Change:
    """Let this environment's `dimos` take `--record FILE` and `--replay FILE`.

    Raises:
        MissingExtra: dimos is not installed here.
        DimosRecordError: its console script is none that we know.
        StorageError: the script cannot be replaced.
    """
    script = dimos_script()
    content = _content(script)
    original = _original_of(script)
    if _OURS in content:
        return Change(script, original, False)
    if content.count(_ORIGINAL) != 1:
        raise DimosRecordError(
            f"{script} is no console script of dimos that dimos-record knows; nothing was changed, "
            "use dimos-record in place of dimos"
        )
    _write(original, content, like=script)
    _write(script, content.replace(_ORIGINAL, _OURS), like=script)
    return Change(script, original, True)


def uninstall() -> Change:
    """Put the original script back, unless somebody else has replaced it meanwhile.

    Raises:
        MissingExtra: dimos is not installed here.
        StorageError: the script cannot be replaced.
    """
    script = dimos_script()
    content = _content(script)
    original = _original_of(script)
    changed = _OURS in content
    try:
        if changed and original.exists():
            os.replace(original, script)
        elif changed:
            _write(script, content.replace(_OURS, _ORIGINAL), like=script)
        else:
            original.unlink(missing_ok=True)
    except OSError as error:
        raise _not_writable(script, error) from None
    return Change(script, original, changed)


def dimos_script() -> Path:
    """The console script of the dimos that is installed beside dimos-record.

    Raises:
        MissingExtra: dimos is not installed here.
        DimosRecordError: it has no console script.
    """
    try:
        dimos = metadata.distribution("dimos")
    except metadata.PackageNotFoundError:
        raise MissingExtra("install-cli", "dimos") from None
    found = [path for path in _candidates(dimos) if path.is_file()]
    if not found:
        raise DimosRecordError(
            "dimos is installed without its console script; nothing was changed, use dimos-record "
            "in place of dimos"
        )
    return found[0]


def _candidates(dimos: metadata.Distribution) -> Iterator[Path]:
    """Where the script is: where the installer wrote it, else where scripts usually are."""
    for file in dimos.files or ():
        if file.name == "dimos" and file.parent.name == "bin":
            yield Path(os.path.abspath(str(file.locate())))
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        yield Path(sysconfig.get_path("scripts", scheme), "dimos")


def _original_of(script: Path) -> Path:
    return script.with_name(script.name + _KEPT)


def _content(script: Path) -> bytes:
    try:
        return script.read_bytes()
    except OSError as error:
        raise StorageError(f"{script} cannot be read: {error.strerror}") from None


def _write(path: Path, content: bytes, *, like: Path) -> None:
    """Write a file at once, with the mode of another: a running shell must not see half."""
    new = path.with_name(f"{path.name}.new")
    try:
        shutil.copy2(like, new)
        new.write_bytes(content)
        os.replace(new, path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise _not_writable(path, error) from None


def _not_writable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be replaced: {error.strerror}; run this as the user who installed dimos"
    )

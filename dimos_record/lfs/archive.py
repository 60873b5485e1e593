"""Archives of recordings: `walk.db.tar.gz` holds `walk.db`, a file or a folder of segments.

Packing the same content gives the same archive. Unpacking trusts nothing in it.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from dimos_record.errors import DiskFull, NotARecording, StorageError, reason
from dimos_record.lfs.compression import ParallelGzip
from dimos_record.store.paths import ARCHIVE_SUFFIX

OnBytes = Callable[[int], None]
"""Called with a number of bytes that were read, many times; what it raises cancels."""

_CHUNK_BYTES = 1 << 20
_SPARE_BYTES = 64_000_000
"""Are left free on the disk."""
_MOST_MEMBERS = 100_000
_LARGEST_HEADER_BYTES = 1 << 20
_MOST_FILLING_BYTES = 1 << 24
_BROKEN = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
)
"""What reading an archive raises that somebody has damaged, by accident or on purpose."""
_SHOWN = 80
"""Characters of a name in a message."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def pack(source: Path, archive: Path, on_bytes: OnBytes) -> None:
    """Pack a file, or a folder of files, under its own name, and wait until that is on the disk.

    Nothing of this machine goes into the archive: no times, no owners.

    Args:
        source: what nobody else has open.
        archive: a new file.
        on_bytes: gets the bytes of `source` that were read.

    Raises:
        DiskFull, StorageError: it cannot be written.
    """
    members = [source, *sorted(source.iterdir())] if source.is_dir() else [source]
    with _errors_about(archive), open(archive, "xb") as out:
        with ParallelGzip(out) as packed, _new_tar(packed) as tar:
            for path in members:
                _add(tar, path, path.relative_to(source.parent).as_posix(), on_bytes)
        out.flush()
        os.fsync(out.fileno())


def _new_tar(packed: ParallelGzip) -> tarfile.TarFile:
    out = cast(IO[bytes], packed)  # as a stream only `write` is used
    return tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, path: Path, name: str, on_bytes: OnBytes) -> None:
    member = tarfile.TarInfo(name)
    if path.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        return
    member.mode, member.size = 0o644, path.stat().st_size
    with open(path, "rb") as file:
        tar.addfile(member, _Watched(file, on_bytes))


def unpack(archive: Path, folder: Path, on_bytes: OnBytes) -> Path:
    """Unpack the recording that an archive holds into an empty folder of one's own.

    Taken are the file, or the folder with files in it, that the archive is named after. There is
    nothing else in what `pack` writes, and an archive with anything else is refused: another name,
    a path that leads elsewhere, a link, a device, more than the disk has room for.

    Args:
        archive: NAME.tar.gz
        folder: where NAME is to be.
        on_bytes: gets the bytes of the archive that were read.

    Returns:
        What was unpacked.

    Raises:
        NotARecording: the archive is refused, or broken.
        DiskFull, StorageError: it cannot be read, or what it holds cannot be written.
    """
    wanted = archive.name.removesuffix(ARCHIVE_SUFFIX)
    with _errors_about(archive), open(archive, "rb") as packed:
        watched = _Watched(packed, on_bytes)
        try:
            with gzip.GzipFile(fileobj=watched) as content, _opened(content) as tar:
                _Unpacking(archive, wanted, folder).run(tar)
                _read_to_its_end(content)
        except _BROKEN as error:
            if error is watched.cancelled:
                raise
            raise NotARecording(
                f"{archive} is no packed recording, or broken: {reason(error)}"
            ) from None
    unpacked = folder / wanted
    if not unpacked.exists():
        raise NotARecording(f"{archive} is no packed recording: there is no {wanted} in it")
    return unpacked


def _read_to_its_end(content: gzip.GzipFile) -> None:
    """Read what fills up an archive, behind which are length and checksum of all of it."""
    for _ in range(_MOST_FILLING_BYTES // _CHUNK_BYTES):
        if not content.read(_CHUNK_BYTES):
            return
    raise tarfile.ReadError("it goes on behind its end")


def _opened(content: gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=_Bounded(content), mode="r:")


class _Unpacking:
    """Writes what may be in an archive, member after member."""

    def __init__(self, archive: Path, wanted: str, folder: Path) -> None:
        self._archive = archive
        self._wanted = wanted
        self._folder = folder

    def run(self, tar: tarfile.TarFile) -> None:
        for number, member in enumerate(tar):
            if number >= _MOST_MEMBERS:
                raise self._refused("more files than a recording has")
            parts = PurePosixPath(member.name).parts
            if not self._is_left_out(member, parts):
                self._check(member, parts)
                self._write(tar, member, self._folder.joinpath(*parts))

    def _is_left_out(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> bool:
        """Whether a member is one that other packers add, and harmless."""
        if not parts:
            return member.isdir()  # `tar -C data .`
        # `._walk.db` is of macOS: what it knows about walk.db
        return parts[-1].startswith("._") and member.size <= _CHUNK_BYTES

    def _check(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in parts or "\0" in member.name:
            raise self._refused("a path that leads out of it", member)
        if member.size < 0:
            raise self._refused("a file of a size that cannot be", member)
        if not (member.isdir() or (member.isreg() and not member.issparse())):
            raise self._refused("a link, or something else that is no file", member)
        if parts[:1] != (self._wanted,) or len(parts) > 2 or (member.isdir() and len(parts) > 1):
            raise self._refused(f"more than {self._wanted}", member)

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        content = tar.extractfile(member)
        try:
            (path if content is None else path.parent).mkdir(exist_ok=True)
            if content is not None:
                self._copy(content, member, path)
        except FileExistsError:
            raise self._refused("a file twice", member) from None

    def _copy(self, content: IO[bytes], member: tarfile.TarInfo, path: Path) -> None:
        free = shutil.disk_usage(self._folder).free
        if member.size > free - _SPARE_BYTES:
            raise DiskFull(
                f"{self._archive} holds {member.size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are "
                f"free in {self._folder.parent.absolute()}; free some space"
            )
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file, _CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        if path.stat().st_size != member.size:
            raise self._refused("less than it says", member)

    def _refused(self, what: str, member: tarfile.TarInfo | None = None) -> NotARecording:
        where = "" if member is None else f" ({member.name[:_SHOWN]!r})"
        return NotARecording(f"{self._archive} is no packed recording: it has {what}{where}")


class _Watched:
    """A file for reading that says how much was read."""

    def __init__(self, file: IO[bytes], on_bytes: OnBytes) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self.cancelled: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        try:
            self._on_bytes(len(data))
        except BaseException as error:
            self.cancelled = error
            raise
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _Bounded(io.BufferedIOBase):
    """The content of an archive, of which nobody reads much at a time: headers lie, too."""

    def __init__(self, content: gzip.GzipFile) -> None:
        self._content = content

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_HEADER_BYTES:
            raise tarfile.ReadError("a header of it is too large")
        return self._content.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()


@contextmanager
def _errors_about(archive: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(f"{archive}: the disk is full; free some space") from None
        raise StorageError(f"{error.filename or archive}: {error.strerror or error}") from None

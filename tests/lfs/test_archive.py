"""Archives: what is packed is the same every time, and what is unpacked is not trusted."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dimos_record.errors import DiskFull, NotARecording
from dimos_record.lfs.archive import pack, unpack
from tests.lfs.projects import leftovers, member, tar


def ignore(size: int) -> None:
    """Nobody watches."""


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def packed(folder: Path, content: bytes, name: str = "walk.db") -> Path:
    path = folder / f"{name}.tar.gz"
    path.write_bytes(content)
    return path


def test_a_file_comes_out_as_it_went_in(tmp_path: Path, into: Path) -> None:
    source, archive = tmp_path / "walk.db", tmp_path / "walk.db.tar.gz"
    source.write_bytes(os.urandom(3_000_001))
    seen: list[int] = []
    pack(source, archive, seen.append)
    assert sum(seen) == 3_000_001
    seen.clear()
    assert unpack(archive, into, seen.append) == into / "walk.db"
    assert (into / "walk.db").read_bytes() == source.read_bytes()
    assert sum(seen) == archive.stat().st_size


def test_a_folder_comes_out_as_it_went_in(tmp_path: Path, into: Path) -> None:
    source, archive = tmp_path / "long", tmp_path / "long.tar.gz"
    source.mkdir()
    for i in range(3):
        (source / f"segment-{i}.db").write_bytes(b"%d" % i)
    pack(source, archive, ignore)
    found = unpack(archive, into, ignore)
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        f"segment-{i}.db": b"%d" % i for i in range(3)
    }


def test_the_same_content_gives_the_same_archive(tmp_path: Path) -> None:
    archives = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "walk.db").write_bytes(b"the same" * 1000)
        os.utime(folder / "walk.db", (number, number))
        (folder / "walk.db").chmod(0o600 + number)
        pack(folder / "walk.db", folder / "out.tar.gz", ignore)
        archives.append((folder / "out.tar.gz").read_bytes())
    assert archives[0] == archives[1]


@pytest.mark.parametrize("names", [["walk.db"], ["./walk.db"], ["./._walk.db", "./walk.db"]])
def test_what_other_programs_pack_is_unpacked(tmp_path: Path, into: Path, names: list[str]) -> None:
    archive = packed(tmp_path, tar(*(member(name, b"content") for name in names)))
    assert unpack(archive, into, ignore).read_bytes() == b"content"
    assert os.listdir(into) == ["walk.db"]


def test_other_programs_unpack_what_we_pack(tmp_path: Path, into: Path) -> None:
    (tmp_path / "walk.db").write_bytes(os.urandom(3_000_001))
    archive = tmp_path / "walk.db.tar.gz"
    pack(tmp_path / "walk.db", archive, ignore)
    subprocess.run(["tar", "-xzf", archive, "-C", into], check=True)
    assert (into / "walk.db").read_bytes() == (tmp_path / "walk.db").read_bytes()
    with tarfile.open(archive, "r:gz") as opened:  # as dimos does
        content = opened.extractfile("walk.db")
        assert content is not None
        assert content.read() == (tmp_path / "walk.db").read_bytes()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=kind, linkname=target)


WALK = member("walk.db")
FOLDER = member("walk.db", b"", type=tarfile.DIRTYPE)
HOSTILE = {
    "a file beside it": tar(WALK, member("other.db")),
    "a log beside it": tar(WALK, member("walk.db-wal")),
    "nothing": tar(),
    "another name": tar(member("other.db")),
    "an absolute path": tar(member("/etc/walk.db")),
    "a path upwards": tar(member("../walk.db")),
    "a path upwards from inside": tar(FOLDER, member("walk.db/../../evil.db")),
    "two dots": tar(member("..")),
    "a folder in the folder": tar(FOLDER, member("walk.db/in", b"", type=tarfile.DIRTYPE)),
    "a file too deep": tar(FOLDER, member("walk.db/in/segment.db")),
    "a symbolic link": tar(link("walk.db", "/etc/passwd")),
    "a link in the folder": tar(FOLDER, link("walk.db/segment.db", "/etc/passwd")),
    "a folder that is a link": tar(link("walk.db", ".."), member("walk.db/evil.db")),
    "a hard link": tar(link("walk.db", "/etc/passwd", tarfile.LNKTYPE)),
    "a device": tar(member("walk.db", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "a pipe": tar(member("walk.db", b"", type=tarfile.FIFOTYPE)),
    "a file twice": tar(WALK, member("walk.db", b"y")),
    "a file as a folder": tar(WALK, member("walk.db/segment.db")),
    "a folder as a file": tar(FOLDER, member("walk.db/segment.db"), WALK),
    "a text": b"no archive at all",
    "a packed text": gzip.compress(b"no archive at all" * 100),
    "no byte": b"",
    "half of it": tar(member("walk.db", os.urandom(5000)))[:3000],
    "more behind its end": gzip.compress(gzip.decompress(tar(WALK)) + bytes(20_000_000)),
    "headers in headers": gzip.compress(
        tarfile.TarInfo("x" * 120).tobuf(tarfile.GNU_FORMAT)[:1024] * 3000
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_archive_with_anything_else_is_refused(
    tmp_path: Path, into: Path, content: bytes
) -> None:
    archive = packed(tmp_path, content)
    with pytest.raises(NotARecording, match=r"walk\.db\.tar\.gz is no packed recording"):
        unpack(archive, into, ignore)
    assert {path.name for path in tmp_path.iterdir()} == {"into", "home", archive.name}
    assert {path.name for path in into.iterdir()} <= {"walk.db"}
    assert leftovers(tmp_path) == []


def lying(size_field: bytes) -> bytes:
    """An archive of `walk.db`, whose header says something else of its size."""
    header = bytearray(tarfile.TarInfo("walk.db").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size_field
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    return gzip.compress(bytes(header) + bytes(2048))


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(
    tmp_path: Path, into: Path
) -> None:
    petabyte = b"\x80" + (10**15).to_bytes(11, "big")
    with pytest.raises(DiskFull, match=r"holds 1,000,000,000 MB and .* MB are free"):
        unpack(packed(tmp_path, lying(petabyte)), into, ignore)
    assert os.listdir(into) == []


@pytest.mark.parametrize("field", [b"\xff" * 12, b"\xff" + b"\0" * 11])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, into: Path, field: bytes) -> None:
    with pytest.raises(NotARecording):
        unpack(packed(tmp_path, lying(field)), into, ignore)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, into: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=1) as out:
        out.write(header.tobuf(tarfile.GNU_FORMAT))
        out.write(bytes(4_000_000))
    with pytest.raises(NotARecording, match="too large"):
        unpack(packed(tmp_path, content.getvalue()), into, ignore)


@pytest.mark.parametrize("flip", [len, lambda content: 40])
def test_a_damaged_archive_is_refused(
    tmp_path: Path, into: Path, flip: Callable[[bytes], int]
) -> None:
    content = bytearray(tar(member("walk.db", os.urandom(100_000))))
    content[min(flip(content), len(content) - 8)] ^= 1  # at the end is the checksum
    with pytest.raises(NotARecording):
        unpack(packed(tmp_path, bytes(content)), into, ignore)


def test_an_exception_of_who_watches_is_passed_on(tmp_path: Path, into: Path) -> None:
    class Enough(ValueError):
        pass

    def enough(size: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        unpack(packed(tmp_path, tar(WALK)), into, enough)

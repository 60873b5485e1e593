"""Archives of recordings and Git LFS pointers.

The first byte chooses what the rest is: an archive, a tar file that is packed first, members of a
tar file, or a pointer.
"""

from __future__ import annotations

import gzip
import io
import tarfile

from dimos_record.lfs.archive import pack, unpack
from dimos_record.lfs.git import pointer_in
from soaking.fuzz_targets.checks import BrokenPromise, errors_of_ours
from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.places import scratch

_NAME = "walk.db"
_NAMES = (_NAME, "walk.db/a.db", "./walk.db", "../walk.db", "/etc/walk.db", "._walk.db", "", ".")
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"a1" * 32)


def seeds() -> list[bytes]:
    """One of each."""
    with scratch() as folder:
        source, archive = folder / _NAME, folder / f"{_NAME}.tar.gz"
        source.write_bytes(b"SQLite format 3\0" + bytes(3000))
        pack(source, archive, lambda size: None)
        packed = archive.read_bytes()
    return [
        b"\0" + packed,
        b"\1" + gzip.decompress(packed),
        b"\1" + gzip.decompress(packed).replace(b"walk.db", b"../k.db"),
        *(b"\2" + bytes([number, kind, 5, 5, 5]) for number in range(8) for kind in (0, 3, 5)),
        b"\3" + _POINTER,
        b"\3" + _POINTER.replace(b"12345", b"9" * 900),
    ]


def run(data: bytes) -> None:
    """Unpack the bytes: what comes out is in its folder, or nothing does."""
    kind, rest = data[:1], data[1:]
    if kind == b"\3":
        pointer_in(rest)
        return
    if kind == b"\1":
        rest = gzip.compress(rest, compresslevel=1, mtime=0)
    elif kind == b"\2":
        rest = gzip.compress(_tar(Choices(rest)), compresslevel=1, mtime=0)
    with scratch() as folder:
        archive, into = folder / f"{_NAME}.tar.gz", folder / "into"
        archive.write_bytes(rest)
        into.mkdir()
        with errors_of_ours(rest[:600].decode("latin1")):
            if unpack(archive, into, lambda size: None) != into / _NAME:
                raise BrokenPromise("something else was unpacked")
        outside = sorted(path.name for path in folder.iterdir() if path not in (archive, into))
        links = [path.name for path in into.rglob("*") if path.is_symlink()]
        if outside or links:
            raise BrokenPromise(f"unpacking leaves {outside}, and the links {links}")


def _tar(choices: Choices) -> bytes:
    """A tar file with members of all kinds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=choices.pick((0, 1, 2))) as tar:
        while choices.left:
            name = choices.pick(_NAMES) if choices.below(4) else choices.text().replace("\0", "")
            member = tarfile.TarInfo(name)
            member.type = choices.pick((b"0", b"5", b"1", b"2", b"3", b"6", b"S", b"L", b"x", b"g"))
            member.linkname = choices.pick(("", "/etc", "../x", _NAME))
            content = choices.block()
            member.size = choices.pick((len(content), len(content), 0, 10, 2**33))
            try:
                tar.addfile(member, io.BytesIO(content.ljust(min(member.size, 1000), b".")))
            except (OSError, ValueError, tarfile.TarError):
                break
    return out.getvalue()

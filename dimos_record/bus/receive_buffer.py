"""The kernel's buffer behind a UDP socket: size and losses.

All of it is known on Linux only (see ``man 7 socket`` and ``man 5 proc``); elsewhere nothing is
found and nothing is reported.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import stat
import sys
import termios
from functools import cache
from pathlib import Path

_SO_RCVBUFFORCE = 33  # like SO_RCVBUF, but beyond net.core.rmem_max; needs CAP_NET_ADMIN


def largest_size() -> int | None:
    """The most bytes the kernel grants a process without privileges, or None if unknown."""
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return None


def open_sockets() -> dict[int, int]:
    """This process's sockets, as inode: file descriptor; empty where that is not known."""
    found: dict[int, int] = {}
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for descriptor in map(int, descriptors):
        try:
            status = os.fstat(descriptor)
        except OSError:  # closed since it was listed
            continue
        if stat.S_ISSOCK(status.st_mode):
            found[status.st_ino] = descriptor
    return found


def find_new_socket(before: dict[int, int], address: str, port: int) -> socket.socket | None:
    """The UDP socket bound to an address that was not yet there `before`, as a duplicate.

    The caller closes the duplicate; it has to, for the socket lives as long as it does.
    """
    for inode, descriptor in open_sockets().items():
        if inode in before:
            continue
        try:
            duplicate = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # closed since it was listed
            continue
        is_inet_udp = (duplicate.family, duplicate.type) == (socket.AF_INET, socket.SOCK_DGRAM)
        if is_inet_udp and duplicate.getsockname() == (address, port):
            return duplicate
        duplicate.close()
    return None


def enlarge(udp: socket.socket, wanted_bytes: int) -> None:
    """Give a socket the buffer it asked for, by privilege if need be, or warn that it is small."""
    if not sys.platform.startswith("linux") or granted(udp) >= wanted_bytes:
        return
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted_bytes)
    except OSError:  # not allowed
        pass
    if granted(udp) < wanted_bytes:
        _warn_small_buffer(granted(udp), wanted_bytes)


def count_drops(udp: socket.socket) -> int | None:
    """Packets the kernel dropped at a socket since it was opened, or None if unknown."""
    inode = str(os.fstat(udp.fileno()).st_ino)
    try:
        table = Path("/proc/net/udp").read_text().splitlines()[1:]
    except OSError:
        return None
    for row in map(str.split, table):
        if row[9] == inode:
            return int(row[-1])
    return None


def has_pending(udp: socket.socket | None) -> bool:
    """Whether the kernel holds a packet that was not read yet."""
    if udp is None or not sys.platform.startswith("linux"):
        return False
    size = fcntl.ioctl(udp.fileno(), termios.FIONREAD, bytes(4))
    return size != bytes(4)


def granted(udp: socket.socket) -> int:
    """Bytes of a socket's receive buffer."""
    # Linux reports twice the size, because it counts its own bookkeeping in.
    return udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


@cache
def _warn_small_buffer(granted_bytes: int, wanted_bytes: int) -> None:
    """Warn once per process."""
    logging.getLogger("dimos_record").warning(
        "the kernel grants LCM's receive buffer only %d of %d bytes, so large messages may be "
        "lost before they are received; allow more with: sudo sysctl -w net.core.rmem_max=%d",
        granted_bytes,
        wanted_bytes,
        wanted_bytes,
    )

"""Receives messages and notes when they came, as a program of its own that ends on SIGTERM.

Usage: python -m benchmarks.receiver URL OUT

The time is that at which the kernel got the first packet of each message, and Python does as little
as it can: a callback would add its own delays, and would not keep up at full speed.

OUT is a binary array of 64-bit integers: number and monotonic time (ns) of each message in turn.
"""

from __future__ import annotations

import gc
import signal
import socket
import struct
import sys
import time
from array import array
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.messages import numbered

_SO_TIMESTAMPNS = 35
_SMALL, _FRAGMENT = b"LC02", b"LC03"
_CHANNEL_AT, _SLASH = 8, ord("/")  # every channel that counts begins with a slash
_FRAGMENT_HEADER = struct.Struct(">4sIIIHH")
"""magic, sequence number, message size, offset, number of this fragment, fragments in all"""
_TIMESPEC = struct.Struct("@qq")

_stopped = False


def _stop(number: int, frame: object) -> None:
    global _stopped
    _stopped = True


def receive(url: str) -> array[int]:
    """Take the kernel's time of the first packet of each message that arrived whole."""
    found = array("q")
    partial: dict[int, list[int]] = {}
    to_monotonic_ns = time.monotonic_ns() - time.time_ns()
    with _open_socket(url) as udp:
        print("ready", flush=True)
        while not _stopped:
            try:
                packet, extra, _, _ = udp.recvmsg(65536, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = _TIMESPEC.unpack_from(extra[0][2])
            arrived_ns = seconds * 1_000_000_000 + nanoseconds + to_monotonic_ns
            if packet.startswith(_SMALL) and packet[_CHANNEL_AT] == _SLASH:
                found.append(numbered(packet)[0])
                found.append(arrived_ns)
            elif packet.startswith(_FRAGMENT):
                _add_fragment(packet, arrived_ns, partial, found)
    return found


def _add_fragment(
    packet: bytes, arrived_ns: int, partial: dict[int, list[int]], found: array[int]
) -> None:
    _, message, _, _, index, count = _FRAGMENT_HEADER.unpack_from(packet)
    parts = partial.setdefault(message, [0, arrived_ns, 0])
    parts[0] += 1
    if index == count - 1:
        parts[2] = numbered(packet)[0]
    if parts[0] == count:
        del partial[message]
        found.append(parts[2])
        found.append(parts[1])


def _open_socket(url: str) -> socket.socket:
    parts = urlsplit(url)
    group, port = str(parts.hostname), int(parts.port or 0)
    size = int(parse_qs(parts.query)["recv_buf_size"][0])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    udp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    udp.bind((group, port))
    membership = socket.inet_aton(group) + socket.inet_aton("0.0.0.0")
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    udp.settimeout(0.05)
    return udp


if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGTERM, _stop)
    address, out = sys.argv[1:]
    Path(out).write_bytes(receive(address).tobytes())

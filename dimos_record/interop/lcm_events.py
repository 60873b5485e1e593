"""Reading the events of an LCM event log, also of one that is cut off or damaged.

An event (all numbers big-endian; lcm/eventlog.c): the four bytes ED A1 DA 01, its number, its time
in microseconds since the UNIX epoch, the lengths of the channel's name and of the data, the name,
the data. It counts only when it is whole: another one follows right behind it, or the end of the
file. The format has no checksum, so a damaged byte inside of a message is not noticed here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

HEADER = struct.Struct(">4sqqii")
SYNC = b"\xed\xa1\xda\x01"
_BEGIN = struct.Struct(">4sq")

_CHUNK_BYTES = 4_000_000
_MOST_NAME_BYTES = 1000  # as in lcm/eventlog.c
_LAST_NUMBER = 2**63 - 1
_LAST_US = (2**63 - 1) // 1000  # what fits in an int64 of nanoseconds


class Event(NamedTuple):
    """One event of a log."""

    time_us: int
    channel: str
    data: bytes


class _Header(NamedTuple):
    number: int
    time_us: int
    channel: str
    data_at: int
    end: int


class EventReader:
    """The events of an open log, from its beginning to the size that it has now.

    Args:
        file: the log, opened for reading in binary; it belongs to the caller.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size
        self.position = 0
        """How many bytes were read."""
        self.damaged_places = 0
        self.first_damage = 0
        """The byte at which the first damage begins."""
        self.missing = 0
        """Events that damage has cost: by their numbers, and at least one at each place."""
        self.cut_off: str | None = None
        """The channel of the event that the log ends in the middle of; empty if not known."""
        self._window, self._window_at = b"", 0
        self._names: dict[bytes, str | None] = {}

    def events(self) -> Iterator[Event]:
        """Every whole event, in the order of the file."""
        self._forget()
        while self.position < self.size:
            yield from self._plain_events()
            header = self._header(self.position)
            if header is None or not self._is_whole(header):
                self._skip(header)
                continue
            data = self._bytes(header.data_at, header.end)
            self.position, self._expected = header.end, header.number + 1
            yield Event(header.time_us, header.channel, data)

    def _plain_events(self) -> Iterator[Event]:
        """The next events that lie in the window as a whole, each followed by the next number.

        That is nearly all of them; what else there can be is looked at with more care.
        """
        window, names = self._window, self._names
        at = self.position - self._window_at
        while 0 <= at <= len(window) - HEADER.size:
            sync, number, time_us, name_size, data_size = HEADER.unpack_from(window, at)
            name_at, data_at = at + HEADER.size, at + HEADER.size + name_size
            end = data_at + data_size
            name = names.get(window[name_at:data_at])
            if not (sync == SYNC and name and data_size >= 0 and _fit(number, time_us)):
                return
            if not window.startswith(_BEGIN.pack(SYNC, number + 1), end):
                return
            self.position, self._expected, at = end + self._window_at, number + 1, end
            yield Event(time_us, name, window[data_at:end])

    def _forget(self) -> None:
        self.position = self._expected = 0
        self.damaged_places = self.first_damage = self.missing = 0
        self.cut_off = None

    def _header(self, at: int) -> _Header | None:
        """What stands at a place, if it can be the header of an event."""
        head = self._bytes(at, at + HEADER.size)
        if len(head) < HEADER.size or head[:4] != SYNC:
            return None
        _, number, time_us, name_size, data_size = HEADER.unpack(head)
        sizes_fit = 0 < name_size < _MOST_NAME_BYTES and data_size >= 0
        if not (sizes_fit and _fit(number, time_us)):
            return None
        data_at = at + HEADER.size + name_size
        raw = self._bytes(at + HEADER.size, data_at)
        if raw not in self._names:
            self._names[raw] = _text(raw)
        name = self._names[raw]
        return (
            None if name is None else _Header(number, time_us, name, data_at, data_at + data_size)
        )

    def _is_whole(self, header: _Header) -> bool:
        """Whether an event ends where it says: at the end of the file, or where the next begins."""
        _, number, _, data_at, end = header
        if end > self.size:
            return False
        behind_end = min(end + _BEGIN.size, self.size)
        if behind_end - data_at <= _CHUNK_BYTES:
            self._bytes(data_at, behind_end)  # so that it is read once
        behind = self._bytes(end, behind_end)
        next_one = _BEGIN.pack(SYNC, number + 1)
        if behind == next_one:
            return True
        if not SYNC.startswith(behind[: len(SYNC)]):
            return False
        # a length may be wrong and yet lead to the begin of a later event, or to the end
        return next_one not in self._bytes(data_at, end)

    def _skip(self, header: _Header | None) -> None:
        """Go on with the next whole event behind one that is not."""
        at = self.position
        found = self._search(at + 1)
        if found is not None:
            self.position, number = found
            self._note_damage(at, self.position, number - self._expected)
            self._expected = number
            return
        self.position = self.size
        if header is not None and header.end > self.size:
            self.cut_off = header.channel
        elif SYNC.startswith(self._bytes(at, at + len(SYNC))) and self.size - at < HEADER.size:
            self.cut_off = ""
        else:
            self._note_damage(at, self.size, 1)

    def _note_damage(self, begin: int, end: int, missing: int) -> None:
        if not self.damaged_places:
            self.first_damage = begin
        self.damaged_places += 1
        self.missing += max(1, min(missing, (end - begin) // HEADER.size))

    def _search(self, at: int) -> tuple[int, int] | None:
        """Place and number of the first whole event from a place on."""
        while at + HEADER.size <= self.size:
            chunk = os.pread(self._descriptor, _CHUNK_BYTES, at)
            place = chunk.find(SYNC)
            while place >= 0:
                header = self._header(at + place)
                if header and self._is_whole(header):
                    return at + place, header.number
                place = chunk.find(SYNC, place + 1)
            at += len(chunk) - len(SYNC) + 1
        return None

    def _bytes(self, begin: int, end: int) -> bytes:
        """The bytes of a section of the file; fewer where it ends."""
        low, high = begin - self._window_at, end - self._window_at
        if low < 0 or high > len(self._window):
            if end - begin > _CHUNK_BYTES:
                return os.pread(self._descriptor, end - begin, begin)
            self._window_at = begin
            size = max(0, min(_CHUNK_BYTES, self.size - begin))  # it may be growing
            self._window = os.pread(self._descriptor, size, begin)
            low, high = 0, end - begin
        return self._window[low:high]


def _fit(number: int, time_us: int) -> bool:
    return 0 <= number < _LAST_NUMBER and 0 <= time_us <= _LAST_US


def _text(name: bytes) -> str | None:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    return text if "\0" not in text else None

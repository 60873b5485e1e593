"""The payloads of messages that are looked at one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from dimos_record.store.base import Row, StoreReader


class PayloadReader(StoreReader, Protocol):
    """A reader that also finds the payload of one message."""

    def payload(self, stream: str, number: int) -> bytes:
        """The wire bytes of one message."""


class Payloads:
    """Loads payloads when they are asked for: many at once, if all of a stream are wanted.

    Safe to use from several threads.
    """

    def __init__(self, reader: PayloadReader, stream: str) -> None:
        self._reader, self._stream = reader, stream
        self._lock = threading.Lock()
        self._last: int | None = None
        self._following: Iterator[Row] | None = None
        """What comes after the last one, once two were wanted in a row."""

    def load(self, number: int, ts_ns: int) -> bytes:
        """The wire bytes of the message of a number, which was received at this time.

        Raises:
            LookupError: the stream has no message of that number.
            CodecError, MissingExtra: its payload cannot be read here.
        """
        with self._lock:
            follows, self._last = self._last == number - 1, number
            if not follows:
                self._following = None
            elif self._following is None:
                self._following = self._reader.rows(self._stream, start_ns=ts_ns)
            found = next(self._following, None) if self._following is not None else None
        if found is not None and found.id == number:
            return found.data
        with self._lock:
            self._following = None
        return self._reader.payload(self._stream, number)

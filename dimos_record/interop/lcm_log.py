"""LCM event logs, as `lcm-logger` writes them and `lcm-logplayer` plays them.

An event has a channel, its bytes, and a time in microseconds; see `lcm_events.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal

from dimos_record.bus.base import split_channel
from dimos_record.errors import NotARecording, RecordingNotFound, StorageError
from dimos_record.interop.exporting import About, Loss, Losses
from dimos_record.interop.importing import ImportedMessage, Problem, Wanted
from dimos_record.interop.lcm_events import HEADER, SYNC, Event, EventReader
from dimos_record.messages import is_latched
from dimos_record.replay.publishable import is_publishable
from dimos_record.store.base import Marker, Row
from dimos_record.store.observation import Meta

_BUFFER_BYTES = 1_000_000
_MOST_NAME_BYTES = 63  # LCM_MAX_CHANNEL_NAME_LENGTH
_MOST_LATE_US = 100_000
_LATE = "their time in the log is before that of the message before them; they have that one's"
_SET_BACK = "the clock was set back here, so that they come before others in the order of time"


class LcmLogWriter:
    """Writes an LCM event log: every message under its channel, as the bytes that it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._number = 0
        self._channels: dict[str, bytes] = {}
        self._losses = Losses()

    def begin(self, about: About) -> None:
        """Create the file."""
        self._file = self._path.open("xb", buffering=_BUFFER_BYTES)
        if about.markers:
            self._losses.note("", "markers", len(about.markers))

    def write(self, row: Row, meta: Meta | None) -> bool:
        """Write one event; see `ExportWriter`."""
        stream = row.stream
        if not is_publishable(stream):
            self._losses.note(stream.topic, "numbers that dimos stored without a message")
            return False
        channel = self._channels.get(stream.channel)
        if channel is None:
            channel = self._channels[stream.channel] = stream.channel.encode()
        self._note_losses(row, meta)
        size = len(row.data)
        header = HEADER.pack(SYNC, self._number, row.ts_ns // 1000, len(channel), size)
        self._opened.write(b"".join((header, channel, row.data)))
        self._number += 1
        return True

    def _note_losses(self, row: Row, meta: Meta | None) -> None:
        topic = row.stream.topic
        if row.ts_ns % 1000:
            self._losses.note(topic, "times below a microsecond")
        if meta is not None and meta.pose is not None:
            self._losses.note(topic, "poses")
        if meta is not None and meta.tags:
            self._losses.note(topic, "tags")
        if len(self._channels[row.stream.channel]) > _MOST_NAME_BYTES:
            self._losses.note(topic, "a name of more than 63 bytes, which LCM does not play")
        if row.stream.codec in ("pickle", "json"):
            self._losses.note(topic, f"that its bytes are {row.stream.codec} and no LCM message")
        if row.stream.latched and not is_latched(topic, row.stream.type_name):
            self._losses.note(topic, "that its last message stays valid (latched)")

    @property
    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise StorageError(f"{self._path} is not open for writing")
        return self._file

    def finish(self) -> None:
        """Make the file complete."""
        self._opened.close()

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()

    @property
    def losses(self) -> list[Loss]:
        """What could not be carried so far."""
        return self._losses.listed()


class LcmLogImport:
    """The messages of an LCM event log. Close it, or use it as a context manager.

    Messages keep the order of the log. `lcm-logger` now and then notes a time some milliseconds
    before that of the message before: such a message gets the time of that one.

    Raises:
        RecordingNotFound: there is no such file.
        NotARecording: there is no event in it.
        StorageError: it cannot be read.
    """

    unit: Literal["messages", "bytes"] = "bytes"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self._reader = EventReader(self._file)
        self._odd_times = Losses()
        try:
            self._first_us = self._find_first()
        except BaseException:
            self.close()
            raise

    def _find_first(self) -> int | None:
        """The time of the first event; None in an empty log."""
        first = next(self._events(), None)
        if first is None and self._reader.size:
            raise NotARecording(f"{self.path} is no LCM event log: there is no event in it")
        return None if first is None else first.time_us

    @property
    def done(self) -> int:
        """Bytes read so far, of `total`."""
        return self._reader.position

    @property
    def total(self) -> int:
        """Bytes of the log."""
        return self._reader.size

    @property
    def start_ns(self) -> int | None:
        """The time of the first event; None in an empty log."""
        return None if self._first_us is None else self._first_us * 1000

    @property
    def latched(self) -> frozenset[str]:
        """None: a log does not say."""
        return frozenset()

    @property
    def markers(self) -> Sequence[Marker]:
        """None: a log has no place for them."""
        return ()

    @property
    def problems(self) -> list[Problem]:
        """What could not be read so far."""
        found = [
            Problem(one.topic, "", one.what, one.count, imported=True)
            for one in self._odd_times.listed()
        ]
        reader = self._reader
        if reader.cut_off is not None:
            topic, _ = split_channel(reader.cut_off)
            reason = "the log ends in the middle of this message"
            found.append(Problem(topic, "", reason, 1, imported=False))
        if reader.damaged_places:
            places = f"{reader.damaged_places:,} places" if reader.damaged_places > 1 else "a place"
            reason = f"{places} of the log cannot be read, from byte {reader.first_damage:,} on"
            found.append(Problem("", "", reason, reader.missing, imported=False))
        return sorted(found)

    def messages(self, wanted: Wanted | None = None) -> Iterator[ImportedMessage]:
        """The wanted messages, in the order of the log.

        Raises:
            StorageError: the log cannot be read.
        """
        wanted = wanted or Wanted()
        topics: dict[str, tuple[str, str | None, bool]] = {}
        self._odd_times = Losses()
        last_us = 0
        for event in self._events():
            if event.channel not in topics:
                topic, type_name = split_channel(event.channel)
                latched = is_latched(topic, type_name)
                topics[event.channel] = topic, type_name, latched
            topic, type_name, latched = topics[event.channel]
            late = event.time_us < last_us
            last_us = _in_order(event.time_us, last_us)
            ts_ns = last_us * 1000
            if wanted.topic(topic, type_name) and wanted.time(ts_ns, latched=latched):
                if late:
                    self._odd_times.note(topic, _LATE if last_us > event.time_us else _SET_BACK)
                yield ImportedMessage(topic, type_name, event.data, ts_ns, ts_ns, event.channel)

    def _events(self) -> Iterator[Event]:
        try:
            yield from self._reader.events()
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        self._file.close()

    def __enter__(self) -> LcmLogImport:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _in_order(time_us: int, last_us: int) -> int:
    """The time of an event: not before that of the one before, unless the clock was set."""
    return last_us if 0 < last_us - time_us <= _MOST_LATE_US else time_us


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise RecordingNotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise NotARecording(f"{path} is a folder; name an LCM event log in it") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error

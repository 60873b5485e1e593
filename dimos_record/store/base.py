"""What crosses the border of the store: streams, rows, sessions, and the reader's Protocol.

Times are integers in nanoseconds since the UNIX epoch where a name ends in ``_ns``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dimos_record.store.senders import SenderAccount, from_meta


class StreamInfo(NamedTuple):
    """The recorded messages of one topic, as the recording describes them."""

    name: str
    """Name of the stream and of its table: `robot1__odom`."""
    topic: str
    """`/robot1/odom`"""
    channel: str
    """Wire name on the bus it came from: `/robot1/odom#geometry_msgs.PoseStamped`."""
    type_name: str | None
    """`geometry_msgs.PoseStamped`; None for raw channels without a type."""
    codec: str = "lcm"
    """How payloads are stored: `lcm` (wire bytes), `lz4+lcm`, `jpeg`, `json`, `pickle`."""
    latched: bool = False
    """Whether the last message stays valid until the next (camera info, map, static transforms)."""
    module: str | None = None
    """The module that published it, where known."""
    bus: str | None = None
    """URL of the bus it was recorded from."""
    fingerprint: int | None = None
    """The first eight bytes of the LCM type, where known."""


class Row(NamedTuple):
    """One recorded message on the hot path: wire bytes and times, nothing decoded."""

    stream: StreamInfo
    id: int
    """1, 2, 3 ... within the stream."""
    seq: int
    """Order of arrival across the streams of the recording."""
    ts_ns: int
    """Receive time."""
    stamp_ns: int | None
    """Time in the message's own header, if it has one."""
    data: bytes
    """The bytes as they came off the wire."""


@dataclass(frozen=True)
class StreamStats:
    """Size and extent of a stream."""

    count: int
    bytes: int
    """Payload bytes as stored."""
    first_ns: int | None
    last_ns: int | None


@dataclass
class StreamAccount:
    """What happened to the messages of one stream in one session."""

    received: int = 0
    written: int = 0
    dropped: int = 0
    bytes: int = 0
    largest_gap_ns: int = 0
    largest_gap_at_ns: int | None = None
    out_of_order: int = 0
    """Header stamps that went backwards."""
    frozen: int = 0
    """Header stamps that did not move."""
    stamp_jumps: int = 0
    """Header stamps that moved more than a second against the receive time."""

    def __add__(self, other: StreamAccount) -> StreamAccount:
        """Both accounts together, the larger gap kept."""
        larger = self if self.largest_gap_ns >= other.largest_gap_ns else other
        return StreamAccount(
            received=self.received + other.received,
            written=self.written + other.written,
            dropped=self.dropped + other.dropped,
            bytes=self.bytes + other.bytes,
            largest_gap_ns=larger.largest_gap_ns,
            largest_gap_at_ns=larger.largest_gap_at_ns,
            out_of_order=self.out_of_order + other.out_of_order,
            frozen=self.frozen + other.frozen,
            stamp_jumps=self.stamp_jumps + other.stamp_jumps,
        )


def add_accounts(
    first: dict[str, StreamAccount], second: dict[str, StreamAccount]
) -> dict[str, StreamAccount]:
    """The accounts of two parts of a session, by stream name."""
    nothing = StreamAccount()
    return {
        name: first.get(name, nothing) + second.get(name, nothing)
        for name in [*first, *(name for name in second if name not in first)]
    }


@dataclass
class SessionInfo:
    """One start-to-stop of recording into a file."""

    id: int
    start_ns: int
    stop_ns: int | None
    """Receive time of the end; None while it runs, or when it was killed."""
    state: str
    """`recording`, `finished` or `killed`."""
    reason: str | None = None
    """Why it ended, for people: `stopped`, `duration (60 s)`, `disk full`, `split` ..."""
    lost_before_reception: int | None = None
    """Packets the kernel dropped before they reached the recorder; None where not known."""
    clock_jumps: int = 0
    """Steps of the wall clock against the monotonic clock while recording."""
    meta: dict[str, Any] = field(default_factory=dict)
    """host, pid, argv, git revision, package versions, bus, selection."""
    accounts: dict[str, StreamAccount] = field(default_factory=dict)
    """Per stream name."""

    @property
    def senders(self) -> tuple[SenderAccount, ...]:
        """What came from each sender, and what was lost on its way; empty where not known."""
        return from_meta(self.meta)


class LogLine(NamedTuple):
    """One line that a program has logged while it was recorded."""

    ts_ns: int
    level: str | None
    """`info`, `warning`, `error` ..., where known."""
    source: str | None
    """Who logged it: a logger or a source file, where known."""
    line: str
    """What it said."""


class Marker(NamedTuple):
    """A labelled instant or interval on the timeline."""

    id: int
    at_ns: int
    label: str
    until_ns: int | None = None
    """Where an interval ends; None for an instant."""
    data: Any = None
    """What belongs to it, as JSON."""


class StreamSource(NamedTuple):
    """What a recorder knows of a channel beyond its name, before its first message."""

    bus: str | None
    """URL of the bus it comes from."""
    module: str | None = None
    """The module that publishes it."""
    codec: str | None = None
    """What its bytes are, if that is no LCM message: `pickle`."""
    payload: str | None = None
    """The class that dimos decodes it with, where the type's name does not tell."""
    dimos_codec: str | None = None
    """How dimos is to decode the bytes, if not as `codec` says: `jpeg` for compressed pictures."""


class StoreReader(Protocol):
    """Reading a recording. Safe to use from several threads; holds no transaction open."""

    @property
    def name(self) -> str:
        """What messages call this recording: its path, or `memory`."""

    @property
    def streams(self) -> dict[str, StreamInfo]:
        """Streams by name, in the order of their first recording."""

    def find(self, topic_or_stream: str) -> StreamInfo:
        """The stream of a topic, channel or stream name.

        Raises:
            UnknownTopic: there is none; the message lists what there is.
        """

    def stats(self, stream: str) -> StreamStats:
        """Count, bytes and extent of a stream."""

    def span_ns(self) -> tuple[int, int] | None:
        """Receive times of the first and the last message; None when there is no message.

        Messages inside skips do not count.
        """

    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        """Times of the first and the last message with ``start_ns <= ts_ns < end_ns``; O(log n)."""

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        """How many messages of a stream lie before each of these times, which ascend.

        O(log n) each, since numbers are dense and follow time; counted where samples say otherwise.
        """

    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        """Bytes of the stored payloads of messages, without loading them; 0 where there is none."""

    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        """Bytes of all stored payloads with ``start_ns <= ts_ns < end_ns``; O(n)."""

    def origin_ns(self) -> int:
        """Position 0: when the first message was received, as recorded; 0 without messages."""

    def skips(self) -> list[tuple[int, int]]:
        """Sections ``[a, b)`` of which everything was cut, in order; playback jumps over them.

        Messages in there are state that what follows needs: maps, camera infos, transforms.
        """

    def markers(self) -> list[Marker]:
        """Labelled instants and intervals, in the order of time."""

    def sessions(self) -> list[SessionInfo]:
        """The recording sessions with their accounts, oldest first."""

    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        """Messages with ``start_ns <= ts_ns < end_ns`` in order of (ts_ns, id), lazily.

        Finding the first costs O(log n). Pages are read in transactions of their own, so a reader
        that stops half-way holds nothing. Payloads are wire bytes, whatever the codec.
        """

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        """The last message with ``ts_ns`` at or before the given time; O(log n)."""

    def release(self) -> None:
        """Let go of the file for now: it is opened again when something is asked for next."""

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""

"""What is in a recording: the figures that `info` and `rec.topics` show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dimos_record.store.base import SessionInfo, StreamAccount, StreamInfo, add_accounts
from dimos_record.store.intervals import Intervals
from dimos_record.store.queries import QueryableReader
from dimos_record.store.senders import SenderAccount, add_senders


@dataclass(frozen=True)
class Topic:
    """A recorded topic in figures."""

    info: StreamInfo
    count: int
    bytes: int
    """Payload bytes as stored."""
    first_ns: int | None
    last_ns: int | None
    account: StreamAccount
    """What was received, dropped ... over all sessions; zeros where nobody counted."""
    skipped_ns: int = 0
    """How much was cut out of the whole recording between the first and the last message."""

    @property
    def name(self) -> str:
        """`/odom`"""
        return self.info.topic

    @property
    def duration_s(self) -> float:
        """From the first to the last message."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def rate_hz(self) -> float:
        """Messages per second from the first to the last, skips left out; 0 if not defined."""
        played_s = self.duration_s - self.skipped_ns / 1e9
        return (self.count - 1) / played_s if played_s > 0 else 0.0


@dataclass(frozen=True)
class Summary:
    """A recording in figures."""

    name: str
    schema_version: int
    self_contained: bool
    span_ns: tuple[int, int] | None
    topics: tuple[Topic, ...]
    sessions: tuple[SessionInfo, ...]

    @property
    def duration_s(self) -> float:
        """From the first to the last message."""
        return (self.span_ns[1] - self.span_ns[0]) / 1e9 if self.span_ns else 0.0

    @property
    def count(self) -> int:
        """Messages of all topics."""
        return sum(topic.count for topic in self.topics)

    @property
    def bytes(self) -> int:
        """Payload bytes of all topics."""
        return sum(topic.bytes for topic in self.topics)

    @property
    def dropped(self) -> int:
        """Messages that reached the recorder and could not be written, over all sessions."""
        return sum(topic.account.dropped for topic in self.topics)

    @property
    def lost_before_reception(self) -> int:
        """Packets that the kernel dropped, as far as is known, over all sessions."""
        return sum(session.lost_before_reception or 0 for session in self.sessions)

    @property
    def senders(self) -> tuple[SenderAccount, ...]:
        """What came from each sender, and what was lost on its way, over all sessions."""
        return add_senders(session.senders for session in self.sessions)


def summarize(reader: QueryableReader) -> Summary:
    """The figures of a recording."""
    sessions, skips = reader.sessions(), Intervals.of(reader.skips())
    accounts = total_accounts(sessions)
    return Summary(
        name=reader.name,
        schema_version=reader.schema_version,
        self_contained=reader.self_contained,
        span_ns=reader.span_ns(),
        topics=tuple(_topic(reader, info, accounts, skips) for info in reader.streams.values()),
        sessions=tuple(sessions),
    )


def describe_topic(reader: QueryableReader, info: StreamInfo, sessions: list[SessionInfo]) -> Topic:
    """The figures of one topic."""
    return _topic(reader, info, total_accounts(sessions), Intervals.of(reader.skips()))


def _topic(
    reader: QueryableReader,
    info: StreamInfo,
    accounts: Mapping[str, StreamAccount],
    skips: Intervals,
) -> Topic:
    stats = reader.stats(info.name)
    skipped = skips.within(stats.first_ns or 0, stats.last_ns or 0)
    return Topic(
        info,
        stats.count,
        stats.bytes,
        stats.first_ns,
        stats.last_ns,
        accounts.get(info.name, StreamAccount()),
        sum(b_ns - a_ns for a_ns, b_ns in skipped),
    )


def total_accounts(sessions: list[SessionInfo]) -> dict[str, StreamAccount]:
    """The accounts of all sessions together, by stream name."""
    total: dict[str, StreamAccount] = {}
    for session in sessions:
        total = add_accounts(total, session.accounts)
    return total

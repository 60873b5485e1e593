"""A recording in a list, a bus into a list, and a time that passes only when waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from dimos_record.bus.base import (
    OnArrivals,
    OnMessage,
    Selection,
    Sender,
    Subscription,
    split_channel,
)
from dimos_record.errors import ChannelTooLong, UnknownTopic
from dimos_record.store.base import Marker, Row, SessionInfo, StreamInfo, StreamStats

S = 1_000_000_000
T0 = 1_700_000_000 * S


def stream(channel: str, *, latched: bool = False) -> StreamInfo:
    topic, type_name = split_channel(channel)
    return StreamInfo(
        topic.strip("/").replace("/", "__"), topic, channel, type_name, "lcm", latched
    )


def recording(
    messages: Iterable[tuple[float, StreamInfo, bytes]],
    stamps: dict[bytes, int] | None = None,
    *,
    skips: Iterable[tuple[float, float]] = (),
    origin: float | None = None,
) -> ListReader:
    """A recording of (seconds, stream, data), in order of arrival; stamps by data.

    What was cut, and where it began before that, are in seconds, too.
    """
    ids: dict[str, int] = {}
    rows = []
    for seq, (seconds, info, data) in enumerate(messages):
        ids[info.name] = ids.get(info.name, 0) + 1
        stamp_ns = (stamps or {}).get(data)
        rows.append(Row(info, ids[info.name], seq, T0 + round(seconds * S), stamp_ns, data))
    return ListReader(
        rows,
        [(T0 + round(a * S), T0 + round(b * S)) for a, b in skips],
        None if origin is None else T0 + round(origin * S),
    )


class ListReader:
    """A `StoreReader` over a list of rows."""

    name = "list.db"

    def __init__(
        self,
        rows: Iterable[Row],
        skips: Iterable[tuple[int, int]] = (),
        origin_ns: int | None = None,
    ) -> None:
        self._rows: dict[str, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(row.stream.name, []).append(row)
        self._skips = list(skips)
        self._origin_ns = origin_ns
        self.fetched = 0

    @property
    def streams(self) -> dict[str, StreamInfo]:
        return {name: rows[0].stream for name, rows in self._rows.items()}

    def find(self, topic_or_stream: str) -> StreamInfo:
        for info in self.streams.values():
            if topic_or_stream in (info.name, info.topic, info.channel):
                return info
        raise UnknownTopic(topic_or_stream)

    def stats(self, stream: str) -> StreamStats:
        rows = self._rows[stream]
        size = sum(len(row.data) for row in rows)
        return StreamStats(len(rows), size, rows[0].ts_ns, rows[-1].ts_ns)

    def span_ns(self) -> tuple[int, int] | None:
        times = [
            row.ts_ns
            for rows in self._rows.values()
            for row in rows
            if not any(a_ns <= row.ts_ns < b_ns for a_ns, b_ns in self._skips)
        ]
        return (min(times), max(times)) if times else None

    def ends(
        self, stream: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[int, int] | None:
        times = [row.ts_ns for row in self.rows(stream, start_ns=start_ns, end_ns=end_ns)]
        return (times[0], times[-1]) if times else None

    def ranks(self, stream: str, times_ns: Sequence[int]) -> list[int]:
        return [sum(row.ts_ns < at for row in self._rows[stream]) for at in times_ns]

    def sizes(self, stream: str, numbers: Sequence[int]) -> list[int]:
        by_id = {row.id: len(row.data) for row in self._rows[stream]}
        return [by_id.get(number, 0) for number in numbers]

    def bytes_between(self, stream: str, start_ns: int | None, end_ns: int | None) -> int:
        return sum(len(row.data) for row in self.rows(stream, start_ns=start_ns, end_ns=end_ns))

    def origin_ns(self) -> int:
        times = [row.ts_ns for rows in self._rows.values() for row in rows]
        return min(times, default=0) if self._origin_ns is None else self._origin_ns

    def skips(self) -> list[tuple[int, int]]:
        return self._skips

    def markers(self) -> list[Marker]:
        return []

    def sessions(self) -> list[SessionInfo]:
        return []

    def rows(
        self,
        stream: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Row]:
        for row in self._rows[stream][:: -1 if reverse else 1]:
            if (start_ns is None or start_ns <= row.ts_ns) and (
                end_ns is None or row.ts_ns < end_ns
            ):
                self.fetched += 1
                yield row

    def last_at(self, stream: str, ts_ns: int) -> Row | None:
        return next(self.rows(stream, end_ns=ts_ns + 1, reverse=True), None)

    def close(self) -> None:
        pass


class FakeTime:
    """Time that jumps ahead whenever somebody waits for it to pass."""

    def __init__(self) -> None:
        self.now_ns = 5 * S
        self.wall_offset_ns = T0 + 1_000_000 * S

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns + self.wall_offset_ns

    def wait(self, condition: threading.Condition, timeout_ns: int | None) -> None:
        if timeout_ns is None:
            condition.wait()
        else:
            self.now_ns += timeout_ns

    def sleep_until(self, due_ns: int) -> None:
        self.now_ns = max(self.now_ns, due_ns)


class ListBus:
    """A bus that keeps what is published, with the time, and runs hooks from within `publish`."""

    url = "list://"
    reach = "a list"
    is_local = True

    def __init__(self, time: FakeTime | None = None, max_channel: int = 1000) -> None:
        self.time = time or FakeTime()
        self.published: list[tuple[str, bytes]] = []
        self.times_ns: list[int] = []
        self.hooks: dict[int, Callable[[], object]] = {}
        self._max_channel = max_channel

    def on_message(self, count: int, hook: Callable[[], object]) -> None:
        """Call a hook from within the publishing of the count-th message (from 1)."""
        self.hooks[count] = hook

    @property
    def data(self) -> list[bytes]:
        return [data for _, data in self.published]

    @property
    def seconds(self) -> list[float]:
        """When each message was published, in seconds after the first."""
        return [round((at - self.times_ns[0]) / S, 6) for at in self.times_ns]

    def publish(self, channel: str, data: bytes) -> None:
        self.published.append((channel, data))
        self.times_ns.append(self.time.now_ns)
        if hook := self.hooks.get(len(self.published)):
            hook()

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        for channel, data in messages:
            self.publish(channel, data)

    def subscribe(self, selection: Selection, on_message: OnMessage) -> Subscription:
        raise NotImplementedError

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> Subscription:
        raise NotImplementedError

    def senders(self) -> list[Sender]:
        return []

    def lost_before_reception(self) -> int | None:
        return 0

    def check_channel(self, channel: str) -> None:
        if len(channel) > self._max_channel:
            raise ChannelTooLong(f"{channel} is too long for a list")

    def close(self) -> None:
        pass

    def __enter__(self) -> ListBus:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

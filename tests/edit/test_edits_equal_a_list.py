"""Any sequence of edits, undo and redo equals the same edits on a plain list of messages."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import pytest
from dimos_lcm.geometry_msgs import TransformStamped
from dimos_lcm.std_msgs import Header
from dimos_lcm.tf2_msgs import TFMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dimos_record import RecordReplay
from dimos_record.errors import EditError, UnknownTopic
from dimos_record.store.memory import MemoryStore

START_NS = 1_700_000_000_000_000_000
TICK_NS = 1_000_000_000
TOPICS = {"/odom": False, "/scan": False, "/map": True, "/tf_static": True}
"""Topics, and whether they are latched."""
EVER = range(-300, 300)
"""Every tick that any message can be at, or moved to."""


class Message(NamedTuple):
    """A message of the plain list. Times are whole seconds since the first one."""

    topic: str
    number: int
    tick: int
    frames: str

    @property
    def data(self) -> bytes:
        if self.topic != "/tf_static":
            return f"{self.topic} {self.number}".encode()
        transforms = [
            TransformStamped(header=Header(seq=self.number), child_frame_id=frame)
            for frame in self.frames
        ]
        return bytes(
            TFMessage(transforms_length=len(transforms), transforms=transforms).lcm_encode()
        )


@dataclass
class Stream:
    """A topic of the model; ticks are as recorded."""

    messages: list[Message]
    shift: int = 0
    name: str = ""
    gone: set[int] = field(default_factory=set)
    passed: set[int] = field(default_factory=set)

    def left(self, latched: bool) -> list[Message]:
        alive = [message for message in self.messages if message.tick not in self.gone]
        kept = {message for message in alive if message.tick not in self.passed}
        for tick in EVER[:-1]:
            if latched and tick in self.passed and tick + 1 not in self.passed:
                kept |= self._state_of(alive, tick + 1)
        return [message for message in alive if message in kept]

    @staticmethod
    def _state_of(alive: list[Message], tick: int) -> set[Message]:
        last = {}
        for message in alive:
            if message.tick < tick:
                last.update(dict.fromkeys(message.frames or "-", message))
        return set(last.values())


def edited(messages: list[Message], edits: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """The plain list after edits: per topic, (time, bytes) of what is left."""
    streams = {
        topic: Stream([one for one in messages if one.topic == topic], name=topic)
        for topic in TOPICS
        if any(one.topic == topic for one in messages)
    }
    for kind, *args in edits:
        if kind == "delete":
            streams.pop(args[0])
        elif kind == "shift":
            streams[args[0]].shift += args[1]
        elif kind == "rename":
            streams[args[0]].name = args[1]
        else:
            _take_away(streams, kind, *args)
    return {
        stream.name: [
            (START_NS + (one.tick + stream.shift) * TICK_NS, one.data)
            for one in stream.left(TOPICS[topic])
        ]
        for topic, stream in streams.items()
    }


def _take_away(
    streams: dict[str, Stream], kind: str, a: int | None, b: int | None, topic: str | None
) -> None:
    ticks = [one.tick + stream.shift for stream in streams.values() for one in stream.messages]
    low = EVER[0] if a is None or a <= min(ticks) else a
    high = EVER[-1] + 1 if b is None or b > max(ticks) else b
    section = set(range(low, high))
    taken = section if kind == "cut" else set(EVER) - section
    for name, stream in streams.items():
        if topic in (None, name):
            target = stream.passed if topic is None else stream.gone
            beyond_start = low == EVER[0] if kind == "cut" else low > EVER[0]
            beyond_end = high == EVER[-1] + 1 if kind == "cut" else high <= EVER[-1]
            moved = {tick - stream.shift for tick in taken}
            # what reaches to the ends of time reaches there for streams that were moved, too
            moved |= {t for t in EVER if beyond_start and t < min(moved)}
            moved |= {t for t in EVER if beyond_end and t > max(moved)}
            target |= moved


def _numbered(drawn: list[tuple[str, int, str]]) -> list[Message]:
    first = min(tick for _, tick, _ in drawn)
    numbers = {topic: count(1) for topic in TOPICS}
    return [
        Message(topic, next(numbers[topic]), tick - first, frames if "tf" in topic else "")
        for topic, tick, frames in sorted(drawn, key=lambda one: one[1])
    ]


messages = st.lists(
    st.tuples(
        st.sampled_from(list(TOPICS)), st.integers(0, 30), st.sampled_from(["a", "b", "ab", "c"])
    ),
    min_size=1,
    max_size=40,
).map(_numbered)

ticks = st.one_of(st.none(), st.integers(-2, 34))
topics = st.sampled_from(list(TOPICS))
commands = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["cut", "trim"]), ticks, ticks, st.one_of(st.none(), topics)),
        st.tuples(st.just("cut"), ticks, ticks, st.none()),
        st.tuples(st.just("delete"), topics),
        st.tuples(st.just("shift"), topics, st.integers(-9, 9)),
        st.tuples(st.just("rename"), topics, st.sampled_from(["/new", "/other", "/odom"])),
        st.tuples(st.sampled_from(["undo", "redo"]), st.integers(1, 3)),
        st.tuples(st.just("revert")),
    ),
    max_size=9,
)


def record(rec: RecordReplay, messages: list[Message]) -> None:
    appenders = {
        topic: rec.stream(
            topic,
            topic=topic,
            type_name="tf2_msgs.TFMessage" if topic == "/tf_static" else None,
            latched=latched,
        )
        for topic, latched in TOPICS.items()
        if any(message.topic == topic for message in messages)
    }
    for message in messages:
        appenders[message.topic].append(message.data, ts_ns=START_NS + message.tick * TICK_NS)


class Edited:
    """A recording and the list, edited alike."""

    def __init__(self, rec: RecordReplay, messages: list[Message]) -> None:
        self.rec, self.messages = rec, messages
        self.made: list[tuple[Any, ...]] = []
        self.undone: list[tuple[Any, ...]] = []
        record(rec, messages)

    def names(self) -> dict[str, str]:
        """What each topic is called by now."""
        names = {message.topic: message.topic for message in self.messages}
        for kind, *args in self.made:
            if kind == "rename":
                names[args[0]] = args[1]
            elif kind == "delete":
                del names[args[0]]
        return names

    def do(self, kind: str, *args: Any) -> None:
        """Do it to the recording, and if that accepts it, to the list."""
        if kind in ("undo", "redo"):
            self._turn(kind, min(args[0], len(self.made if kind == "undo" else self.undone)))
        elif kind == "revert":
            if self.made:
                self.rec.revert()
                self.undone = [*self.undone, *reversed(self.made)]
                self.made = []
        else:
            self._edit(kind, *args)

    def _turn(self, kind: str, n: int) -> None:
        if not n:
            with pytest.raises(EditError, match="nothing to"):
                getattr(self.rec, kind)()
            return
        getattr(self.rec, kind)(n)
        source, target = (self.made, self.undone) if kind == "undo" else (self.undone, self.made)
        for _ in range(n):
            target.append(source.pop())

    def _edit(self, kind: str, *args: Any) -> None:
        names = self.names()
        try:
            if kind in ("cut", "trim"):
                a, b, topic = args
                make = self.rec.delete_section if kind == "cut" else self.rec.trim
                make((a, b), "*" if topic is None else names.get(topic, "/deleted"))
            else:
                method = {
                    "delete": self.rec.delete_topic,
                    "shift": self.rec.shift,
                    "rename": self.rec.rename_topic,
                }[kind]
                method(names.get(args[0], "/deleted"), *args[1:])
        except (EditError, UnknownTopic, ValueError):
            return
        self.made.append((kind, *args))
        self.undone.clear()

    def expected(self) -> dict[str, list[Any]]:
        return edited(self.messages, self.made)


def found(rec: RecordReplay) -> dict[str, list[Any]]:
    return {
        info.topic: [(row.ts_ns, row.data) for row in rec.reader.rows(name)]
        for name, info in rec.reader.streams.items()
    }


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages, commands, st.lists(st.integers(-12, 45), max_size=8).map(sorted))
def test_any_edits_equal_the_same_edits_on_a_list(
    messages: list[Message], commands: list[tuple[Any, ...]], borders: list[int]
) -> None:
    with RecordReplay(store=MemoryStore()) as rec:
        both = Edited(rec, messages)
        for command in commands:
            both.do(*command)
            assert found(rec) == both.expected()
        _check_every_way_to_read(rec, both.expected(), borders)


def _check_every_way_to_read(
    rec: RecordReplay, expected: dict[str, list[Any]], borders: list[int]
) -> None:
    reader = rec.reader
    at_ns = [START_NS + tick * TICK_NS for tick in borders]
    for name, info in reader.streams.items():
        times = [ts_ns for ts_ns, _ in expected[info.topic]]
        size = sum(len(data) for _, data in expected[info.topic])
        stats = reader.stats(name)
        assert (stats.count, stats.bytes) == (len(times), size)
        assert (stats.first_ns, stats.last_ns) == ((times[0], times[-1]) if times else (None,) * 2)
        assert reader.ranks(name, at_ns) == [sum(t < at for t in times) for at in at_ns]
        backwards = [row.ts_ns for row in reader.rows(name, reverse=True)]
        assert backwards == times[::-1]
        query = rec.streams[info.topic]
        assert [(one.ts_ns, one.raw) for one in query] == expected[info.topic]
        for at in at_ns:
            before = [t for t in times if t <= at]
            last = reader.last_at(name, at)
            assert (last and last.ts_ns) == (before[-1] if before else None)
            assert query.before(at / 1e9).count() == sum(t < at for t in times)
            assert reader.count_between(name, at, None) == sum(t >= at for t in times)
            within = reader.rows(name, start_ns=at, end_ns=at + 5 * TICK_NS)
            assert [r.ts_ns for r in within] == [t for t in times if at <= t < at + 5 * TICK_NS]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages, commands)
def test_the_saved_file_equals_what_was_seen_before(
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[Message],
    commands: list[tuple[Any, ...]],
) -> None:
    path = tmp_path_factory.mktemp("saved") / "walk.db"
    with RecordReplay(path) as rec:
        both = Edited(rec, messages)
        for command in commands:
            both.do(*command)
        shown = everything(rec)
        rec.save_as(path.with_name("copy.db"))
        with RecordReplay(path.with_name("copy.db")) as copy:
            assert everything(copy) == shown
        if both.made:
            rec.save()
        assert everything(rec) == shown
        assert not rec.edited
        assert found(rec) == both.expected()
    assert sorted(os.listdir(path.parent)) == ["copy.db", "walk.db"]


def everything(rec: RecordReplay) -> dict[str, Any]:
    """All that a person sees of a recording, but the numbers of messages."""
    reader = rec.reader
    return {
        "rows": {
            info: [row[2:] for row in reader.rows(name)] for name, info in reader.streams.items()
        },
        "extent": rec.extent,
        "span": reader.span_ns(),
        "origin": reader.origin_ns() if any(found(rec).values()) else None,
        "skips": reader.skips(),
        "markers": reader.markers(),
    }

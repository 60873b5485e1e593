"""A bus that remembers, a clock that jumps, and a bare room whose distances are known."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from dimos_record.demo_robot.robot import Command, RobotState
from dimos_record.demo_robot.world import Material, Wall, World

START_WALL_NS = 1_700_000_000_123_456_789


class JumpingClock:
    """Time passes only by waiting, and by `advance`."""

    def __init__(self) -> None:
        self.now_ns = 5_000

    def time_ns(self) -> int:
        return START_WALL_NS + self.now_ns - 5_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wait_until_ns(self, deadline_ns: int, stop: threading.Event) -> bool:
        self.now_ns = max(self.now_ns, deadline_ns)
        return not stop.is_set()

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


class RememberingBus:
    """Keeps what is published; `on_publish` is told the channel of each message."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.on_publish: Callable[[str], None] = lambda channel: None

    def publish(self, channel: str, data: bytes) -> None:
        self.messages.append((channel, data))
        self.on_publish(channel)

    def counts(self) -> dict[str, int]:
        return dict(Counter(channel for channel, _ in self.messages))

    def on(self, topic: str) -> list[bytes]:
        return [data for channel, data in self.messages if channel.split("#")[0] == topic]


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def bus() -> RememberingBus:
    return RememberingBus()


@pytest.fixture
def bare_room() -> World:
    """4 m by 3 m, 2.5 m high, with nothing in it."""
    bands = ((0.2, (90, 60, 40)), (1.0, (150, 150, 150)), (2.0, (180, 180, 180)))
    wall = Material((*bands, (2.5, (200, 200, 200))), (200, 200, 200), 0.5, 10.0)
    corners = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]
    ends = [*corners[1:], corners[0]]
    walls = [Wall(a, b, 0.0, 2.5, wall) for a, b in zip(corners, ends, strict=True)]
    return World(walls, (4.0, 3.0), 2.5)


def standing_at(x: float, y: float, yaw: float = 0.0) -> RobotState:
    """A robot at rest."""
    return RobotState(0, x, y, yaw, 0.0, 0.0, 0.0, 0.0, 0.0, Command())


@pytest.fixture
def at() -> Callable[..., RobotState]:
    return standing_at

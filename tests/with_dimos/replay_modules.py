"""Modules for replays: a driver, and others that write down what happens to them."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Protocol

import reactivex
from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import IO, In, Out
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.tf2_msgs.TFMessage import TFMessage
from dimos.spec.utils import Spec
from reactivex.disposable import Disposable

from tests.with_dimos.messages import color, pose

STEP_S = 0.05
LIVE = 1000
"""The driver counts from here: its messages are none of those that were recorded."""


class NotesConfig(ModuleConfig):
    notes: str = ""
    """Path of the file to write into."""


def note(path: str, **what: Any) -> None:
    """Append one line to a file; lines of several processes do not mix."""
    line = json.dumps(what).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def notes(path: Path, **like: Any) -> list[dict[str, Any]]:
    """What has been written into a file so far, or those lines with certain values."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if like.items() <= line.items()]


class Dog(Module):
    """A driver: it leaves a note when it is constructed, and publishes when it is started."""

    config: NotesConfig
    pose: Out[PoseStamped]
    picture: Out[Image]
    cmd_vel: In[Twist]
    tf: IO[TFMessage]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        note(self.config.notes, constructed=self.config.instance_name or "dog")

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(reactivex.interval(STEP_S).subscribe(self._step))

    def _step(self, i: int) -> None:
        self.pose.publish(pose(LIVE + i))
        self.picture.publish(color(i % 12))

    @rpc
    def stand_up(self) -> str:
        return f"{self.config.instance_name or 'dog'} stands"

    @rpc
    async def measure(self) -> float:
        return 1.5


class StandsUp(Spec, Protocol):
    def stand_up(self) -> str: ...


class Measures(Spec, Protocol):
    async def measure(self) -> float: ...


class Follower(Module):
    """Writes down every pose, and who it is from: `n` counts what was received."""

    config: NotesConfig
    pose: In[PoseStamped]
    cmd_vel: Out[Twist]

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(Disposable(self.pose.subscribe(self._received)))

    def _received(self, message: PoseStamped) -> None:
        name = self.config.instance_name or "follower"
        note(self.config.notes, to=name, stream="pose", data=message.lcm_encode().hex())


class Viewer(Module):
    """Writes down every picture."""

    config: NotesConfig
    picture: In[Image]

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(Disposable(self.picture.subscribe(self._received)))

    def _received(self, message: Image) -> None:
        name = self.config.instance_name or "viewer"
        shape = list(message.data.shape)
        data = message.lcm_encode().hex()
        note(self.config.notes, to=name, stream="picture", shape=shape, data=data)


class Trainer(Module):
    """Refers to the driver in every way there is, and writes down what it got."""

    config: NotesConfig
    by_spec: StandsUp
    by_class: Dog
    by_async_spec: Measures
    maybe: StandsUp | None = None

    @rpc
    def start(self) -> None:
        super().start()
        if hasattr(self, "by_spec"):  # one that is restarted gets it only when it has started
            self.train()

    @rpc
    def train(self) -> None:
        note(
            self.config.notes,
            trainer=self.config.instance_name or "trainer",
            by_spec=self.by_spec.stand_up(),
            again=self.by_spec.stand_up(),
            by_class=self.by_class.stand_up(),
            measured=asyncio.run(self._measure()),
            maybe=None if self.maybe is None else self.maybe.stand_up(),
        )

    async def _measure(self) -> float:
        return await self.by_async_spec.measure()


class Music(Module):
    """Something else that can be paused."""

    @rpc
    def pause(self) -> None: ...

    @rpc
    def resume(self) -> None: ...


class CanPause(Spec, Protocol):
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class CanSeek(Spec, Protocol):
    def seek(self, seconds: float) -> None: ...


class HasStatus(Spec, Protocol):
    def status(self) -> dict[str, Any]: ...


class HasProgress(Spec, Protocol):
    def progress(self) -> dict[str, Any]: ...


class Needs(Module):
    music: CanPause


class Listens(Module):
    music: CanPause | None = None
    film: CanSeek | None = None
    washing: HasStatus | None = None
    baking: HasProgress | None = None

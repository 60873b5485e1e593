"""Modules that publish the moment they start, for the tests of recording."""

from typing import Any

import reactivex
from dimos.core.core import rpc
from dimos.core.module import Module, ModuleConfig
from dimos.core.stream import IO, In, Out
from dimos.core.transport import PubSubTransport, pLCMTransport
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.std_msgs.String import String
from dimos.msgs.tf2_msgs.TFMessage import TFMessage
from reactivex.disposable import Disposable

from dimos_record.errors import BusError
from tests.with_dimos.messages import color, pose, transform

STEP_S = 0.02


class CounterConfig(ModuleConfig):
    step_s: float = STEP_S
    api_key: str = ""
    clients: tuple[dict[str, str], ...] = ()


class Counter(Module):
    """Counts, from `start` on, in poses, and says so in things that only Python reads."""

    config: CounterConfig
    count: Out[PoseStamped]
    note: Out[dict]  # type: ignore[type-arg]
    tf: IO[TFMessage]

    @rpc
    def start(self) -> None:
        super().start()
        self._step(0)
        steps = reactivex.interval(self.config.step_s)
        self.register_disposable(steps.subscribe(lambda i: self._step(i + 1)))

    def _step(self, i: int) -> None:
        self.count.publish(pose(i))
        self.note.publish({"i": i})
        if i == 0:
            self.tf.publish(TFMessage(transform(i)))


class Eye(Module):
    """Shows something once, as soon as it starts."""

    view: Out[Image]

    @rpc
    def start(self) -> None:
        super().start()
        self.view.publish(color(0))


class Listener(Module):
    """Answers what it hears."""

    count: In[PoseStamped]
    answer: Out[String]

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(Disposable(self.count.subscribe(self._answer)))

    def _answer(self, heard: Any) -> None:
        self.answer.publish(String(str(round(heard.x))))


class Courier(PubSubTransport):  # type: ignore[type-arg]
    """A transport that is none of those whose bytes we know: it hands over messages."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self._hidden = pLCMTransport(topic)

    def __reduce__(self) -> Any:
        return Courier, (self.topic,)

    def broadcast(self, _: Any, msg: Any) -> None:
        self._hidden.broadcast(None, msg)

    def subscribe(self, callback: Any, selfstream: Any = None) -> Any:
        return self._hidden.subscribe(callback)

    def start(self) -> None:
        self._hidden.start()

    def stop(self) -> None:
        self._hidden.stop()


class Deaf(Courier):
    """A transport on which nobody can listen."""

    def __reduce__(self) -> Any:
        return Deaf, (self.topic,)

    def subscribe(self, callback: Any, selfstream: Any = None) -> Any:
        raise BusError(f"nobody can listen to {self.topic}")

"""A robot that is running: what its modules publish, and how to talk to them, from outside.

It is found where dimos finds it: on the transport that ``DIMOS_TRANSPORT``, the folder's `.env` or
an argument names.
"""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

import dotenv

if "PYTEST_VERSION" not in os.environ:
    dotenv.load_dotenv()  # as dimos's own commands do, before dimos reads the environment

from dimos.core.coordination.blueprints import Blueprint
from dimos.core.coordination.coordinator_rpc import CoordinatorRPC
from dimos.core.global_config import global_config
from dimos.core.introspection.module.info import StreamDescriptor

from dimos_record.bus import Selection, open_bus, split_channel
from dimos_record.errors import NotRunning, OptionError
from dimos_record.integrations.dimos.offers import UNREADABLE
from dimos_record.integrations.dimos.remote_errors import error_in
from dimos_record.integrations.dimos.wires import Wire, wire_of

TRANSPORTS = ("lcm", "zenoh")
CONNECT_TIMEOUT_S = 2.0
_ANSWER_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 120.0


class RunningStream(NamedTuple):
    """A port of a running module."""

    port: str
    direction: Literal["in", "out", "inout"]
    topic: str
    """`/robot1/odom`; where no bytes travel (WebRTC), the name of the transport."""
    type_name: str
    """`geometry_msgs.PoseStamped`; of pickled messages, the Python class."""
    wire: Wire | None


class RunningModule(NamedTuple):
    """A module of a running robot."""

    name: str
    """Name of the instance, as its RPC has it: `robot1/driver`, or the class's name."""
    cls: str
    streams: tuple[RunningStream, ...]
    descriptors: tuple[StreamDescriptor, ...]

    def get_stream_descriptors(self) -> list[StreamDescriptor]:
        """What dimos's own proxy of a module has: `RecordReplay.add_module` takes either."""
        return list(self.descriptors)

    @property
    def outputs(self) -> tuple[RunningStream, ...]:
        """What it publishes."""
        return tuple(one for one in self.streams if one.direction != "in")


class Running:
    """A running robot, by the RPC of its coordinator."""

    def __init__(self, rpc: CoordinatorRPC) -> None:
        self._rpc = rpc

    def modules(self) -> tuple[RunningModule, ...]:
        """What runs, in the order in which it was started."""
        classes = {
            one.rpc_name or one.class_name: one.class_name for one in self.call("list_modules")
        }
        descriptors: dict[str, list[StreamDescriptor]] = {name: [] for name in classes}
        for one in self.call("list_streams"):
            descriptors.setdefault(one.module, []).append(one)
        return tuple(
            RunningModule(name, classes.get(name, name), tuple(map(_stream, found)), tuple(found))
            for name, found in descriptors.items()
        )

    def module(self, name: str) -> RunningModule:
        """The module of a name: of its instance, or of its class where there is only one.

        Raises:
            NotRunning: there is none; the message lists what runs.
            OptionError: several instances of the class run.
        """
        modules = self.modules()
        found = [one for one in modules if one.name == name]
        found = found or [one for one in modules if one.cls == name]
        if not found:
            names = ", ".join(sorted(one.name for one in modules))
            raise NotRunning(f"no module {name!r} is running; these are: {names}")
        if len(found) > 1:
            names = ", ".join(sorted(one.name for one in found))
            raise OptionError(f"several modules {name!r} are running; name one of: {names}")
        return found[0]

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the coordinator.

        Raises:
            NotRunning: it does not answer any more.
        """
        return self.call_module(self._rpc.name, method, *arguments)

    def call_module(
        self, module: str, method: str, *arguments: Any, timeout_s: float = _ANSWER_TIMEOUT_S
    ) -> Any:
        """Call a method of a module, by the module's name.

        Raises:
            NotRunning: it does not answer.
            DimosRecordError: what the method raised, if that is an error of ours.
        """
        try:
            result, forget = self._rpc.rpc.call_sync(
                f"{module}/{method}", ([*arguments], {}), rpc_timeout=timeout_s
            )
        except TimeoutError:
            raise NotRunning(f"{module} does not answer to {method} within {timeout_s} s") from None
        except Exception as error:
            ours = error_in(error)
            if ours is None:
                raise
            raise ours from None
        forget()
        return result

    def load(self, blueprint: Blueprint) -> None:
        """Start more modules in the running robot."""
        self.call_module(self._rpc.name, "load_blueprint", blueprint, timeout_s=_LOAD_TIMEOUT_S)

    def unload(self, class_name: str) -> None:
        """Stop the module of a class, and take it out of the robot."""
        self.call_module(
            self._rpc.name,
            "unload_module_by_class_name",
            class_name,
            timeout_s=_LOAD_TIMEOUT_S,
        )


@contextmanager
def connected(
    *, transport: str | None = None, timeout_s: float = CONNECT_TIMEOUT_S
) -> Iterator[Running]:
    """The robot that is running, for as long as the ``with`` block lasts.

    Args:
        transport: `lcm` or `zenoh`; dimos's own choice if None.

    Raises:
        NotRunning: none answers.
        OptionError: there is no such transport.
    """
    if transport is not None and transport not in TRANSPORTS:
        raise OptionError(f"--transport {transport!r} is unknown; use lcm or zenoh")
    if transport is not None:
        global_config.update(transport=transport)
    try:
        rpc = CoordinatorRPC.connect(timeout=timeout_s)
    except TimeoutError:
        used = global_config.transport
        other = next(one for one in TRANSPORTS if one != used)
        raise NotRunning(
            f"no running blueprint answers on {used}; start one with: dimos run BLUEPRINT, or look "
            f"on the other transport with --transport {other}"
        ) from None
    try:
        yield Running(rpc)
    finally:
        rpc.stop()


def rates(streams: Iterable[RunningStream], listen_s: float = 1.0) -> dict[Wire, float]:
    """How often something is published on each wire, in Hz, by listening there for a while.

    Raises:
        BusError: a bus cannot be reached.
    """
    wires = {one.wire for one in streams if one.wire is not None}
    counts: Counter[tuple[str, str]] = Counter()
    with ExitStack() as opened:
        for url in sorted({wire.bus for wire in wires}):
            bus = opened.enter_context(open_bus(url))

            def count(channel: str, data: bytes, url: str = url) -> None:
                counts[url, channel] += 1

            channels = sorted({wire.channel for wire in wires if wire.bus == url})
            opened.callback(bus.subscribe(Selection.of(channels), count).close)
        begun_s = time.monotonic()
        time.sleep(listen_s)
        heard, span_s = dict(counts), time.monotonic() - begun_s
    return {wire: heard.get((wire.bus, wire.channel), 0) / span_s for wire in wires}


def _stream(descriptor: StreamDescriptor) -> RunningStream:
    wire, python_type = _wire(descriptor), descriptor.type_name.rpartition(".")[2]
    topic, type_name = (descriptor.channel, None) if wire is None else split_channel(wire.channel)
    return RunningStream(
        descriptor.name, descriptor.direction, topic, type_name or python_type, wire
    )


def _wire(descriptor: StreamDescriptor) -> Wire | None:
    """The wire of a port; None where its transport carries no bytes of ours or is not known here.

    The transport travels as a pickle, like everything that dimos's RPC carries.
    """
    try:
        _, transport = pickle.loads(descriptor.transport)
    except UNREADABLE:
        return None
    return wire_of(transport)

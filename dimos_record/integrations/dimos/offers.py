"""What modules publish, as channels that can be recorded: declared, or deployed."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dimos.core.introspection.module.info import StreamDescriptor
from dimos.utils.logging_config import setup_logger

from dimos_record.bus.base import join_channel
from dimos_record.bus.lcm_url import parse_lcm_url
from dimos_record.integrations.dimos.declared import Port, message_type_name
from dimos_record.integrations.dimos.wires import Wire, wire_of
from dimos_record.store.base import StreamSource

logger = setup_logger()

_LEAST_BUFFER = parse_lcm_url("udpm://").recv_buf_size
_BUILTINS = ("bool", "bytes", "dict", "float", "int", "list", "str", "tuple")
UNREADABLE = (ImportError, AttributeError, pickle.UnpicklingError, EOFError, TypeError, ValueError)
"""What unpickling a description raises where a class is missing, or another one than there."""


class Offer(NamedTuple):
    """A stream that can be recorded."""

    topic: str
    channel: str
    source: StreamSource
    wire: Wire | None
    """Where its bytes travel; None where its messages come decoded, from `transport`."""
    transport: Any = None

    @classmethod
    def of(cls, name: str, type_: type, transport: Any, module: str | None) -> Offer:
        """The stream that a transport carries.

        Args:
            name: its name in the blueprint.
            type_: dimos's message class.
            transport: dimos's transport.
            module: who publishes it, where known.
        """
        return cls.on(wire_of(transport), f"/{name}", type_, module, transport)

    @classmethod
    def on(
        cls, wire: Wire | None, topic: str, type_: type, module: str | None, transport: Any = None
    ) -> Offer:
        """The stream on a wire; without one, its messages are encoded for the recording."""
        if wire is None:
            source = StreamSource(type(transport).__name__, module)
            channel = join_channel(topic, message_type_name(type_))
            return cls(topic, channel, source, None, transport)
        wire = wire._replace(bus=_with_large_buffer(wire.bus))
        source = StreamSource(wire.bus, module)
        if wire.encoding == "pickle":
            source = source._replace(codec="pickle", payload=_known_to_dimos(type_))
        elif wire.encoding == "jpeg":
            source = source._replace(dimos_codec="jpeg")
        return cls(wire.channel.partition("#")[0], wire.channel, source, wire, transport)


def _with_large_buffer(url: str) -> str:
    """The URL of a bus with a receive buffer for recording, which may be larger than dimos's."""
    if not url.startswith("udpm:"):
        return url
    network = parse_lcm_url(url)
    return network._replace(recv_buf_size=max(network.recv_buf_size, _LEAST_BUFFER)).url


def _known_to_dimos(type_: Any) -> str | None:
    """The importable name of a class that every dimos has; None for all others.

    A class that dimos cannot import would break its summary of the whole file.
    """
    module, name = getattr(type_, "__module__", ""), getattr(type_, "__qualname__", "")
    known = name in _BUILTINS if module == "builtins" else module.startswith("dimos.")
    return f"{module}.{name}" if known and name.isidentifier() else None


def offers_of(ports: Iterable[Port]) -> dict[str, Offer]:
    """What modules of a blueprint publish, by channel; each with all who do.

    Streams whose bytes do not travel are left out, with a warning.
    """
    offers: dict[str, Offer] = {}
    for port in ports:
        if not (port.active and port.publishes):
            continue
        if port.wire is None:
            logger.warning(f"{port.topic} carries no bytes that can be recorded from outside")
            continue
        offer = Offer.on(port.wire, port.topic, port.type, port.module)
        known = offers.get(offer.channel)
        if known is not None:
            modules = f"{known.source.module}, {port.module}"
            offer = offer._replace(source=offer.source._replace(module=modules))
        offers[offer.channel] = offer
    return offers


def described(descriptors: Iterable[StreamDescriptor]) -> Iterator[Offer]:
    """What deployed modules publish, as they describe it themselves.

    Streams whose description cannot be read here are left out, with a warning.
    """
    for one in descriptors:
        if one.direction == "in":
            continue
        try:
            type_, transport = pickle.loads(one.transport)
        except UNREADABLE as error:
            logger.warning(f"{one.channel} of {one.module} is not recorded: {error}")
            continue
        yield Offer.of(one.name, type_, transport, one.module or None)


def describe(name: str, type_: type, transport: Any, module: str = "") -> StreamDescriptor:
    """A stream that a coordinator is about to connect, as its module would describe it.

    Args:
        module: RPC name of the module that publishes it; empty if it is not known.
    """
    return StreamDescriptor(
        module=module,
        name=name,
        direction="out",
        type_name=f"{type_.__module__}.{type_.__qualname__}",
        channel=str(getattr(transport, "channel", type(transport).__name__)),
        transport=pickle.dumps((type_, transport)),
    )

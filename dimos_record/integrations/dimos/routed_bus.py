"""One way out over several buses: each recorded channel goes where its stream travels in dimos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from dimos_record.bus.base import Bus, OnMessage, Selection, split_channel
from dimos_record.errors import BusError, DecodeError
from dimos_record.integrations.dimos.wires import Wire, wire_of


class Route(NamedTuple):
    """Where the messages of one recorded channel go."""

    topic: str
    """The topic that they are published as."""
    send: Callable[[bytes], object]
    """Publishes the bytes of one message."""
    check: Callable[[], None]
    """Raises if they cannot be published there."""


class RoutedBus:
    """Publishes on the buses of a blueprint. It is a `Bus` for a player, and nobody listens to it.

    Args:
        routes: where messages go, by recorded channel.
        buses: the buses that they go to; they stay open.
    """

    def __init__(self, routes: Mapping[str, Route], buses: Iterable[Bus]) -> None:
        self._routes = dict(routes)
        self._buses = tuple(buses)

    @property
    def url(self) -> str:
        """The URLs of all of them."""
        return " ".join(bus.url for bus in self._buses)

    @property
    def is_local(self) -> bool:
        """Whether what is published cannot leave this machine."""
        return all(bus.is_local for bus in self._buses)

    @property
    def reach(self) -> str:
        """Where published messages go, for people."""
        return " and ".join(bus.reach for bus in self._buses) or "dimos's own transports"

    def publish(self, channel: str, data: bytes) -> None:
        """Send the message of a recorded channel on its way.

        Raises:
            BusError: the blueprint has no such stream, or sending failed.
        """
        self._route(channel).send(data)

    def check_channel(self, channel: str) -> None:
        """Raise if the messages of a recorded channel cannot be published."""
        self._route(channel).check()

    def _route(self, channel: str) -> Route:
        try:
            return self._routes[channel]
        except KeyError:
            raise BusError(
                f"the blueprint has no stream for {channel}; change the function that makes it"
            ) from None

    def subscribe(self, selection: Selection, on_message: OnMessage) -> NoReturn:
        """Nothing can be received here; listen on the buses themselves."""
        raise BusError(f"cannot subscribe to {selection.include}: a replay only publishes here")

    def lost_before_reception(self) -> None:
        """Nothing is received."""

    def close(self) -> None:
        """The buses belong to the caller."""

    def __enter__(self) -> RoutedBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def route_of(transport: Any, type_: type, bus_of: Callable[[str], Bus]) -> Route:
    """The way of a stream's messages through the transport that dimos gave it.

    Args:
        transport: dimos's transport.
        type_: dimos's message class.
        bus_of: opens the bus of a URL, or returns the one that is open.
    """
    wire = wire_of(transport)
    if wire is None:
        name = str(getattr(transport, "channel", type(transport).__name__))
        return Route(name, lambda data: transport.publish(_decoded(type_, data)), lambda: None)
    bus, channel = bus_of(wire.bus), wire.channel
    if wire.encoding == "jpeg":
        send = _as_jpeg(bus, wire, type_)
    else:
        send = lambda data: bus.publish(channel, data)  # noqa: E731 - as short as it can be
    return Route(split_channel(channel)[0], send, lambda: bus.check_channel(channel))


def _as_jpeg(bus: Bus, wire: Wire, type_: Any) -> Callable[[bytes], None]:
    """Pictures that are pinned to JPEG: those that were recorded as pixels are encoded again."""
    from dimos_lcm.sensor_msgs import Image

    def send(data: bytes) -> None:
        if Image.lcm_decode(data).encoding != "jpeg":
            data = _decoded(type_, data).lcm_jpeg_encode()
        bus.publish(wire.channel, data)

    return send


def _decoded(type_: Any, data: bytes) -> Any:
    """A message for a transport that carries no bytes of ours.

    Raises:
        DecodeError: the bytes are not of its type.
    """
    try:
        return type_.lcm_decode(data)
    except (AttributeError, ValueError, TypeError, EOFError) as error:
        raise DecodeError(f"a recorded {type_.__name__} cannot be decoded ({error})") from error

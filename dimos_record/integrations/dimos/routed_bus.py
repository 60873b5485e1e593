"""One way out over several buses: each recorded channel goes where its stream travels in dimos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from dimos_record.bus.base import Bus, OnArrivals, OnMessage, Selection, Sender, split_channel
from dimos_record.errors import BusError, CommandsRefused, DecodeError
from dimos_record.integrations.dimos.wires import Wire, wire_of
from dimos_record.replay.commands import is_command


class Route(NamedTuple):
    """Where the messages of one recorded channel go."""

    topic: str
    """The topic that they are published as."""
    bus: Bus | None
    """The bus that carries them; None where only dimos's own transport does."""
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

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Send messages of recorded channels on their ways, in order.

        Raises:
            BusError: as `publish`.
        """
        for channel, data in messages:
            self.publish(channel, data)

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

    def subscribe_arrivals(self, selection: Selection, on_arrivals: OnArrivals) -> NoReturn:
        """Nothing can be received here; listen on the buses themselves."""
        raise BusError(f"cannot subscribe to {selection.include}: a replay only publishes here")

    def lost_before_reception(self) -> None:
        """Nothing is received."""

    def senders(self) -> list[Sender]:
        """Nobody is heard."""
        return []

    def close(self) -> None:
        """The buses belong to the caller."""

    def __enter__(self) -> RoutedBus:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def route_of(name: str, transport: Any, type_: type, bus_of: Callable[[str], Bus]) -> Route:
    """The way of a stream's messages through the transport that dimos gave it.

    Args:
        name: of the topic, where the transport has none of ours.
        transport: dimos's transport.
        type_: dimos's message class.
        bus_of: opens the bus of a URL, or returns the one that is open.
    """
    wire = wire_of(transport)
    if wire is None:
        return Route(name, None, lambda data: transport.publish(_decoded(type_, data)), _no_limit)
    bus, channel = bus_of(wire.bus), wire.channel
    if wire.encoding == "jpeg":
        send = _as_jpeg(bus, wire, type_)
    else:
        send = lambda data: bus.publish(channel, data)  # noqa: E731 - as short as it can be
    return Route(split_channel(channel)[0], bus, send, lambda: bus.check_channel(channel))


def _no_limit() -> None:
    """Whether dimos's own transports can carry a name, they say when they are made."""


def refuse_commands(
    routes: Iterable[Route], recording: str, patterns: Iterable[str] | None = None
) -> None:
    """Raise if commands would be published where other machines can hear them.

    Args:
        routes: where everything goes; what only a transport of dimos carries may go anywhere.
        recording: its path, for the sentence.
        patterns: which topics are commands; see `dimos_record.replay.commands`.

    Raises:
        CommandsRefused: it names the topics, and what to do.
    """
    far = [route for route in routes if route.bus is None or not route.bus.is_local]
    commands = [route for route in far if is_command(route.topic, patterns)]
    if commands:
        topics = ", ".join(sorted({route.topic for route in commands}))
        reach = " and ".join(
            sorted({route.bus.reach if route.bus else "its transport" for route in commands})
        )
        raise CommandsRefused(
            f"{recording} would publish commands on {topics}, and {reach} reaches beyond this "
            "machine, where they may move a robot: leave them out with keep, or allow them with "
            "allow_commands (--allow-commands)"
        )


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

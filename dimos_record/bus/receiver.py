"""The part of a subscription that is the same on every bus: what is wanted and who is told."""

from __future__ import annotations

import logging
from time import monotonic_ns
from typing import Generic, TypeVar

from dimos_record.bus.base import OnArrivals, OnMessage, Selection


class Receiver:
    """A callback and the selection of topics it wants.

    Raises:
        PatternError: the selection cannot be read.
    """

    def __init__(self, selection: Selection, on_message: OnMessage) -> None:
        _ = selection.compiled  # fail here, in the caller's thread
        self.selection = selection
        self.on_message = on_message
        self.open = True
        self._has_failed = False

    def silence(self) -> None:
        """From now on nobody is told anything."""
        self.open = False
        self.on_message = _ignore

    def failed(self, channel: str) -> None:
        """Log the exception that the callback just raised, the first time it does."""
        if not self._has_failed:
            self._has_failed = True
            logging.getLogger("dimos_record").exception(
                "the callback for messages on %s failed; it goes on being called, "
                "and later failures of it are not logged",
                channel,
            )


_ReceiverT = TypeVar("_ReceiverT", bound=Receiver)


class Routes(dict[str, tuple[_ReceiverT, ...]], Generic[_ReceiverT]):
    """Who gets the messages of a channel, worked out when the channel is first seen."""

    def __init__(self, receivers: tuple[_ReceiverT, ...] = ()) -> None:
        super().__init__()
        self._receivers = receivers

    def serve(self, receivers: tuple[_ReceiverT, ...]) -> None:
        """From now on it is these that messages go to."""
        self._receivers = receivers
        self.clear()

    def __missing__(self, channel: str) -> tuple[_ReceiverT, ...]:
        route = tuple(r for r in self._receivers if r.selection.matches(channel))
        self[channel] = route
        return route


def one_by_one(on_arrivals: OnArrivals) -> OnMessage:
    """For a bus that does not know when a message arrived: it is the time of its delivery."""

    def on_message(channel: str, data: bytes) -> None:
        on_arrivals([(monotonic_ns(), channel, data)])

    return on_message


def _ignore(channel: str, data: bytes) -> None:
    """The callback of a closed subscription."""

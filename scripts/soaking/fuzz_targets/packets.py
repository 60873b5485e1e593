"""LCM's packets, as the compiled receiver puts them together.

The bytes are orders: packets of messages in one or several parts, in any order, from several
senders, also wrong ones; time that passes; messages that are taken; channels that are ignored.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from soaking.fuzz_targets.checks import BrokenPromise, check_same
from soaking.fuzz_targets.choices import Choices

BUILD = "FUZZ_LCM_NATIVE"
"""An environment variable: the file of another build to fuzz, with sanitizers."""
_NAME = "_lcm_native"
_CHANNELS = (
    b"/odom#x_msgs.Y",
    b"/a",
    b"",
    b"x" * 63,
    b"\xff\xfe",
    b"\xed\xa0\x80",
)
_MOST_HALF_BYTES = 70_000_000
_MOST_ORDERS = 60
_SECOND = 1_000_000_000


@lru_cache(maxsize=1)
def native() -> Any:
    """The compiled part."""
    path = os.environ.get(BUILD)
    if path is None:
        from dimos_record.bus import _lcm_native

        return _lcm_native
    loader = importlib.machinery.ExtensionFileLoader(_NAME, path)
    spec = importlib.util.spec_from_loader(_NAME, loader)
    if spec is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def seeds() -> list[bytes]:
    """Orders of every kind, each alone and with others."""
    alone = [bytes([kind, *range(10)]) * 6 for kind in range(len(_ORDERS))]
    mixed = [bytes((7 * i * i + 13 * k) % 256 for i in range(200)) for k in range(8)]
    return [*alone, *mixed]


class _Trial:
    """An assembler, and what has been done with it."""

    def __init__(self, max_bytes: int) -> None:
        self.assembler = native().Assembler(max_bytes)
        self.now_ns = 0
        self.taken = 0
        self.ignoring = self.garbled = False

    def feed(self, packet: bytes, sender: int) -> None:
        self.assembler.feed(packet, f"10.0.0.{sender % 256}", 1024 + sender, self.now_ns)

    def take(self, most: int = 2**62) -> bool:
        messages = self.assembler.take(most, 2**62)
        for arrival_ns, channel, data in messages:
            self.taken += 1
            channel.encode()
            if not 0 <= arrival_ns <= self.now_ns:
                raise BrokenPromise(f"a message has come at {arrival_ns}, now is {self.now_ns}")
            if not self.garbled and data != _content(len(data)):
                raise BrokenPromise(f"a message of {len(data)} bytes has other ones than were sent")
        return bool(messages)

    def check(self) -> None:
        """Look at what it says of itself."""
        if self.assembler.half_received_bytes > _MOST_HALF_BYTES:
            raise BrokenPromise(f"{self.assembler.half_received_bytes} bytes for half messages")
        received = 0
        for address, count, lost, channels in self.assembler.senders(self.now_ns):
            received += count
            if not isinstance(address, str) or lost < 0 or min(channels.values(), default=1) < 1:
                raise BrokenPromise(f"{address} has sent {count} and lost {lost}, {channels}")
            if lost > 2**40:
                raise BrokenPromise(f"{address} has lost {lost}")
        if not self.ignoring and received < self.taken:
            raise BrokenPromise(f"{received} received, {self.taken} taken")


@lru_cache(maxsize=512)
def _content(size: int) -> bytes:
    """The bytes of every message of a size."""
    return (size.to_bytes(4, "big") * (size // 4 + 1))[:size]


def _short(trial: _Trial, choices: Choices) -> None:
    name, size = choices.pick(_CHANNELS), choices.pick((0, 1, 100, 1400, 20_000))
    header = struct.pack(">4sI", b"LC02", _number(choices))
    trial.feed(header + name + b"\0" + _content(size), choices.below(4))


def _number(choices: Choices) -> int:
    return choices.pick((choices.below(16), 0xFFFFFFFF - choices.below(16), choices.below(2**32)))


@lru_cache(maxsize=64)
def _fragments(name: bytes, number: int, size: int, each: int) -> list[bytes]:
    """The packets of a message, as LCM sends them."""
    ends = [*range(each, size, each), size]
    packets, offset = [], 0
    for index, end in enumerate(ends):
        header = struct.pack(">4sIIIHH", b"LC03", number, size, offset, index, len(ends))
        first = name + b"\0" if index == 0 else b""
        packets.append(header + first + _content(size)[offset:end])
        offset = end
    return packets


def _long(trial: _Trial, choices: Choices) -> None:
    """The packets of a message, some of them lost, doubled or in another order."""
    sizes = (1, 3000, 10_000, 70_000, 2_000_000)
    size, each = choices.pick(sizes), choices.pick((1400, 65_000, 600_000))
    packets = list(_fragments(choices.pick(_CHANNELS), _number(choices), size, each))
    sender, how = choices.below(4), choices.below(6)
    if how == 1:
        packets.reverse()
    elif how == 2:
        del packets[choices.below(len(packets))]
    elif how == 3:
        packets.insert(choices.below(len(packets)), choices.pick(packets))
    elif how == 4:
        packets = packets[choices.below(len(packets)) :]
    for packet in packets:
        trial.feed(packet, sender)


def _wrong(trial: _Trial, choices: Choices) -> None:
    """A fragment that says what cannot be."""
    trial.garbled = True
    values = (0, 1, 2, 1400, 2**16 - 1, 2**28, 2**28 + 1, 2**31, 2**32 - 1)
    number, size, offset = (choices.pick((*values, choices.below(2**32))) for _ in range(3))
    index, count = (choices.pick((0, 1, 2, 3, 65_535, choices.below(65_536))) for _ in range(2))
    header = struct.pack(">4sIIIHH", b"LC03", number & 0xFFFFFFFF, size, offset, index, count)
    trial.feed(header + choices.pick((b"", b"/a\0")) + choices.block(), choices.below(4))


def _raw(trial: _Trial, choices: Choices) -> None:
    trial.garbled = True
    magic = choices.pick((b"LC02", b"LC03", b"", b"LC01"))
    trial.feed(magic + choices.block(), choices.below(4))


def _wait(trial: _Trial, choices: Choices) -> None:
    trial.now_ns += choices.pick((1, 1000, _SECOND // 20, _SECOND, 3 * _SECOND, 2**60))
    trial.now_ns = min(trial.now_ns, 2**62)


def _take(trial: _Trial, choices: Choices) -> None:
    trial.take(choices.pick((0, 1, 5, 2**62)))


def _many(trial: _Trial, choices: Choices) -> None:
    """Many senders that begin a message, or many messages of one."""
    first = _fragments(b"/many", 0, choices.pick((3000, 2_000_000)), 1400)[0]
    senders = choices.pick((1, 1000))
    for i in range(choices.below(32)):
        trial.feed(first[:4] + struct.pack(">I", i) + first[8:], 10 + i % senders)


def _ignore(trial: _Trial, choices: Choices) -> None:
    trial.ignoring = True
    trial.assembler.ignore(choices.pick(_CHANNELS).decode("utf-8", "replace"))


def _listen(trial: _Trial, choices: Choices) -> None:
    trial.assembler.listen()


_ORDERS: tuple[Callable[[_Trial, Choices], None], ...] = (
    _short,
    _long,
    _long,
    _wrong,
    _wrong,
    _raw,
    _wait,
    _take,
    _many,
    _ignore,
    _listen,
)


def run(data: bytes) -> None:
    """Follow the orders; after them another sender is heard as ever."""
    choices = Choices(data)
    trial = _Trial(choices.pick((0, 1, 100_000, 2**30, 2**30)))
    for _ in range(_MOST_ORDERS):
        if not choices.left:
            break
        choices.pick(_ORDERS)(trial, choices)
        trial.check()
    while trial.take() or trial.take():  # the first may find the rest of an earlier one empty
        pass
    trial.check()
    check_same(0, trial.assembler.waiting_bytes, "memory of messages that were taken")
    _check_another(trial)


def _check_another(trial: _Trial) -> None:
    fresh = native().Assembler(2**30)
    trial.assembler.listen()
    for assembler in (fresh, trial.assembler):
        for packet in _fragments(b"/fresh", 5, 10_000, 1400):
            assembler.feed(packet, "10.9.9.9", 9, trial.now_ns)
    if fresh.take() != [(trial.now_ns, "/fresh", _content(10_000))]:
        raise BrokenPromise("a whole message does not come")
    if trial.assembler.take() not in ([(trial.now_ns, "/fresh", _content(10_000))], []):
        raise BrokenPromise("a whole message comes otherwise")

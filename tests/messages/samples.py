"""Messages of any type with random contents, and the headers in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from dimos_record.messages import message_class, type_name_of

NS = 1_000_000_000

_NUMBERS: dict[str, Callable[[random.Random], Any]] = {
    "byte": lambda rng: rng.randrange(256),
    "boolean": lambda rng: rng.random() < 0.5,
    "int8_t": lambda rng: rng.randrange(-128, 128),
    "int16_t": lambda rng: rng.randrange(-(2**15), 2**15),
    "int32_t": lambda rng: rng.randrange(-(2**31), 2**31),
    "int64_t": lambda rng: rng.randrange(-(2**63), 2**63),
    "float": lambda rng: rng.randrange(-1000, 1000) / 8,
    "double": lambda rng: rng.uniform(-1e6, 1e6),
    "string": lambda rng: rng.choice(["", "a", "base_link", "Grüße, 世界", "x" * 300]),
}


def random_message(type_name: str, rng: random.Random) -> Any:
    """A message whose every field is filled, with arrays of zero to three items."""
    message = message_class(type_name)()
    dimensions = dict(zip(message.__slots__, message.__dimensions__, strict=True))
    lengths = {
        dim: rng.randrange(4)
        for dims in dimensions.values()
        for dim in dims or ()
        if isinstance(dim, str)
    }
    for field, field_type in zip(message.__slots__, message.__typenames__, strict=True):
        dims = dimensions[field]
        if field in lengths:
            value: Any = lengths[field]
        elif dims:
            (dim,) = dims  # no type of dimos_lcm has arrays of arrays
            items = [
                _random_value(type_name, field_type, rng) for _ in range(lengths.get(dim, dim))
            ]
            value = bytes(items) if field_type == "byte" else items
        else:
            value = _random_value(type_name, field_type, rng)
        setattr(message, field, value)
    if type_name == "std_msgs.Header":
        is_set = rng.random() < 0.8
        message.stamp.sec = rng.randrange(1, 2**30) if is_set else 0
        message.stamp.nsec = rng.randrange(NS) if is_set else 0
    return message


def _random_value(owner: str, field_type: str, rng: random.Random) -> Any:
    if field_type in _NUMBERS:
        return _NUMBERS[field_type](rng)
    package = owner.partition(".")[0]
    nested = field_type if "." in field_type else f"{package}.{field_type}"
    return random_message(nested, rng)


def headers_in(value: Any) -> Iterator[Any]:
    """Every std_msgs.Header in a message, in order of the bytes."""
    if isinstance(value, list):
        for item in value:
            yield from headers_in(item)
    elif hasattr(value, "__typenames__"):
        if type_name_of(value) == "std_msgs.Header":
            yield value
        for field in value.__slots__:
            yield from headers_in(getattr(value, field))


def stamp_of(header: Any) -> int:
    return header.stamp.sec * NS + header.stamp.nsec


def stamped(type_name: str, stamp_ns: int, **fields: Any) -> Any:
    """A message of a type with a header, with that stamp and those fields.

    Everything in it is its own: default values of the generated classes are shared.
    """
    message = message_class(type_name)(**fields)
    header = message_class("std_msgs.Header")
    time = message_class("std_msgs.Time")
    message.header = header(stamp=time(*divmod(stamp_ns, NS)), frame_id="world")
    return message

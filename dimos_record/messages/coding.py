"""Decoding and encoding of messages.

Wire format (LCM): an 8-byte fingerprint of the type, then the fields in order of declaration, big
endian; https://lcm-proj.github.io/lcm/content/lcm-type-ref.html.
"""

from __future__ import annotations

import struct
from typing import Any

from dimos_record.errors import CodecError, DecodeError
from dimos_record.messages.layout import whole
from dimos_record.messages.registry import message_class, type_name_of

_WRONG_VALUES = (
    AssertionError,
    AttributeError,
    IndexError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the generated encoders raise: an assert for a nested message of another type, IndexError for
arrays shorter than their length field, the rest for scalars."""


def decode(type_name: str | None, data: bytes) -> Any:
    """The message in ``data``, as an instance of its dimos_lcm class.

    Bytes behind the end of the message are ignored, as LCM's own decoders do.

    Raises:
        DecodeError: the type is not known, the bytes are of another type or version of it, or
            they end too early.
    """
    if type_name is None:
        raise DecodeError("The channel names no message type, so its bytes cannot be decoded.")
    cls, plan = message_class(type_name), whole(type_name)
    if cls is None or plan is None:
        raise DecodeError(
            f"{type_name} cannot be decoded: dimos_lcm has no such type; its raw bytes can still "
            "be recorded and replayed."
        )
    # The generated decoders take short byte arrays and strings for good, so look first.
    plan.check(data)
    try:
        return cls.lcm_decode(data)
    except (ValueError, struct.error) as error:
        raise DecodeError(f"{type_name} cannot be decoded: {error}.") from error


def encode(message: Any) -> bytes:
    """The wire bytes of a message: a dimos_lcm one, or any object with ``lcm_encode``.

    Raises:
        OptionError: the object is not a message.
        CodecError: a field holds a value that does not fit its type.
    """
    type_name = type_name_of(message)
    try:
        return bytes(message.lcm_encode())
    except _WRONG_VALUES as err:
        raise CodecError(
            f"{type_name} cannot be encoded: {err or 'a nested message has the wrong type'}; check "
            "its fields, and that each *_length field is the length of its array."
        ) from err

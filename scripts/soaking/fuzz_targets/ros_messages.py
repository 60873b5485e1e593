"""Messages of ROS: CDR and ROS 1 bytes of any type, both ways, and definitions.

The first two bytes choose the type; the third whether the rest is CDR, ROS 1, LCM or a definition.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import repeat

from dimos_record.interop.cdr import cdr_codec
from dimos_record.interop.ros1 import Ros1Converter
from dimos_record.interop.ros2 import Ros2Converter
from dimos_record.interop.ros2_definitions import definition, schema_name
from dimos_record.messages import fingerprint, known_types, message_class
from soaking.fuzz_targets.checks import BrokenPromise, errors_of_ours


@lru_cache(maxsize=1)
def _types() -> list[str]:
    return [name for name in known_types() if schema_name(name) is not None]


def seeds() -> list[bytes]:
    """An empty message of some types, in each form, and their definitions."""
    found = []
    for number, type_name in enumerate(_types()):
        cls, codec = message_class(type_name), cdr_codec(type_name)
        if number % 5 or cls is None or codec is None:
            continue
        start, lcm = number.to_bytes(2, "big"), bytes(cls().lcm_encode())
        found += [
            start + b"\0" + codec.to_cdr(lcm).data,
            start + b"\1" + bytes(60),
            start + b"\2" + lcm[8:],
            start + b"\3" + definition(type_name).encode()[:3000],
        ]
    return found


def run(data: bytes) -> None:
    """Convert the bytes, and what came out back."""
    number = int.from_bytes(data[:2], "big")
    type_name, kind, rest = _types()[number % len(_types())], data[2:3], data[3:]
    codec, known = cdr_codec(type_name), fingerprint(type_name)
    if codec is None or known is None:
        return
    with errors_of_ours():
        if kind == b"\0":
            lcm = codec.to_lcm(rest, lambda: repeat(0))
            again = codec.to_lcm(codec.to_cdr(lcm).data, lambda: repeat(0))
            if again != lcm:
                raise BrokenPromise(f"a {type_name} of ROS 2 comes back otherwise: {rest!r}")
        elif kind == b"\1":
            codec.to_cdr(codec.from_ros1(rest))
        elif kind == b"\2":
            lcm = known.to_bytes(8, "big") + rest
            made = codec.to_cdr(lcm)
            back = codec.to_lcm(made.data, lambda: iter([*made.seqs, *[0] * 1000]))
            if back != lcm and codec.to_cdr(back) != made:
                raise BrokenPromise(f"a {type_name} of LCM comes back otherwise: {rest!r}")
        else:
            _check_definition(type_name, rest)


def _check_definition(type_name: str, rest: bytes) -> None:
    name, text = schema_name(type_name) or "", rest.decode("utf-8", "replace")
    with errors_of_ours(text):
        converter = Ros2Converter(name, rest)
        for message in (b"\0\1\0\0" + bytes(64), b"\0\1\0\0" + b"\1\0\0\0" * 20, rest):
            with errors_of_ours(text):
                converter.convert(message)
    with errors_of_ours(text):
        old = Ros1Converter(name, text)
        for message in (bytes(64), b"\1\0\0\0" * 20):
            with errors_of_ours(text):
                old.convert(message)

"""Messages as they are shown: in Rerun, in the terminal's inspector, and as `echo` prints them.

The first byte chooses the type. With a second byte of 0 the rest are its bytes behind the
fingerprint; else they choose which fields of a message get odd values, and for a picture also what
it is of.
"""

from __future__ import annotations

import io
import random
from functools import lru_cache
from typing import Any

import numpy as np

from dimos_record.errors import CodecError, DecodeError
from dimos_record.messages import decode, encode, fingerprint, summarize
from dimos_record.store.base import Row, StreamInfo
from soaking.fuzz_targets.checks import check_sentence
from soaking.fuzz_targets.choices import Choices
from tests.messages.samples import random_message

_FLOATS = (0.0, -1.0, 1e-40, 1e38, 1e308, float("nan"), float("inf"), -float("inf"))
_INTEGERS = (0, 1, -1, 2, 3, 7, 8, 255, 640, 65_536, 2**31 - 1, -(2**31))
_TEXTS = (
    "",
    "rgb8",
    "mono16",
    "bayer_rggb8",
    "16UC1",
    "32FC1",
    "64FC4",
    "8UC3",
    "jpeg",
    "png",
    "x",
    "intensity",
    "\x1b[2J\n",
    "a" * 5000,
    "[" * 3000,
    '{"a": 1}',
)
_BYTES = (b"", b"\0", b"\xff" * 100, bytes(48), b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n")
_COLORS = ("mono", "rgb", "bgr", "rgba", "bgra", *(f"bayer_{p}" for p in ("rggb", "grbg", "x")))
_NUMBERS = ("8U", "8S", "16U", "16S", "32S", "32F", "64F")
_ENCODINGS = (
    *(f"{colors}{bits}" for colors in _COLORS for bits in (8, 16)),
    *(f"{number}C{channels}" for number in _NUMBERS for channels in range(1, 5)),
    *("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "nv24"),
    *("jpeg", "png"),
)
"""Every encoding of a sensor_msgs.Image that the converters know, and a pattern that none has."""
_FORMATS = (
    "jpeg",
    "bgr8; png compressed bgr8",
    "16UC1; compressedDepth png",
    "32FC1; compressedDepth png",
    "16UC1; compressedDepth rvl",
    "8UC1; compressedDepth",
    "h264",
)
_DEPTHS = range(2, 6)
"""Which of the formats are of depth images."""
_FILES = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
_SIDES = (4, 1, 2, 3, 5, 8, 17, 0, -1)
_STEPS = (0, 1, 3, 16, 40, 200, -1, 2**31 - 1)
_AS_ODD = 4
"""Of this many pictures, one is given odd values only."""
_MOST_CHANGES = 5
_QUOTED = 2000
"""Characters of a message that an error may repeat."""


@lru_cache(maxsize=1)
def _types() -> list[str]:
    from dimos_record.viewer.converters import CONVERTERS

    return sorted(CONVERTERS)


def seeds() -> list[bytes]:
    """A message of each type as it is, and one with odd values."""
    found = []
    for number, type_name in enumerate(_types()):
        message = random_message(type_name, random.Random(number))
        found.append(bytes([number, 0]) + encode(message)[8:2000])
        found.append(bytes([number, 1 + number % 4, *((number * i * 7) % 256 for i in range(24))]))
    return found + _pictures()


def _pictures() -> list[bytes]:
    """A picture in every encoding, and one in every compressed format."""
    image, compressed = (_types().index(f"sensor_msgs.{n}") for n in ("Image", "CompressedImage"))
    return [
        *(bytes([image, 1, e, 0, e % 5, e % 2, 0, 3, 63, 128, e]) for e in range(len(_ENCODINGS))),
        *(
            bytes([compressed, 1, f, kind, kind, 0, *([0] * (f in _DEPTHS)), 9, 0])
            for f in range(len(_FORMATS))
            for kind in (0, 1, 2)
        ),
    ]


def run(data: bytes) -> None:
    """Show a message in every way."""
    choices = Choices(data)
    type_name = choices.pick(_types())
    known = fingerprint(type_name) or 0
    seed = choices.below(256)
    if seed == 0:
        wire = known.to_bytes(8, "big") + choices.rest()
    else:
        message = random_message(type_name, random.Random(seed))
        paint = _PAINTERS.get(type_name) if seed % _AS_ODD else None
        if paint is not None:
            paint(message, choices)
        for _ in range((paint is None) + choices.below(_MOST_CHANGES)):
            _change(message, choices)
        try:
            wire = encode(message)
        except CodecError:
            return
    _in_rerun(type_name, wire)
    _in_terminal(type_name, wire, choices)
    try:
        summarize(decode(type_name, wire))
    except DecodeError as error:
        check_sentence(str(error), _QUOTED)


def _change(message: Any, choices: Choices) -> None:
    """Give one field, of the message or of one inside of it, an odd value."""
    name = choices.pick(message.__slots__)
    value = getattr(message, name)
    if hasattr(value, "__slots__") and hasattr(value, "lcm_encode"):
        _change(value, choices)
    elif isinstance(value, list) and value and hasattr(value[0], "lcm_encode"):
        _change(choices.pick(value[:200]), choices)
    elif isinstance(value, bool):
        setattr(message, name, not value)
    elif isinstance(value, float):
        setattr(message, name, choices.pick(_FLOATS))
    elif isinstance(value, int):
        setattr(message, name, choices.pick(_INTEGERS))
    elif isinstance(value, str):
        setattr(message, name, choices.pick(_TEXTS))
    elif isinstance(value, bytes):
        _resize(message, name, choices.pick((*_BYTES, value * 3)))
    elif isinstance(value, list) and value and isinstance(value[0], float):
        _resize(message, name, [choices.pick(_FLOATS)] * len(value))


def _resize(message: Any, name: str, value: Any) -> None:
    """Set an array, and its length where that is a field of its own."""
    dims = message.__dimensions__[message.__slots__.index(name)]
    setattr(message, name, value)
    for dim in dims or ():
        if isinstance(dim, str):
            setattr(message, dim, len(value))


def _paint(message: Any, choices: Choices) -> None:
    """Make it a picture in one of the encodings, with about the bytes that it needs."""
    message.encoding = choices.pick(_ENCODINGS)
    message.width, message.height = choices.pick(_SIDES), choices.pick(_SIDES)
    message.is_bigendian = choices.below(2)
    message.step = choices.pick(_STEPS)
    content = (choices.block() or b"\x7f\x80") * 600
    _resize(message, "data", content[: choices.pick((32 * 17 * 17, 1000, 64, 24, 1, 0))])


def _compress(message: Any, choices: Choices) -> None:
    """Make it a compressed picture, whole or not, behind the numbers that a depth image has."""
    message.format = choices.pick(_FORMATS)
    kind = choices.pick(("I;16", "RGB", "L", "P", "RGBA", "1", "F"))
    content = _file(choices.pick(_FILES), kind, choices.pick(_SIDES[:7]))
    if _FORMATS.index(message.format) in _DEPTHS:
        content = choices.pick((bytes(12), b"\xff" * 12, b"\0\0\x80\x3f" * 3)) + content
    cut = choices.below(len(content))
    end = choices.pick((content[cut:], b"", choices.raw(4) + content[cut:]))
    _resize(message, "data", content[:cut] + end)


_PAINTERS = {"sensor_msgs.Image": _paint, "sensor_msgs.CompressedImage": _compress}


@lru_cache(maxsize=256)
def _file(file_format: str, kind: str, side: int) -> bytes:
    """A file with a picture of that kind of pixels; a PNG if the format has no such pixels."""
    from PIL import Image

    picture = Image.new(kind, (side, 5), 1)
    file = io.BytesIO()
    try:
        picture.save(file, file_format)
    except (OSError, ValueError):
        return _file("PNG", "L", side)
    return file.getvalue()


def _in_rerun(type_name: str, wire: bytes) -> None:
    from dimos_record.viewer.converters import converter_for, frame_of, position_of

    converter = converter_for(type_name)
    if converter is None:
        return
    try:
        for one in converter.convert(wire):
            one.archetype.as_component_batches()
        with np.errstate(all="ignore"):
            frame_of(type_name, wire)
            position_of(type_name, wire)
    except DecodeError as error:
        check_sentence(str(error), _QUOTED)


def _in_terminal(type_name: str, wire: bytes, choices: Choices) -> None:
    from dimos_record.cli.tui.inspector.bodies import body
    from dimos_record.cli.tui.inspector.look import Wanted, look

    stream = StreamInfo("odd", "/odd", f"/odd#{type_name}", type_name)
    row = Row(stream, 1, 1, 1_763_649_785_000_000_000, None, wire)
    columns, lines = choices.pick(((80, 24), (200, 60), (20, 4), (1, 1)))
    seen = look(Wanted(stream, row, 1.0, columns, lines))
    nodes = [seen.root]
    for node in nodes[:200]:
        body(node, columns)
        nodes += node.children

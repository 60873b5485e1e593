"""How payloads are stored: dimos's codecs, by dimos's ids.

`lcm` keeps the bytes as they came off the wire. `lz4+lcm` puts an LZ4 frame around them. `jpeg`
keeps an Image message whose pixels are JPEG (`encoding` "jpeg", `step` 0) and loses pixels.
`json`, `pickle` and `scalar` (plain numbers) appear in files that dimos wrote; a pickle is passed
on but never loaded here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dimos_record.errors import CodecError, OptionError

CHOOSABLE = ("lcm", "lz4+lcm", "jpeg")
"""Codecs that a user may choose for a topic."""


PLAIN = ("lcm", "pickle")
"""Codecs whose stored payloads are passed on as they are."""


MAX_MESSAGE_BYTES = 2**28
"""What a stored payload may unpack to: the largest message that LCM carries."""


class Codec(NamedTuple):
    """Wire bytes to stored bytes and back."""

    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


def codec_for(codec_id: str, topic: str) -> Codec:
    """The codec of an id.

    Raises:
        CodecError: nobody knows it; the message names the topic.
    """
    maker = _CODECS.get(codec_id)
    if maker is None:
        known = ", ".join(_CODECS)
        raise CodecError(f"topic {topic}: codec {codec_id!r} is unknown; known are {known}")
    return maker()


def check_choosable(codec_id: str) -> str:
    """Return a codec id that a user may choose for recording.

    Raises:
        OptionError: it is none of them.
    """
    if codec_id not in CHOOSABLE:
        raise OptionError(f"codec {codec_id!r} cannot be chosen; use one of {', '.join(CHOOSABLE)}")
    return codec_id


def _same(data: bytes) -> bytes:
    return data


def _plain() -> Codec:
    return Codec(_same, _same)


def _lz4() -> Codec:
    import lz4.frame

    def decode(data: bytes) -> bytes:
        try:
            # a frame that says its size cannot unpack to more; one of dimos's or ours says it
            if 0 < lz4.frame.get_frame_info(data)["content_size"] <= MAX_MESSAGE_BYTES:
                return bytes(lz4.frame.decompress(data))
            frame = lz4.frame.LZ4FrameDecompressor()
            message = bytes(frame.decompress(data, max_length=MAX_MESSAGE_BYTES))
        except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
            raise CodecError(f"a stored payload is not a valid LZ4 frame: {error}") from None
        if not frame.eof:
            size = f"of more than {MAX_MESSAGE_BYTES:,} bytes"
            what = "incomplete" if frame.needs_input else size
            raise CodecError(f"a stored payload is not a valid LZ4 frame: it is {what}")
        return message

    return Codec(lambda data: bytes(lz4.frame.compress(data)), decode)


def _json() -> Codec:
    from dimos_lcm.std_msgs import String

    def encode(data: bytes) -> bytes:
        return str(String.lcm_decode(data).data).encode()

    def decode(data: bytes) -> bytes:
        try:
            return bytes(String(data=data.decode()).lcm_encode())
        except ValueError as error:
            raise CodecError(f"a stored payload is not valid text: {error}") from None

    return Codec(encode, decode)


def _jpeg() -> Codec:
    from dimos_record.store import jpeg

    return Codec(jpeg.encode, jpeg.decode)


_CODECS: dict[str, Callable[[], Codec]] = {
    "lcm": _plain,
    "lz4+lcm": _lz4,
    "jpeg": _jpeg,
    "json": _json,
    "pickle": _plain,
    "scalar": _plain,
}

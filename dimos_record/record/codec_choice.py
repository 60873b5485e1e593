"""Which codec a topic is stored with."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from dimos_record.bus.base import Selection
from dimos_record.store.codecs import check_choosable, codec_for
from dimos_record.store.writer import CodecChooser

log = logging.getLogger("dimos_record")


def codec_chooser(patterns: Mapping[str, str]) -> CodecChooser:
    """A chooser for topic patterns; the first that matches counts, and the default is `lcm`.

    Raises:
        OptionError: a codec cannot be chosen.
        PatternError: a pattern cannot be read.
        MissingExtra: a codec needs a package that is not installed.
    """
    choices = [
        (Selection.of([pattern]), check_choosable(codec)) for pattern, codec in patterns.items()
    ]
    for _, codec in choices:
        codec_for(codec, "any")
        if codec == "jpeg":
            from dimos_record.store.jpeg import load_pillow

            load_pillow()

    def choose(topic: str, type_name: str | None, first: bytes) -> str:
        wanted = next((codec for topics, codec in choices if topics.matches(topic)), "lcm")
        if wanted == "jpeg" and not _is_picture(type_name, first):
            log.warning("%s is not an 8-bit image: stored as lz4+lcm, which loses nothing", topic)
            return "lz4+lcm"
        return wanted

    return choose


def _is_picture(type_name: str | None, data: bytes) -> bool:
    if type_name != "sensor_msgs.Image":
        return False
    from dimos_record.store import jpeg

    return jpeg.fits(data)

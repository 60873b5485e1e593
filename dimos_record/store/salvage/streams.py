"""What streams a damaged recording has: from whatever place still says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dimos_record.errors import CodecError, MissingExtra
from dimos_record.store import catalog
from dimos_record.store.base import StreamInfo
from dimos_record.store.codecs import codec_for
from dimos_record.store.names import is_identifier, stream_name
from dimos_record.store.salvage.btree import Record
from dimos_record.store.salvage.trees import Trees


class Stream(NamedTuple):
    """A stream of a damaged recording."""

    info: StreamInfo
    topic: int | None
    """Its number in the spool."""
    config: str | None
    """How `_streams` describes it to dimos."""
    guessed: bool = False
    """Whether its topic is only derived from its name."""


def find_streams(trees: Trees) -> list[Stream]:
    """The streams that a file describes, names alone where nothing else is left."""
    configs = {
        row[0]: row[1]
        for row in trees.records(trees.tree("_streams"))
        if len(row) == 2 and all(isinstance(value, str) for value in row)
    }
    found: dict[str, list[Stream]] = {}
    for stream in _described(trees, configs):
        found.setdefault(stream.info.name.lower(), []).append(stream)
    streams = {name: _best(copies) for name, copies in found.items()}
    of_dimos = trees.list_is_whole and "_dr_topics" not in trees.names
    for name, config in configs.items():
        if name.lower() not in streams and is_identifier(name):
            stream = Stream(catalog.describe(name, config), None, config)
            streams[name.lower()] = stream if of_dimos else _guessed(stream)
    for name in trees.names:
        if name not in streams and f"{name}_blob" in trees.names and is_identifier(name):
            streams[name] = _guessed(Stream(StreamInfo(name, "/", "/", None), None, None))
    return list(streams.values())


def _guessed(stream: Stream) -> Stream:
    """A stream whose topic is made from its name: nothing else is left."""
    topic = "/" + stream.info.name.replace("__", "/")
    type_name = stream.info.type_name
    channel = f"{topic}#{type_name}" if type_name else topic
    return stream._replace(info=stream.info._replace(topic=topic, channel=channel), guessed=True)


def _described(trees: Trees, configs: dict[str, str]) -> Iterator[Stream]:
    """What `_dr_topics` says, and the copy of it; looked for everywhere if both have no place."""
    table, copy = trees.tree("_dr_topics"), trees.tree("_dr_topics_copy")
    rows = [*_from_table(trees.records(table)), *_from_copy(trees.records(copy))]
    if not rows:
        rows += trees.look_for(lambda row: len(row) == 10 and isinstance(row[0], int))
        copies = trees.look_for(lambda row: len(row) == 10 and isinstance(row[9], int))
        rows += _from_copy(copies)
    for row in rows:
        stream = _stream(row, configs)
        if stream is not None:
            yield stream


def _from_table(records: Iterable[Record]) -> Iterator[Record]:
    return (row for row in records if len(row) == 10 and isinstance(row[0], int))


def _from_copy(records: Iterable[Record]) -> Iterator[Record]:
    rows = (row for row in records if len(row) == 10 and isinstance(row[9], int))
    return ((row[9], *row[:9]) for row in rows)


def _stream(row: Record, configs: dict[str, str]) -> Stream | None:
    """A stream as a row describes it, if that can be.

    Args:
        row: id, stream, topic, channel, bus, type_name, fingerprint, module, codec, latched.
    """
    number, name, topic, channel, bus, type_name, mark, module, codec, latched = row
    texts, maybe = (name, topic, channel, codec), (bus, type_name, mark, module)
    if not all(isinstance(text, str) and text for text in texts) or not is_identifier(name):
        return None
    if not all(text is None or isinstance(text, str) for text in maybe) or latched not in (0, 1):
        return None
    try:
        fingerprint = int(mark, 16) if mark else None
    except ValueError:
        fingerprint = None
    info = StreamInfo(
        name, topic, channel, type_name, codec, bool(latched), module, bus, fingerprint
    )
    return Stream(info, number, configs.get(name))


def _best(copies: list[Stream]) -> Stream:
    """Of two descriptions that differ, the one that agrees with itself."""
    return max(copies, key=lambda stream: _agreement(stream.info))


def _agreement(info: StreamInfo) -> int:
    base = stream_name(info.topic, ())
    return sum(
        (
            bool(re.fullmatch(rf"{re.escape(base)}(_\d+)?", info.name, re.IGNORECASE)),
            info.topic.strip("/") in info.channel,
            info.type_name is None or info.type_name in info.channel,
            _is_known(info.codec),
            info.topic.isprintable() and info.channel.isprintable(),
        )
    )


def _is_known(codec: str) -> bool:
    try:
        codec_for(codec, "")
    except CodecError:
        return False
    except MissingExtra:
        return True
    return True

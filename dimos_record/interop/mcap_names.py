"""How our MCAP files say what MCAP and ROS 2 have no place for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from dimos_record.store.base import Marker
from dimos_record.store.edits import is_marker
from dimos_record.store.observation import Meta, Pose

RECORDING = "dimos_record.recording"
"""A metadata record: where the file comes from."""
MARKER = "dimos_record.marker"
"""A metadata record per marker: `label`, `at_ns`, `until_ns` and `data` (JSON)."""
OBSERVATIONS = "dimos_record.observations"
"""Metadata records with the poses and tags of messages, as JSON by `observation`."""
UNTIL = "until_ns"
"""In these: the log time of the last message that was written before."""

CHANNEL = "dimos_record.channel"
"""In the metadata of a channel: the name on the wire."""
TYPE = "dimos_record.type"
"""Likewise: the LCM type."""
SEQ_OF = "dimos_record.seq_of"
"""Likewise: which headers have MCAP's sequence as their `seq`; those in the message that are not
meant have 0."""

LAST_NS = 2**63 - 1
"""The last time that a recording can hold."""

Seqs = Callable[[], Iterator[int]]
"""Makes the `seq` of the headers of one message, in order."""

FIRST, ALL = "first header", "all headers"


def observation(channel: str, number: int) -> str:
    """The key of a message: its channel on the wire, and which of its messages, from 1."""
    return f"{number} {channel}"


def which_headers(seqs: Sequence[int]) -> str | None:
    """Which of a message's headers have the first one's `seq`; None if it is more complicated."""
    if all(seq == seqs[0] for seq in seqs):
        return ALL
    return None if any(seqs[1:]) else FIRST


def seqs_of(seq_of: str | None, sequence: int) -> Iterator[int]:
    """The `seq` of each header of a message, in order, without end; see `which_headers`."""
    signed = sequence - 2**32 if sequence >= 2**31 else sequence
    if seq_of == ALL:
        return repeat(signed)
    return chain([signed], repeat(0)) if seq_of == FIRST else repeat(0)


def marker_record(marker: Marker) -> dict[str, str]:
    """A marker as a metadata record."""
    record = {"label": marker.label, "at_ns": str(marker.at_ns)}
    if marker.until_ns is not None:
        record["until_ns"] = str(marker.until_ns)
    if marker.data is not None:
        record["data"] = json.dumps(marker.data)
    return record


def marker_of(number: int, record: Mapping[str, str]) -> Marker:
    """The marker of a metadata record.

    Raises:
        ValueError: it is none.
    """
    until, data = record.get("until_ns"), record.get("data")
    marker = Marker(
        number,
        time_of(record.get("at_ns", "")),
        record.get("label", ""),
        None if until is None else time_of(until),
        None if data is None else _json(data),
    )
    if not is_marker(marker):
        raise ValueError("it has no label, or its time is too far away")
    return marker


def meta_text(pose: Pose | None, tags: Mapping[str, Any]) -> str:
    """What is stored beside a message."""
    return json.dumps({"pose": pose, "tags": tags})


def meta_of(text: str) -> Meta:
    """What was stored beside a message.

    Raises:
        ValueError: it is nothing of the kind.
    """
    found = _json(text)
    try:
        pose = found["pose"]
        return Meta(pose and Pose(*map(float, pose)), dict(found["tags"]))
    except (TypeError, KeyError) as error:
        raise ValueError(f"{text[:80]!r} is no pose with tags") from error


def time_of(text: str) -> int:
    """A time in nanoseconds that a recording can hold.

    Raises:
        ValueError: it is none.
    """
    time_ns = int(text)
    if abs(time_ns) > LAST_NS:
        raise ValueError(f"{text} ns is beyond the year 2262")
    return time_ns


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error

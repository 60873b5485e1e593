"""How our MCAP files say what MCAP and ROS 2 have no place for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat

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

"""What is known of those who sent to a session: what came of theirs, and what was lost before.

It is kept in the session's `meta`, under `KEY`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

KEY = "senders"
_NAMED = 3


class SenderAccount(NamedTuple):
    """What came of one sender's messages during a session, on whatever channel."""

    address: str
    """`127.0.0.1:45123`"""
    received: int
    """Messages that came, recorded or not."""
    lost: int
    """Messages that it sent and that did not come, or not complete."""
    lost_channels: Mapping[str, int]
    """Of the lost ones, per channel, those of which a part came that names it."""


def to_meta(senders: Iterable[SenderAccount]) -> list[dict[str, Any]]:
    """Accounts as a session's `meta` has them."""
    return [{**one._asdict(), "lost_channels": dict(one.lost_channels)} for one in senders]


def from_meta(meta: Mapping[str, Any]) -> tuple[SenderAccount, ...]:
    """The accounts in a session's `meta`; what is none of ours is left out."""
    found = meta.get(KEY)
    return tuple(filter(None, map(_account, found))) if isinstance(found, list) else ()


def _account(one: Any) -> SenderAccount | None:
    if not isinstance(one, dict):
        return None
    address, received, lost = (one.get(name) for name in ("address", "received", "lost"))
    if not (isinstance(address, str) and isinstance(received, int) and isinstance(lost, int)):
        return None
    channels = one.get("lost_channels")
    named = channels.items() if isinstance(channels, dict) else ()
    counts = {channel: count for channel, count in named if isinstance(count, int)}
    return SenderAccount(address, received, lost, counts)


def add_senders(parts: Iterable[Iterable[SenderAccount]]) -> tuple[SenderAccount, ...]:
    """The accounts of parts of a session, or of several, together, by address."""
    total: dict[str, SenderAccount] = {}
    for one in (one for part in parts for one in part):
        before = total.get(one.address, SenderAccount(one.address, 0, 0, {}))
        channels = {**before.lost_channels}
        for channel, count in one.lost_channels.items():
            channels[channel] = channels.get(channel, 0) + count
        total[one.address] = SenderAccount(
            one.address, before.received + one.received, before.lost + one.lost, channels
        )
    return tuple(total[address] for address in sorted(total))


def joined_meta(whole: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The `meta` of a session of which there is another part."""
    senders = add_senders([from_meta(whole), from_meta(part)])
    return {**whole, KEY: to_meta(senders)} if senders else dict(whole)


def losses_in_words(senders: Sequence[SenderAccount]) -> str:
    """How many messages of whom were lost: `312 messages of 127.0.0.1:45123 (on /color 12)`.

    Those who lost most are named; empty if nothing was lost.
    """
    lossy = sorted((one for one in senders if one.lost), key=lambda one: -one.lost)
    parts = [_in_words(one, " messages" if not i else "") for i, one in enumerate(lossy[:_NAMED])]
    if others := lossy[_NAMED:]:
        parts.append(f"{sum(one.lost for one in others):,} of {len(others):,} others")
    return ", ".join(parts)


def _in_words(one: SenderAccount, what: str) -> str:
    known = sorted(one.lost_channels.items(), key=lambda item: -item[1])[:_NAMED]
    channels = ", ".join(f"{channel.partition('#')[0]} {count:,}" for channel, count in known)
    return f"{one.lost:,}{what} of {one.address}" + (f" (on {channels})" if channels else "")

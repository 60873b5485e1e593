"""Our names of topics and Zenoh's: `/odom#geometry_msgs.PoseStamped` and
`dimos/odom/geometry_msgs.PoseStamped`, the way dimos lays its keys out.
"""

from __future__ import annotations

import re

from dimos_record.bus.base import Selection, join_channel, split_channel
from dimos_record.errors import BusError, ChannelTooLong

_TYPE_NAME = re.compile(r"[A-Za-z]\w*\.[A-Z]\w*", re.ASCII)
_MAX_KEY_BYTES = 4096
"""Zenoh takes far longer keys, but sends them along with messages."""
_FORBIDDEN = "*$?#"


def channel_of(key: str, prefix: str) -> str | None:
    """Our name for a Zenoh key; None if the key is not under the prefix.

    The last segment is a type if it looks like one: letters, a dot, a class with a capital.

    >>> channel_of("dimos/odom/geometry_msgs.PoseStamped", "dimos/")
    '/odom#geometry_msgs.PoseStamped'
    >>> channel_of("dimos/agent", "dimos/")
    '/agent'
    """
    if not key.startswith(prefix) or key == prefix:
        return None
    name = key[len(prefix) :]
    topic, separator, last = name.rpartition("/")
    if separator and _TYPE_NAME.fullmatch(last):
        return join_channel(f"/{topic}", last)
    return f"/{name}"


_INTERNAL = re.compile(r"dimos/(rpc/.+|runs/[^/]+/logs/[^/]+)")


def is_internal(key: str) -> bool:
    """Whether dimos uses a key for itself: calls of modules, and the output of hosted runs.

    Its calls are Zenoh queries, which no subscriber sees anyway.
    """
    return _INTERNAL.fullmatch(key) is not None


def key_of(channel: str, prefix: str) -> str:
    """The Zenoh key of one of our channels: the opposite of `channel_of`.

    A channel without a slash in front gets one: `odom` arrives as `/odom`.

    Raises:
        ChannelTooLong: the key would be longer than 4096 bytes.
        BusError: Zenoh has no key for it, or one that stands for another channel.

    >>> key_of("/robot1/odom#geometry_msgs.PoseStamped", "dimos/")
    'dimos/robot1/odom/geometry_msgs.PoseStamped'
    """
    topic, type_name = split_channel(channel)
    name = topic.removeprefix("/")
    found = [char for char in _FORBIDDEN if char in topic]
    if found:
        raise BusError(f"{channel!r} cannot be published on Zenoh, which allows no {found[0]!r}")
    if "" in name.split("/"):
        raise BusError(
            f"{channel!r} cannot be published on Zenoh: no part between slashes may be empty"
        )
    key = prefix + (f"{name}/{type_name}" if type_name else name)
    if channel_of(key, prefix) != join_channel(f"/{name}", type_name):
        raise BusError(
            f"{channel!r} cannot be published on Zenoh, where the part after the last slash is the "
            "type if and only if it looks like geometry_msgs.Pose; use another name"
        )
    _check_size(channel, key)
    return key


def _check_size(channel: str, key: str) -> None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise BusError(f"{channel!r} cannot be published: it is not text") from None
    if size > _MAX_KEY_BYTES:
        raise ChannelTooLong(
            f"channel {channel[:40]!r}... has a Zenoh key of {size} bytes, and at most "
            f"{_MAX_KEY_BYTES} are allowed; use a shorter topic name"
        )


def key_expressions(selection: Selection, prefix: str) -> list[str]:
    """Zenoh key expressions that match at least what a selection includes.

    They may match more, and each other's keys; all end with ``/**``, which also matches nothing.

    >>> key_expressions(Selection.of(["/odom", "/camera/*_info", "*#tf2_msgs.TFMessage"]), "dimos/")
    ['dimos/odom/**', 'dimos/camera/$*_info/**', 'dimos/**/tf2_msgs.TFMessage/**']
    """
    found = (prefix + _expression(pattern) for pattern in selection.include)
    return list(dict.fromkeys(found))


_GROUP = re.compile(r"\[[^\]]*\]|\{[^}]*\}")
_WILD = re.compile(r"[*?\0$]+")


def _expression(pattern: str) -> str:
    topic, _, type_pattern = pattern.partition("#")
    topic = "**" if topic == "*" else topic
    chunks: list[str] = []
    for raw in _without_groups(topic).removeprefix("/").split("/"):
        start, crosses_levels, _ = raw.partition("**")
        chunk = _WILD.sub("$*", f"{start}*" if start and crosses_levels else start)
        if chunk:  # an empty one matches no key at all
            chunks.append("*" if chunk == "$*" else chunk)
        if crosses_levels:
            chunks.append("**")
            break
    if _TYPE_NAME.fullmatch(type_pattern):
        chunks.append(type_pattern)
    if not chunks or chunks[-1] != "**":
        chunks.append("**")
    return "/".join(chunks)


def _without_groups(topic: str) -> str:
    """Replace brackets and braces by what stands for anything, across levels if they hold a /."""
    return _GROUP.sub(lambda group: "**" if "/" in group[0] else "\0", topic)

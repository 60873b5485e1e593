"""Names: channels, topic patterns, remapping, names of streams, keys of Zenoh.

The text is cut at line feeds: patterns and names, any number of them.
"""

from __future__ import annotations

import re

from dimos_record.bus.base import Selection, join_channel, literal, split_channel
from dimos_record.bus.zenoh_names import channel_of, is_internal, key_expressions, key_of
from dimos_record.cli.text import printable
from dimos_record.replay.remap import Remap
from dimos_record.store.names import is_valid, stream_name
from soaking.fuzz_targets.checks import BrokenPromise, check_same, errors_of_ours

_NAMES = (
    "/odom#geometry_msgs.PoseStamped",
    "/camera/color/image_raw#sensor_msgs.Image",
    "/" + "a" * 60,
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t",
    "x",
    "",
)


def seeds() -> list[bytes]:
    """Patterns as people write them, and some that they should not."""
    texts = [
        "/odom\n/odom#geometry_msgs.PoseStamped\n/camera/*",
        "*\n**\n*#sensor_msgs.Image",
        "/camera/**\n/cam[a-z]ra/[!x]*",
        "/{left,right}/image\n/a?c\nodom",
        "/camera/*=/sim/camera/*\n/odom=/replay/odom",
        "/[abc\n/{a,b",
        "/*a*a*a*a*a*a*b\n/**/**/**/**/x",
        "/{a*,a*,{a}\n/[]-^]",
        "/robot1/odom\n_blob\nsqlite_x\n/1/2",
        "dimos/odom/geometry_msgs.PoseStamped\ndimos/rpc/x",
        "/[z-a]\n/[\\d]\n/[a-]",
    ]
    return [text.encode() for text in texts]


def run(data: bytes) -> None:
    """Take each line as a pattern, as a name, and pairs as a rule of remapping."""
    text = data[:600].decode("utf-8", "replace")
    lines = text.split("\n")
    with errors_of_ours(text):
        selection = Selection.of(lines[:3], lines[3:5])
        for name in (*_NAMES, *lines):
            selection.matches(name)
        for key in key_expressions(selection, "dimos/"):
            _check_expression(key)
    for line in lines:
        _check_name(line)
        with errors_of_ours(line):
            source, _, target = line.partition("=")
            remap = Remap({source: target})
            for name in _NAMES:
                remap.channel(name)
    _check_streams(lines)


def _check_name(name: str) -> None:
    topic, type_name = split_channel(name)
    if "#" in topic and type_name is not None:
        raise BrokenPromise(f"{name!r} is cut into {topic!r} and {type_name!r}")
    if type_name is not None or not name.endswith("#"):
        check_same(name, join_channel(topic, type_name), "a channel")
    if name and "#" not in name and not Selection.of((literal(name),)).matches(name):
        raise BrokenPromise(f"the pattern of {name!r} does not match it")
    if not printable(name).isprintable():
        raise BrokenPromise(f"{name!r} would be obeyed by a terminal")
    is_internal(name)
    arrived = channel_of(f"dimos/{name}", "dimos/")
    if name and (arrived is None or not arrived.startswith("/")):
        raise BrokenPromise(f"what Zenoh brings as {name!r} is called {arrived!r}")
    with errors_of_ours(name):
        key = key_of(name, "dimos/")
        found = channel_of(key, "dimos/")
        wanted = name if name.startswith("/") else f"/{name}"
        check_same(wanted.removesuffix("#") if type_name is None else wanted, found, "a Zenoh key")


def _check_streams(topics: list[str]) -> None:
    taken: set[str] = set()
    for topic in topics[:20]:
        name = stream_name(topic, taken)
        if not is_valid(name) or name.lower() in taken:
            raise BrokenPromise(f"{topic!r} would be stored as {name!r}, beside {taken}")
        taken.add(name.lower())


def _check_expression(key: str) -> None:
    if not key or key.startswith("/") or key.endswith("/") or "//" in key:
        raise BrokenPromise(f"{key!r} is no key expression of Zenoh")
    if re.search(r"[#?]", key):
        raise BrokenPromise(f"{key!r} has a character that key expressions may not have")

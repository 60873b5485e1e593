"""The lines of a message, as far as its values are opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

from dimos_record.cli.tui.inspector.bodies import body
from dimos_record.cli.tui.inspector.describe import Node

_FRAMES = ("header", "layout")
"""Fields that say something about the others."""
_FEW_ITEMS = 3

Path = tuple[str, ...]
"""The names of the values from the message down: ("poses", "[0]", "position")."""


class Line(NamedTuple):
    """A line of the tree: a value, or a line of what an opened value shows of itself."""

    path: Path
    node: Node
    text: str | None = None
    """None for the value's own line."""

    @property
    def indent(self) -> int:
        """Characters before the name."""
        return 2 * (len(self.path) - (self.text is None))


def lines_of(parent: Node, opened: set[Path], width: int, path: Path = ()) -> Iterator[Line]:
    """The lines of what is in a value, as far as it is opened.

    Args:
        path: of the value; () for the message.
    """
    for node in parent.children:
        here = (*path, node.name)
        if node.kind == "note":
            for text in wrap(node.value, max(8, width - 2 * len(path))):
                yield Line(path, node, text)
            continue
        yield Line(here, node)
        if here in opened:
            yield from (Line(here, node, text) for text in body(node, width - 2 * len(here)))
            yield from lines_of(node, opened, width, here)


def opened_at_first(root: Node, lines: int, width: int) -> set[Path]:
    """The values to open in a message of a type that was not seen before.

    The upper levels of nested messages, as far as they fit, but not those that one line can tell
    as well, and few items of lists. Where there is only one value, that is opened.
    """
    opened: set[Path] = {(node.name,) for node in _only_value(root)}
    used = len(list(lines_of(root, opened, width)))
    waiting = deque(_children(root, ()))
    while waiting:
        path, node = waiting.popleft()
        is_known = node.name == "header" or _fits(node, width - 2 * len(path))
        if node.children and not is_known and used + len(node.children) <= lines:
            opened.add(path)
            used += len(node.children)
            if node.kind == "message" or len(node.children) <= _FEW_ITEMS:
                waiting.extend(_children(node, path))
    return opened


def _only_value(root: Node) -> list[Node]:
    """The value of a message that is nothing but a text, an array or bytes."""
    values = [node for node in root.children if node.kind != "note" and node.name not in _FRAMES]
    return values if len(values) == 1 and values[0].data is not None else []


def _children(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    return (((*path, child.name), child) for child in node.children)


def _fits(node: Node, width: int) -> bool:
    """Whether a closed line shows all values of a node."""
    is_flat = not any(child.children for child in node.children)
    whole = not node.value.endswith("…") and len(node.name) + 2 + len(node.value) <= width
    return is_flat and whole and not any(child.kind == "more" for child in node.children)

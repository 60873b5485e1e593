"""What a value shows of itself when it is opened: numbers with a plot, bytes, a whole text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import chop_cells

from dimos_record.cli.text import printable
from dimos_record.cli.tui.inspector.describe import SHOWN_NUMBERS, Node, number_text
from dimos_record.cli.tui.inspector.plots import labelled_curve

PLOT_LINES = 5
_MOST_NUMBERS = 200
_MOST_BYTES = 1024
_MOST_CHARACTERS = 20_000
_MATRIX_COLUMNS = {9: 3, 12: 4, 36: 6}


def body(node: Node, width: int) -> list[str]:
    """The lines that belong below an opened node, without its children.

    Args:
        width: characters per line.
    """
    if isinstance(node.data, np.ndarray):
        return _of_array(node, width)
    if isinstance(node.data, bytes):
        return list(hex_dump(node.data, 16 if width >= 76 else 8))
    if isinstance(node.data, str):
        return _of_text(node.data, width)
    return []


def hex_dump(data: bytes, per_line: int) -> Iterator[str]:
    """`00000010  68 65 6c 6c 6f 00 ...  hello.`, of the beginning."""
    for at in range(0, min(len(data), _MOST_BYTES), per_line):
        line = data[at : at + per_line]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{at:08x}  {line.hex(' '):<{3 * per_line - 1}}  {text}"
    if len(data) > _MOST_BYTES:
        yield f"... {len(data) - _MOST_BYTES:,} more bytes"


def _of_text(text: str, width: int) -> list[str]:
    """A text as it is; JSON laid out."""
    shown = _laid_out(text) if text[:1] in ("{", "[") else text[:_MOST_CHARACTERS]
    lines = [
        line
        for given in shown.split("\n")
        for line in chop_cells(printable(given.expandtabs(4)), max(2, width)) or [""]
    ]
    if len(text) > _MOST_CHARACTERS:
        lines.append(f"... {len(text) - _MOST_CHARACTERS:,} more characters")
    return lines


def _laid_out(text: str) -> str:
    head = text[:_MOST_CHARACTERS]
    try:
        return json.dumps(json.loads(head), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return head


def is_matrix(node: Node) -> bool:
    """Whether an array is a camera matrix or covariances, which have rows and make no curve."""
    is_named_so = node.name.lower() in ("k", "r", "p") or node.name.endswith("covariance")
    return is_named_so and node.data.size in _MATRIX_COLUMNS


def _of_array(node: Node, width: int) -> list[str]:
    flat = node.data.ravel()
    if is_matrix(node):
        return _table(flat, width, _MATRIX_COLUMNS[flat.size])
    has_curve = flat.size > SHOWN_NUMBERS and flat.dtype != np.bool_
    plot = labelled_curve(flat, width, PLOT_LINES) if has_curve else []
    return [*plot, *_table(flat, width, 10)]


def _table(flat: NDArray[Any], width: int, per_line: int) -> list[str]:
    """The first numbers in columns, with the index of the first of each line."""
    short = flat.dtype == np.float32
    texts = [number_text(value, short=short) for value in flat[:_MOST_NUMBERS]]
    widest, gutter = max(map(len, texts)), len(f"[{len(texts)}]")
    per_line = min(per_line, max(1, (width - gutter) // (widest + 2)))
    lines = [
        f"{f'[{at}]':<{gutter}}" + "".join(f"  {text:>{widest}}" for text in texts[at:][:per_line])
        for at in range(0, len(texts), per_line)
    ]
    if flat.size > len(texts):
        lines.append(f"... {flat.size - len(texts):,} more")
    return lines

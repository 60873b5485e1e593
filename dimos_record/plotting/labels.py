"""Text that others have written, as it may stand in a plot."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text without characters that a terminal would obey, and a picture cannot show."""
    return "".join(char if char.isprintable() else "?" for char in text)

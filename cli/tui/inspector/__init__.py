"""The message inspector of the terminal program."""

from __future__ import annotations

from dimos_record.cli.tui.inspector.widget import Inspector

__all__ = ["Inspector"]

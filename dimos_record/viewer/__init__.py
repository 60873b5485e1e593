"""Recordings and live topics in the Rerun viewer. Importing this does not import rerun."""

from __future__ import annotations

from dimos_record.viewer.logger import RecordingLogger, Unshown

__all__ = ["RecordingLogger", "Unshown"]

"""Texts, in the log: std_msgs.String and diagnostics."""

from __future__ import annotations

from dimos_record.messages import decode
from dimos_record.messages.wire import Wire
from dimos_record.viewer.converters.base import Converter, Shown

_LEVELS = {0: "INFO", 1: "WARN", 2: "ERROR", 3: "WARN"}
"""By the levels of diagnostic_msgs.DiagnosticStatus: OK, WARN, ERROR, STALE."""


def string(data: bytes) -> list[Shown]:
    """std_msgs.String: a line of the log."""
    import rerun as rr

    return [Shown("", rr.TextLog(Wire("std_msgs.String", data).string()))]


def diagnostics(data: bytes) -> list[Shown]:
    """diagnostic_msgs.DiagnosticArray: a line for each part, at its level."""
    import rerun as rr

    found = decode("diagnostic_msgs.DiagnosticArray", data)
    return [
        Shown(
            rr.escape_entity_path_part(status.name),
            rr.TextLog(f"{status.name}: {status.message}", level=_LEVELS.get(status.level)),
        )
        for status in found.status
    ]


CONVERTERS = {
    "diagnostic_msgs.DiagnosticArray": Converter(diagnostics, "text"),
    "std_msgs.String": Converter(string, "text"),
}

"""What `diagnose` finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["damage", "problem", "note"]
"""`damage`: messages cannot be read or are not what was recorded. `problem`: the recording can be
read, and something should be done about it. `note`: good to know, and nothing needs to be done."""

SEVERITIES: tuple[Severity, ...] = ("damage", "problem", "note")
"""The worst one first."""


def messages(count: int) -> str:
    """`1 message`, `1,234 messages`"""
    return f"{count:,} message" if count == 1 else f"{count:,} messages"


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    check: str
    """Which check found it: `integrity`, `checksums`, `account` ...; these names stay."""
    what: str
    """What was found and what it means, in a sentence."""
    remedy: str | None = None
    """What to do: a command, or a sentence; None where nothing needs to be done."""
    file: Path | None = None
    """The file that it is about; the recording itself, or one of its segments."""
    topic: str | None = None
    """The topic that it is about, if it is about one."""
    count: int = 1
    """How many messages, pages ... it is about."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a recording, the worst first."""

    path: Path
    findings: tuple[Finding, ...]
    messages: int
    """How many messages it has."""
    checked: int
    """How many of them were compared with their checksum."""

    @property
    def damaged(self) -> bool:
        """Whether messages cannot be read, or are not what was recorded."""
        return any(finding.severity == "damage" for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether nothing needs to be done."""
        return all(finding.severity == "note" for finding in self.findings)

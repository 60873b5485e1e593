"""What a session is told about the program that it records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dimos_record.store.base import LogLine, StreamSource


@dataclass
class Origin:
    """Where messages come from, beyond what the bus tells. It is live: add to it at any time."""

    sources: dict[str, StreamSource] = field(default_factory=dict)
    """What is known of channels, by channel; looked at when a channel's first message comes."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What is written down with the session: blueprint, modules, configuration. JSON."""
    log: Callable[[], list[LogLine]] | None = None
    """Returns what the program has logged since the last call; called about once a second."""

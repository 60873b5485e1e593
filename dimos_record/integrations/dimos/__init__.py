"""Recording and replaying dimos blueprints: modules instead of topics.

Importing this gives dimos's `Blueprint` the methods below.
"""

from __future__ import annotations

from dimos.core.coordination.blueprints import Blueprint

from dimos_record.integrations.dimos.markers import (
    default_record_modules,
    default_recording,
    recorded_by_default,
    recording_of,
)
from dimos_record.integrations.dimos.planning import replay_plan
from dimos_record.integrations.dimos.recording import record
from dimos_record.integrations.dimos.replaced_options import accept_options_of_replaced_modules
from dimos_record.integrations.dimos.replaying import replay

__all__ = [
    "default_record_modules",
    "default_recording",
    "record",
    "recorded_by_default",
    "recording_of",
    "replay",
    "replay_plan",
]

Blueprint.replay = replay
Blueprint.replay_recording = replay
Blueprint.replay_plan = replay_plan
Blueprint.record = record
Blueprint.default_record_modules = default_record_modules
Blueprint.default_recording = default_recording

accept_options_of_replaced_modules()

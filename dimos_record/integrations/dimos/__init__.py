"""Recording and replaying dimos blueprints: modules instead of topics.

Importing this gives dimos's `Blueprint` the methods below.
"""

from __future__ import annotations

from dimos.core.coordination.blueprints import Blueprint

from dimos_record.integrations.dimos.planning import replay_plan
from dimos_record.integrations.dimos.replaying import replay

__all__ = ["replay", "replay_plan"]

Blueprint.replay = replay
Blueprint.replay_recording = replay
Blueprint.replay_plan = replay_plan

"""Where things are in Rerun's tree of entities."""

from __future__ import annotations

WORLD = "world"
"""What topics show is below this, as `world/robot1/odom`."""
FRAMES = "frames"
"""Each frame of the transforms has an entity below this."""
ROBOT = "robot"
"""Stands where the robot is; the views follow it."""
MARKERS = "markers"
"""The markers of the recording, as a log."""


def entity_of(topic: str) -> str:
    """The entity of a topic: `world/robot1/odom` of `/robot1/odom`."""
    import rerun as rr

    parts = [part for part in topic.split("/") if part]
    return "/".join([WORLD, *map(rr.escape_entity_path_part, parts)])


def below(entity: str, path: str) -> str:
    """An entity below another; a path with a `/` in front stands for itself."""
    if path.startswith("/"):
        return path.lstrip("/")
    return f"{entity}/{path}" if path else entity

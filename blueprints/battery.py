"""What a module can ask of whoever has a battery."""

from typing import Protocol

from dimos.spec.utils import Spec


class BatterySpec(Spec, Protocol):
    """A module that knows about a battery."""

    def battery_level(self) -> float:
        """Share of the charge that is left, 0 to 1."""

    async def minutes_left(self) -> float:
        """How long it will last."""

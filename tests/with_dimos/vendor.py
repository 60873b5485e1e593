"""dimos's own robots, declared but never started: their drivers need not be there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from dimos_record.integrations.dimos.declared import ports as ports

_DRIVERS = {"unitree_webrtc_connect", "aiortc", "yaml"}


class _Absent(MetaPathFinder, Loader):
    """Stands in for packages that dimos imports where it declares a robot, if they are missing."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        wanted = name.partition(".")[0] in _DRIVERS
        return ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: ModuleSpec) -> Any:
        return MagicMock(__spec__=spec, __path__=[], __name__=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def blueprint(name: str) -> Any:
    """A blueprint of dimos's by name."""
    from dimos.robot.get_all_blueprints import get_by_name

    finder = _Absent()
    sys.meta_path.append(finder)  # last: what is installed is used
    try:
        return get_by_name(name)
    finally:
        sys.meta_path.remove(finder)

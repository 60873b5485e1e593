"""What a recording says about the run that it was made of: blueprint, configuration, code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from dimos.core.config_secrets import without_secret_values
from dimos.core.coordination.blueprints import Blueprint
from dimos.core.coordination.process_lifecycle import DIMOS_RUN_ID_ENV
from dimos.core.global_config import GlobalConfig
from dimos.core.run_registry import blueprint_from_run_id
from pydantic import BaseModel

from dimos_record.integrations.dimos.markers import recorded_by_default
from dimos_record.record.provenance import git_revision
from dimos_record.record.secrets import argv_without_secrets, settings_without_secrets

OURS = "dimos_record.integrations."
"""Where the modules are that record and replay."""


def about_blueprint(blueprint: Blueprint) -> dict[str, Any]:
    """The modules of a blueprint with their settings, what it records by default, and its code.

    And the command line of this process, which starts it. Credentials are left out.
    """
    atoms = [atom for atom in blueprint.active_blueprints if not is_ours(atom.module)]
    return {
        "modules": {
            atom.name: {
                "class": f"{atom.module.__module__}.{atom.module.__qualname__}",
                "config": _as_json(atom.kwargs),
            }
            for atom in atoms
        },
        "default_modules": list(recorded_by_default(blueprint)),
        "code": _revisions({atom.module for atom in atoms}),
        "argv": argv_without_secrets(sys.argv),
    }


def is_ours(cls: type) -> bool:
    """Whether a module's class is one of those that record and replay."""
    return cls.__module__.startswith(OURS)


def in_namespace(meta: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """What is known of a blueprint, with the names that its modules have in a namespace."""
    renamed = dict(meta)
    if namespace and "modules" in meta:
        renamed["modules"] = {namespace + name: one for name, one in meta["modules"].items()}
        renamed["default_modules"] = [namespace + name for name in meta["default_modules"]]
    return renamed


def about_run(config: GlobalConfig) -> dict[str, Any]:
    """The run that this process belongs to, and dimos's global configuration in it."""
    run_id = os.environ.get(DIMOS_RUN_ID_ENV)
    return {
        "run_id": run_id,
        "blueprint": blueprint_from_run_id(run_id) if run_id else None,
        "global_config": _as_json(config),
    }


def _as_json(settings: Any) -> dict[str, Any]:
    plain = json.loads(json.dumps(_plain(settings), default=str))
    safe: dict[str, Any] = settings_without_secrets(without_secret_values(plain))
    return safe


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    return value


def _revisions(classes: Iterable[type]) -> dict[str, str]:
    """Revisions of the checkouts that modules are written in, by folder."""
    found = {}
    for folder in sorted({folder for cls in classes if (folder := _folder_of(cls)) is not None}):
        revision = git_revision(folder)
        if revision is not None:
            found[str(folder)] = revision
    return found


def _folder_of(cls: type) -> Path | None:
    """The checkout with a class's code; None for what is installed."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or "site-packages" in Path(file).parts:
        return None
    return next((one for one in Path(file).resolve().parents if (one / ".git").exists()), None)

"""Room for a module of ours beside the modules of a blueprint."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from dimos.core.coordination.blueprints import Blueprint
from dimos.core.global_config import global_config


def with_one_more_worker(blueprint: Blueprint) -> Blueprint:
    """The same blueprint with a worker process more, for a module that has one for itself.

    It would take one of those that the blueprint's own modules share. A number of workers given on
    the command line counts as it stands.
    """
    overrides = blueprint.global_config_overrides
    workers = overrides.get("n_workers", global_config.n_workers) + 1
    return replace(
        blueprint, global_config_overrides=MappingProxyType({**overrides, "n_workers": workers})
    )

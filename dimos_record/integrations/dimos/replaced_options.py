"""Options of replaced modules: accepted and ignored, so that a robot's command line serves for its
replay too.

dimos refuses options, and sections of the configuration file, for modules that are not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dimos.core.coordination.blueprint_config.parser import BlueprintConfigParser
from dimos.core.coordination.blueprint_config.schema import ParserSchema
from dimos.core.coordination.blueprints import Blueprint, BlueprintAtom

from dimos_record.integrations.dimos.replay_check import ReplayCheck

_get_schema = BlueprintConfigParser._get_schema
_validate_modules = BlueprintConfigParser._validate_modules


def accept_options_of_replaced_modules() -> None:
    """Let dimos's parser know the options of modules that a replay has replaced."""
    BlueprintConfigParser._get_schema = _schema_with_replaced
    BlueprintConfigParser._validate_modules = _validate_those_that_run


def _replaced_atoms(blueprint: Blueprint) -> list[BlueprintAtom]:
    checks = [one for one in blueprint.requirement_checks if isinstance(one, ReplayCheck)]
    there = {atom.name for atom in blueprint.blueprints}
    gone = {atom.name: atom for check in checks for atom in check.replaced_in(blueprint)}
    return [atom for name, atom in gone.items() if name not in there]


def _schema_with_replaced(parser: Any) -> ParserSchema:
    actual = parser.blueprint
    parser.blueprint = replace(actual, blueprints=(*actual.blueprints, *_replaced_atoms(actual)))
    try:
        return _get_schema(parser)
    finally:
        parser.blueprint = actual


def _validate_those_that_run(parser: Any, values: Any, schema: ParserSchema) -> dict[str, Any]:
    names = {atom.name for atom in parser.blueprint.active_blueprints}
    running = tuple(module for module in schema.modules if module.atom.name in names)
    return _validate_modules(parser, values, replace(schema, modules=running))

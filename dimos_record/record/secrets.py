"""Credentials, which are not written down with a recording: they are told by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

_PATTERNS = ("*_key", "*apikey*", "*token*", "*password*", "*secret*")
_HIDDEN = "***"


def is_secret(name: str) -> bool:
    """Whether a setting, an option or an environment variable of this name is a credential."""
    plain = name.rpartition(".")[2].lstrip("-").replace("-", "_").lower()
    return any(fnmatchcase(plain, pattern) for pattern in _PATTERNS)


def settings_without_secrets(settings: Any) -> Any:
    """Settings without those that are credentials, in dictionaries and lists of any depth."""
    if isinstance(settings, Mapping):
        return {
            name: settings_without_secrets(value)
            for name, value in settings.items()
            if not is_secret(str(name))
        }
    if isinstance(settings, (list, tuple)):
        return [settings_without_secrets(one) for one in settings]
    return settings


def argv_without_secrets(argv: Iterable[str]) -> list[str]:
    """A command line with `***` in the place of credentials: `--api-key ***`, `--token=***`."""
    safe, is_value = [], False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        secret = is_secret(name)
        safe.append(_HIDDEN if is_value else f"{name}={_HIDDEN}" if secret and equals else argument)
        is_value = secret and not equals and name.startswith("-")
    return safe

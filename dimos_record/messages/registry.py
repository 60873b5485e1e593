"""Message types by name: their classes and fingerprints.

Type names are those of the channels, `geometry_msgs.PoseStamped`. The classes come from the PyPI
package `dimos-lcm`; a package of it (`dimos_lcm.geometry_msgs`) is imported when one of its types
is first asked for.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import lru_cache
from typing import Any

from dimos_record.errors import OptionError

_GENERATED_ROOTS = ("dimos_lcm", "lcm_msgs")
"""Top packages of generated classes; `lcm_msgs` is where dimos_lcm's nested messages live."""

_CARRIED_AS = {"nav_msgs.LineSegments3D": "nav_msgs.Path", "sim_msgs.Contacts": "std_msgs.String"}
"""Types of dimos 0.0.15 that dimos_lcm lacks and whose wire bytes are those of another type."""


@lru_cache(maxsize=1)
def _packages() -> dict[str, str]:
    """Folder of each message package of dimos_lcm by name, found without importing it.

    Packages that are not named like message packages (`foxglove_bridge`) hold programs: a name
    that arrives from the network must not import those.
    """
    import dimos_lcm

    return {
        module.name: os.path.join(root, module.name)
        for root in dimos_lcm.__path__
        for module in pkgutil.iter_modules([root])
        if module.ispkg and module.name.endswith(("_msgs", "_interfaces"))
    }


def known_types() -> list[str]:
    """The names of all message types that can be decoded, sorted."""
    return sorted(
        f"{package}.{module.name}"
        for package, folder in _packages().items()
        for module in pkgutil.iter_modules([folder])
        if message_class(f"{package}.{module.name}") is not None
    )


# Names come from the network, so the cache has a bound.
@lru_cache(maxsize=4096)
def message_class(type_name: str) -> type[Any] | None:
    """The generated class of a type (`geometry_msgs.PoseStamped`); None when it is not known.

    For the few types of dimos that travel as the bytes of another, it is the class of that one.
    Nothing but the message packages of dimos_lcm is ever imported, whatever the name.
    """
    package, dot, name = _CARRIED_AS.get(type_name, type_name).partition(".")
    if not dot or not name.isidentifier() or package not in _packages():
        return None
    try:
        module = importlib.import_module(f"dimos_lcm.{package}")
    except ImportError:
        return None
    found = getattr(module, name, None)
    is_message = isinstance(found, type) and callable(getattr(found, "lcm_decode", None))
    return found if is_message else None


@lru_cache(maxsize=4096)
def fingerprint(type_name: str) -> int | None:
    """The 64-bit LCM hash that starts every message of the type; None for an unknown type."""
    cls = message_class(type_name)
    if cls is None:
        return None
    # The public get_hash() of the generated classes raises NameError.
    return int.from_bytes(cls._get_packed_fingerprint(), "big")


def is_generated(cls: type[Any]) -> bool:
    """Whether a class is one of dimos_lcm's own, not one that builds on them as dimos's do."""
    module = cls.__module__.split(".")
    return module[0] in _GENERATED_ROOTS and len(module) > 2


def type_name_of(message: Any) -> str:
    """The type name of a message or message class, `sensor_msgs.Image`.

    For dimos_lcm classes it comes from the module, since their ``msg_name`` often lacks the
    package; other classes (dimos's own, say) state it in ``msg_name``.

    Raises:
        OptionError: the object is not a message.
    """
    cls = message if isinstance(message, type) else type(message)
    if callable(getattr(cls, "lcm_encode", None)):
        for base in cls.__mro__:
            if is_generated(base):
                return f"{base.__module__.split('.')[-2]}.{base.__name__}"
            name = vars(base).get("msg_name")
            if isinstance(name, str) and "." in name:
                return name
    raise OptionError(
        f"{cls.__module__}.{cls.__qualname__} is not a message: it needs lcm_encode() and a "
        "msg_name such as 'sensor_msgs.Image'."
    )

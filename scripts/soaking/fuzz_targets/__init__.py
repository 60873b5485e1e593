"""What is fuzzed: everything that reads bytes or text from outside.

A target is a module here with two functions:

- `seeds() -> list[bytes]`: inputs to begin with, small, most of them valid;
- `run(data: bytes) -> None`: takes any bytes, and raises when a promise is broken. What the
  promises are is in `checks.py`.

Targets that need structure (a recording, an argument list) make it from the bytes with `Choices`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

_BUS = Path(__file__).resolve().parents[3] / "dimos_record" / "bus"
HAS_NATIVE = any(_BUS.glob("_lcm_native*.so"))
"""Whether the compiled part of the LCM bus is built."""
NAMES = (
    *(["packets"] if HAS_NATIVE else []),
    "stamps",
    "channels",
    "urls",
    "dimos_options",
    "times",
    "codecs",
    "lcm_logs",
    "mcap_files",
    "ros_messages",
    "ros_bags",
    "parquet_files",
    "recorded",
    "recordings",
    "damaged_files",
    "pages",
    "command_lines",
    "shown",
    "archives",
)
"""Modules of this package, in the order in which they are run."""


class Target(NamedTuple):
    """One thing that is fuzzed."""

    name: str
    title: str
    """The first line of its module, for people."""
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]


def load(name: str) -> Target:
    """The target of a name."""
    module = import_module(f"soaking.fuzz_targets.{name}")
    title = (module.__doc__ or name).splitlines()[0].rstrip(".")
    return Target(name, title, module.seeds, module.run)

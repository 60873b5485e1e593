"""For commands that need dimos: one sentence where it is not installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Annotated

import typer

from dimos_record.errors import MissingExtra

Transport = Annotated[
    str | None,
    typer.Option(
        "--transport",
        metavar="lcm|zenoh",
        help="Where the robot is running; default as dimos: DIMOS_TRANSPORT, .env, else zenoh.",
    ),
]
Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        "-m",
        metavar="NAME",
        help="What this module of the running dimos blueprint publishes; repeatable.",
    ),
]


def has_dimos() -> bool:
    """Whether dimos is installed here."""
    return importlib.util.find_spec("dimos") is not None


def need_dimos(feature: str) -> None:
    """Raise if dimos is not installed here.

    Raises:
        MissingExtra: it is not.
    """
    if not has_dimos():
        raise MissingExtra(feature, "dimos")


def need_running_dimos(feature: str) -> None:
    """Prepare for talking to a running blueprint.

    Zenoh, which dimos sets up for that, logs to stdout; that is for data. `RUST_LOG` lets it.

    Raises:
        MissingExtra: dimos is not installed.
    """
    need_dimos(feature)
    os.environ.setdefault("RUST_LOG", "off")

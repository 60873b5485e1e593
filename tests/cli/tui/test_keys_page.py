"""The tables of keys in `docs/how-to/terminal-program.md` are those that the program declares.

`pytest tests/cli/tui --update-snapshots` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dimos_record.cli.tui.app import TuiApp
from dimos_record.cli.tui.inspector.tree import MessageTree
from dimos_record.cli.tui.keys import Key, key_names
from dimos_record.cli.tui.live.screen import LiveScreen
from dimos_record.cli.tui.live.table import TopicTable
from dimos_record.cli.tui.timeline.screen import TimelineScreen
from dimos_record.cli.tui.timeline.view import TimelineView

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[3] / "docs/how-to/terminal-program.md"
_TABLE = r"(?<=<!-- keys: {name} -->\n\n)(?:\|.*\n)+"
OWNERS: dict[str, list[type[Any]]] = {
    "everywhere": [TuiApp],
    "live": [LiveScreen, TopicTable],
    "timeline": [TimelineScreen, TimelineView],
    "inspector": [MessageTree],
}


def declared(classes: list[type[Any]]) -> Iterator[Key]:
    for cls in classes:
        for base in cls.__mro__:
            found = (one for one in base.__dict__.get("BINDINGS", ()) if isinstance(one, Key))
            yield from found


def table(classes: list[type[Any]]) -> str:
    keys = list(declared(classes))
    several = len({key.section for key in keys}) > 1
    lines = ["| key | does |", "|---|---|"]
    for section in dict.fromkeys(key.section for key in keys):
        lines += [f"| **{section}** | |"] * several
        for key in (one for one in keys if one.section == section):
            names = " ".join(f"`{name}`" for name in key_names(key))
            lines.append(f"| {names} | {key.description} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", OWNERS)
def test_the_page_has_the_keys_of_the_program(name: str, request: pytest.FixtureRequest) -> None:
    real, page = table(OWNERS[name]), PAGE.read_text()
    pattern = _TABLE.format(name=name)
    if request.config.getoption("--update-snapshots", default=False):
        page = re.sub(pattern, lambda _: real, page)
        PAGE.write_text(page)
    found = re.search(pattern, page)
    assert found is not None, f"no <!-- keys: {name} --> with a table after it"
    assert found.group() == real, "write it anew with --update-snapshots"

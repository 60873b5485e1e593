"""The command palette: every key's command, by its name."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dimos_record.cli.tui.keys import OwnedKey, key_names, keys_of


class KeyCommands(Provider):
    """What the keys of the screen do."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for one in keys_of(self.screen):
            yield DiscoveryHit(one.key.description, self._run(one), help=_help(one))

    async def search(self, query: str) -> Hits:
        """Those that match what was typed."""
        matcher = self.matcher(query)
        for one in keys_of(self.screen):
            score = matcher.match(one.key.description)
            if score > 0:
                text = matcher.highlight(one.key.description)
                yield Hit(score, text, self._run(one), help=_help(one))

    def _run(self, one: OwnedKey) -> Any:
        return partial(self.app.run_action, one.key.action, one.owner)


def _help(one: OwnedKey) -> str:
    return f"{one.key.section}: {', '.join(key_names(one.key))}"

"""Short forms of the chapters of scripts/soak: each fault a few times, or for some seconds."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from soaking.chapter_load import overload
from soaking.chapter_power import power_with_full
from soaking.chapter_ring import ring
from soaking.harness import Outcome, Round
from soaking.kill_editor import EDITS, kill_editor
from soaking.kill_player import kill_player
from soaking.kill_recorder import (
    Situation,
    appending,
    finishing,
    kill_recorder,
    recording_for_longer,
    segments,
)

pytestmark = pytest.mark.once

Run = Callable[[Round], Outcome]
PATIENCE_S = 1.5
"""By how much later than promised things may happen while tests run."""
PLAYING = 3
"""Round of `kill_player`."""
BRIEF = 4
"""Round of `power`."""


def tried(run: Run, folder: Path, number: int = 0, minutes: float = 0.0) -> Outcome:
    """One round; it fails if the promise was broken."""
    dice = random.Random(number)
    outcome = run(Round(number, dice, folder, minutes, patience_s=PATIENCE_S))
    assert not outcome.broken
    return outcome


@pytest.mark.parametrize("situation", [recording_for_longer, appending, segments, finishing])
def test_a_recorder_that_is_killed_leaves_all_but_the_last_batch(
    tmp_path: Path, situation: Situation
) -> None:
    tried(partial(kill_recorder, situation=situation), tmp_path)


def test_a_player_that_is_killed_leaves_the_recording_as_it_was(tmp_path: Path) -> None:
    tried(kill_player, tmp_path, PLAYING)


def test_an_edit_that_is_killed_is_done_or_not_begun(tmp_path: Path) -> None:
    (number,) = (i for i, edit in enumerate(EDITS) if edit.name == "save")
    figures = tried(kill_editor, tmp_path, number).figures
    assert figures["before"] + figures["after"] == 1


def test_a_power_cut_costs_no_more_than_is_promised(tmp_path: Path) -> None:
    assert tried(power_with_full, tmp_path, BRIEF).figures["cuts"] > 0


def test_an_overload_is_counted(tmp_path: Path) -> None:
    short = partial(overload, factor=2.0, seconds=1.0, is_busy=True)
    assert tried(short, tmp_path).figures["published"] > 0


def test_a_ring_that_is_killed_and_stopped_loses_nothing_else(tmp_path: Path) -> None:
    short = partial(ring, ring_s=2, last_s=0.5, mb_per_s=1.0, slack_s=60)
    figures = tried(short, tmp_path, minutes=4.5 / 60).figures
    assert figures["keeps"] >= 3
    assert figures["messages"] > 0

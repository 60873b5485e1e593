from __future__ import annotations

import pytest

from dimos_record.cli.tui.braille import braille_row


def test_two_values_share_a_cell_and_the_peak_fills_it() -> None:
    assert braille_row([4, 4, 0, 2], 2, peak=4) == ["⣿⢠"]


def test_what_is_above_zero_has_a_dot_and_what_is_zero_has_none() -> None:
    assert braille_row([0.0001, 0], 1, peak=1000) == ["⡀"]


def test_a_chart_may_have_several_lines() -> None:
    assert braille_row([8, 5], 1, 2, peak=8) == ["⣇", "⣿"]


@pytest.mark.parametrize("values", [[], [0, 0], [1]])
def test_few_values_leave_the_rest_blank(values: list[float]) -> None:
    (line,) = braille_row(values, 3)
    assert len(line) == 3
    assert line[1:] == "⠀⠀"

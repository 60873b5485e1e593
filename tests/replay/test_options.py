from __future__ import annotations

import math
from typing import Any

import pytest

from dimos_record.errors import OptionError
from dimos_record.replay import PlayOptions


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"speed": 0}, "playback rate of 0"),
        ({"speed": -1.0}, "playback rate of -1"),
        ({"speed": math.nan}, "playback rate of nan"),
        ({"start_s": -math.inf}, "--start cannot be -inf"),
        ({"start_s": math.nan}, "--start cannot be nan"),
        ({"start_s": 5.0, "end_s": 5.0}, "--end .* must be after --start"),
        ({"start_s": 0.0, "end_s": -1.0}, "--end .* must be after --start"),
        ({"loop": (3.0, 2.0)}, "the loop's end"),
        ({"delay_s": -1.0}, "--delay"),
        ({"clock_hz": 0.0}, "--clock-hz"),
        ({"clock_topic": "/c#a.B"}, "--clock"),
        ({"pace": "fast"}, "use 'receive' or 'stamp'"),
        ({"latched": ("/a[",)}, "not closed"),
        ({"remap": {"/a": ""}}, "--remap"),
        ({"late_after_s": math.nan}, "lateness"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        PlayOptions(**values)


def test_the_defaults_and_the_fastest_speed_are_fine() -> None:
    assert PlayOptions().speed == 1.0
    assert PlayOptions(speed=math.inf, loop=(1.0, 2.0)).loop == (1.0, 2.0)

"""Times, sections, rates, sizes, durations, rings, fields and keys, as people type them.

The text is cut at line feeds; the dialogs of the terminal program read times the same way.
"""

from __future__ import annotations

import io
import math
from itertools import pairwise

from dimos_record.cli.keyboard import KeyParser
from dimos_record.cli.markers_csv import read_csv, write_csv
from dimos_record.cli.message_text import MessagePrinter
from dimos_record.cli.text import moment, seconds, size
from dimos_record.cli.times import (
    Timescale,
    clock,
    parse_end,
    parse_position,
    parse_rate,
    parse_section,
    parse_shift,
    parse_start_and_end,
    parse_time,
    reads_as_time,
)
from dimos_record.errors import DimosRecordError
from dimos_record.messages.fields import find_field
from dimos_record.record.options import (
    RecordOptions,
    parse_duration,
    parse_ring,
    parse_size,
    parse_split,
)
from dimos_record.store.base import Marker
from soaking.fuzz_targets.checks import BrokenPromise, check_same, errors_of_ours

_START_NS = 1_763_649_785_000_000_000
_S = 1_000_000_000
_SCALES = (
    Timescale(
        60.0,
        0.0,
        _START_NS,
        (
            Marker(1, _START_NS + _S, "fall", None, None),
            Marker(2, _START_NS + 2 * _S, "lap", _START_NS + 9 * _S, {"x": 1}),
            Marker(3, _START_NS + 3 * _S, "Lap", None, None),
        ),
        "walk.db",
    ),
    Timescale(0.0, name="empty.db"),
)


def seeds() -> list[bytes]:
    """Everything that the help texts show."""
    texts = [
        "12.5\n90s\n1:23.5\n1:02:03\n+10\n-10\nstart\nend",
        "2026-11-20T14:03:05\n@14:03:05\n@1763649785.2\n2026-11-20 14:03:05.123+01:00",
        "fall\nlap\nLAP\nno such",
        "500MB\n2GiB\n1048576\n10m\n1.5h\n20GB",
        "max\n2x\n0.5\nnan\n1e400",
        "\u221210\n-50ms\n+50ms\n\u0663\u0664\n.5h",
        "pose.position.x\nposes.0.pose\n[0]\ntransforms.0.child_frame_id",
        'label,at_s,until_s,data\nfall,1.5,2.5,"{""a"": 1}"\nlap,3,,',
        "label,at_utc\nfall,2026-11-20T14:03:05.123Z",
        "9" * 400 + "\n@" + "9" * 400 + "\n" + "9" * 50 + ":00",
        "\x1b[A\x1b[1;2C\x1bOA q\x7f\n@24:00:00+24:00\n0001-01-01T00:00:00+23:59",
    ]
    return [text.encode() for text in texts]


def run(data: bytes) -> None:
    """Read every line in every way, and the whole as CSV and as keys."""
    KeyParser().feed(data)
    text = data[:5000].decode("utf-8", "replace")
    lines = text.split("\n")[:10]
    for scale in _SCALES:
        for line in lines:
            _check_times(line, scale)
        for pair in pairwise(lines):
            with errors_of_ours(text):
                _check_section(*parse_section(pair, scale))
            with errors_of_ours(text):
                _check_section(*parse_start_and_end(*pair, scale))
        _check_csv(text, scale)
    for line in lines:
        _check_options(line)


def _check_times(line: str, scale: Timescale) -> None:
    with errors_of_ours(line):
        _check_finite(parse_time(line, "--at"), line)
    with errors_of_ours(line):
        _check_finite(parse_shift(line, "BY"), line)
    with errors_of_ours(line):
        position_s = parse_position(line, "TIME", scale, after_s=3.0)
        _check_finite(position_s, line)
        clock(position_s)
    with errors_of_ours(line):
        parse_end(line, "TO", scale)
    with errors_of_ours(line):
        _check_section(*parse_section([line], scale))
    reads_as_time(line)


def _check_section(a_s: float | None, b_s: float | None) -> None:
    if a_s is not None and b_s is not None and not a_s < b_s:
        raise BrokenPromise(f"the section from {a_s} to {b_s} is none")


def _check_finite(found_s: float, line: str) -> None:
    if not math.isfinite(found_s):
        raise BrokenPromise(f"{line[:80]!r} is taken for {found_s} s")


def _check_csv(text: str, scale: Timescale) -> None:
    try:
        markers = read_csv(io.StringIO(text, newline=""), "markers.csv", scale)
    except DimosRecordError:
        with errors_of_ours(text):
            read_csv(io.StringIO(text, newline=""), "markers.csv", scale)
        return
    out = io.StringIO()
    write_csv(out, markers, scale)
    again = read_csv(io.StringIO(out.getvalue(), newline=""), "markers.csv", scale)
    check_same([one.label for one in markers], [one.label for one in again], "markers in CSV")


def _check_options(line: str) -> None:
    with errors_of_ours(line):
        if not parse_rate(line, "--rate") > 0:
            raise BrokenPromise(f"{line!r} is no rate")
    with errors_of_ours(line):
        size(parse_size(line, "--max-size"))
    with errors_of_ours(line):
        seconds(parse_duration(line, "--duration"))
    with errors_of_ours(line):
        RecordOptions(**parse_ring(line))  # type: ignore[arg-type]
    with errors_of_ours(line):
        RecordOptions(**parse_split(line, "--split"))  # type: ignore[arg-type]
    with errors_of_ours(line):
        MessagePrinter(field=line, full=False, raw=False, as_json=False)
    for type_name in ("nav_msgs.Odometry", "tf2_msgs.TFMessage", None):
        with errors_of_ours(line):
            find_field(type_name, line)
    moment(_START_NS)

"""LCM event logs, imported."""

from __future__ import annotations

from dimos_record.interop.lcm_events import HEADER, SYNC
from soaking.fuzz_targets.importing import check_import
from soaking.fuzz_targets.places import scratch

_START_US = 1_763_649_785_000_000


def seeds() -> list[bytes]:
    """A log, one that is cut off, one with bytes between events, a number twice, odd times."""
    events = [_event(i, _START_US + 1000 * i, b"/a" if i % 2 else b"/odom#x.Y") for i in range(8)]
    log = b"".join(events)
    return [
        log,
        log[:-7],
        events[0] + b"garbage" + events[1] + events[3],
        events[0] + events[0] + events[2],
        _event(0, -1, b"/a") + _event(1, 2**63 - 1, b"/a") + _event(2, 0, b"\xff\xfe"),
        _event(0, _START_US, b"x" * 1001) + _event(1, _START_US, b""),
        events[0] + SYNC + b"\0" * 20,
        SYNC * 30,
    ]


def _event(number: int, time_us: int, channel: bytes, data: bytes = b"payload") -> bytes:
    return HEADER.pack(SYNC, number, time_us, len(channel), len(data)) + channel + data


def run(data: bytes) -> None:
    """Import the bytes as a log."""
    with scratch() as folder:
        source = folder / "a.lcm"
        source.write_bytes(data)
        check_import(source)

"""What a bus brings: any names, types, bytes and times, recorded and read back.

The bytes are messages, in batches; time may stand still, go back, and be far away.
"""

from __future__ import annotations

from collections import Counter

from dimos_record.bus.base import split_channel
from dimos_record.errors import DimosRecordError
from dimos_record.store import open_recording
from dimos_record.store.doctor import diagnose
from dimos_record.store.summary import summarize
from dimos_record.store.writer import RecordingWriter
from soaking.fuzz_targets.checks import BrokenPromise, check_same, check_sentence
from soaking.fuzz_targets.choices import Choices
from soaking.fuzz_targets.places import scratch

_START_NS = 1_763_649_785_000_000_000
_MOST_MESSAGES = 60
_CHANNELS = (
    "/odom#geometry_msgs.PoseStamped",
    "/odom#nav_msgs.Odometry",
    "/ODOM",
    "/odom",
    "/tf#tf2_msgs.TFMessage",
    "/tf_static#tf2_msgs.TFMessage",
    "/camera#sensor_msgs.Image",
    "/sqlite_x_blob",
    "/#",
    "#",
)


def seeds() -> list[bytes]:
    """A few messages of each kind, in order and out of order."""
    return [bytes((7 * i * i + 31 * k) % 256 for i in range(120)) for k in range(8)]


def run(data: bytes) -> None:
    """Write messages, in one or two sessions, and find all of them again."""
    choices = Choices(data)
    sent: Counter[tuple[str, int, bytes]] = Counter()
    with scratch() as folder:
        path = folder / "a.db"
        writer = RecordingWriter.create(path)
        try:
            for _ in range(1 + choices.below(2)):
                _write_session(writer, choices, sent)
        except DimosRecordError as error:
            check_sentence(str(error), 1000)
            return
        finally:
            writer.close()
        with open_recording(path) as reader:
            found: Counter[tuple[str, int, bytes]] = Counter()
            for name, info in reader.streams.items():
                times = []
                for row in reader.rows(name):
                    found[info.channel, row.ts_ns, row.data] += 1
                    times.append(row.ts_ns)
                check_same(sorted(times), times, f"the order of {info.channel!r}")
            check_same(sent, found, "messages")
            check_same(sent.total(), summarize(reader).count, "the number of messages")
        diagnosis = diagnose(path)
        if diagnosis.damaged:
            raise BrokenPromise(f"the doctor finds damage: {diagnosis.findings}")


def _write_session(
    writer: RecordingWriter, choices: Choices, sent: Counter[tuple[str, int, bytes]]
) -> None:
    now_ns = _START_NS
    writer.begin_session(now_ns, {"pid": 0}, split=split_channel)
    batch = []
    for _ in range(choices.below(_MOST_MESSAGES)):
        channel = choices.pick(_CHANNELS) if choices.below(3) else choices.text()
        steps = (1, 0, 1_000_000, 1_000_000_000, -1, -50_000_000, -(10**12), 10**15)
        now_ns += choices.pick(steps)
        payload = choices.pick((b"", b"x", b"y" * 70_000, choices.block()))
        batch.append((now_ns, channel, payload))
        if choices.below(6) == 0:
            _write(writer, batch, sent)
            batch = []
            if choices.below(4) == 0:
                writer.drain()
    _write(writer, batch, sent)
    writer.end_session(max(now_ns, _START_NS), "stopped", 0, 0)


def _write(
    writer: RecordingWriter,
    batch: list[tuple[int, str, bytes]],
    sent: Counter[tuple[str, int, bytes]],
) -> None:
    writer.write(batch)
    sent.update((channel, ts_ns, payload) for ts_ns, channel, payload in batch)

"""Appending to storage, without a bus: ours, dimos's store, MCAP, and a plain file as the limit."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import Bench, Chapter, Column, Measurement, alternating
from benchmarks.messages import encoder
from benchmarks.processes import Program, module_env, python_module
from benchmarks.subjects import DIMOS, MCAP, OURS, PLAIN, dimos_env

_SYNC_S = 1.0
_BATCH_BYTES, _BATCH_MESSAGES = 8_000_000, 2000
_CHANNELS = {"image": "/image0#sensor_msgs.Image", "pose1k": "/pose0#geometry_msgs.PoseStamped"}


def _run(bench: Bench) -> Iterator[Measurement]:
    cases = (
        ("0.92 MB", "image", bench.pick(500, 200)),
        ("1 KB", "pose1k", bench.pick(200_000, 50_000)),
    )
    subjects = [OURS, PLAIN]
    subjects += [MCAP] if importlib.util.find_spec("mcap") else []
    subjects += [DIMOS] if bench.subjects.dimos_python else []
    for round_ in bench.rounds_of(3):
        for case, kind, count in cases:
            if not bench.wants(case):
                continue
            for subject in alternating(subjects, round_):
                bench.say(f"storage: {case}, {subject}, round {round_ + 1}")
                yield _append(bench, case, subject, kind, count, round_)


def _append(
    bench: Bench, case: str, subject: str, kind: str, count: int, round_: int
) -> Measurement:
    with bench.scratch() as folder:
        path = folder / "recording.db"
        if subject == DIMOS:
            command = bench.subjects.dimos_program("append", path, kind, count)
            env = dimos_env("")
        else:
            command = python_module("chapter_storage", subject, path, kind, count)
            env = dict(module_env())
        os.sync()
        with Program(command, folder / "log", env=env) as program:
            used = program.wait(180)
            said = json.loads(program.output.strip().splitlines()[-1])
        size = path.stat().st_size
    payload = count * len(encoder(kind)(0, 0))
    figures: dict[str, float | None] = {
        "mb_per_s": payload / 1e6 / said["elapsed_s"],
        "messages_per_s": count / said["elapsed_s"],
        "cpu_s": used.cpu_s,
        "written_per_byte": used.written_bytes / payload,
        "file_per_byte": size / payload,
    }
    return Measurement(case, subject, round_, figures)


def append_ours(path: Path, kind: str, count: int) -> None:
    """Batches into a `RecordingWriter`, and all else that the recorder does with it."""
    from dimos_record.bus.base import split_channel
    from dimos_record.record.keeper import FileKeeper
    from dimos_record.record.write_loop import DRAIN_S
    from dimos_record.store.log_copier import LogCopier
    from dimos_record.store.writer import RecordingWriter

    channel, writer = _CHANNELS[kind], RecordingWriter.create(path)
    writer.begin_session(time.time_ns(), {}, split=split_channel)
    copier, next_drain = LogCopier(writer), time.monotonic() + DRAIN_S
    copier.start()
    with _every_second(FileKeeper(path).sync):
        for batch in _batches(kind, count):
            writer.write([(time.time_ns(), channel, data) for data in batch])
            copier.after_commit()
            if time.monotonic() > next_drain:
                writer.drain()
                next_drain += DRAIN_S
        copier.close()
    writer.end_session(time.time_ns(), "stopped", None, 0)
    writer.close()


@contextmanager
def _every_second(sync: Callable[[], None]) -> Iterator[None]:
    """Flush to the disk beside the writing, as the recorder does."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_SYNC_S):
            sync()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def append_plain(path: Path, kind: str, count: int) -> None:
    """One file, one after the other, with the length before each."""
    with open(path, "wb") as file:
        with _every_second(lambda: os.fsync(file.fileno())):
            for batch in _batches(kind, count):
                for data in batch:
                    file.write(len(data).to_bytes(8, "little"))
                    file.write(data)
                file.flush()
        os.fsync(file.fileno())


def append_mcap(path: Path, kind: str, count: int) -> None:
    """The `mcap` package's writer: uncompressed chunks with checksums, handed over per batch."""
    from mcap.writer import CompressionType, Writer

    with open(path, "wb") as file:
        writer = Writer(file, compression=CompressionType.NONE, enable_data_crcs=True)
        writer.start()
        schema = writer.register_schema("bench", "lcm", b"")
        channel = writer.register_channel(_CHANNELS[kind], "lcm", schema)
        with _every_second(lambda: os.fsync(file.fileno())):
            for batch in _batches(kind, count):
                for data in batch:
                    now_ns = time.time_ns()
                    writer.add_message(channel, now_ns, data, now_ns)
                file.flush()
        writer.finish()  # type: ignore[no-untyped-call]
        file.flush()
        os.fsync(file.fileno())


def _batches(kind: str, count: int) -> Iterator[list[bytes]]:
    encode = encoder(kind)
    per_batch = min(_BATCH_MESSAGES, max(1, _BATCH_BYTES // len(encode(0, 0))))
    for start in range(0, count, per_batch):
        yield [encode(number, 0) for number in range(start, min(count, start + per_batch))]


STORAGE = Chapter(
    "storage",
    "Appending to storage",
    "From the first message to a file that is closed and flushed to the disk, by one process. All "
    "but dimos take batches as the recorder does, and flush once a second on a thread beside the "
    "writing, so that a power cut costs about a second. Ours is then a log copied into the file "
    "beside the writing. The `mcap` writer has its chunks (1 MB) and checksums of chunks and data. "
    "The plain file is the limit of the disk. dimos commits every message by itself.",
    (
        Column("mb_per_s", "MB/s", "{:,.0f}", ratio=True),
        Column("messages_per_s", "messages/s", "{:,.0f}"),
        Column("cpu_s", "CPU s", "{:.2f}"),
        Column("written_per_byte", "written/B", "{:.2f}"),
        Column("file_per_byte", "file/B", "{:.2f}"),
    ),
    _run,
)

_APPENDERS: dict[str, Callable[[Path, str, int], None]] = {
    OURS: append_ours,
    PLAIN: append_plain,
    MCAP: append_mcap,
}

if __name__ == "__main__":
    subject_, path_, kind_, count_ = sys.argv[1:]
    began = time.perf_counter()
    _APPENDERS[subject_](Path(path_), kind_, int(count_))
    print(json.dumps({"elapsed_s": time.perf_counter() - began}))

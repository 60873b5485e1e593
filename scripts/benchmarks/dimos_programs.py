"""The programs that run beside the real dimos, each one of dimos's own parts at work.

Usage: python dimos_programs.py record|write|replay|append|read ARGUMENTS
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from dimos.core.transport import LCMTransport
from dimos.memory.store.sqlite import SqliteStore
from dimos.memory.tap import TransportRecorder
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.nav_msgs.Odometry import Odometry
from dimos.msgs.sensor_msgs.Image import Image
from dimos.msgs.sensor_msgs.Imu import Imu
from dimos.msgs.sensor_msgs.PointCloud2 import PointCloud2
from dimos.msgs.tf2_msgs.TFMessage import TFMessage

from benchmarks.messages import encoder

_TYPES: dict[str, Any] = {"pose": PoseStamped, "pose1k": PoseStamped, "image": Image}
_RECORDED: tuple[Any, ...] = (PoseStamped, Odometry, Image, Imu, PointCloud2, TFMessage)


def record(path: str, *channels: str) -> None:
    """Record channels with `TransportRecorder`, until SIGINT."""
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: stopped.set())
    store = SqliteStore(path=path)
    store.start()
    recorder = TransportRecorder(store)
    types = {type_.msg_name: type_ for type_ in _RECORDED}
    transports = []
    for channel in channels:
        topic, _, type_name = channel.partition("#")
        transport = LCMTransport(topic, types[type_name])
        transports.append((transport, recorder.tap(topic.lstrip("/"), types[type_name], transport)))
    time.sleep(0.5)
    print("ready", flush=True)
    stopped.wait()
    for transport, unsubscribe in transports:
        if unsubscribe is not None:
            unsubscribe()
        transport.stop()
    recorder.close()
    store.stop()
    print(json.dumps({"dropped": recorder.dropped}), flush=True)


def write(path: str, kind: str, rate_hz: str, count: str) -> None:
    """Write a recording of one stream at a steady rate."""
    store = SqliteStore(path=path)
    store.start()
    stream = store.stream(f"{kind}0", _TYPES[kind])
    encode, start_s = encoder(kind), time.time()
    for number in range(int(count)):
        message = _TYPES[kind].lcm_decode(encode(number, 0))
        stream.append(message, ts=start_s + number / float(rate_hz))
    store.stop()


def replay(path: str, kind: str) -> None:
    """Publish a recording as dimos's `ReplayModule` does."""
    done = threading.Event()
    store = SqliteStore(path=path, must_exist=True)
    store.start()
    view = store.replay()
    stream = view.stream(f"{kind}0")
    transport = LCMTransport(f"/{kind}0", _TYPES[kind])
    transport.start()
    view.pin_anchor(stream.first_ts())
    running = stream.observable().subscribe(
        lambda message: transport.broadcast(None, message), on_completed=done.set
    )
    done.wait()
    running.dispose()
    transport.stop()
    store.stop()


def append(path: str, kind: str, count: str) -> None:
    """Append messages that are decoded already to a store, and say how long that took."""
    store = SqliteStore(path=path)
    store.start()
    stream = store.stream(f"{kind}0", _TYPES[kind], codec="lcm")
    message = _TYPES[kind].lcm_decode(encoder(kind)(0, 0))
    began = time.perf_counter()
    for number in range(int(count)):
        stream.append(message, ts=1.7e9 + number)
    store.stop()
    print(json.dumps({"elapsed_s": time.perf_counter() - began}), flush=True)


def read(path: str, kind: str, how: str) -> None:
    """Read a recording of one stream, raw or as arrays, and say how long that took."""
    store = SqliteStore(path=path, must_exist=True)
    store.start()
    stream = store.stream(f"{kind}0", _TYPES[kind])
    _READERS[how](stream.limit(3), kind)
    began, used = time.perf_counter(), time.process_time()
    messages = _READERS[how](stream, kind)
    said = {"elapsed_s": time.perf_counter() - began, "cpu_s": time.process_time() - used}
    print(json.dumps({"messages": messages, **said}), flush=True)
    store.stop()


def _raw(stream: Any, kind: str) -> int:
    blobs = stream._source.blob_store
    return sum(1 for one in stream if blobs.get(f"{kind}0", one.id))


def _arrays(stream: Any, kind: str) -> int:
    if kind == "image":
        return sum(1 for one in stream if np.asarray(one.data.data).shape)
    places, turns = [], []
    for one in stream:
        pose = one.data
        places.append((pose.position.x, pose.position.y, pose.position.z))
        turn = pose.orientation
        turns.append((turn.x, turn.y, turn.z, turn.w))
    return min(len(np.array(places)), len(np.array(turns)))


_READERS: dict[str, Callable[[Any, str], int]] = {"raw": _raw, "arrays": _arrays}
_PROGRAMS: dict[str, Callable[..., None]] = {
    "read": read,
    "record": record,
    "write": write,
    "replay": replay,
    "append": append,
}

if __name__ == "__main__":
    _PROGRAMS[sys.argv[1]](*sys.argv[2:])

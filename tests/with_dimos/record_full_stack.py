"""Runs the full stack as `dimos run` does, and records it until SIGINT.

`ours` writes FOLDER/ours.db; `dimos` is `dimos --record`, which writes recordings/RUN/memory.db
where dimos keeps its state; `nobody` records nothing. The sensors write into FOLDER/notes how many
messages they published.
"""

from __future__ import annotations

import argparse
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from dimos.core.coordination.blueprints import Blueprint
from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.daemon import run_coordinator
from dimos.core.transport import ZenohTransport
from dimos.memory import tap
from dimos.protocol.pubsub.impl.zenohpubsub import QOS_NEVER_DROP
from dimos.protocol.pubsub.impl.zenohpubsub import Topic as ZenohTopic

from dimos_record.integrations.dimos.record_module import RecordModule
from dimos_record.integrations.dimos.recording import record
from tests.with_dimos.full_stack import StallingRecorder, full_stack, stall_next_call

STALL_S = 1.0


class TransportRecorder(tap.TransportRecorder):  # type: ignore[misc]
    """dimos's recorder, which can be found."""

    running: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        TransportRecorder.running = self


def that_can_stall(blueprint: Blueprint) -> Blueprint:
    """The blueprint with recorders that can be made to stall."""
    atoms = [
        replace(atom, module=StallingRecorder, instance_name=atom.name)
        if atom.module is RecordModule
        else atom
        for atom in blueprint.blueprints
    ]
    tap.TransportRecorder = TransportRecorder
    return replace(blueprint, blueprints=tuple(atoms))


def stall(coordinator: ModuleCoordinator, who: str) -> None:
    """Let the recorder's writer stand still, in the midst of what it does next."""
    if who == "ours":
        coordinator.get_instance(StallingRecorder).stall_writer(STALL_S)
    else:
        stall_next_call(TransportRecorder.running._streams["imu"], "append", STALL_S)
    print("stalled", flush=True)


def that_wait(blueprint: Blueprint) -> Blueprint:
    """The blueprint on Zenoh, with publishers that wait where dimos's usual ones drop a picture."""
    streams = {(one.name, one.type) for atom in blueprint.blueprints for one in atom.streams}
    return blueprint.transports(
        {
            (name, type_): ZenohTransport(ZenohTopic(f"dimos/{name}", type_, qos=QOS_NEVER_DROP))
            for name, type_ in streams
        }
    )


def run(chosen: argparse.Namespace) -> None:
    """Run the robot until SIGINT."""
    notes = chosen.folder / "notes"
    notes.mkdir()
    blueprint = full_stack(chosen.duration_s, notes)
    if chosen.publishers_wait:
        blueprint = that_wait(blueprint)
    if chosen.who == "ours":
        blueprint = record(blueprint, chosen.folder / "ours.db")
    if chosen.stall_at is not None:
        blueprint = that_can_stall(blueprint)

    def on_ready(coordinator: ModuleCoordinator) -> None:
        if chosen.stall_at is not None:
            timer = threading.Timer(chosen.stall_at, stall, (coordinator, chosen.who))
            timer.daemon = True
            timer.start()
        print("ready", flush=True)

    own_recorder = "sqlite" if chosen.who == "dimos" else ""
    run_coordinator(
        blueprint.global_config(viewer="none", n_workers=1, record=own_recorder),
        None,
        run_id=f"full-stack-{os.getpid()}",
        log_dir=chosen.folder,
        on_ready=on_ready,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=["ours", "dimos", "nobody"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("duration_s", type=float)
    parser.add_argument("--stall-at", type=float, metavar="S", help="stall the writer for 1 s then")
    parser.add_argument("--publishers-wait", action="store_true", help="on Zenoh: drop nothing")
    run(parser.parse_args())

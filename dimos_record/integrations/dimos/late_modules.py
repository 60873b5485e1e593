"""Modules that are loaded into a running blueprint: recorded from their first message on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dimos.core.coordination.module_coordinator import ModuleCoordinator
from dimos.core.introspection.module.info import StreamDescriptor
from dimos.core.transport_factory import rpc_backend
from dimos.utils.logging_config import setup_logger

from dimos_record.integrations.dimos.offers import describe
from dimos_record.integrations.dimos.packing import Assignment
from dimos_record.integrations.dimos.record_module import RecordModule

logger = setup_logger()

_TIMEOUT_S = 5.0
"""The robot waits meanwhile."""


@contextmanager
def recorded_too(coordinator: ModuleCoordinator) -> Iterator[None]:
    """While entered, the recorders of a coordinator learn of new streams before anybody publishes.

    Without it they learn when the new modules have started. It is for the coordinator's process.
    A recorder that does not answer, or cannot record a stream, is a warning in the log: the modules
    are loaded all the same.
    """
    existing = set(coordinator.transports)
    rpc = rpc_backend()()
    rpc.start()

    def connected(name: str, type_: type, transport: Any) -> None:
        if (name, type_) in existing or _is_replayed(coordinator, name, type_):
            return
        stream = describe(name, type_, transport, _publisher(coordinator, name, type_))
        for recorder in _recorders(coordinator):
            _tell(rpc, recorder, stream)

    try:
        with coordinator.observe_transports(connected):
            yield
    finally:
        rpc.stop()


def _recorders(coordinator: ModuleCoordinator) -> list[str]:
    """RPC names of the recorders that are there now: they come and go like other modules."""
    path = f"{RecordModule.__module__}.{RecordModule.__name__}"
    return [one.rpc_name for one in coordinator.list_modules() if one.qualified_path == path]


def _tell(rpc: Any, recorder: str, stream: StreamDescriptor) -> None:
    try:
        _, forget = rpc.call_sync(
            f"{recorder}/record_streams", ([[stream]], {}), rpc_timeout=_TIMEOUT_S
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the robot gets its module
        logger.warning(f"{recorder} does not record the first messages of {stream.name}: {error}")
    else:
        forget()


def _is_replayed(coordinator: ModuleCoordinator, name: str, type_: type) -> bool:
    """Whether a stream comes from a replay: that is recorded already."""
    for atom in coordinator._deployed_atoms.values():
        assignment = atom.kwargs.get("assignment")
        if isinstance(assignment, Assignment):
            namespace = assignment.namespace_of(atom.instance_name)
            if any(
                (namespace + one.stream, one.message) == (name, type_) for one in assignment.ports
            ):
                return True
    return False


def _publisher(coordinator: ModuleCoordinator, name: str, type_: type) -> str:
    """RPC name of the module that publishes a stream which is about to be connected.

    The coordinator does not tell how a stream was renamed: nothing, if it was.
    """
    found = [
        atom.instance_name or atom.module.__name__
        for atom in coordinator._deployed_atoms.values()
        for stream in atom.streams
        if stream.type is type_ and stream.direction != "in"
        if f"{_namespace(atom.name)}{stream.name}" == name
    ]
    return found[-1] if found else ""


def _namespace(instance: str) -> str:
    return instance[: instance.rfind("/") + 1]
